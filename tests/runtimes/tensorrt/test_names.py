"""Every name of TensorRT that bench uses exists in its real bindings, with these arguments.

The bindings are importable without a GPU and without TensorRT: over empty shared libraries that define the few symbols
that they leave undefined. It happens in a process of its own, which may crash without taking the tests down. Other
versions: unpack their tensorrt_cu13_bindings and name the folder in BENCH_TENSORRT_BINDINGS, several with colons."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import bench.runtimes.tensorrt

SOURCES = Path(bench.runtimes.tensorrt.__file__).parent
CHECK = Path(__file__).with_name("names.py")
BINDINGS = {
    str(Path(spec.origin).parent.parent): None
    for spec in [find_spec("tensorrt_bindings")]
    if spec is not None and spec.origin
} | dict.fromkeys(filter(None, os.environ.get("BENCH_TENSORRT_BINDINGS", "").split(":")))
USED = {
    # Of each file and each way in which the types are followed: if one of these is missing, the check checks nothing.
    "BuilderFlag.TF32", "NetworkDefinitionCreationFlag.STRONGLY_TYPED", "MemoryPoolType.WORKSPACE",
    "ProfilingVerbosity.DETAILED", "IOptimizationProfile.set_shape(opt=)", "IBuilderConfig.set_timing_cache",
    "ParserError.desc", "Runtime.deserialize_cuda_engine", "ICudaEngine.device_memory_size_v2",
    "ExecutionContextAllocationStrategy.USER_MANAGED", "IExecutionContext.set_device_memory",
    "IExecutionContext.set_tensor_address", "IExecutionContext.execute_async_v3", "DataType.HALF",
    "EngineInspector.get_engine_information", "LayerInformationFormat.JSON", "ITimingCache.serialize",
}  # fmt: skip

pytestmark = pytest.mark.skipif(
    not BINDINGS or not shutil.which("cc") or not shutil.which("nm"),
    reason="needs tensorrt_cu13_bindings, cc and nm",
)


@pytest.fixture(scope="module", params=list(BINDINGS))
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """In which these bindings find empty libraries."""
    folder = tmp_path_factory.mktemp("libraries")
    bindings = str(next(Path(request.param, "tensorrt_bindings").glob("tensorrt*.so")))
    symbols = output("nm", "-D", "--undefined-only", bindings).split()
    ours = [symbol for symbol in symbols if re.match(r"(?:create|get|init)\w*(?:Infer|Nv|Plugin)\w*$", symbol)]
    source = folder / "empty.c"
    source.write_text("".join(f"void *{symbol}(void) {{ return 0; }}\n" for symbol in ours))
    libraries = set(re.findall(rb"libnv[a-z_]+\.so\.\d+", Path(bindings).read_bytes()))
    assert ours and len(libraries) >= 3
    for library in map(bytes.decode, libraries):
        output("cc", "-shared", "-fPIC", f"-Wl,-soname,{library}", "-o", str(folder / library), str(source))
    return {**os.environ, "LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(request.param)}


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def checked(environment: dict[str, str], sources: Path) -> Any:
    result = subprocess.run(
        [sys.executable, str(CHECK), str(sources)],
        env=environment, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_all_that_bench_uses_is_there(environment: dict[str, str]) -> None:
    found = checked(environment, SOURCES)
    assert found["complaints"] == []
    assert set(found["uses"]) >= USED


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("trt.NoSuchClass", "has no NoSuchClass"),
        ("builder.platform_is_quick", "Builder has no platform_is_quick"),
        ("config.set_flag(trt.BuilderFlag.INT9)", "BuilderFlag has no INT9"),
        ("config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, size=1)", "set_memory_pool_limit is called with"),
        ("config.set_timing_cache(config.create_timing_cache(b''))", "set_timing_cache is called with 1"),
        ("config.num_optimization_profiles = 1", "num_optimization_profiles cannot be set"),
        ("trt.OnnxParser(builder.create_network(), trt.Logger()).get_error(0).told()", "ParserError has no told"),
    ],
)
def test_what_is_not_there_is_told(environment: dict[str, str], tmp_path: Path, line: str, complaint: str) -> None:
    (tmp_path / "wrong.py").write_text(
        f"builder = trt.Builder(trt.Logger())\nconfig = builder.create_builder_config()\n{line}\n"
    )
    (told,) = checked(environment, tmp_path)["complaints"]
    assert complaint in told and told.startswith("wrong.py:3: ")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('getattr(trt.BuilderFlag, "FP16")', "getattr hides"),
        ('setattr(config, "nothing", 1)', "setattr hides"),
        ("import tensorrt as T", "not `import tensorrt as trt`"),
        ("import tensorrt", "not `import tensorrt as trt`"),
        ("import tensorrt.plugin as p", "not `import tensorrt as trt`"),
        ("from tensorrt import BuilderFlag", "not `import tensorrt as trt`"),
        ("async def f(): pass", "async function"),
        ("def f(x: 'trt.Builder'): pass", "annotation 'trt.Builder' is not followed"),
        ("def f(x: trt.Builder | None): pass", "annotation trt.Builder | None is not followed"),
        ("def f(*, x: trt.Builder): x.nothing", "Builder has no nothing"),
        ("def f(x: trt.Builder, /): x.nothing", "Builder has no nothing"),
        ("def f(x=trt.BuilderFlag.NOTHING): pass", "BuilderFlag has no NOTHING"),
        ("def f(*, x=trt.BuilderFlag.NOTHING): pass", "BuilderFlag has no NOTHING"),
        ("@builder.nothing\ndef f(): pass", "Builder has no nothing"),
        ("made: trt.Builder = object()\nmade.nothing", "Builder has no nothing"),
        ("made: object = trt.Builder(trt.Logger())\nmade.nothing", "Builder has no nothing"),
        ("with trt.Runtime(trt.Logger()) as made: made.nothing", "withitem holds"),
        ("(made := trt.Runtime(trt.Logger())).nothing", "NamedExpr holds"),
        ("make = lambda: trt.Runtime(trt.Logger())", "Lambda holds"),
        ("kept = {1: builder}", "Dict holds"),
        ("kept = builder, 1", "Tuple holds"),
        ("kept = [builder]", "List holds"),
        ("kept = builder if config else None", "IfExp holds"),
        ("kept = config and builder", "BoolOp holds"),
        ("kept = [builder for _ in range(2)]", "ListComp holds"),
        ("one, two = builder.create_network()", "several names at once"),
    ],
)
def test_what_would_not_be_followed_is_told(
    environment: dict[str, str], tmp_path: Path, line: str, complaint: str
) -> None:
    (tmp_path / "wrong.py").write_text(
        f"builder = trt.Builder(trt.Logger())\nconfig = builder.create_builder_config()\n{line}\n"
    )
    (told,) = checked(environment, tmp_path)["complaints"]
    assert complaint in told


def test_builder_flags_for_precision_are_told_to_be_gone(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text(
        "def half(config: trt.IBuilderConfig):\n    config.set_flag(trt.BuilderFlag.FP16)\n"
    )
    found = checked(environment, tmp_path)
    gone = int(found["version"].split(".")[0]) >= 11
    assert found["complaints"] == (["old.py:2: BuilderFlag has no FP16"] if gone else [])
