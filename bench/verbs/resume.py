"""An interrupted run, taken up again exactly as it was planned."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bench
from bench.claims import read_claims
from bench.composition import CONFIG
from bench.config import Experiment, load_experiments
from bench.errors import ConfigError, InputError
from bench.git import state_of
from bench.measure import artifacts
from bench.records import Plan
from bench.store import Run


def taken_up(folder: Path, options: Sequence[str]) -> tuple[Experiment, Plan, Run]:
    """A run of which something is left, and what it measures. `options`: those that were given beside --resume."""
    if options:
        raise ConfigError(
            "a resumed run takes no options: it goes on exactly as it was planned",
            where=f"--resume {folder} {' '.join(options)}",
            hint="leave the options out, or start a new run without --resume",
        )
    stored = Run.open(folder)
    plan, description = stored.plan(), stored.read_json("run.json")
    if isinstance(description, dict) and "suite" in description:
        raise ConfigError(
            "the blocks of this run are sessions of pytest",
            where=str(folder),
            hint=f"add one in the suite's own folder: pytest --bench-run={shlex.quote(str(folder.absolute()))}",
        )
    if plan.imported:
        raise ConfigError(
            "this run was imported from another tool: bench has nothing to measure in it",
            where=str(folder),
            hint=f"add what that tool measured by bench import ... --into {shlex.quote(str(folder))}",
        )
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
    if changed := sorted(name for name, value in subject_of(experiment).items() if subject.get(name) != value):
        raise ConfigError(
            f"what this run measures has changed since it was started: {', '.join(changed)}",
            where=str(folder / "run.json"),
            hint="restore it (see `subject` there), or start a new run: blocks of different things do not mix",
        )
    return dataclasses.replace(experiment, seed=plan.seed), plan, stored


def subject_of(experiment: Experiment) -> dict[str, Any]:
    """What must stay the same over all blocks of a run, and does not show in its configuration."""
    content: dict[str, Any] = {
        "bench": bench.__version__,
        "libraries": artifacts.library_versions(),
        "workload": experiment.workload.identity(),
    }
    if beside := experiment.occupants:
        content["neighbours"] = {name: occupant.workload.identity() for name, occupant in beside.items()}
    if any(arranged.isolation.base_of for arranged in experiment.arrangements.values()):
        content["project"] = state_of(Path.cwd())  # one side is what is checked out
    plain: dict[str, Any] = _plain(content)
    return plain


def _without_claims(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != "claims"}


def _plain(content: Any) -> Any:
    """As it comes back from a JSON file."""
    return json.loads(json.dumps(content, default=str))
