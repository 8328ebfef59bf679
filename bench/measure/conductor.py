"""The conductor: prepares, then measures every planned trial that is not yet done, and stores each at once.

It never imports torch, blocks on pipes while tenants measure, and survives anything that they do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import groupby
from typing import Any, Protocol

from bench.composition import CONFIG_PATH
from bench.config import Experiment
from bench.contract import Launcher
from bench.isolation.process import Processes
from bench.measure import workshop
from bench.measure.attempts import Attempts
from bench.measure.telemetry import Telemetry
from bench.measure.workshop import Cell, Workshop, divided
from bench.records import Plan, PlannedTrial, TrialRecord
from bench.store import Run

TELEMETRY_INTERVAL_S = 0.1


class Watcher(workshop.Watcher, Protocol):
    """Is told how a run goes on; the console is one."""

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

    def conduct(self) -> None:
        """Measure what is not yet done. Interrupted at any point, the run can be resumed."""
        done = {record.id for record in self._run.trials()}
        left = [planned for planned in self._plan.trials if planned.id not in done]
        if not left:
            return
        arranged = self._experiment.arrangements.values()
        isolations = {each.isolation_name: each.isolation for each in arranged}
        wanted = {planned.isolation for planned in left}
        with ExitStack() as opened:
            launchers = {name: opened.enter_context(isolations[name].opened()) for name in sorted(wanted)}
            self._conduct(left, launchers)

    def _conduct(self, left: list[PlannedTrial], launchers: Mapping[str, Launcher]) -> None:
        making = Workshop(self._experiment, self._plan, self._run, self._watcher, self._environment, launchers)
        cells: dict[str, set[Cell]] = {}
        for planned in left:
            cells.setdefault(planned.isolation, set()).add((planned.division, planned.optimization))
        prepared = making.prepare(making.batch_sizes(), cells)
        occupants = making.occupants({planned.partition for planned in left})
        sources = self._feasible_sources()
        interval_s = TELEMETRY_INTERVAL_S
        gpu = self._experiment.device.gpu
        board = gpu.address if gpu else None
        with Telemetry(Processes(), sources, interval_s, self._environment, board) as telemetry:
            attempts = Attempts(self._experiment, self._plan, self._run, telemetry, self._environment)
            for (_, division), together in groupby(left, key=lambda planned: (planned.block, planned.division)):
                with divided(self._experiment, division) as slots:
                    for planned in together:
                        self._watcher.started(planned)
                        ready = prepared[planned.isolation][division, planned.optimization]
                        launcher, beside = launchers[planned.isolation], occupants[planned.partition]
                        record = attempts.record(planned, launcher, slots, ready, beside)
                        self._run.append_trial(record)
                        self._watcher.finished(record)

    def _feasible_sources(self) -> dict[str, Any]:
        experiment = self._experiment
        return {
            name: experiment.config["telemetry"][name]
            for name, source in experiment.telemetry.items()
            if source.infeasible(experiment.device) is None
        }


def _environment(experiment: Experiment) -> dict[str, str]:
    """What children need to find the same plug-ins."""
    folders = [str(folder) for folder in experiment.config_folders]
    paths = [*folders, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {CONFIG_PATH: os.pathsep.join(folders)}
    if paths:
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    return environment
