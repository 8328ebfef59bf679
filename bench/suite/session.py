"""One session's block of a run: each callable is planned when its test comes to it, measured, and stored at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench import clock, wire
from bench.contract import Device
from bench.errors import ConfigError
from bench.isolation.process import Processes
from bench.measure import in_process, summary
from bench.measure.attempts import measured_fields
from bench.measure.conductor import TELEMETRY_INTERVAL_S
from bench.measure.gpu_numbers import CLOCK
from bench.measure.telemetry import Telemetry
from bench.partitions.full import Full
from bench.records import Latency, Plan, PlannedTrial, TrialRecord
from bench.store import Run
from bench.stored import PLAN
from bench.suite import opened
from bench.suite.names import name_of

PARTITION = "full"


@dataclass(frozen=True)
class Measured:
    """One callable in one session. Latencies are per call; None, where no call was finished in the window.

    valid: no cause was found that spoils it; `reasons` are those that were. trial: its id in the run."""

    valid: bool
    reasons: tuple[str, ...]
    throughput_per_s: float
    latency_ms: Latency | None
    trial: str
    run: Path


class Session:
    """The block that a session adds to a run. Nothing is made before the first callable is measured."""

    _plan: Plan
    _device: Device

    def __init__(self, asked: opened.Asked) -> None:
        self._asked = asked
        self._experiment = opened.composed(asked)
        self._measured: set[str] = set()
        self._tests: dict[str, None] = {}
        self._clocks_hz: dict[str, float] = {}
        self._closing = ExitStack()
        self._stored: Run | None = None
        self._telemetry: Telemetry | None = None
        self.block = 1
        found = opened.existing(asked, self._experiment)
        if found:
            stored, self._plan, self._device = found
            self.block = self._plan.blocks + 1
            for record in stored.trials():
                self._note_clock(record)
            self._hold(stored)

    @property
    def folder(self) -> Path | None:
        """Of the run; None: nothing was measured, and there was none."""
        return self._stored.folder if self._stored else None

    @property
    def measured(self) -> int:
        """Callables of this session of which there is a trial."""
        return len(self._measured)

    @property
    def tests(self) -> list[str]:
        """Ids of tests whose callables raised nothing, in their order."""
        return list(self._tests)

    def close(self) -> None:
        """End telemetry, and let others write to the run."""
        self._closing.close()

    def measure(
        self, node_id: str, number: int, calls: Sequence[Callable[[], Any]], items: int, wait: Callable[[], Any] | None
    ) -> Measured:
        """A test's measurement with that number. `wait` returns when a GPU's work is finished; None: the callables are
        a CPU's. What they raise is raised, when the trial is stored as failed."""
        name = name_of(node_id, number)
        if name in self._measured:
            raise ConfigError(
                "this was measured in this session already: a session is one observation",
                where=node_id,
                hint="--bench-blocks=10 repeats it in fresh processes; other plug-ins must not repeat it in one",
            )
        run, telemetry = self._begun("cpu" if wait is None else "cuda")
        planned = self._planned(name)
        self._measured.add(name)
        (slot,) = Full().slots(self._device)
        # Its samples are the host's readings of the clock, wherever the work is done.
        slot = replace(slot, executes_on="cpu")
        waited = calls if wait is None else [partial(_and_wait, call, wait) for call in calls]
        requested = in_process.Requested(waited, items, slot, self._device)
        common = {
            **planned.model_dump(),
            "device": self._device.name,
            "device_kind": self._device.kind,
            "batch_size": items,
            "started_at": clock.utc_now(),
            "tenant_gpus": (slot.gpu,) if slot.gpu else (),
            "artifact": {"test": _storable(node_id)},
        }
        try:
            found, ticks = in_process.measure(
                requested, self._experiment.protocol, telemetry, self._clocks_hz.get(name, math.nan)
            )
        except BaseException as error:  # interrupted, skipped: it is over all the same
            reason = _storable(wire.told(error))
            run.append_trial(TrialRecord(**common, status="failed", reason=reason))
            raise
        # Nobody has looked at what a callable computes in.
        record = TrialRecord(**{**common, **measured_fields(found), "proof": {}})
        run.write_samples(planned.id, summary.samples_columns(found.samples, found.window))
        if ticks.report:
            run.write_telemetry(planned.id, summary.telemetry_columns(ticks.report))
        run.append_trial(record)
        self._note_clock(record)
        self._tests[node_id] = None
        return Measured(
            valid=found.gate.valid,
            reasons=found.gate.reasons,
            throughput_per_s=sum(found.throughput_per_s),
            latency_ms=found.latency_ms,
            trial=planned.id,
            run=run.folder,
        )

    def _begun(self, kind: str) -> tuple[Run, Telemetry]:
        if self._stored is None:
            self._device = opened.find_device(kind)
            stored, self._plan = opened.create(self._asked, self._experiment, self._device)
            self._hold(stored)
        assert self._stored is not None
        if kind != self._device.kind:
            ours, theirs = ("GPU", "CPU") if kind == "cuda" else ("CPU", "GPU")
            raise ConfigError(
                f"this callable runs on the {ours}, and the others of this run on the {theirs}",
                where=str(self._stored.folder),
                hint="a run is of one device: measure these tests in a session of their own (-m, -k)",
            )
        if self._telemetry is None:
            board = self._device.gpu.address if self._device.gpu else None
            sources = opened.sources(self._experiment, self._device)
            telemetry = Telemetry(Processes(), sources, TELEMETRY_INTERVAL_S, {}, board)
            self._telemetry = self._closing.enter_context(telemetry)
        return self._stored, self._telemetry

    def _hold(self, stored: Run) -> None:
        self._stored = stored
        self._closing.callback(stored.close)

    def _planned(self, name: str) -> PlannedTrial:
        """Add it to the plan, and store that: a trial that no plan knows would be nobody's."""
        assert self._stored is not None
        position = len(self._measured) + 1
        planned = PlannedTrial(
            id=f"{self.block:03d}-{position:02d}-{PARTITION}-{name}",
            block=self.block,
            position=position,
            workload=self._plan.workload,
            scenario=self._plan.scenario,
            partition=PARTITION,
            optimization=name,
            tenants=1,
            division=PARTITION,
        )
        plan = self._plan.model_copy(update={"blocks": self.block, "trials": (*self._plan.trials, planned)})
        self._stored.write_json(PLAN, plan.model_dump())
        self._plan = plan
        return planned

    def _note_clock(self, record: TrialRecord) -> None:
        if record.status == "ok" and CLOCK in record.telemetry:
            self._clocks_hz.setdefault(record.optimization, record.telemetry[CLOCK])


def _and_wait(call: Callable[[], Any], wait: Callable[[], Any]) -> Any:
    result = call()
    wait()
    return result


def _storable(text: str) -> str:
    """Half a pair of surrogates is a string to Python, and to nobody who is to store it."""
    return text.encode(errors="replace").decode()
