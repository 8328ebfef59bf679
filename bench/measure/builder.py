"""A builder: makes an artifact and judges its outputs, in a process of its own. `python -m bench.measure.builder`"""

from __future__ import annotations

from bench.isolation.confine import confine_from_environment

if __name__ == "__main__":
    confine_from_environment()

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from bench import clock, wire
from bench.contract import Arrays, Evaluation, Loaded, Slot
from bench.errors import BenchError
from bench.isolation.versions.arrived import mark_version
from bench.measure import work
from bench.measure.artifacts import LABELS, OUTPUTS, PROBE
from bench.measure.task import PROBE_ITEMS, PROBE_SEED, OpenTask, Task


def main() -> None:
    channel = wire.Channel()
    request = channel.receive()
    if request is None:
        return
    try:
        result = TASKS[request["do"]](request)
        if "folder" in request:
            mark_version(Path(request["folder"]))
    except BaseException as error:
        traceback.print_exc()
        sys.stderr.flush()
        if isinstance(error, BenchError):  # about what the user gave: it says itself what to do
            channel.send("failed", what=error.what, where=error.where, hint=error.hint)
        else:
            channel.send("failed", what=wire.told(error))
        raise SystemExit(1) from error
    channel.send("built", **result)
    sys.stderr.flush()
    os._exit(0)  # nothing of ours is left to do; the orderly end of torch takes long


def _prepare(request: dict[str, Any]) -> dict[str, Any]:
    """Run the passes that train or search, and store their model."""
    from bench.optimizations import store

    started_ns = clock.now_ns()
    opened = Task(**request["task"]).open()
    store.prepare(opened.recipe, Path(request["folder"]))
    return {"build_s": clock.seconds(clock.now_ns() - started_ns)}


def _count(request: dict[str, Any]) -> dict[str, Any]:
    """Count what the model computes."""
    started_ns = clock.now_ns()
    opened = Task(**request["task"]).open()
    inputs = opened.workload.inputs(opened.workload.fixed_batch or PROBE_ITEMS, PROBE_SEED)
    work.count(opened.recipe, inputs).write(Path(request["folder"]))
    return {"count_s": clock.seconds(clock.now_ns() - started_ns)}


def _build(request: dict[str, Any]) -> dict[str, Any]:
    """Write what the runtime loads, then execute it on the evaluation items and the probe."""
    opened = Task(**request["task"]).open()
    slot = Slot(**request["slot"])
    runtime_folder = Path(opened.task.runtime_folder)
    runtime_folder.mkdir()
    started_ns = clock.now_ns()
    opened.optimization.runtime.build(opened.recipe, runtime_folder, opened.task.batch_size, slot)
    built_ns = clock.now_ns()
    evaluation = opened.workload.evaluation()
    if evaluation is not None:
        folder = Path(request["folder"])
        with opened.load(slot) as loaded:
            np.save(folder / PROBE, loaded.outputs(loaded.bind(opened.probe_inputs())()))
            np.save(folder / OUTPUTS, _evaluate(opened, loaded, evaluation))
        if evaluation.labels is not None:
            np.save(folder / LABELS, evaluation.labels)
    return {
        "build_s": clock.seconds(built_ns - started_ns),
        "evaluate_s": clock.seconds(clock.now_ns() - built_ns),
    }


def _evaluate(opened: OpenTask, loaded: Loaded, evaluation: Evaluation) -> Any:
    """Outputs of all evaluation items, float32. A runtime built for one batch size gets padded batches of it."""
    runtime = opened.optimization.runtime
    size = opened.task.batch_size if runtime.batch_specific else evaluation.batch_size
    items = len(next(iter(evaluation.inputs.values())))
    outputs = []
    for start in range(0, items, size):
        batch, filled = _slice(evaluation.inputs, start, size, pad=runtime.batch_specific)
        answer = loaded.outputs(loaded.bind(batch)())
        asked = len(next(iter(batch.values())))
        if answer.shape[:1] != (asked,):
            raise ValueError(f"for {asked} items the model returned an output of shape {answer.shape}")
        outputs.append(answer[:filled])
    judged = np.concatenate(outputs).astype(np.float32)
    if not np.isfinite(judged).all():
        raise ValueError("its outputs on the evaluation items are not all finite numbers")
    return judged


def _slice(inputs: Arrays, start: int, size: int, pad: bool) -> tuple[Arrays, int]:
    batch = {name: array[start : start + size] for name, array in inputs.items()}
    filled = len(next(iter(batch.values())))
    if pad and filled < size:
        batch = {name: np.resize(array, (size, *array.shape[1:])) for name, array in batch.items()}
    return batch, filled


def _reach(request: dict[str, Any]) -> dict[str, Any]:
    """Measure what the slot reaches at most."""
    from bench.measure import rates

    return rates.measure(Slot(**request["slot"]))


TASKS = {"prepare": _prepare, "count": _count, "build": _build, "reach": _reach}

if __name__ == "__main__":
    main()
