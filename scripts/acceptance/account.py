"""What an acceptance run measured, and what did not work: every infeasible cell, failed step and lost trial."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.errors import InputError
from bench.judge.reasons import without_numbers
from bench.stored import StoredRun, read_run
from scripts.acceptance.ledger import Outcome

MOST_NAMES = 6


def told(folder: Path, done: Mapping[str, Outcome]) -> str:
    """For a person, one line each."""
    return "\n".join((*_steps(done), *_runs(folder)))


def _steps(done: Mapping[str, Outcome]) -> Iterator[str]:
    for name, outcome in done.items():
        if outcome.exit_code != 0:
            yield f"step {name} ended with exit code {outcome.exit_code}: {outcome.said}"


def _runs(folder: Path) -> Iterator[str]:
    for plan in sorted((folder / "results").glob("*/*/plan.json")):
        try:
            yield from _run(read_run(plan.parent))
        except InputError as error:
            yield f"{plan.parent.name}: {error.what}"


def _run(run: StoredRun) -> Iterator[str]:
    count = Counter(trial.status for trial in run.trials)
    cells = {(trial.partition, trial.optimization) for trial in run.trials if trial.status == "ok"}
    yield (
        f"{run.plan.workload} {run.plan.scenario} on {run.plan.device}: {len(cells)} cells with valid trials; trials: "
        f"{count['ok']} valid, {count['invalid']} invalid, {count['failed']} failed"
    )
    for item in run.plan.infeasible:
        yield f"  infeasible: {item}"
    yield from _lost(run)


def _lost(run: StoredRun) -> Iterator[str]:
    """Trials that are not valid; reasons that differ only in numbers are one, told by the first."""
    names: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    told: dict[tuple[str, str], list[str]] = defaultdict(list)
    for trial in run.trials:
        if trial.status != "ok":
            kind = str(trial.status), without_numbers(trial.reason or "")
            names[kind][f"{trial.partition} {trial.optimization}"] += 1
            told[kind].append(trial.reason or "")
    for kind, cells in sorted(names.items()):
        status, reason = kind[0], told[kind][0]
        listed = ", ".join(f"{name} ({times})" for name, times in cells.most_common(MOST_NAMES))
        more = f" and {len(cells) - MOST_NAMES} more cells" if len(cells) > MOST_NAMES else ""
        others = " (the first of them; others differ in numbers)" if len(set(told[kind])) > 1 else ""
        yield f"  {status}: {listed}{more}: {reason}{others}"
