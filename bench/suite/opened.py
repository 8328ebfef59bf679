"""A run that sessions of a suite add blocks to: made by the first, found unchanged by the others."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import clock
from bench.composition import compose_all, user_folders
from bench.config import Experiment, build_experiment
from bench.contract import Device
from bench.devices import nvml, select
from bench.devices.fingerprint import fingerprint
from bench.errors import ConfigError, InfeasibleHere, InputError
from bench.git import commit_of
from bench.judge.differences import differences
from bench.partitions.full import Full
from bench.records import Estimate, Infeasible, Plan, TrialRecord
from bench.store import Run
from bench.stored import PLAN, RUN, RUN_FORMAT
from bench.suite.subject import subject

SCENARIO = "single_stream"
NO_BASELINE = "none"
"""A suite's tests are not versions of each other: none of them is what the others are compared with."""
NOT_MEASURED = ("commit", "project_commit")
"""Of the fingerprint. bench's own checkout measures, and is not measured; of the project `subject` tells by content."""
MOST_TOLD = 4


@dataclass(frozen=True)
class Asked:
    """What the command line says. `run`: the folder to add to; None: a new one in `results`."""

    suite: str
    project: Path
    protocol: str
    results: Path
    run: Path | None = None


def composed(asked: Asked) -> Experiment:
    """Protocol, telemetry and thresholds as `bench run` composes them; the rest of an experiment is not used."""
    options = (
        "workload=calibration", f"scenario={SCENARIO}", "partitions=[full]", "optimizations=[native]", "gpu=cpu",
        "claims=[]", "seed=0", f"protocol={asked.protocol}",
    )  # fmt: skip
    folders = user_folders()
    (found,) = compose_all(options, folders)
    return build_experiment(found, folders)


def find_device(kind: str) -> Device:
    """The CPU, or the GPU that the test's process uses. Raises InfeasibleHere, and ConfigError where several are in
    sight and nothing says which is meant: telemetry would watch another one."""
    try:
        device = select.find_device({"kind": kind})
    except InfeasibleHere as error:
        hint = "skip this test here; without synchronize= a callable is measured on the CPU"
        raise InfeasibleHere(error.what, where="bench_trial(..., synchronize=...)", hint=hint) from error
    if device.gpu is not None:
        with nvml.session() as session:
            uuids = [uuid for uuid, _ in session.gpus()]
        if len(uuids) > 1 and select.VISIBLE not in os.environ:
            raise ConfigError(
                f"{len(uuids)} GPUs are here, and nothing says which of them the tests use",
                where=select.VISIBLE,
                hint=f"set {select.VISIBLE} to one of {', '.join(uuids)}",
            )
    if reason := Full().infeasible(device):
        raise InfeasibleHere(reason, where=device.name, hint="see `bench doctor`")
    return device


def existing(asked: Asked, experiment: Experiment) -> tuple[Run, Plan, Device] | None:
    """The run that is to be added to; None: there is none yet. Raises ConfigError where blocks would not be of the same
    things as those that it has: such blocks do not mix."""
    folder = asked.run
    if folder is None or not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    if not (folder / PLAN).is_file() or not (folder / RUN).is_file():
        raise InputError(
            "this is not a run",
            where=f"--bench-run={folder}",
            hint="name a run that a session of this suite made, or a folder that is not there yet",
        )
    stored = Run.open(folder)
    plan, description = stored.plan(), stored.read_json(RUN)
    if not isinstance(description, dict) or "suite" not in description:
        raise _stranger(folder, "this run was not measured by a pytest session")
    for name, was, now in (
        ("suite", plan.workload, asked.suite),
        ("protocol", plan.protocol, asked.protocol),
    ):
        if was != now:
            raise _stranger(folder, f"this run is of the {name} {was}, and this session of {now}")
    device = find_device("cuda" if plan.device_kind == "cuda" else "cpu")
    if device.name != plan.device:
        raise _stranger(folder, f"this run was measured on {plan.device}, and this is {device.name}")
    if changed := differences(_of_subject(description), _of_subject(describe(asked, experiment, device))):
        told = ", ".join(map(str, changed[:MOST_TOLD])) + (" ..." if len(changed) > MOST_TOLD else "")
        raise _stranger(folder, f"what this run measures has changed since it was begun: {told}")
    _close_unfinished(stored, plan)
    return stored, plan, device


def _of_subject(description: Mapping[str, Any]) -> Mapping[str, Any]:
    told = description.get("fingerprint")
    if not isinstance(told, dict):
        return description
    return {**description, "fingerprint": {name: told[name] for name in told if name not in NOT_MEASURED}}


def _close_unfinished(stored: Run, plan: Plan) -> None:
    """Say of trials whose session was killed that they failed: their block would never be over."""
    done = {record.id for record in stored.trials()}
    for planned in plan.trials:
        if planned.id not in done:
            stored.append_trial(
                TrialRecord(
                    **planned.model_dump(),
                    device=plan.device,
                    device_kind=plan.device_kind,
                    batch_size=1,
                    status="failed",
                    reason="its session ended before it was measured",
                )
            )


def _stranger(folder: Path, what: str) -> ConfigError:
    return ConfigError(
        what,
        where=f"--bench-run={folder}",
        hint="name another folder, and compare the two with `bench compare`: blocks of different things do not mix",
    )


def create(asked: Asked, experiment: Experiment, device: Device) -> tuple[Run, Plan]:
    """A new run, without a block. Its plan is stored with the first trial."""
    if asked.run is None:
        stored = Run.create(asked.results, f"{clock.file_stamp()}-{asked.suite}")
    else:
        if asked.run.exists():
            asked.run.rmdir()  # it is empty
        stored = Run.create(asked.run.parent, asked.run.name)
    stored.write_json(RUN, {"started_at": clock.utc_now(), **describe(asked, experiment, device)})
    return stored, _plan(asked, experiment, device)


def describe(asked: Asked, experiment: Experiment, device: Device) -> dict[str, Any]:
    """run.json, as it comes back from the file."""
    config = {name: experiment.config[name] for name in ("protocol", "telemetry", "thresholds")}
    found = fingerprint(device, detect_energy=device.kind == "cuda")
    content = {
        "format": RUN_FORMAT,
        "suite": {"name": asked.suite, "folder": str(asked.project)},
        "seed": experiment.seed,
        "config": config,
        "device": dataclasses.asdict(device),
        "rehearsal": False,
        "subject": subject(asked.project),
        # The suite's commit, wherever pytest was called.
        "fingerprint": {**found, "project_commit": commit_of(asked.project)},
    }
    plain: dict[str, Any] = json.loads(json.dumps(content, default=str))
    return plain


def sources(experiment: Experiment, device: Device) -> dict[str, Any]:
    """Those that have something to read here."""
    silent = {item.telemetry for item in _silent(experiment, device)}
    nodes: Mapping[str, Any] = experiment.config["telemetry"]
    return {name: node for name, node in nodes.items() if name not in silent}


def _silent(experiment: Experiment, device: Device) -> list[Infeasible]:
    return [
        Infeasible(partition="", optimization="", telemetry=name, reason=reason)
        for name, source in experiment.telemetry.items()
        if (reason := source.infeasible(device))
    ]


def _plan(asked: Asked, experiment: Experiment, device: Device) -> Plan:
    """Looks are those of the protocol, whoever makes the blocks."""
    return Plan(
        workload=asked.suite,
        scenario=SCENARIO,
        device=device.name,
        device_kind=device.kind,
        rehearsal=False,
        protocol=asked.protocol,
        baseline=NO_BASELINE,
        seed=experiment.seed,
        blocks=1,
        looks=experiment.protocol.looks,
        look_level=experiment.protocol.look_level,
        min_requests=experiment.protocol.min_requests,
        thresholds=experiment.thresholds,
        trials=(),
        infeasible=tuple(_silent(experiment, device)),
        estimate=Estimate(trials_s=0.0, builds=0),
    )
