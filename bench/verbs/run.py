"""`bench run`: plan, measure and store experiments, and print what they found."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import clock
from bench.composition import CONFIG, user_folders
from bench.config import Experiment, load_experiments
from bench.devices.fingerprint import fingerprint
from bench.errors import GATE_FAILED, NOT_ENOUGH_EVIDENCE, ConfigError, InfeasibleHere, Interrupted
from bench.measure import artifacts
from bench.plan.planner import make_plan
from bench.records import Plan
from bench.report import progress
from bench.store import Run
from bench.stored import RUN_FORMAT
from bench.verbs import against as versions
from bench.verbs.conduct import conduct
from bench.verbs.printing import print_json
from bench.verbs.resume import subject_of, taken_up


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
        named = ["--config-name", config_name] if config_name != CONFIG else []
        given = [*overrides, *config_dirs, *named, *(["--against", against] if against else [])]
        result = conduct(*taken_up(Path(resume), given), as_json)
        _print_json([result], as_json)
        return _exit_code([result])
    if against is not None:
        overrides = versions.options(against, overrides, user_folders(config_dirs), config_name)
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
            "subject": subject_of(experiment),
            "fingerprint": fingerprint(experiment.device, detect_energy=not experiment.device.rehearsal),
        },
    )
    try:
        return conduct(experiment, plan, stored, as_json, begun=False)
    except (ConfigError, InfeasibleHere):  # something that the user has to mend before it can begin
        stored.discard()
        raise


def _exit_code(results: Sequence[Mapping[str, Any]]) -> int:
    """A run in which no trial could be measured is no success, nor is one in which this version is slower."""
    lost = [result for result in results if result["failed"] == result["trials"]]
    for result in lost:
        progress.say(f"no trial of {result['run']} could be measured; failed trials stay failed: start a new run")
    gates = {result.get("gate", 0) for result in results}
    if GATE_FAILED in gates:
        return GATE_FAILED
    return NOT_ENOUGH_EVIDENCE if lost or NOT_ENOUGH_EVIDENCE in gates else 0


def _print_json(results: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(results)
