"""What differs between TensorRT 10 and 11, and what of its API every use needs: a log, a network, an engine.

Both are tested against the names of their real bindings (tests/runtimes/tensorrt). In version 11 every network is
strongly typed: precision comes from the types and the Q/DQ pairs in the graph, and builder flags for it are gone. In
version 10 that is a flag, which must be set. The layer information differs too; `proof.py` reads both forms.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorrt as trt

OLDEST = (10, 16)
"""Version that the code was checked against; older ones lack names that it uses."""
KEPT_MESSAGES = 8


def version() -> str:
    """The installed version; RuntimeError if it is too old."""
    import tensorrt as trt

    found = str(trt.__version__)
    if numbers(found) < OLDEST:
        raise RuntimeError(f"TensorRT {found} is installed, and {'.'.join(map(str, OLDEST))} or newer is needed")
    return found


def numbers(found: str) -> tuple[int, int]:
    """Major and minor version."""
    major, minor = found.split(".")[:2]
    return int(major), int(minor)


def open_log() -> trt.ILogger:
    """Warnings and errors go to standard error, because TensorRT's own logger writes to standard output, which is a
    protocol's stream. `said` keeps the last errors: functions that fail only return None."""
    import tensorrt as trt

    # Defined here because this file must not import tensorrt at the top.
    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.said: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity <= trt.ILogger.Severity.WARNING:
                sys.stderr.write(f"TensorRT: {msg}\n")
            if severity <= trt.ILogger.Severity.ERROR:
                self.said = [*self.said, msg][-KEPT_MESSAGES:]

    return Log()


def told(log: trt.ILogger) -> str:
    """What TensorRT said about its errors, for a message."""
    return "; ".join(" ".join(message.split()) for message in log.said) or "TensorRT gave no reason"


def create_network(builder: trt.Builder) -> trt.INetworkDefinition:
    """An empty strongly typed network."""
    import tensorrt as trt

    if numbers(version()) >= (11, 0):
        return builder.create_network()
    return builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))


def open_engine(plan: bytes, log: trt.ILogger) -> trt.ICudaEngine:
    """A serialized engine, ready for execution contexts. RuntimeError if TensorRT refuses it, as it does when it was
    made by another version or for another GPU."""
    import tensorrt as trt

    runtime = trt.Runtime(log)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise RuntimeError(f"TensorRT {version()} cannot load this engine: {told(log)}")
    return engine


def torch_dtypes() -> dict[Any, Any]:
    """TensorRT's types of inputs and outputs as torch's."""
    import tensorrt as trt
    import torch

    return {
        trt.DataType.FLOAT: torch.float32,
        trt.DataType.HALF: torch.float16,
        trt.DataType.BF16: torch.bfloat16,
        trt.DataType.INT8: torch.int8,
        trt.DataType.INT32: torch.int32,
        trt.DataType.INT64: torch.int64,
        trt.DataType.BOOL: torch.bool,
        trt.DataType.UINT8: torch.uint8,
    }
