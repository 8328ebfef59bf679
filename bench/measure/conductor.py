"""The conductor: prepares, then measures every planned trial that is not yet done, and stores each at once.

It never imports torch, blocks on pipes while tenants measure, and survives anything that they do.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager
from itertools import groupby
from typing import Any, Protocol

from bench import clock
from bench.composition import CONFIG_PATH
from bench.config import Experiment
from bench.contract import Slot
from bench.devices.mig.change import NotRestored
from bench.errors import BenchError
from bench.isolation.process import Processes
from bench.measure import assess, ceilings, summary, trial
from bench.measure.gpu_numbers import CLOCK
from bench.measure.link import ChildFailed
from bench.measure.prepare import Prepared, builder_slot, prepare, unprepared, with_quality
from bench.measure.telemetry import Telemetry
from bench.records import Plan, PlannedTrial, TrialRecord
from bench.store import Run

TELEMETRY_INTERVAL_S = 0.1
CELLS = "cells.json"

Cell = tuple[str, str]
"""(partition, optimization)"""


class Watcher(Protocol):
    """Is told how a run goes on; the console is one."""

    def preparing(self, name: str, number: int, total: int) -> None: ...
    def built(self, name: str, spent_s: float, size_bytes: int) -> None: ...
    def not_built(self, name: str, reason: str) -> None: ...
    def started(self, planned: PlannedTrial) -> None: ...
    def finished(self, record: TrialRecord) -> None: ...


class Conductor:
    """One run of one experiment."""

    def __init__(self, experiment: Experiment, plan: Plan, run: Run, watcher: Watcher) -> None:
        self._experiment = experiment
        self._plan = plan
        self._run = run
        self._watcher = watcher
        self._environment = _environment(experiment)
        self._clocks_hz: dict[Cell, float] = {}
        """Of the GPU in the first valid trial of each cell."""
        self._ceilings: dict[str, ceilings.Ceilings] = {}
        """Of the slots of each partition."""

    def conduct(self) -> None:
        """Measure what is not yet done. Interrupted at any point, the run can be resumed."""
        stored = self._run.trials()
        for record in stored:
            self._note_clock(record)
        done = {record.id for record in stored}
        left = [planned for planned in self._plan.trials if planned.id not in done]
        if not left:
            return
        sizes = self._batch_sizes()
        prepared = self._prepare(sizes, {(planned.partition, planned.optimization) for planned in left})
        sources = self._feasible_sources()
        interval_s = TELEMETRY_INTERVAL_S
        gpu = self._experiment.device.gpu
        board = gpu.address if gpu else None
        with Telemetry(Processes(), sources, interval_s, self._environment, board) as telemetry:
            for (_, partition), together in groupby(left, key=lambda planned: (planned.block, planned.partition)):
                with self._divided(partition) as slots:
                    for planned in together:
                        self._watcher.started(planned)
                        ready = prepared[partition, planned.optimization]
                        record = self._measure(planned, slots, ready, telemetry)
                        self._run.append_trial(record)
                        self._note_clock(record)
                        self._watcher.finished(record)

    @contextmanager
    def _divided(self, partition: str) -> Iterator[tuple[Slot, ...] | str]:
        """The slots of the divided device, or why it could not be divided. A division that cannot be undone ends the
        run: NotRestored."""
        with ExitStack() as division:
            try:
                applied = self._experiment.partitions[partition].applied(self._experiment.device)
                slots: tuple[Slot, ...] | str = division.enter_context(applied)
            except NotRestored:
                raise
            except BenchError as error:
                slots = f"{partition} could not be applied: {error.what} ({error.hint})"
            yield slots

    # --- before the blocks ---

    def _batch_sizes(self) -> dict[Cell, int]:
        """The batch size of each cell: the scenario's, or the best of its candidates, searched once per run."""
        candidates = self._experiment.scenario.batch_sizes()
        cells = sorted({(planned.partition, planned.optimization) for planned in self._plan.trials})
        if len(candidates) == 1:
            return dict.fromkeys(cells, candidates[0])
        stored = self._run.read_json(CELLS) or {}
        found: dict[Cell, int] = {}
        for partition, optimization in cells:
            known = stored.get(f"{partition}/{optimization}")
            if known is None:
                known = self._search(partition, optimization, candidates)
                stored[f"{partition}/{optimization}"] = known
                self._run.write_json(CELLS, stored)
            found[partition, optimization] = int(known["batch_size"])
        return found

    def _search(self, partition: str, optimization: str, candidates: tuple[int, ...]) -> dict[str, Any]:
        """Measure the candidates, smallest first, until one fails; the fastest of those measured is the cell's.

        When none could be measured, the smallest stands, and the cell's trials will tell why."""
        experiment = self._experiment
        specific = experiment.optimizations[optimization].runtime.batch_specific
        throughput: dict[int, float] = {}
        failure = None
        groups = [(size,) for size in candidates] if specific else [candidates]
        for number, group in enumerate(groups, start=1):
            self._watcher.preparing(f"best batch of {optimization} on {partition}", number, len(groups))
            found = self._searched(partition, optimization, group)
            throughput |= found.throughput_per_s
            failure = found.failure
            if failure:
                self._watcher.not_built(f"{optimization} on {partition}, search for the best batch", failure)
                break
        best = max(throughput, key=lambda size: throughput[size]) if throughput else candidates[0]
        return {
            "batch_size": best,
            "throughput_per_s": {str(size): value for size, value in throughput.items()},
            "failure": failure,
        }

    def _searched(self, partition: str, optimization: str, candidates: tuple[int, ...]) -> trial.Searched:
        """Candidates that one artifact serves."""
        experiment = self._experiment
        with self._divided(partition) as slots:
            if isinstance(slots, str):
                return trial.Searched({}, slots)
            slot = builder_slot(experiment.device, slots)
            prepared = prepare(experiment, optimization, candidates[0], self._environment, slot)
            if prepared.failure:
                return trial.Searched({}, prepared.failure)
            seed = experiment.seed % 2**31
            return trial.search(experiment, slots, prepared, candidates, self._environment, seed)

    def _prepare(self, sizes: Mapping[Cell, int], wanted: Set[Cell]) -> dict[Cell, Prepared]:
        """What the tenants of each wanted cell load, with its quality against the baseline on the same partition.

        On a CPU all partitions load the same; on a GPU each builds in a slot of its own, though a runtime whose
        artifacts fit any slot finds them in the cache."""
        baseline = self._plan.baseline
        partitions = sorted({partition for partition, _ in wanted})
        names = {partition: self._names(partition, wanted) for partition in partitions}
        alike = self._experiment.device.executes_on == "cpu"
        keys = {(None if alike else part, name, sizes[part, name]) for part in partitions for name in names[part]}
        built: dict[tuple[str | None, str, int], Prepared] = {}
        prepared: dict[Cell, Prepared] = {}
        for partition in partitions:
            with self._workshop(partition) as slot:
                for name in names[partition]:
                    key = (None if alike else partition, name, sizes[partition, name])
                    if key not in built:
                        self._watcher.preparing(name, len(built) + 1, len(keys))
                        built[key] = self._built(name, sizes[partition, name], slot)
                        self._tell(name, built[key])
                    reference = built[key] if name == baseline else prepared[partition, baseline]
                    judged = with_quality(built[key], reference, baseline)
                    prepared[partition, name] = self._with_ceilings(judged, partition, slot)
        return prepared

    def _names(self, partition: str, wanted: Set[Cell]) -> list[str]:
        """The optimizations to prepare for a partition, the baseline first: the others are judged by it."""
        baseline = self._plan.baseline
        return [baseline, *sorted(name for part, name in wanted if part == partition and name != baseline)]

    @contextmanager
    def _workshop(self, partition: str) -> Iterator[Slot | str]:
        """The slot to build in, or why there is none."""
        device = self._experiment.device
        if device.executes_on == "cpu":
            yield builder_slot(device)
            return
        with self._divided(partition) as slots:
            yield slots if isinstance(slots, str) else builder_slot(device, slots)

    def _built(self, name: str, batch_size: int, slot: Slot | str) -> Prepared:
        if isinstance(slot, str):
            return unprepared(self._experiment, name, batch_size, slot)
        return prepare(self._experiment, name, batch_size, self._environment, slot)

    def _with_ceilings(self, item: Prepared, partition: str, slot: Slot | str) -> Prepared:
        """The same with what the partition's slots reach at most, where it is known what one item costs."""
        if isinstance(slot, str) or item.failure or item.work.unknown:
            return item
        if partition not in self._ceilings:
            experiment = self._experiment
            self._ceilings[partition] = ceilings.find_or_measure(
                experiment.cache_dir, experiment.device, slot, self._environment
            )
        return dataclasses.replace(item, ceilings=self._ceilings[partition])

    def _tell(self, name: str, outcome: Prepared) -> None:
        artifact = outcome.artifact
        if outcome.failure:
            self._watcher.not_built(name, outcome.failure)
        elif artifact and artifact.fresh:
            built = [part for part in (artifact, outcome.model) if part and part.fresh]
            spent_s = sum(sum(part.times_s.values()) for part in built)
            self._watcher.built(name, spent_s, sum(part.size_bytes for part in built))

    def _feasible_sources(self) -> dict[str, Any]:
        experiment = self._experiment
        return {
            name: experiment.config["telemetry"][name]
            for name, source in experiment.telemetry.items()
            if source.infeasible(experiment.device) is None
        }

    # --- the blocks ---

    def _measure(
        self, planned: PlannedTrial, slots: tuple[Slot, ...] | str, prepared: Prepared, telemetry: Telemetry
    ) -> TrialRecord:
        """One trial, whatever becomes of it."""
        experiment = self._experiment
        common = {
            **planned.model_dump(),
            "device": self._plan.device,
            "device_kind": self._plan.device_kind,
            "rehearsal": self._plan.rehearsal,
            "batch_size": prepared.task.batch_size,
            "started_at": clock.utc_now(),
            "artifact": prepared.summary(),
        }
        if prepared.failure:
            return TrialRecord(**common, status="failed", reason=prepared.failure)
        if isinstance(slots, str):
            return TrialRecord(**common, status="failed", reason=slots)
        try:
            answers = trial.converse(experiment, slots, prepared, telemetry, self._environment, self._seed_of(planned))
            found = assess.assess(
                answers,
                protocol=experiment.protocol,
                batch_size=prepared.task.batch_size,
                expected_precision=experiment.optimizations[planned.optimization].expects,
                cores=len(experiment.device.cpus),
                cores_shared=experiment.partitions[planned.partition].shares_cores or experiment.device.rehearsal,
                interval_s=telemetry.interval_s,
                first_clock_hz=self._clocks_hz.get((planned.partition, planned.optimization), math.nan),
                work=prepared.work,
                ceilings=prepared.ceilings,
            )
            record = TrialRecord(**common, **_measured(found, slots), quality=prepared.quality)
        except ChildFailed as error:
            return TrialRecord(**common, status="failed", reason=error.reason)
        except BenchError:
            raise
        except Exception as error:  # a plug-in of ours or theirs is at fault: this trial is lost, the run is not
            return TrialRecord(**common, status="failed", reason=f"{type(error).__name__}: {error}")
        self._run.write_samples(planned.id, summary.samples_columns(found.samples, found.window))
        if answers.ticks.report:
            self._run.write_telemetry(planned.id, summary.telemetry_columns(answers.ticks.report))
        return record

    def _note_clock(self, record: TrialRecord) -> None:
        if record.status == "ok" and CLOCK in record.telemetry:
            self._clocks_hz.setdefault((record.partition, record.optimization), record.telemetry[CLOCK])

    def _seed_of(self, planned: PlannedTrial) -> int:
        """The same inputs for all cells of a block, others in each block."""
        return (self._experiment.seed + 100_003 * planned.block) % 2**31


def _measured(found: assess.Assessed, slots: tuple[Slot, ...]) -> dict[str, Any]:
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
        "tenant_requests": found.window.requests,
        "tenant_gpus": tuple(slot.gpu for slot in slots if slot.gpu),
        "proof": dict(found.proof),
        "timing_s": dict(found.timing_s),
        "telemetry": dict(found.telemetry),
        "gate": found.gate,
    }


def _environment(experiment: Experiment) -> dict[str, str]:
    """What children need to find the same plug-ins."""
    folders = [str(folder) for folder in experiment.config_folders]
    paths = [*folders, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {CONFIG_PATH: os.pathsep.join(folders)}
    if paths:
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    return environment
