"""A loaded engine: memory and streams are torch's, TensorRT only queues its kernels."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.contract import Array, Arrays, Proof, Stream
from bench.runtimes.cuda_slot import CUDA_DEVICE, CudaPlace
from bench.runtimes.placed import Placed
from bench.runtimes.tensorrt import api
from bench.runtimes.tensorrt.proof import read_layers

if TYPE_CHECKING:
    import tensorrt as trt


@dataclass(frozen=True)
class EngineLoaded(Placed):
    """Every bound input has an execution context of its own, because a context holds one set of addresses and setting
    them is no part of a request. All of them share one block of memory for activations, `scratch`: on one stream no
    call begins before the last one has ended. So another bound input costs little more than its inputs and outputs.
    `spare`: contexts whose calls are gone, for the next inputs. To make one takes long, and evaluation binds thousands;
    to destroy one while its work is queued is nowhere allowed.
    """

    engine: trt.ICudaEngine
    place: CudaPlace
    scratch: Any
    log: trt.ILogger
    spare: list[trt.IExecutionContext] = field(default_factory=list)

    @property
    def stream(self) -> Stream:
        return self.place.stream

    def outputs(self, result: Any) -> Array:
        array: Array = result.float().cpu().numpy()
        return array

    def prove(self, inputs: Arrays) -> Proof:
        """From the engine itself, which is nothing but a list of kernels with their types, after executing it once."""
        import tensorrt as trt

        self.bind(inputs)()
        self.stream.wait()
        inspector = self.engine.create_engine_inspector()
        layers = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
        return read_layers(layers, {"tensorrt": api.version(), **self.place.detail()})

    def _names(self, mode: trt.TensorIOMode) -> list[str]:
        names = [self.engine.get_tensor_name(index) for index in range(self.engine.num_io_tensors)]
        return [name for name in names if self.engine.get_tensor_mode(name) == mode]

    def host_tensors(self, inputs: Arrays) -> dict[str, Any]:
        """The engine's inputs in the types it wants, in the host's memory."""
        import tensorrt as trt
        import torch

        dtypes = api.torch_dtypes()
        wanted = self._names(trt.TensorIOMode.INPUT)
        missing = sorted(set(wanted) - set(inputs))
        if missing:
            raise RuntimeError(f"the engine wants inputs {missing}, and is given {sorted(inputs)}")
        return {
            name: torch.tensor(np.ascontiguousarray(inputs[name])).to(dtypes[self.engine.get_tensor_dtype(name)])
            for name in wanted
        }

    def call_on(self, tensors: Mapping[str, Any]) -> Callable[[], Any]:
        """A call that queues one request on these tensors and returns the first output, which it writes anew.

        TensorRT tells of a failure by False. Not to look would measure requests that were never executed: that is why
        the call is a function around TensorRT's own. A new context is called once here: it prepares itself for its
        shapes in its first call, and there may be more bound inputs than a warm-up has calls."""
        import tensorrt as trt
        import torch

        fresh = not self.spare
        context = self._context()
        for name, tensor in tensors.items():
            if not context.set_input_shape(name, tuple(tensor.shape)):
                raise RuntimeError(f"the engine was built for another shape of {name!r} than {tuple(tensor.shape)}")
            context.set_tensor_address(name, tensor.data_ptr())
        written = {}
        for name in self._names(trt.TensorIOMode.OUTPUT):
            shape = tuple(context.get_tensor_shape(name))
            if min(shape, default=0) < 0:
                raise RuntimeError(f"the shape of output {name!r} depends on data, which cannot be measured: {shape}")
            dtype = api.torch_dtypes()[self.engine.get_tensor_dtype(name)]
            written[name] = torch.empty(shape, dtype=dtype, device=CUDA_DEVICE)
            context.set_tensor_address(name, written[name].data_ptr())
        first = next(iter(written.values()))
        call = partial(queue, context.execute_async_v3, self.place.stream.handle, first, (tensors, written))
        weakref.finalize(call, self.spare.append, context).atexit = False
        if fresh:
            call()
        return call

    def _context(self) -> trt.IExecutionContext:
        return self.spare.pop() if self.spare else new_context(self.engine, self.scratch, self.log)


def queue(execute: Callable[[int], bool], handle: int, output: Any, _kept: Any) -> Any:
    """One request. `_kept` is memory whose addresses TensorRT has: it lives as long as the call that holds it."""
    if not execute(handle):
        raise RuntimeError("TensorRT could not queue a request")
    return output


def new_context(engine: trt.ICudaEngine, scratch: Any, log: trt.ILogger) -> trt.IExecutionContext:
    import tensorrt as trt

    context = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
    if context is None:
        raise RuntimeError(f"TensorRT cannot make an execution context: {api.told(log)}")
    context.set_device_memory(scratch.data_ptr(), scratch.numel())
    return context


def load_engine(plan: bytes, place: CudaPlace) -> EngineLoaded:
    """RuntimeError where the engine cannot be loaded here, or wants memory of the host."""
    import tensorrt as trt
    import torch

    log = api.open_log()
    engine = api.open_engine(plan, log)
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        if engine.get_tensor_location(name) != trt.TensorLocation.DEVICE:
            raise RuntimeError(f"{name!r} is a shape, which the engine wants in the host's memory: not supported")
    # torch aligns to 512 bytes, and TensorRT needs 256. An address of nothing would be none.
    scratch = torch.empty(max(1, engine.device_memory_size_v2), dtype=torch.uint8, device=CUDA_DEVICE)
    return EngineLoaded(engine, place, scratch, log)
