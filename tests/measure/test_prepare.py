"""Where artifacts are built, and what they are found by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from bench.arrangement import Arrangement
from bench.composition import compose_all
from bench.config import Experiment, build_experiment
from bench.contract import Device, Optimization, Partition, Slot, plugin
from bench.errors import InfeasibleHere
from bench.isolation.process import Processes
from bench.isolation.versions.arrived import Expected
from bench.isolation.versions.launcher import VersionLauncher
from bench.measure import prepare, workshop
from bench.measure.build import Builders
from bench.measure.ceilings import Ceilings
from bench.measure.prepare import Prepared, builder_slot
from bench.measure.work import Work
from bench.runtimes.torch_eager import TorchEager

HERE = Builders({})
SLOT = Slot(index=0, threads=2, executes_on="cuda", gpu="GPU-1", sm_count=132)


@plugin
class Engine(TorchEager):
    """Stands for a runtime whose artifacts fit one size of slot."""

    slot_specific: ClassVar[bool] = True


def device(driver: str = "590.1", **changed: Any) -> Device:
    gpu: Any = SimpleNamespace(driver_version=driver, compute_capability=(9, 0))
    made = Device(kind="cuda", name="a GPU", cpus=(0, 1, 2), memory_bytes=2**30, gpu=gpu, host="a CPU")
    return replace(made, **changed)


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    """fp32, and an engine, on a GPU."""
    # Not load_experiments, which refuses to go on where torch is imported, as it is by other tests.
    found = build_experiment(compose_all(["optimizations=[fp32]", "telemetry=[]"], ())[0], ())
    fp32 = found.optimizations["fp32"]
    config = {**found.config, "optimizations": {"fp32": {}, "engine": {}}}
    made = Optimization(runtime=Engine(), expects="fp32")
    return replace(found, device=device(), optimizations={"fp32": fp32, "engine": made}, config=config)


def key(
    experiment: Experiment,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    slot: Slot = SLOT,
    builders: Builders = HERE,
) -> str:
    """What the artifact is found by."""
    found: list[str] = []

    def stop(self: Any, artifact: str, task: Any, do: str) -> Any:
        found.append(artifact)
        raise prepare.ChildFailed("not built in this test")

    monkeypatch.setattr(prepare._Preparation, "_find_or_build", stop)
    assert "not built" in (prepare.prepare(experiment, name, 1, builders, slot).failure or "")
    return found[0]


def test_an_engine_is_built_anew_for_another_size_of_slot_or_another_driver(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [
        key(experiment, "engine", monkeypatch),
        key(experiment, "engine", monkeypatch, replace(SLOT, sm_count=16)),
        key(experiment, "engine", monkeypatch, replace(SLOT, sm_share=0.5)),
        key(replace(experiment, device=device(driver="610.1")), "engine", monkeypatch),
        key(replace(experiment, device=device(name="another GPU")), "engine", monkeypatch),
    ]
    assert len(set(keys)) == len(keys)
    other_slot_of_the_same_size = replace(SLOT, index=3, gpu="MIG-2", gpu_instance=7, env={"X": "1"})
    assert key(experiment, "engine", monkeypatch, other_slot_of_the_same_size) == keys[0]


def test_what_fits_any_slot_is_built_once(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = (SLOT, replace(SLOT, sm_count=16), replace(SLOT, sm_share=0.5))
    assert len({key(experiment, "fp32", monkeypatch, slot) for slot in sizes}) == 1
    assert key(replace(experiment, device=device(name="another GPU")), "fp32", monkeypatch) != key(
        experiment, "fp32", monkeypatch
    )


def test_a_changed_library_builds_anew(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    before = key(experiment, "engine", monkeypatch)
    monkeypatch.setattr(prepare.artifacts, "library_versions", lambda: {"tensorrt": "11.4.1"})
    assert key(experiment, "engine", monkeypatch) != before


def test_another_version_has_artifacts_of_its_own(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    def of(commit: str) -> Builders:
        return Builders({}, VersionLauncher(Expected("a commit"), {"commit": commit}))

    keys = [key(experiment, "fp32", monkeypatch, builders=builders) for builders in (HERE, of("a"), of("b"), of("a"))]
    assert len(set(keys)) == 3
    assert keys[1] == keys[3]


def test_a_builder_has_all_cores_and_the_gpu_of_its_slot() -> None:
    pinned = replace(SLOT, threads=1, cpus=(1,), env={"CUDA_VISIBLE_DEVICES": "GPU-1"})
    slot = builder_slot(device(), (pinned, replace(pinned, index=1, gpu="GPU-2")))
    assert (slot.threads, slot.cpus, slot.gpu, slot.executes_on) == (3, (), "GPU-1", "cuda")
    assert slot.env == pinned.env
    rehearsed = builder_slot(device(rehearsal=True), (pinned,))
    assert (rehearsed.threads, rehearsed.gpu, rehearsed.executes_on) == (3, None, "cpu")


# --- every cell, in a slot of its own ------------------------------------------------------------------------------


class Divided(Partition):
    """Notes when it is applied and given back; `fails`: it cannot be."""

    def __init__(self, name: str, log: list[str], fails: bool = False) -> None:
        self.name, self.log, self.fails = name, log, fails

    def slots(self, device: Device) -> tuple[Slot, ...]:
        return (replace(SLOT, gpu=self.name),)

    @contextmanager
    def applied(self, device: Device) -> Iterator[tuple[Slot, ...]]:
        if self.fails:
            raise InfeasibleHere("it is in use", where=self.name, hint="wait")
        self.log.append(f"{self.name} applied")
        yield self.slots(device)
        self.log.append(f"{self.name} given back")


def prepared_cells(
    experiment: Experiment, log: list[str], monkeypatch: pytest.MonkeyPatch, fails: bool = False
) -> dict[tuple[str, str], Prepared]:
    partitions = {"full": Divided("full", log), "thirds": Divided("thirds", log, fails)}
    arranged = {
        name: Arrangement(name, partition, "process", Processes(), "same") for name, partition in partitions.items()
    }
    quiet: Any = SimpleNamespace(preparing=lambda *_: None, built=lambda *_: None, not_built=lambda *_: None)
    plan: Any = SimpleNamespace(baseline="fp32")
    made = workshop.Workshop(
        replace(experiment, arrangements=arranged), plan, None, quiet, {}, {"process": Processes()}
    )  # type: ignore[arg-type]

    def build(experiment: Experiment, name: str, batch_size: int, builders: Any, slot: Slot) -> Prepared:
        log.append(f"{name} in {slot.gpu}")
        return prepare.unprepared(experiment, name, batch_size, f"of {slot.gpu}")

    monkeypatch.setattr(workshop, "prepare", build)
    cells = [(partition, name) for partition in partitions for name in ("engine", "fp32")]
    left = {cell for cell in cells if cell != ("thirds", "fp32")}  # measured already, when the run was interrupted
    return made.prepare(dict.fromkeys(cells, 1), {"process": left})["process"]


def test_on_a_gpu_each_partition_builds_in_its_own_slot_the_baseline_first(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    cells = prepared_cells(experiment, log, monkeypatch)
    assert log == [
        *("full applied", "fp32 in full", "engine in full", "full given back"),
        *("thirds applied", "fp32 in thirds", "engine in thirds", "thirds given back"),
    ]
    assert cells["thirds", "engine"].failure == "of thirds"


def test_on_a_cpu_and_for_a_rehearsal_all_partitions_load_the_same(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    cells = prepared_cells(replace(experiment, device=device(rehearsal=True)), log, monkeypatch)
    assert log == ["fp32 in None", "engine in None"]
    assert cells["thirds", "engine"] == cells["full", "engine"]


def test_a_partition_that_cannot_be_applied_spoils_only_its_own_cells(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = prepared_cells(experiment, [], monkeypatch, fails=True)
    assert "thirds could not be applied: it is in use" in (cells["thirds", "engine"].failure or "")
    assert cells["full", "engine"].failure == "of full"


# --- what an item costs, and what a slot reaches --------------------------------------------------------------------


def counted(
    experiment: Experiment, cache: Path, monkeypatch: pytest.MonkeyPatch, counting: Callable[[Path], None]
) -> tuple[list[Prepared], list[str]]:
    """Both optimizations prepared by a builder that only notes what it is asked for."""
    asked: list[str] = []

    def build(self: Any, task: Any, do: str, folder: Path) -> dict[str, float]:
        asked.append(do)
        if do == "count":
            counting(folder)
        return {"build_s": 1.0}

    monkeypatch.setattr(prepare._Preparation, "_in_builder", build)
    here = replace(experiment, cache_dir=cache)
    return [prepare.prepare(here, name, 1, Builders({}), SLOT) for name in ("fp32", "engine")], asked


def test_work_is_counted_once_for_all_optimizations_of_a_model(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(1e9, 5e8, 1e6, 100.0)
    prepared, asked = counted(experiment, tmp_path, monkeypatch, work.write)
    assert [item.work for item in prepared] == [work, work]
    assert asked == ["build", "count", "build"]


def test_work_that_cannot_be_counted_spoils_no_artifact(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(folder: Path) -> None:
        raise prepare.ChildFailed("the builder of fp32 was killed by signal 9")

    (item, _), _ = counted(experiment, tmp_path, monkeypatch, killed)
    assert item.failure is None and item.artifact is not None
    assert item.summary()["no_ceiling"] == "its work could not be counted: the builder of fp32 was killed by signal 9"


def test_work_is_not_counted_for_a_rehearsal(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rehearsed = replace(experiment, device=device(rehearsal=True))
    (item, _), asked = counted(rehearsed, tmp_path, monkeypatch, Work().write)
    assert asked == ["build", "build"]
    assert "rehearsed" in item.summary()["no_ceiling"]


def test_what_a_partitions_slots_reach_is_measured_once_and_only_where_work_is_known(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[Any] = []

    def measure(cache: Path, device: Device, slot: Slot, environment: Any) -> Ceilings:
        measured.append(slot.gpu)
        return Ceilings({"fp32": 1e12})

    monkeypatch.setattr(workshop.ceilings, "find_or_measure", measure)
    quiet: Any = SimpleNamespace()
    made = workshop.Workshop(experiment, quiet, quiet, quiet, {}, {})
    known = replace(prepare.unprepared(experiment, "fp32", 1, ""), work=Work(1e9, 5e8, 1e6, 100.0), failure=None)
    unknown = replace(known, work=Work(unknown="not counted"))
    failed = replace(known, failure="of memory")
    for partition in ("full", "thirds"):
        slot = replace(SLOT, gpu=partition)
        for item in (unknown, failed):
            assert made._with_ceilings(item, partition, slot) == item
        assert made._with_ceilings(known, partition, "it could not be applied") == known
        for _ in range(2):
            assert made._with_ceilings(known, partition, slot).ceilings == Ceilings({"fp32": 1e12})
    assert measured == ["full", "thirds"]
