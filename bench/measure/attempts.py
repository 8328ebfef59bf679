"""From a planned trial to its record, whatever becomes of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from bench import clock
from bench.arrangement import Occupant
from bench.config import Experiment
from bench.contract import Launcher, Slot
from bench.errors import BenchError
from bench.measure import assess, start_up, summary, trial
from bench.measure.gpu_numbers import CLOCK
from bench.measure.link import ChildFailed
from bench.measure.prepare import Prepared
from bench.measure.telemetry import Telemetry
from bench.records import Plan, PlannedTrial, TrialRecord
from bench.store import Run


class Attempts:
    """Of one run."""

    def __init__(
        self,
        experiment: Experiment,
        plan: Plan,
        run: Run,
        telemetry: Telemetry,
        environment: Mapping[str, str],
    ) -> None:
        self._experiment = experiment
        self._plan = plan
        self._run = run
        self._telemetry = telemetry
        self._environment = environment
        self._clocks_hz: dict[tuple[str, str], float] = {}
        """Of the GPU in the first valid trial of each cell."""
        for record in run.trials():
            self._note_clock(record)

    def record(
        self,
        planned: PlannedTrial,
        launcher: Launcher,
        slots: tuple[Slot, ...] | str,
        prepared: Prepared,
        occupants: Sequence[Prepared | None],
    ) -> TrialRecord:
        """One trial, whatever becomes of it. `occupants` are as `Workshop.occupants` gives them."""
        common = {
            **planned.model_dump(),
            "device": self._plan.device,
            "device_kind": self._plan.device_kind,
            "rehearsal": self._plan.rehearsal,
            "batch_size": prepared.task.batch_size,
            "started_at": clock.utc_now(),
            "artifact": prepared.summary(),
        }
        failures = (each.failure for each in (prepared, *occupants) if each)
        failure = slots if isinstance(slots, str) else next(filter(None, failures), None)
        if isinstance(slots, str) or failure:
            return TrialRecord(**common, status="failed", reason=failure)
        who = self._experiment.arrangements[planned.partition].tenants(len(slots))
        tenants = [
            trial.Tenant(self._seat(slot, each), loads or prepared, measured=each is None)
            for slot, each, loads in zip(slots, who, occupants, strict=False)
        ]
        common["confinement"] = dict(launcher.confinement(tenants[0].slot))
        common["tenant_gpus"] = tuple(tenant.slot.gpu for tenant in tenants if tenant.slot.gpu)
        measure = self._start_up if self._experiment.scenario.measures == "start_up" else self._throughput
        try:
            record = TrialRecord(**common, **measure(planned, launcher, tenants, prepared))
        except ChildFailed as error:
            return TrialRecord(**common, status="failed", reason=error.reason)
        except BenchError:
            raise
        except Exception as error:  # a plug-in of ours or theirs is at fault: this trial is lost, the run is not
            return TrialRecord(**common, status="failed", reason=f"{type(error).__name__}: {error}")
        self._note_clock(record)
        return record

    def _seat(self, slot: Slot, occupant: Occupant | None) -> Slot:
        """A greedy neighbour takes as many cores as the slot lets it."""
        device = self._experiment.device
        if occupant is None or not occupant.greedy or device.executes_on != "cpu":
            return slot
        return dataclasses.replace(slot, threads=len(slot.cpus or device.cpus))

    def _throughput(
        self,
        planned: PlannedTrial,
        launcher: Launcher,
        tenants: Sequence[trial.Tenant],
        prepared: Prepared,
    ) -> dict[str, Any]:
        """What a trial's record says of warm tenants; their samples and telemetry are stored."""
        experiment = self._experiment
        arranged = experiment.arrangements[planned.partition]
        answers = trial.converse(
            experiment, launcher, tenants, self._telemetry, self._environment, self._seed_of(planned)
        )
        found = assess.assess(
            answers,
            protocol=experiment.protocol,
            batch_size=prepared.task.batch_size,
            expected_precision=experiment.optimizations[planned.optimization].expects,
            cores=len(experiment.device.cpus),
            cores_shared=arranged.partition.shares_cores or _on_shared_cores(experiment, tenants),
            interval_s=self._telemetry.interval_s,
            first_clock_hz=self._clocks_hz.get((planned.partition, planned.optimization), math.nan),
            work=prepared.work,
            ceilings=prepared.ceilings,
        )
        self._run.write_samples(planned.id, summary.samples_columns(found.samples, found.window))
        if answers.ticks.report:
            self._run.write_telemetry(planned.id, summary.telemetry_columns(answers.ticks.report))
        return {**measured_fields(found), "quality": prepared.quality}

    def _start_up(
        self,
        planned: PlannedTrial,
        launcher: Launcher,
        tenants: Sequence[trial.Tenant],
        prepared: Prepared,
    ) -> dict[str, Any]:
        """What a trial's record says of tenants that start."""
        experiment = self._experiment
        preheated = experiment.arrangements[planned.partition].isolation.preheated
        answers = start_up.converse(
            experiment, launcher, tenants, self._telemetry, self._environment, self._seed_of(planned), preheated
        )
        expected = experiment.optimizations[planned.optimization].expects
        return {**start_up.fields(answers, expected, len(experiment.device.cpus)), "quality": prepared.quality}

    def _note_clock(self, record: TrialRecord) -> None:
        if record.status == "ok" and CLOCK in record.telemetry:
            self._clocks_hz.setdefault((record.partition, record.optimization), record.telemetry[CLOCK])

    def _seed_of(self, planned: PlannedTrial) -> int:
        """The same inputs for all cells of a block, others in each block."""
        return (self._experiment.seed + 100_003 * planned.block) % 2**31


def _on_shared_cores(experiment: Experiment, tenants: Sequence[trial.Tenant]) -> bool:
    """On any partition, tenants of a GPU are not pinned: they wait for each other's cores, whatever they have of it."""
    device = experiment.device
    return device.rehearsal or (device.kind == "cuda" and len(tenants) > 1)


def measured_fields(found: assess.Assessed) -> dict[str, Any]:
    """Fields of a trial's record that were measured."""
    return {
        "status": "ok" if found.gate.valid else "invalid",
        "reason": "; ".join(found.gate.reasons) or None,
        "throughput_per_s": sum(found.throughput_per_s),
        "tenant_throughput_per_s": found.throughput_per_s,
        "requests": sum(found.window.requests),
        "window_s": found.window.seconds,
        "latency_ms": found.latency_ms,
        "tenant_latency_ms": found.tenant_latency_ms,
        "tenant_wall_p99_ms": found.tenant_wall_p99_ms,
        "tenant_requests": found.window.requests,
        "neighbour_throughput_per_s": found.neighbour_throughput_per_s,
        "proof": dict(found.proof),
        "timing_s": dict(found.timing_s),
        "telemetry": dict(found.telemetry),
        "gate": found.gate,
    }
