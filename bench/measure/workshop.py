"""Before the first block: each cell's batch size, what its tenants load, and what its slots reach at most."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from bench.arrangement import Occupant
from bench.config import Experiment
from bench.contract import Launcher, Slot
from bench.devices.mig.change import NotRestored
from bench.errors import BenchError
from bench.measure import ceilings, trial
from bench.measure.build import Builders
from bench.measure.prepare import Prepared, builder_slot, prepare, unprepared, with_quality
from bench.records import PROCESS, Plan
from bench.store import Run

CELLS = "cells.json"

Cell = tuple[str, str]
"""(division, optimization): what tenants load does not depend on what they run in, unless that is another version, nor
on their neighbours."""


class Watcher(Protocol):
    """Is told how preparing goes on."""

    def preparing(self, name: str, number: int, total: int) -> None: ...
    def built(self, name: str, spent_s: float, size_bytes: int) -> None: ...
    def not_built(self, name: str, reason: str) -> None: ...


@contextmanager
def divided(experiment: Experiment, division: str) -> Iterator[tuple[Slot, ...] | str]:
    """The slots of the divided device, or why it could not be divided. A division that cannot be undone ends the
    run: NotRestored."""
    with ExitStack() as dividing:
        try:
            applied = experiment.divisions[division].applied(experiment.device)
            slots: tuple[Slot, ...] | str = dividing.enter_context(applied)
        except NotRestored:
            raise
        except BenchError as error:
            slots = f"{division} could not be applied: {error.what} ({error.hint})"
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
        launchers: Mapping[str, Launcher],
    ) -> None:
        """`launchers`: by isolation."""
        self._experiment = experiment
        self._plan = plan
        self._run = run
        self._watcher = watcher
        self._environment = environment
        self._builders = Builders(environment)
        self._launchers = launchers
        self._ceilings: dict[str, ceilings.Ceilings] = {}
        """Of the slots of each division."""

    def batch_sizes(self) -> dict[Cell, int]:
        """The batch size of each cell: the scenario's, or the best of its candidates, searched once per run with all
        slots running the workload."""
        candidates = self._experiment.scenario.batch_sizes()
        cells = sorted({(planned.division, planned.optimization) for planned in self._plan.trials})
        if len(candidates) == 1:
            return dict.fromkeys(cells, candidates[0])
        stored = self._run.read_json(CELLS) or {}
        found: dict[Cell, int] = {}
        for division, optimization in cells:
            known = stored.get(f"{division}/{optimization}")
            if known is None:
                known = self._search(division, optimization, candidates)
                stored[f"{division}/{optimization}"] = known
                self._run.write_json(CELLS, stored)
            found[division, optimization] = int(known["batch_size"])
        return found

    def _search(self, division: str, optimization: str, candidates: tuple[int, ...]) -> dict[str, Any]:
        """Measure the candidates, smallest first, until one fails; the fastest of those measured is the cell's.

        When none could be measured, the smallest stands, and the cell's trials will tell why."""
        experiment = self._experiment
        specific = experiment.optimizations[optimization].runtime.batch_specific
        throughput: dict[int, float] = {}
        failure = None
        groups = [(size,) for size in candidates] if specific else [candidates]
        for number, group in enumerate(groups, start=1):
            self._watcher.preparing(f"best batch of {optimization} on {division}", number, len(groups))
            found = self._searched(division, optimization, group)
            throughput |= found.throughput_per_s
            failure = found.failure
            if failure:
                self._watcher.not_built(f"{optimization} on {division}, search for the best batch", failure)
                break
        best = max(throughput, key=lambda size: throughput[size]) if throughput else candidates[0]
        return {
            "batch_size": best,
            "throughput_per_s": {str(size): value for size, value in throughput.items()},
            "failure": failure,
        }

    def _searched(self, division: str, optimization: str, candidates: tuple[int, ...]) -> trial.Searched:
        """Candidates that one artifact serves."""
        experiment = self._experiment
        with divided(experiment, division) as slots:
            if isinstance(slots, str):
                return trial.Searched({}, slots)
            slot = builder_slot(experiment.device, slots)
            prepared = prepare(experiment, optimization, candidates[0], self._builders, slot)
            if prepared.failure:
                return trial.Searched({}, prepared.failure)
            seed = experiment.seed % 2**31
            launcher = self._launchers.get(PROCESS) or next(iter(self._launchers.values()))
            tenants = [trial.Tenant(slot, prepared) for slot in slots]
            return trial.search(experiment, launcher, tenants, candidates, self._environment, seed)

    def prepare(self, sizes: Mapping[Cell, int], wanted: Mapping[str, Set[Cell]]) -> dict[str, dict[Cell, Prepared]]:
        """What the tenants of each wanted cell load, by isolation: another version builds its own."""
        versions = {name: launcher for name, launcher in self._launchers.items() if launcher.version}
        alike = [name for name in wanted if name not in versions]
        shared = self._prepare(sizes, {cell for name in alike for cell in wanted[name]}, self._builders)
        found = dict.fromkeys(alike, shared)
        for name in sorted(wanted.keys() & versions):
            found[name] = self._prepare(sizes, wanted[name], Builders(self._environment, versions[name]))
        return found

    def _prepare(self, sizes: Mapping[Cell, int], wanted: Set[Cell], builders: Builders) -> dict[Cell, Prepared]:
        """With the quality of each against the baseline on the same division.

        On a CPU all divisions load the same; on a GPU each builds in a slot of its own, though a runtime whose
        artifacts fit any slot finds them in the cache."""
        baseline = self._plan.baseline
        divisions = sorted({division for division, _ in wanted})
        names = {division: self._names(division, wanted) for division in divisions}

        def key_of(division: str, name: str) -> tuple[str | None, str, int]:
            alike = self._experiment.device.executes_on == "cpu"
            return None if alike else division, name, sizes[division, name]

        total = len({key_of(division, name) for division in divisions for name in names[division]})
        built: dict[tuple[str | None, str, int], Prepared] = {}
        prepared: dict[Cell, Prepared] = {}
        for division in divisions:
            with self._workshop(division) as slot:
                for name in names[division]:
                    key = key_of(division, name)
                    if key not in built:
                        self._watcher.preparing(name, len(built) + 1, total)
                        built[key] = self._built(name, sizes[division, name], builders, slot)
                        self._tell(name, built[key])
                    reference = built[key] if name == baseline else prepared[division, baseline]
                    judged = with_quality(built[key], reference, baseline)
                    prepared[division, name] = self._with_ceilings(judged, division, slot)
        return prepared

    def occupants(self, partitions: Set[str]) -> dict[str, tuple[Prepared | None, ...]]:
        """What the tenants of each arrangement load, in their order; None for those that run the workload."""
        found: dict[str, tuple[Prepared | None, ...]] = {}
        for partition in sorted(partitions):
            arranged = self._experiment.arrangements[partition]
            tenants = arranged.tenants(arranged.partition.count(self._experiment.device))
            if not any(tenants):
                found[partition] = tuple(None for _ in tenants)
                continue
            with self._workshop(arranged.division) as slot:
                found[partition] = tuple(self._occupant(tenant, slot) if tenant else None for tenant in tenants)
        return found

    def _occupant(self, occupant: Occupant, slot: Slot | str) -> Prepared:
        """Made as what is measured is, in an experiment of its own."""
        experiment = self._experiment
        own = dataclasses.replace(
            experiment,
            workload=occupant.workload,
            optimizations={occupant.name: occupant.optimization},
            config={
                **experiment.config,
                "workload": occupant.workload_node,
                "optimizations": {occupant.name: occupant.optimization_node},
            },
        )
        if isinstance(slot, str):
            return unprepared(own, occupant.name, occupant.batch_size, slot)
        return prepare(own, occupant.name, occupant.batch_size, self._builders, slot)

    def _names(self, division: str, wanted: Set[Cell]) -> list[str]:
        """The optimizations to prepare for a division, the baseline first: the others are judged by it."""
        baseline = self._plan.baseline
        return [baseline, *sorted(name for part, name in wanted if part == division and name != baseline)]

    @contextmanager
    def _workshop(self, division: str) -> Iterator[Slot | str]:
        """The slot to build in, or why there is none."""
        device = self._experiment.device
        if device.executes_on == "cpu":
            yield builder_slot(device)
            return
        with divided(self._experiment, division) as slots:
            yield slots if isinstance(slots, str) else builder_slot(device, slots)

    def _built(self, name: str, batch_size: int, builders: Builders, slot: Slot | str) -> Prepared:
        if isinstance(slot, str):
            return unprepared(self._experiment, name, batch_size, slot)
        return prepare(self._experiment, name, batch_size, builders, slot)

    def _with_ceilings(self, item: Prepared, division: str, slot: Slot | str) -> Prepared:
        """The same with what the division's slots reach at most, where it is known what one item costs."""
        if isinstance(slot, str) or item.failure or item.work.unknown:
            return item
        if division not in self._ceilings:
            experiment = self._experiment
            self._ceilings[division] = ceilings.find_or_measure(
                experiment.cache_dir, experiment.device, slot, self._environment
            )
        return dataclasses.replace(item, ceilings=self._ceilings[division])

    def _tell(self, name: str, outcome: Prepared) -> None:
        artifact = outcome.artifact
        if outcome.failure:
            self._watcher.not_built(name, outcome.failure)
        elif artifact and artifact.fresh:
            built = [part for part in (artifact, outcome.model) if part and part.fresh]
            spent_s = sum(sum(part.times_s.values()) for part in built)
            self._watcher.built(name, spent_s, sum(part.size_bytes for part in built))
