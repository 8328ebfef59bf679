"""A run of bench's own, brought back from another tool's form."""

from __future__ import annotations

import re
from pathlib import Path

from bench import clock
from bench.errors import InputError
from bench.imports.imported import WholeRun
from bench.store import Run
from bench.stored import stranger


def create(whole: WholeRun, file: Path, results_dir: Path) -> Path:
    """The run's folder. Raises InputError, before anything is written, where its parts do not belong together."""
    _check(whole, file)
    plan = whole.plan
    name = re.sub(r"[^A-Za-z0-9_.\-]+", "_", f"{clock.file_stamp()}-{plan.workload}-{plan.scenario}")[:150]
    stored = Run.create(results_dir, name)
    stored.write_json("run.json", dict(whole.description))
    for trial in whole.trials:
        if trial.id in whole.requests:
            stored.write_samples(trial.id, whole.requests[trial.id])
        stored.append_trial(trial)
    stored.write_json("plan.json", plan.model_dump())
    return stored.folder


def _check(whole: WholeRun, file: Path) -> None:
    planned = {trial.id: trial for trial in whole.plan.trials}
    seen: set[str] = set()
    for trial in whole.trials:
        why = stranger(whole.plan, planned.get(trial.id), trial)
        if why is None and trial.id in seen:
            why = f"trial {trial.id} stands in it twice"
        if why is None and trial.rehearsal != whole.plan.rehearsal:
            why = f"trial {trial.id} is a rehearsal, or the run is one"
        if why:
            raise InputError(
                f"this run does not fit together: {why}"[:300],
                where=str(file),
                hint="export it again: bench export pytest-benchmark RUN",
            )
        seen.add(trial.id)
