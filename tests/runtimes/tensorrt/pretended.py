"""A TensorRT that does nothing and writes down what is asked of it. Its names are checked against the real bindings in
test_names.py, because bench has no others."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, IntEnum
from types import ModuleType, SimpleNamespace
from typing import Any

CLASSES = 5
"""Of the pretended engine's answer."""


class Severity(IntEnum):
    ERROR = 1
    WARNING = 2


class ILogger:
    Severity = Severity


class Types(Enum):
    """Of inputs and outputs."""

    FLOAT, HALF, BF16, INT8, INT32, INT64, BOOL, UINT8 = range(8)


class Context:
    def __init__(self, owner: Pretended) -> None:
        self.owner = owner
        self.addresses: dict[str, int] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.memory: tuple[int, int] | None = None

    def set_device_memory(self, address: int, size: int) -> None:
        self.memory = (address, size)

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shapes[name] = shape
        return self.owner.takes in (None, shape[0])

    def get_tensor_shape(self, name: str) -> Sequence[int]:
        return (next(iter(self.shapes.values()))[0], CLASSES)

    def execute_async_v3(self, handle: int) -> bool:
        self.owner.calls.append(f"execute {handle}")
        return self.owner.executes


class Pretended:
    """`module` is put in TensorRT's place; `calls` is what was asked of it, in order."""

    DEFAULT_WORKSPACE_BYTES = 80 * 2**30

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.config: Any = None
        self.contexts: list[Context] = []
        self.input_names = ["image"]
        self.parser_errors: list[tuple[str, str, int, str]] = []
        self.says: list[tuple[int, str]] = []
        self.unbuildable = self.refuses = False
        self.executes = True
        self.takes: int | None = None
        self.dtype = "FLOAT"
        self.layers = '{"Layers": []}'
        self.graph = ""
        self.limit = self.DEFAULT_WORKSPACE_BYTES
        self.module: Any = ModuleType("tensorrt")
        vars(self.module).update(
            __version__="11.4.0.106",
            ILogger=ILogger,
            DataType=Types,
            Builder=self.builder,
            OnnxParser=self.parser,
            Runtime=self.runtime,
            NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=1),
            ProfilingVerbosity=SimpleNamespace(DETAILED="DETAILED"),
            BuilderFlag=SimpleNamespace(TF32="TF32"),
            MemoryPoolType=SimpleNamespace(WORKSPACE="WORKSPACE"),
            TensorIOMode=SimpleNamespace(INPUT="INPUT", OUTPUT="OUTPUT"),
            TensorLocation=SimpleNamespace(DEVICE="DEVICE"),
            LayerInformationFormat=SimpleNamespace(JSON="JSON"),
            ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="USER_MANAGED"),
        )

    def note(self, call: str, result: Any = None) -> Any:
        self.calls.append(call)
        return result

    def say(self, log: Any) -> None:
        for severity, message in self.says:
            log.log(severity, message)

    def builder(self, log: Any) -> Any:
        def create_network(*flags: int) -> Any:
            tensors = [SimpleNamespace(name=name) for name in self.input_names]
            return self.note(
                f"network {flags}", SimpleNamespace(num_inputs=len(tensors), get_input=tensors.__getitem__)
            )

        def build(network: Any, config: Any) -> Any:
            self.note("build")
            self.say(log)
            return None if self.unbuildable else b"plan of " + self.graph.encode()

        return SimpleNamespace(
            create_network=create_network,
            create_builder_config=self.builder_config,
            create_optimization_profile=lambda: SimpleNamespace(
                set_shape=lambda name, min, opt, max: self.note(f"shape {name} {min} {opt} {max}")
            ),
            build_serialized_network=build,
        )

    def builder_config(self) -> Any:
        def set_limit(pool: str, size: int) -> None:
            self.limit = size
            self.note(f"limit {pool} {size}")

        self.config = SimpleNamespace(
            clear_flag=lambda flag: self.note(f"clear {flag}"),
            set_memory_pool_limit=set_limit,
            get_memory_pool_limit=lambda pool: self.limit,
            create_timing_cache=lambda content: SimpleNamespace(content=content, serialize=lambda: b"measured"),
            set_timing_cache=lambda cache, ignore_mismatch: self.note(
                f"timings {cache.content!r} mismatch={ignore_mismatch}", True
            ),
            add_optimization_profile=lambda profile: self.note("profile", 0),
        )
        return self.config

    def parser(self, network: Any, log: Any) -> Any:
        def parse(path: str) -> bool:
            self.graph = path.rpartition("/")[2]
            return bool(self.note("parse", not self.parser_errors))

        def error(index: int) -> Any:
            operator, name, node, words = self.parser_errors[index]
            return SimpleNamespace(
                node_operator=lambda: operator, node_name=lambda: name, node=lambda: node, desc=lambda: words
            )

        return SimpleNamespace(parse_from_file=parse, num_errors=len(self.parser_errors), get_error=error)

    def runtime(self, log: Any) -> Any:
        def deserialize(plan: bytes) -> Any:
            self.note(f"deserialize {plan.decode()}")
            self.say(log)
            return None if self.refuses else self.engine()

        return SimpleNamespace(deserialize_cuda_engine=deserialize)

    def engine(self) -> Any:
        def context(strategy: str) -> Context:
            assert strategy == "USER_MANAGED"
            self.contexts.append(Context(self))
            return self.contexts[-1]

        names = ["image", "output"]
        return SimpleNamespace(
            num_io_tensors=len(names),
            get_tensor_name=names.__getitem__,
            get_tensor_mode=lambda name: "OUTPUT" if name == "output" else "INPUT",
            get_tensor_location=lambda name: "DEVICE",
            get_tensor_dtype=lambda name: Types[self.dtype],
            device_memory_size_v2=4096,
            create_execution_context=context,
            create_engine_inspector=lambda: SimpleNamespace(
                get_engine_information=lambda format: self.note(f"inspect {format}", self.layers)
            ),
        )
