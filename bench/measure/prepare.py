"""Before the first block: build what each optimization needs, once, and judge its quality."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.config import Experiment
from bench.contract import Device, Optimization, Slot
from bench.errors import InputError
from bench.measure import artifacts, quality, work
from bench.measure.artifacts import Artifact
from bench.measure.build import Builders, find_or_make, in_builder
from bench.measure.ceilings import Ceilings
from bench.measure.link import ChildFailed
from bench.measure.task import Task
from bench.measure.work import Work
from bench.records import Quality


@dataclass(frozen=True)
class Prepared:
    """What a tenant of this optimization loads. `failure` says why there is nothing to load."""

    task: Task
    artifact: Artifact | None = None
    model: Artifact | None = None
    """The stored result of costly passes, where there are any."""
    work: Work = field(default_factory=Work)
    ceilings: Ceilings = field(default_factory=Ceilings)
    """Of the slots in which it will be measured."""
    quality: Quality | None = None
    failure: str | None = None

    def summary(self) -> dict[str, Any]:
        """For the record of each trial."""
        if self.artifact is None:
            return {}
        summary = _summary(self.artifact)
        if self.model:
            summary["model"] = _summary(self.model)
        if unknown := self.work.unknown or self.ceilings.unknown:
            summary["no_ceiling"] = unknown
        return summary


def _summary(artifact: Artifact) -> dict[str, Any]:
    times_s = {name: round(value, 3) for name, value in artifact.times_s.items()}
    return {"id": artifact.folder.name, "size_bytes": artifact.size_bytes, **times_s}


def builder_slot(device: Device, slots: Sequence[Slot] = ()) -> Slot:
    """Where artifacts are built: on all cores, and on a GPU in the first of the slots that they are built for."""
    threads = len(device.cpus)
    if device.executes_on == "cpu":
        return Slot(index=0, threads=threads)
    return dataclasses.replace(slots[0], threads=threads, cpus=())


def prepare(experiment: Experiment, name: str, batch_size: int, builders: Builders, slot: Slot) -> Prepared:
    """Find or build the artifact of one optimization in `slot`. A model that the user gave and that is bad is an
    InputError; a build that fails is recorded, and the run goes on without that optimization."""
    return _Preparation(experiment, name, batch_size, builders, slot).run()


def unprepared(experiment: Experiment, name: str, batch_size: int, failure: str) -> Prepared:
    """What could not even be tried."""
    return Prepared(_task(experiment, name, batch_size), failure=failure)


def _task(experiment: Experiment, name: str, batch_size: int) -> Task:
    return Task(
        workload=experiment.config["workload"],
        optimization=experiment.config["optimizations"][name],
        prepared_folder=None,
        runtime_folder="",
        batch_size=batch_size,
    )


def with_quality(item: Prepared, reference: Prepared, baseline: str) -> Prepared:
    """The same with its quality against the baseline's artifact, where both exist."""
    if item.artifact is None or reference.artifact is None:
        return item
    try:
        found = quality.compare(item.artifact.folder, reference.artifact.folder, baseline)
    except ValueError as error:
        return dataclasses.replace(item, failure=f"its quality cannot be judged: {error}")
    return dataclasses.replace(item, quality=found)


class _Preparation:
    def __init__(self, experiment: Experiment, name: str, batch_size: int, builders: Builders, slot: Slot) -> None:
        self._experiment = experiment
        self._name = name
        self._batch_size = batch_size
        self._builders = builders
        self._slot = slot
        self._optimization: Optimization = experiment.optimizations[name]
        self._cache = experiment.cache_dir
        self._task = _task(experiment, name, batch_size)

    def run(self) -> Prepared:
        try:
            model = self._model()
            artifact = self._runtime(model)
            counted = self._work(model)
        except ChildFailed as error:
            return Prepared(self._task, failure=f"could not be built: {error.reason}")
        task = dataclasses.replace(
            self._task,
            prepared_folder=str(model.folder) if model else None,
            runtime_folder=str(artifact.folder / artifacts.RUNTIME),
        )
        return Prepared(task, artifact, model, counted)

    def _model(self) -> Artifact | None:
        """The stored result of the costly passes; several optimizations may share it."""
        passes = tuple(part for part in self._optimization.passes if part.prepared)
        if not passes:
            return None
        nodes = self._experiment.config["optimizations"][self._name]["passes"][: len(passes)]
        key = self._key({"passes": nodes}, *passes)
        return self._find_or_build(f"model-{key}", self._task, "prepare")

    def _work(self, model: Artifact | None) -> Work:
        """What the model computes, whatever its runtime and the precision: counted once."""
        experiment = self._experiment
        if experiment.device.rehearsal:
            return Work(unknown="a rehearsed GPU has no speed that a trial could be held to")
        if reason := work.uncounted(experiment.workload):
            return Work(unknown=reason)
        key = self._key({"work_of": model.folder.name if model else None})
        task = dataclasses.replace(self._task, prepared_folder=str(model.folder) if model else None)
        try:
            return work.read(self._find_or_build(f"work-{key}", task, "count").folder)
        except ChildFailed as error:
            return Work(unknown=f"its work could not be counted: {error.reason}")

    def _runtime(self, model: Artifact | None) -> Artifact:
        """What the runtime loads, with its outputs on the evaluation items."""
        optimization = self._optimization
        content = {
            "optimization": self._experiment.config["optimizations"][self._name],
            "batch_size": self._batch_size if optimization.runtime.batch_specific else None,
            "slot": self._slot_size() if optimization.runtime.slot_specific else None,
            "model": model.folder.name if model else None,
        }
        name = f"runtime-{self._key(content, *optimization.passes, optimization.runtime)}"
        task = dataclasses.replace(
            self._task,
            prepared_folder=str(model.folder) if model else None,
            runtime_folder=str(self._cache / f"{name}.tmp" / artifacts.RUNTIME),
        )
        return self._find_or_build(name, task, "build")

    def _slot_size(self) -> dict[str, Any] | None:
        """What an artifact that fits one size of slot depends on; None on a CPU."""
        gpu = self._experiment.device.gpu
        if gpu is None or self._slot.executes_on == "cpu":
            return None
        return {
            "sm_count": self._slot.sm_count,
            "sm_share": self._slot.sm_share,
            "compute_capability": gpu.compute_capability,
            "driver": gpu.driver_version,
        }

    def _key(self, content: Mapping[str, Any], *plugins: Any) -> str:
        workload = self._experiment.workload
        shared = {
            "workload": workload.identity(),
            "device": self._experiment.device.built_for,
            "libraries": artifacts.library_versions(),
        }
        if version := self._builders.version:
            shared["version"] = version
        return artifacts.key_of({**shared, **content}, workload, *plugins)

    def _find_or_build(self, name: str, task: Task, do: str) -> Artifact:
        return find_or_make(self._cache, name, lambda folder: self._in_builder(task, do, folder))

    def _in_builder(self, task: Task, do: str, folder: Path) -> dict[str, float]:
        limit_s = self._experiment.protocol.build_limit_s
        who = f"the builder of {self._name}"
        request = {"task": task.to_json(), "folder": str(folder)}
        try:
            built = in_builder(self._builders, do, self._slot, limit_s, who, **request)
        except ChildFailed as error:
            if error.told.get("hint"):  # it found what the user gave to be bad, and says so itself
                raise InputError(error.told["what"], where=error.told["where"], hint=error.told["hint"]) from error
            raise
        return {key: float(value) for key, value in built.items() if key.endswith("_s")}
