"""Every plug-in point of bench.

A plug-in is a frozen pydantic dataclass (decorate it with `plugin`) that implements one of the classes below, and
one yaml that names it by `_target_`. The conductor instantiates plug-ins to validate them and to ask whether they
are feasible, and it must stay light: **import torch, onnxruntime and the like inside methods, never at the top of
a module**. What runs in the conductor is marked (conductor), what runs in a builder or tenant process (tenant).

Models come in three kinds: "torch" (an `nn.Module`), "onnx" (an `OnnxFile`) and "callable" (a plain Python function
of one dictionary of arrays).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, cast, dataclass_transform

import numpy.typing as npt
import pydantic
from pydantic.dataclasses import dataclass as pydantic_dataclass

from bench.device import Device as Device
from bench.device import Gpu as Gpu
from bench.device import GpuAddress as GpuAddress
from bench.device import Slot as Slot
from bench.device import Watched as Watched
from bench.feasibility import importable as importable
from bench.feasibility import missing
from bench.launcher import Launcher as Launcher
from bench.launcher import Process as Process
from bench.launcher import StartFailed as StartFailed
from bench.records import Layout
from bench.stream import Event as Event
from bench.stream import Stream as Stream

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]
"""Model inputs by name; the first axis of each array is the batch."""

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def plugin(cls: type[T]) -> type[T]:
    """Make a class a frozen, validated plug-in: unknown options and wrong types are errors (pydantic's lax mode)."""
    config = pydantic.ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return cast("type[T]", pydantic_dataclass(cls, frozen=True, config=config))


# --- what is shared by several plug-in points -------------------------------------------------------------------


@dataclass(frozen=True)
class OnnxFile:
    """A model of kind "onnx": a graph on disk (external data, if any, beside it)."""

    path: Path


@dataclass(frozen=True)
class Evaluation:
    """The items that quality is judged on, always the same ones in the same order.

    `labels` (one integer per item) makes the metric `accuracy`; without labels it is `agreement` with the baseline.
    """

    inputs: Arrays
    labels: Array | None = None
    batch_size: int = 64


@dataclass(frozen=True)
class Proof:
    """What really ran, read from the runtime after the window: never what was asked for.

    precision: the dominating compute precision of the heavy operators (matrix products, convolutions):
        "fp32", "tf32", "bf16", "fp16", "int8", "fp8" or "native" (a Python callable); "int4wo" for int4 weights that
        are multiplied in a wider format, "fp16_2to4" for weights stored with half of them left out. An int8 graph whose
        heavy operators run in fp32 must say "fp32" here; the gate compares this with what the optimization expects.
    operators: heavy operators executed, counted by "precision" -> how many.
    providers: nodes per execution provider, e.g. {"CPUExecutionProvider": 41}; empty where there is no such notion.
    detail: anything else worth keeping, JSON-serialisable and small (library version, node counts by type ...).
    """

    precision: str
    operators: Mapping[str, int] = field(default_factory=dict)
    providers: Mapping[str, int] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)


# --- workload ---------------------------------------------------------------------------------------------------


class Workload(ABC):
    """A model with its data, its inputs and its quality metric. Configs: `configs/workload/`."""

    kind: ClassVar[str] = "torch"
    """Kind of model that `load` returns: "torch", "onnx" or "callable"."""

    default_baseline: ClassVar[str] = "fp32"
    """The optimization that speed and quality are compared with unless the user names another (`baseline=`)."""

    @property
    def fixed_batch(self) -> int | None:
        """(conductor) The only batch size that the model takes; None when it takes any."""
        return None

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """(conductor) JSON-serialisable content identity: everything that changes the model or its data, by value
        (seeds, sizes, SHA-256 of weight files). It keys the artifact cache. Raise `InputError` for a bad file."""

    def reads(self) -> tuple[Path, ...]:
        """(conductor) Files and folders outside bench and the import path that tenants read, absolute: containers see
        no others."""
        return ()

    def infeasible(self, device: Device) -> str | None:
        """(conductor) Why this workload cannot run here, in words for the user; None if it can."""
        return None

    @abstractmethod
    def load(self) -> Any:
        """(tenant) The model: an `nn.Module` in eval mode with its weights, an `OnnxFile`, or a callable."""

    @abstractmethod
    def inputs(self, batch_size: int, seed: int) -> Arrays:
        """(tenant) One request of `batch_size` items, deterministic in `seed`, as real as the workload can make it."""

    def calibration(self) -> Iterator[Arrays]:
        """(tenant) Representative batches for static quantisation, never from the evaluation items."""
        for seed in range(8):
            yield self.inputs(16, seed=10_000 + seed)

    def evaluation(self) -> Evaluation | None:
        """(tenant) The quality items; None when outputs have no meaning (the calibration specimen)."""
        return None

    def finetune(self, model: Any, teacher: Any | None, seed: int) -> None:
        """(tenant) Train `model` (torch kind) in place on the training data, with `teacher` by distillation where one
        is given. Only workloads with `trainable = True` implement it."""
        raise NotImplementedError(f"{type(self).__name__} has no training data")

    trainable: ClassVar[bool] = False

    def student(self) -> Any:
        """(tenant) A fresh, smaller `nn.Module` with the same inputs and outputs, for distillation."""
        raise NotImplementedError(f"{type(self).__name__} has no student model")


# --- optimization = passes over the model + a runtime -----------------------------------------------------------


class Pass(ABC):
    """A change of a torch model. Configs: `configs/optimizations/`, under `passes:`."""

    requires: ClassVar[tuple[str, ...]] = ("torch",)
    """Modules that it imports; missing ones make it infeasible."""

    prepared: ClassVar[bool] = False
    """True: costly (trains, searches), so run once in a builder and stored as weights plus structure.
    False: cheap and exact, so simply applied again wherever the model is loaded. Prepared passes come first."""

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        """(conductor) Why this pass cannot be applied here; None if it can."""
        return None

    @abstractmethod
    def apply(self, model: Any, workload: Workload) -> Any:
        """(tenant) The changed model; it may change `model` in place. Deterministic."""

    def skeleton(self, workload: Workload) -> Any | None:
        """(tenant) For a prepared pass that replaces the model: an untrained model to load the stored weights into.
        None: the workload's own model is the skeleton."""
        return None


@dataclass(frozen=True)
class Recipe:
    """What a runtime builds and loads from: a workload and the passes over it."""

    workload: Workload
    passes: tuple[Pass, ...] = ()
    prepared_folder: Path | None = None
    """Where the result of the prepared passes is stored; None when there are none."""

    def model(self, put: Callable[[Any], Any] | None = None) -> Any:
        """(tenant) The workload's model with all passes applied. `put` moves it to the device that is to execute it,
        before the passes that are applied at every load: some quantise only there."""
        from bench.optimizations import store

        return store.restore(self, put)


class Loaded(ABC):
    """(tenant) A model that is ready to execute."""

    @property
    def stream(self) -> Stream | None:
        """Where bound calls queue their work, returning before it is finished. None: a call returns when its work is
        finished, as on every CPU."""
        return None

    @abstractmethod
    def bind(self, inputs: Arrays) -> Callable[[], Any]:
        """A zero-argument call that executes one request on these inputs.

        Conversions of the inputs happen here, not in the call, and on a GPU so does their transfer to it;
        `functools.partial` of a library's own entry point is the ideal."""

    def bind_with_transfers(self, inputs: Arrays) -> Callable[[], Any]:
        """The same, where each call first copies its inputs from page-locked memory of the host to the GPU, and its
        result back. On a CPU there is nothing to copy."""
        if self.stream is not None:
            raise NotImplementedError(f"{type(self).__name__} cannot measure with transfers")
        return self.bind(inputs)

    @abstractmethod
    def outputs(self, result: Any) -> Array:
        """The result of a call as one float32 array, items first: what quality is computed from."""

    @abstractmethod
    def prove(self, inputs: Arrays) -> Proof:
        """Execute once more under the runtime's own profiler and tell what really ran. Called after the window."""


class Runtime(ABC):
    """Executes a model. Configs: `configs/optimizations/`, under `runtime:`."""

    kinds: ClassVar[frozenset[str]] = frozenset({"torch"})
    """Kinds of model it accepts."""

    requires: ClassVar[tuple[str, ...]] = ()
    """Distributions that it needs, by import name; missing ones make it infeasible."""

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        """(conductor) Why this runtime cannot execute this workload here; None if it can."""
        return None

    def build(self, recipe: Recipe, folder: Path, batch_size: int, slot: Slot) -> None:
        """(builder) Write what `load` needs into the empty `folder`; `slot` is like those it will be loaded in.
        Runtimes with nothing to build write nothing."""
        return

    batch_specific: ClassVar[bool] = False
    """True when what `build` writes serves one batch size only."""

    slot_specific: ClassVar[bool] = False
    """True when what `build` writes serves only slots of the same size under the same driver: on a GPU it is then
    built anew for each number of multiprocessors, as a TensorRT engine is."""

    @abstractmethod
    def load(self, recipe: Recipe, folder: Path, slot: Slot) -> AbstractContextManager[Loaded]:
        """(tenant) A context in which the model can be called, using `slot.threads` threads; the context holds what
        must surround every call (inference mode, autocast), so that nothing of it is paid per request."""


@plugin
class Optimization:
    """What is done to a workload: passes over the model, then a runtime. `expects` is the precision that the heavy
    operators must be proved to run in; a trial that proves another is invalid. A runtime that chooses itself names what
    it chooses from: "fp16|int8"."""

    runtime: Runtime
    expects: str
    passes: tuple[Pass, ...] = ()

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        """(conductor) The first reason why it cannot run; None if it can."""
        if self.passes and workload.kind != "torch":
            return f"its passes change a torch model, and this workload is of kind {workload.kind!r}"
        if workload.kind not in self.runtime.kinds:
            kinds = ", ".join(sorted(self.runtime.kinds))
            return f"its runtime executes models of kind {kinds}, and this workload is of kind {workload.kind!r}"
        parts: tuple[Pass | Runtime, ...] = (*self.passes, self.runtime)
        # What no installation mends is told first.
        reasons = (part.infeasible(workload, device) for part in parts)
        return next(filter(None, reasons), None) or missing((name for part in parts for name in part.requires), "it")


# --- partition, isolation ---------------------------------------------------------------------------------------


class Partition(ABC):
    """How one device is divided among tenants. Configs: `configs/partitions/`."""

    def infeasible(self, device: Device) -> str | None:
        """(conductor) Why the device cannot be divided so, and what is possible instead; None if it can."""
        return None

    shares_cores: ClassVar[bool] = False
    """Tenants compete for the same cores by design, so that waiting for one is no fault of a trial."""

    needs_host: ClassVar[str | None] = None
    """Why its tenants must see this machine as it is, which they do not in containers; None if they need not."""

    @abstractmethod
    def slots(self, device: Device) -> tuple[Slot, ...]:
        """(conductor) One slot per tenant, of a device that is divided already."""

    def count(self, device: Device) -> int:
        """(conductor) How many tenants there will be; for planning, when nothing is divided yet."""
        return len(self.slots(device))

    def layout(self, device: Device) -> Layout | None:
        """(conductor) How the device will be divided, for the plan; None where nothing is divided."""
        return None

    @contextmanager
    def applied(self, device: Device) -> Iterator[tuple[Slot, ...]]:
        """(conductor) Divide the device, give the slots, undo the division. Nothing to do on a CPU."""
        yield self.slots(device)


class Isolation(ABC):
    """What a tenant runs in. Configs: `configs/isolation/`."""

    preheated: bool = False
    """Tenants are started, load their model and answer once before anybody waits for them: for start-up times."""

    base_of: str | None = None
    """The isolation that it is the base of: whose tenants run the version that is compared with this one's. None: it is
    there for itself."""

    def infeasible(self, device: Device) -> str | None:
        """(conductor) Why tenants cannot run so here; None if they can."""
        return None

    def infeasible_in(self, partition: Partition) -> str | None:
        """(conductor) Why tenants of that partition cannot run so, where others can; None if they can."""
        return None

    @abstractmethod
    def opened(self) -> AbstractContextManager[Launcher]:
        """(conductor) Once per run: whatever must be there before the first tenant is, and is gone after the last.

        Raises `BenchError` for what the user has to mend."""


@plugin
class Neighbours:
    """Who has the other slots of a partition while the tenant in the first one is measured. Configs:
    `configs/neighbours/`. Nothing said: tenants that run the workload too, and are measured as well.

    empty: nobody has them. workload, optimization: tenants that run that instead; what they do is not judged.
    greedy: such a tenant starts a thread on each core that it can reach, and not only its fair share of them: what a
        slot does not hold it back from is what there is to be protected from."""

    empty: bool = False
    greedy: bool = False
    workload: Workload | None = None
    optimization: Optimization | None = None
    batch_size: Annotated[int, pydantic.Field(ge=1, le=65536)] = 1

    def __post_init__(self) -> None:
        if (self.workload is None) != (self.optimization is None):
            raise ValueError("a neighbour has a workload and an optimization, or neither")
        if self.empty and self.workload is not None:
            raise ValueError("slots cannot both stay empty and have a neighbour")


# --- scenario ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Requests:
    """How a tenant issues its requests. All of it is about GPUs: on a CPU a call is finished when it returns, and its
    data is where it is needed.

    back_to_back: queue the next request before the last one is finished, so that the GPU never waits for the host. Off:
        wait for each.
    transfers: each request brings its inputs from the host's memory, and takes its result back there.
    cold: write over the GPU's last-level cache before each request, so that it finds nothing there, weights included.
        Off: inputs take turns, over more memory than the cache holds if they can, and weights stay where they are.
    """

    back_to_back: bool = False
    transfers: bool = False
    cold: bool = False


class Scenario(ABC):
    """How requests arrive. Configs: `configs/scenario/`."""

    measures: ClassVar[Literal["throughput", "start_up"]] = "throughput"
    """throughput: of warm tenants, over a window. start_up: of fresh ones, until each has answered once."""

    def requests(self) -> Requests:
        """(conductor) How tenants issue them."""
        return Requests()

    @abstractmethod
    def batch_sizes(self) -> tuple[int, ...]:
        """(conductor) One batch size to measure at; several are candidates, of which each cell's best is searched
        first and then measured."""


# --- telemetry --------------------------------------------------------------------------------------------------


BOARD = "gpu"
"""Subject of what telemetry tells of a whole GPU."""
Reading = tuple[str, str, float]
"""(subject, metric with its unit, value), e.g. ("tenant0", "rss_bytes", 1.2e8) or ("host", "steal_s", 0.0)."""


class TelemetryReader(ABC):
    """(sampler) Reads one trial's readings; made by `TelemetrySource.open`."""

    @abstractmethod
    def read(self) -> Iterator[Reading]:
        """What can be read now. What the machine does not offer is absent, not zero."""

    def close(self) -> None:
        """The trial is over: let go of everything, so that the device can be divided anew."""
        return


class TelemetrySource(ABC):
    """A source of readings, sampled in the telemetry process. Configs: `configs/telemetry/`."""

    def infeasible(self, device: Device) -> str | None:
        """(conductor) Why there is nothing to read here; None if there is."""
        return None

    @abstractmethod
    def open(self, tenants: Mapping[str, Watched], board: GpuAddress | None) -> TelemetryReader:
        """(sampler) A trial starts on a CPU (`board` is None) or on a GPU: `tenants` by subject ("tenant0" ...)."""


# --- protocol ---------------------------------------------------------------------------------------------------


@plugin
class Protocol:
    """How many blocks, how long. Configs: `configs/protocol/`. Times in seconds.

    look_level: two-sided level at which verdicts are drawn at each look; None: this protocol draws none.
    doublings: how often the number of blocks is doubled while verdicts are open; each time is one more look. More looks
        need a stricter level (`records.strictest_level`).
    noise_floor: measure the baseline a second time in every block, under another name.
    """

    blocks: int
    warmup_min_s: float
    warmup_limit_s: float
    window_s: float
    window_limit_s: float
    min_requests: int
    trial_limit_s: float
    build_limit_s: float = 1800.0
    look_level: float | None = None
    doublings: int = 0
    noise_floor: bool = False

    @property
    def looks(self) -> tuple[int, ...]:
        """Totals of blocks at which verdicts are drawn."""
        return tuple(self.blocks * 2**times for times in range(self.doublings + 1)) if self.look_level else ()
