"""Trials of runs of different times, matched by what was measured; and which of them count. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from bench.judge import reasons
from bench.judge.compare.comparison import FEWEST, Metric, Obstacle, cost
from bench.judge.compare.lost import Losses, lost_blocks
from bench.judge.compare.telling import tells
from bench.judge.evidence import RunEvidence, own_trials
from bench.judge.series import Series
from bench.judge.untold import without_blocks
from bench.records import TrialRecord
from bench.stored import StoredRun

MOST_NAMES = 3


@dataclass(frozen=True)
class Part:
    """One run's trials of one series. tenants: that share the device. obstacle: why they do not count, or None."""

    run: StoredRun
    tenants: int
    trials: Sequence[TrialRecord]
    losses: Losses
    obstacle: str | None

    @property
    def valid(self) -> list[TrialRecord]:
        return [trial for trial in self.trials if trial.status == "ok"]

    def logs(self, metric: Metric) -> list[float]:
        return [found for trial in self.valid if (found := cost(trial, metric)) is not None]

    def tells(self, metric: Metric) -> bool:
        return len(self.logs(metric)) >= FEWEST and tells(metric, self.valid)


def parts_of(run: StoredRun) -> Iterator[tuple[Series, Part]]:
    """Every cell of the version that a run is about."""
    plan, evidence = run.plan, RunEvidence(run)
    general = _general_obstacle(run, evidence)
    for cell, planned in own_trials(plan).items():
        trials = evidence.trials_of(cell)
        losses = Losses.of(evidence.over(cell), trials)
        series = Series(plan.device, plan.workload, plan.scenario, *cell)
        tenants = max(one.tenants for one in planned)
        yield series, Part(run, tenants, trials, losses, general or _too_few(losses))


def _general_obstacle(run: StoredRun, evidence: RunEvidence) -> str | None:
    if strange := without_blocks(run.plan):
        return strange
    if not evidence.complete_looks():
        return reasons.no_look(run.plan, evidence.whole_blocks)
    return None


def _too_few(losses: Losses) -> str | None:
    if found := lost_blocks(losses.whys, losses.blocks):
        return found.reason
    valid = losses.blocks - len(losses.whys)
    return f"{valid} valid blocks, and {FEWEST} are the least" if valid < FEWEST else None


def unlike(part: Part, batches: set[int], tenants: set[int]) -> Part:
    """A base run's part, with the reason where the candidate measured something else: batches of other sizes, other
    numbers of tenants."""
    ours = batches_of([part])
    why = None
    if batches and ours and ours != batches:
        theirs, those = (" and ".join(map(str, sorted(sizes))) for sizes in (ours, batches))
        why = f"batches of {theirs} items, and the candidate's have {those}: only equal ones can be compared"
    elif {part.tenants} != tenants:
        why = f"{part.tenants} tenants against {' and '.join(map(str, sorted(tenants)))}"
    return replace(part, obstacle=part.obstacle or why)


def batches_of(parts: Sequence[Part]) -> set[int]:
    """Sizes, of all valid trials."""
    return {trial.batch_size for part in parts for trial in part.valid}


def without_copies(parts: Sequence[Part]) -> list[Part]:
    """All of them; of those that hold the same trials, which nobody measures twice, the later ones do not count."""
    found: list[Part] = []
    for part in parts:
        first = next((other.run.name for other in found if part.trials and other.trials == part.trials), None)
        found.append(part if first is None else replace(part, obstacle=f"it is a copy of {first}"))
    return found


@dataclass
class Matched:
    """A series, and the runs that planned it on each side."""

    base: list[Part] = field(default_factory=list)
    candidate: list[Part] = field(default_factory=list)

    def compared(self) -> Matched:
        """The same, with the reason for each that does not count: copies, and base runs that measured something else
        than the candidate."""
        batches, tenants = batches_of(self.candidate), {part.tenants for part in self.candidate}
        base = [unlike(part, batches, tenants) for part in without_copies(self.base)]
        return Matched(base, without_copies(self.candidate))

    def counted(self) -> tuple[list[Part], list[Part]]:
        """Base and candidate, those without an obstacle."""
        base, candidate = ([part for part in side if not part.obstacle] for side in (self.base, self.candidate))
        return base, candidate

    def uncounted(self) -> Obstacle | None:
        """Why nothing of a side counts."""
        base, candidate = self.counted()
        if not candidate:
            return Obstacle(f"candidate: {self.candidate[0].obstacle}")
        return None if base else Obstacle(f"base: {self.base[0].obstacle}")


def names(runs: Sequence[StoredRun]) -> str:
    """Of runs, the first ones by name."""
    left = len(runs) - MOST_NAMES
    return ", ".join(run.name for run in runs[:MOST_NAMES]) + (f" and {left} more" if left > 0 else "")
