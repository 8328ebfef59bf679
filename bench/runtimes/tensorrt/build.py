"""An ONNX graph becomes a serialized engine for inputs of exactly one shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import clock
from bench.runtimes.cuda_slot import CudaPlace
from bench.runtimes.tensorrt import api

if TYPE_CHECKING:
    import tensorrt as trt

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Limits:
    """What the builder may use. None: TensorRT's default."""

    workspace_bytes: int | None
    optimization_level: int | None


@dataclass(frozen=True)
class Built:
    """A serialized engine; times in seconds. `timings` is what the builder measured, for the next engine of the same
    build: it is not kept any longer, so that no engine depends on an older measurement."""

    plan: bytes
    timings: bytes
    parse_s: float
    build_s: float
    workspace_limit_bytes: int


def build_engine(graph: Path, shapes: Shapes, limits: Limits, place: CudaPlace, timings: bytes = b"") -> Built:
    """Parse and build, with kernels timed on the stream of this place. RuntimeError with all that the parser or the
    builder had to say."""
    import tensorrt as trt

    log = api.open_log()
    builder = trt.Builder(log)
    started_ns = clock.now_ns()
    network = api.create_network(builder)
    parse(network, graph, log)
    parsed_ns = clock.now_ns()
    config = configure(builder, limits, place)
    cache = add_timings(config, timings)
    add_profile(builder, config, network, shapes)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RuntimeError(f"TensorRT {api.version()} cannot build {graph.name}: {api.told(log)}")
    return Built(
        bytes(plan),
        bytes(cache.serialize()),
        parse_s=clock.seconds(parsed_ns - started_ns),
        build_s=clock.seconds(clock.now_ns() - parsed_ns),
        workspace_limit_bytes=config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE),
    )


def parse(network: trt.INetworkDefinition, graph: Path, log: trt.ILogger) -> None:
    import tensorrt as trt

    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(graph)):
        errors = [_in_words(parser.get_error(index)) for index in range(parser.num_errors)]
        raise RuntimeError(f"TensorRT {api.version()} cannot parse {graph.name}: {'; '.join(errors) or api.told(log)}")


def _in_words(error: trt.ParserError) -> str:
    where = f"{error.node_operator()} node {error.node_name()!r}" if error.node() >= 0 else "the graph"
    return f"{where}: {' '.join(error.desc().split())}"


def configure(builder: trt.Builder, limits: Limits, place: CudaPlace) -> trt.IBuilderConfig:
    import tensorrt as trt

    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # or the engine could not tell what it executes
    config.clear_flag(trt.BuilderFlag.TF32)  # what is typed fp32 is multiplied in fp32, as in every other runtime
    config.profile_stream = place.stream.handle
    if place.green:
        # Streams that TensorRT makes itself might belong to the whole device.
        config.max_aux_streams = 0
    if limits.workspace_bytes is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, limits.workspace_bytes)
    if limits.optimization_level is not None:
        config.builder_optimization_level = limits.optimization_level
    return config


def add_timings(config: trt.IBuilderConfig, timings: bytes) -> trt.ITimingCache:
    """TensorRT refuses those of another device; they are ours, so that is an error."""
    cache = config.create_timing_cache(timings)
    if not config.set_timing_cache(cache, ignore_mismatch=False):
        raise RuntimeError("TensorRT refuses the timings that it measured before")
    return cache


def add_profile(
    builder: trt.Builder, config: trt.IBuilderConfig, network: trt.INetworkDefinition, shapes: Shapes
) -> None:
    """One profile whose shapes are all the same one: nothing is chosen for other sizes, and no memory kept for them."""
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        if tensor.name not in shapes:
            raise RuntimeError(f"the graph wants an input {tensor.name!r}, and the workload gives {sorted(shapes)}")
        shape = shapes[tensor.name]
        profile.set_shape(tensor.name, min=shape, opt=shape, max=shape)
    if config.add_optimization_profile(profile) < 0:
        raise RuntimeError(f"TensorRT does not take inputs of the shapes {dict(shapes)} for this graph")
