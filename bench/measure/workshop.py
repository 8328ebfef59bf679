"""Before the first block: each cell's batch size, what its tenants load, and what its slots reach at most."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from bench.config import Experiment
from bench.contract import Launcher, Slot
from bench.devices.mig.change import NotRestored
from bench.errors import BenchError
from bench.measure import ceilings, trial
from bench.measure.prepare import Prepared, builder_slot, prepare, unprepared, with_quality
from bench.records import Plan
from bench.store import Run

CELLS = "cells.json"

Cell = tuple[str, str]
"""(partition, optimization)"""


class Watcher(Protocol):
    """Is told how preparing goes on."""

    def preparing(self, name: str, number: int, total: int) -> None: ...
    def built(self, name: str, spent_s: float, size_bytes: int) -> None: ...
    def not_built(self, name: str, reason: str) -> None: ...


@contextmanager
def divided(experiment: Experiment, partition: str) -> Iterator[tuple[Slot, ...] | str]:
    """The slots of the divided device, or why it could not be divided. A division that cannot be undone ends the
    run: NotRestored."""
    with ExitStack() as division:
        try:
            applied = experiment.partitions[partition].applied(experiment.device)
            slots: tuple[Slot, ...] | str = division.enter_context(applied)
        except NotRestored:
            raise
        except BenchError as error:
            slots = f"{partition} could not be applied: {error.what} ({error.hint})"
        yield slots


class Workshop:
    """Of one run."""

    def __init__(
        self,
        experiment: Experiment,
        plan: Plan,
        run: Run,
        watcher: Watcher,
        environment: Mapping[str, str],
        launcher: Launcher,
    ) -> None:
        self._experiment = experiment
        self._plan = plan
        self._run = run
        self._watcher = watcher
        self._environment = environment
        self._launcher = launcher
        self._ceilings: dict[str, ceilings.Ceilings] = {}
        """Of the slots of each partition."""

    def batch_sizes(self) -> dict[Cell, int]:
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
        with divided(experiment, partition) as slots:
            if isinstance(slots, str):
                return trial.Searched({}, slots)
            slot = builder_slot(experiment.device, slots)
            prepared = prepare(experiment, optimization, candidates[0], self._environment, slot)
            if prepared.failure:
                return trial.Searched({}, prepared.failure)
            seed = experiment.seed % 2**31
            return trial.search(experiment, self._launcher, slots, prepared, candidates, self._environment, seed)

    def prepare(self, sizes: Mapping[Cell, int], wanted: Set[Cell]) -> dict[Cell, Prepared]:
        """What the tenants of each wanted cell load, with its quality against the baseline on the same partition.

        On a CPU all partitions load the same; on a GPU each builds in a slot of its own, though a runtime whose
        artifacts fit any slot finds them in the cache."""
        baseline = self._plan.baseline
        partitions = sorted({partition for partition, _ in wanted})
        names = {partition: self._names(partition, wanted) for partition in partitions}

        def key_of(partition: str, name: str) -> tuple[str | None, str, int]:
            alike = self._experiment.device.executes_on == "cpu"
            return None if alike else partition, name, sizes[partition, name]

        total = len({key_of(partition, name) for partition in partitions for name in names[partition]})
        built: dict[tuple[str | None, str, int], Prepared] = {}
        prepared: dict[Cell, Prepared] = {}
        for partition in partitions:
            with self._workshop(partition) as slot:
                for name in names[partition]:
                    key = key_of(partition, name)
                    if key not in built:
                        self._watcher.preparing(name, len(built) + 1, total)
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
        with divided(self._experiment, partition) as slots:
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
