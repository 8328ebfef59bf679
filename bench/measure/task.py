"""What a child is asked to execute: the same few fields for building and for measuring."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.contract import Arrays, Loaded, Optimization, Recipe, Slot, Workload
from bench.instantiate import instantiate

PROBE_ITEMS = 4
PROBE_SEED = 7


@dataclass(frozen=True)
class Task:
    """A workload and an optimization as configuration, and the folders of their artifacts."""

    workload: Mapping[str, Any]
    optimization: Mapping[str, Any]
    prepared_folder: str | None
    runtime_folder: str
    batch_size: int

    def artifacts(self) -> list[Path]:
        """Folders of what is loaded: what the runtime made, and the stored result of costly passes."""
        prepared = [Path(self.prepared_folder)] if self.prepared_folder else []
        return [Path(self.runtime_folder).parent, *prepared]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def open(self) -> OpenTask:
        workload = instantiate(self.workload, Workload, "workload")
        optimization = instantiate(self.optimization, Optimization, "optimization")
        prepared = Path(self.prepared_folder) if self.prepared_folder else None
        return OpenTask(self, workload, optimization, Recipe(workload, optimization.passes, prepared))


@dataclass(frozen=True)
class OpenTask:
    """The same with its plug-ins instantiated."""

    task: Task
    workload: Workload
    optimization: Optimization
    recipe: Recipe

    def load(self, slot: Slot) -> AbstractContextManager[Loaded]:
        return self.optimization.runtime.load(self.recipe, Path(self.task.runtime_folder), slot)

    def probe_inputs(self) -> Arrays:
        """The inputs by which a tenant shows that it runs the model whose quality was judged."""
        specific = self.optimization.runtime.batch_specific or self.workload.fixed_batch is not None
        return self.workload.inputs(self.task.batch_size if specific else PROBE_ITEMS, PROBE_SEED)
