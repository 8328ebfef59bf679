"""Every NVML call that bench makes, against the real nvidia-ml-py: its name, and how many arguments it takes."""

from __future__ import annotations

import ast
import ctypes
import inspect
from collections.abc import Iterator
from pathlib import Path

import pynvml
import pytest

import bench
from bench.devices import nvml

SOURCE = Path(bench.__file__).parent
REHEARSED = SOURCE / "devices" / "rehearsal"


def _calls() -> Iterator[tuple[str, str, int | None]]:
    """(place, NVML name, arguments after the name; None: a list of them) of every `.do(...)` and `.ask(...)`."""
    for path in SOURCE.rglob("*.py"):
        if path.is_relative_to(REHEARSED):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if node.func.attr not in ("do", "ask") or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            rest = node.args[1:]
            count = None if any(isinstance(part, ast.Starred) for part in rest) else len(rest)
            yield f"{path.relative_to(SOURCE)}:{node.lineno}", str(node.args[0].value), count


def test_every_call_exists_and_takes_its_arguments() -> None:
    found = list(_calls())
    assert len(found) > 40, "the calls are found in the source"
    for place, name, count in found:
        function = getattr(pynvml, name, None)
        assert callable(function), f"{place}: nvidia-ml-py has no {name}"
        if count is not None:
            inspect.signature(inspect.unwrap(function)).bind(*[None] * count)


def test_every_name_of_nvml_in_the_source_exists() -> None:
    """Also those in tables and loops, which are no direct calls."""
    for path in SOURCE.rglob("*.py"):
        if path.is_relative_to(REHEARSED):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            text = (
                node.value if isinstance(node, ast.Constant) else node.attr if isinstance(node, ast.Attribute) else ""
            )
            if isinstance(text, str) and text.startswith(("nvmlDevice", "nvmlGpu", "nvmlSystem", "NVML_", "c_nvml")):
                assert hasattr(pynvml, text) or text == "NVML_ERROR_", f"{path}: nvidia-ml-py has no {text}"


@pytest.mark.parametrize(
    ("structure", "version", "fields"),
    [
        ("c_nvmlGpuInstancePlacement_t", None, ["start", "size"]),
        ("c_nvmlGpuInstanceInfo_t", None, ["device", "id", "profileId", "placement"]),
        ("c_nvmlGpuInstanceProfileInfo_v2_t", 0x02000098, ["version", "id", "isP2pSupported", "sliceCount"]),
    ],
)
def test_structures_are_as_in_the_header(structure: str, version: int | None, fields: list[str]) -> None:
    """Field order and, where the structure has a version, size: nvml.h encodes both in it."""
    kind = getattr(pynvml, structure)
    assert [name for name, *_ in kind._fields_][: len(fields)] == fields
    if version is not None:
        assert kind().version == version
        assert ctypes.sizeof(kind) == version & 0xFFFFFF


def test_without_a_driver_it_is_said_so() -> None:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("there is a driver here")
    with pytest.raises(nvml.NoDriver, match="library not found") as raised, nvml.session():
        pass
    assert "no NVIDIA driver" in raised.value.hint
