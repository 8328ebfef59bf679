"""What an acceptance run measured, and what did not work: every infeasible cell, failed step and lost trial."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.stored import StoredRun, read_run

MOST_NAMES = 6


def told(folder: Path, done: Mapping[str, Any]) -> str:
    """For a person, one line each."""
    return "\n".join((*_steps(done), *_runs(folder)))


def _steps(done: Mapping[str, Any]) -> Iterator[str]:
    for name, outcome in done.items():
        if outcome["exit_code"] != 0:
            yield f"step {name} ended with exit code {outcome['exit_code']}: {outcome['said']}"


def _runs(folder: Path) -> Iterator[str]:
    for plan in sorted((folder / "results").glob("*/*/plan.json")):
        run = read_run(plan.parent)
        if isinstance(run, StoredRun):
            yield from _run(run)
        else:
            yield f"{plan.parent.name}: {run}"


def _run(run: StoredRun) -> Iterator[str]:
    count = Counter(trial.status for trial in run.trials)
    cells = {(trial.partition, trial.optimization) for trial in run.trials if trial.status == "ok"}
    yield (
        f"{run.plan.workload} {run.plan.scenario} on {run.plan.device}: {len(cells)} cells with valid trials; trials: "
        f"{count['ok']} valid, {count['invalid']} invalid, {count['failed']} failed"
    )
    for item in run.plan.infeasible:
        yield f"  infeasible: {item}"
    reasons: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for trial in run.trials:
        if trial.status != "ok":
            reasons[trial.status, trial.reason or ""][f"{trial.partition} {trial.optimization}"] += 1
    for (status, reason), names in sorted(reasons.items()):
        listed = ", ".join(f"{name} ({times})" for name, times in names.most_common(MOST_NAMES))
        more = f" and {len(names) - MOST_NAMES} more cells" if len(names) > MOST_NAMES else ""
        yield f"  {status}: {listed}{more}: {reason}"
