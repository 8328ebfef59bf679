"""ONNX Runtime on memory that torch holds: inputs and outputs are bound once, and a call only queues the work.

It queues on the stream that the session was given as `user_compute_stream`, which is the slot's: in a green context,
any other stream would use the whole GPU. (CUDA graphs, `enable_cuda_graph`, are not used: they demand that no node of
the graph runs on the CPU.)
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.contract import Array, Arrays, Proof
from bench.runtimes.cuda_slot import Place
from bench.runtimes.onnx.proof import read_profile
from bench.runtimes.placed import Placed

TYPES = {
    "tensor(float)": ("float32", 1),
    "tensor(uint8)": ("uint8", 2),
    "tensor(int8)": ("int8", 3),
    "tensor(int32)": ("int32", 6),
    "tensor(int64)": ("int64", 7),
    "tensor(bool)": ("bool", 9),
    "tensor(float16)": ("float16", 10),
    "tensor(double)": ("float64", 11),
    "tensor(bfloat16)": ("bfloat16", 16),
}
"""What ONNX Runtime calls a tensor's type -> torch's name of it, and its number in onnx.TensorProto.DataType."""
DO_NOT_WAIT = ("disable_synchronize_execution_providers", "1")
"""Run option (onnxruntime_run_options_config_keys.h): otherwise each run ends by waiting for the stream."""


@dataclass(frozen=True)
class BoundLoaded(Placed):
    """`new_session(profile_prefix=...)` makes a session like `session` that profiles itself. `provider` is the
    execution provider that is to execute the heavy operators."""

    session: Any
    new_session: Callable[..., Any]
    place: Place
    provider: str
    detail: Mapping[str, Any] = field(default_factory=dict)

    def outputs(self, result: Any) -> Array:
        array: Array = result.float().cpu().numpy()
        return array

    def prove(self, inputs: Arrays) -> Proof:
        return read_profile(self.profile(inputs), self.detail, self.provider)

    def profile(self, inputs: Arrays) -> list[dict[str, Any]]:
        """Events of one run in a second session, made as the first was: profiling the first one would slow it."""
        with tempfile.TemporaryDirectory() as folder:
            session = self.new_session(profile_prefix=str(Path(folder) / "profile"))
            self._run(session, self._binding(session, self.placed(inputs)))
            events: list[dict[str, Any]] = json.loads(Path(session.end_profiling()).read_text())
        return events

    def host_tensors(self, inputs: Arrays) -> dict[str, Any]:
        """Of the types that the graph wants, which may have been converted; in their own memory."""
        import torch

        wanted = {node.name: getattr(torch, TYPES[node.type][0]) for node in self.session.get_inputs()}
        if missing := sorted(set(wanted) - set(inputs)):
            raise RuntimeError(f"the graph wants inputs {missing}, and is given {sorted(inputs)}")
        return {
            name: torch.tensor(np.ascontiguousarray(inputs[name])).to(dtype).contiguous()
            for name, dtype in wanted.items()
        }

    def call_on(self, tensors: Mapping[str, Any]) -> Callable[[], Any]:
        """The first run tells the shapes of the outputs; from then on they are written to memory of our own."""
        import torch

        binding = self._binding(self.session, tensors)
        self._run(self.session, binding)
        results = []
        for node, made in zip(self.session.get_outputs(), binding.get_outputs(), strict=True):
            dtype, number = TYPES[made.data_type()]
            result = self.place.put(torch.empty(tuple(made.shape()), dtype=getattr(torch, dtype)))
            binding.bind_output(node.name, self.place.kind, 0, number, tuple(result.shape), result.data_ptr())
            results.append(result)
        # What is bound is bound by address: all of it must live as long as the call.
        held = (tensors, results)
        return partial(_queue, self.session.run_with_iobinding, binding, _run_options(), results[0], held)

    def _binding(self, session: Any, tensors: Mapping[str, Any]) -> Any:
        """Inputs bound where they are; outputs where ONNX Runtime pleases on the same device."""
        binding = session.io_binding()
        for node in session.get_inputs():
            tensor = tensors[node.name]
            number = TYPES[node.type][1]
            binding.bind_input(node.name, self.place.kind, 0, number, tuple(tensor.shape), tensor.data_ptr())
        for node in session.get_outputs():
            binding.bind_output(node.name, self.place.kind, 0)
        return binding

    def _run(self, session: Any, binding: Any) -> None:
        """Once, to its end."""
        session.run_with_iobinding(binding, _run_options())
        if self.stream is not None:
            self.stream.wait()


def _queue(run: Callable[..., None], binding: Any, options: Any, result: Any, held: Any) -> Any:
    run(binding, options)
    return result


def _run_options() -> Any:
    import onnxruntime as ort

    options = ort.RunOptions()
    options.add_run_config_entry(*DO_NOT_WAIT)
    return options
