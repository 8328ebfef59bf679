"""`bench run`: plan, measure and store experiments, and print what they found."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bench
from bench import clock
from bench.claims import read_claims
from bench.composition import CONFIG
from bench.config import Experiment, load_experiments
from bench.devices.fingerprint import fingerprint
from bench.errors import ConfigError, InputError, Interrupted
from bench.judge import table
from bench.judge.interference import interference
from bench.judge.ledger import ledger
from bench.judge.looks import next_look
from bench.measure import artifacts
from bench.measure.conductor import Conductor
from bench.plan.planner import make_plan, prolong
from bench.records import Plan
from bench.report import console, console_ledger, console_neighbours, progress
from bench.store import Run
from bench.stored import StoredRun

RUN_FORMAT = 1
NOT_ENOUGH_EVIDENCE = 4


def run(
    overrides: Sequence[str],
    config_dirs: Sequence[str],
    resume: str | None,
    as_json: bool,
    config_name: str,
    against: str | None,
) -> int:
    """All experiments, one after the other; each is a run of its own."""
    if resume is not None:
        return _resume(Path(resume), overrides, config_dirs, as_json)
    experiments = load_experiments(overrides, config_dirs, config_name)
    plans = [make_plan(experiment) for experiment in experiments]  # all must be sound before the first begins
    for experiment in experiments:
        experiment.workload.identity()  # a file that is missing or bad shows here
        artifacts.prepare_folder(experiment.cache_dir)
    results = []
    for number, (experiment, plan) in enumerate(zip(experiments, plans, strict=True), start=1):
        try:
            results.append(_start(experiment, plan, as_json))
        except Interrupted:
            for later in experiments[number:]:
                progress.say(f"not begun: bench run {shlex.join(later.overrides)}")
            raise
    _print_json(results, as_json)
    return _exit_code(results)


def _start(experiment: Experiment, plan: Plan, as_json: bool) -> dict[str, Any]:
    name = f"{clock.file_stamp()}-{experiment.workload_name}-{experiment.scenario_name}"
    stored = Run.create(experiment.results_dir, name)
    stored.write_json(
        "run.json",
        {
            "format": RUN_FORMAT,
            "started_at": clock.utc_now(),
            "config_name": experiment.config_name,
            "overrides": list(experiment.overrides),
            "config_folders": [str(folder) for folder in experiment.config_folders],
            "seed": experiment.seed,
            "config": experiment.config,
            "device": dataclasses.asdict(experiment.device),
            "rehearsal": experiment.device.rehearsal,
            "subject": _subject(experiment),
            "fingerprint": fingerprint(experiment.device, detect_energy=not experiment.device.rehearsal),
        },
    )
    return _conduct(experiment, plan, stored, as_json, begun=False)


def _resume(folder: Path, overrides: Sequence[str], config_dirs: Sequence[str], as_json: bool) -> int:
    """Finish what is left of a run, exactly as it was planned."""
    if overrides or config_dirs:
        raise ConfigError(
            "a resumed run takes no options: it goes on exactly as it was planned",
            where=f"--resume {folder} {' '.join(overrides)}".strip(),
            hint="leave the options out, or start a new run without --resume",
        )
    stored = Run.open(folder)
    description = stored.read_json("run.json")
    try:
        again, folders = (
            [str(o) for o in description["overrides"]],
            [str(f) for f in description["config_folders"]],
        )
        device_name, subject = str(description["device"]["name"]), description["subject"]
    except (KeyError, TypeError) as error:
        raise InputError(
            f"run.json lacks {error}", where=str(folder / "run.json"), hint="restore it, or start a new run"
        ) from error
    (experiment,) = load_experiments(again, folders, str(description.get("config_name", CONFIG)))
    plan = stored.plan()
    if experiment.device.name != device_name:
        raise ConfigError(
            f"this run was measured on {device_name}, and this is {experiment.device.name}",
            where=str(folder),
            hint="resume it on its own machine: blocks of different devices cannot be compared",
        )
    # The claims are those that the run was planned for; the users' files may have gained others since.
    experiment = dataclasses.replace(experiment, claims=read_claims(description["config"].get("claims")))
    if _without_claims(_plain(experiment.config)) != _without_claims(description["config"]):
        raise ConfigError(
            "the configuration has changed since this run was started",
            where=str(folder / "run.json"),
            hint="restore your config folders as they were, or start a new run",
        )
    if changed := sorted(name for name, value in _subject(experiment).items() if subject.get(name) != value):
        raise ConfigError(
            f"what this run measures has changed since it was started: {', '.join(changed)}",
            where=str(folder / "run.json"),
            hint="restore it (see `subject` there), or start a new run: blocks of different things do not mix",
        )
    experiment = dataclasses.replace(experiment, seed=plan.seed)
    results = [_conduct(experiment, plan, stored, as_json)]
    _print_json(results, as_json)
    return _exit_code(results)


def _subject(experiment: Experiment) -> dict[str, Any]:
    """What must stay the same over all blocks of a run, and does not show in its configuration."""
    content = {
        "bench": bench.__version__,
        "libraries": artifacts.library_versions(),
        "workload": experiment.workload.identity(),
    }
    if beside := experiment.occupants:
        content["neighbours"] = {name: occupant.workload.identity() for name, occupant in beside.items()}
    plain: dict[str, Any] = _plain(content)
    return plain


def _without_claims(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != "claims"}


def _plain(content: Any) -> Any:
    """As it comes back from a JSON file."""
    return json.loads(json.dumps(content, default=str))


def _conduct(experiment: Experiment, plan: Plan, stored: Run, as_json: bool, begun: bool = True) -> dict[str, Any]:
    """`begun`: its plan is stored. From that moment on it can be resumed, and whoever interrupts it is told how."""
    try:
        if not begun:
            stored.write_json("plan.json", plan.model_dump())
        plan = _measure(experiment, plan, stored)
    except KeyboardInterrupt:
        if stored.read_json("plan.json") is None:
            raise
        planned, done = stored.plan(), stored.trials()
        raise Interrupted(
            f"interrupted after {len(done)} of {len(planned.trials)} trials, all of them stored",
            where=str(stored.folder),
            hint=shlex.join(["bench", "run", "--resume", str(stored.folder)]),
        ) from None
    rows = table.rows(plan, stored.trials())
    if not as_json:
        console.print_table(plan, rows)
        console_neighbours.print_brief(interference(_as_stored(plan, stored)))
        if plan.looks and not plan.rehearsal:
            found = ledger(experiment.claims, [_as_stored(plan, stored)], {})
            console_ledger.print_brief(found)
    after = "a rehearsal has no report" if plan.rehearsal else shlex.join(["bench", "report", str(stored.folder)])
    progress.say(f"stored in {stored.folder}; next: {after}")
    return {
        "run": str(stored.folder),
        "device": plan.device,
        "rehearsal": plan.rehearsal,
        "workload": plan.workload,
        "scenario": plan.scenario,
        "baseline": plan.baseline,
        "trials": len(plan.trials),
        "failed": sum(record.status == "failed" for record in stored.trials()),
        "rows": [table.to_json(row) for row in rows],
        "infeasible": [item.model_dump() for item in plan.infeasible],
    }


def _measure(experiment: Experiment, plan: Plan, stored: Run) -> Plan:
    """Measure what is planned; then, while verdicts are open and looks are left, plan more blocks for them. The plan
    as it is in the end."""
    while True:
        done = len(stored.trials())
        expected = progress.duration(plan.estimate.trials_s * (1 - done / len(plan.trials)))
        progress.say(
            f"run {stored.folder}: {len(plan.trials) - done} trials, about {expected} and what has to be built"
        )
        with progress.ProgressView(plan, done) as view:
            Conductor(experiment, plan, stored, view).conduct()
        more = None if plan.rehearsal else next_look(_as_stored(plan, stored), experiment.claims)
        if more is None:
            return plan
        cells = sum(len(names) for names in more.cells.values())
        progress.say(
            f"after {plan.blocks} blocks {more.open} verdicts are open: up to {more.blocks} blocks of {cells} cells"
        )
        plan = prolong(plan, more.cells, more.blocks)
        stored.write_json("plan.json", plan.model_dump())


def _as_stored(plan: Plan, stored: Run) -> StoredRun:
    return StoredRun(stored.folder, {}, plan, tuple(stored.trials()))


def _exit_code(results: Sequence[Mapping[str, Any]]) -> int:
    """A run in which no trial could be measured is no success."""
    lost = [result for result in results if result["failed"] == result["trials"]]
    for result in lost:
        progress.say(f"no trial of {result['run']} could be measured; failed trials stay failed: start a new run")
    return NOT_ENOUGH_EVIDENCE if lost else 0


def _print_json(results: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        json.dump(results, sys.stdout, indent=1)
        sys.stdout.write("\n")
