"""Whatever a file holds: an InputError, or a run of which nothing has to be set aside."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from read_files import DATA, SAID

from bench.errors import ConfigError
from bench.imports import runs
from bench.imports.imported import Found
from bench.imports.tools import importer
from bench.stored import read_run

OPTIONS = {
    "onnxruntime-perf": {"concurrency": "1"},
    "nvbench": {"benchmark": "simple"},
    "csv": {"map.throughput_per_s": "img/s", "map.requests": "batch"},
    "perf-analyzer": {"concurrency": "1"},
}
FILES = {
    "trtexec": (DATA / "trtexec" / "times_fp32.json", DATA / "trtexec" / "profile.json"),
    "onnxruntime-perf": tuple(sorted((DATA / "onnxruntime_perf").iterdir())),
    "perf-analyzer": (DATA / "perf_analyzer" / "perf.csv", DATA / "perf_analyzer" / "profile.json"),
    "nvbench": (DATA / "nvbench" / "results.json",),
    "csv": (DATA / "csv" / "results.csv",),
}
TOOLS = sorted(FILES)
NUMBERS = st.one_of(st.integers(-(10**20), 10**20), st.floats(), st.sampled_from([0, 1, 1e-300, 1e300, 2**63, True]))
LEAVES = st.one_of(st.none(), NUMBERS, st.text(max_size=8), st.sampled_from(["", "1", "nan", "\ud800", "\x00\n"]))
JSON = st.recursive(
    LEAVES,
    lambda inside: st.one_of(st.lists(inside, max_size=3), st.dictionaries(st.text(max_size=8), inside, max_size=3)),
    max_leaves=8,
)


def take(tool: str, content: bytes) -> None:
    """Read, and store where it could be read; the device is not said, for files that tell it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "file"
        file.write_bytes(content)
        said = dataclasses.replace(SAID, device="", optimization="", batch_size=None) if tool == "nvbench" else SAID
        try:
            found = importer(tool, OPTIONS.get(tool, {})).read([file], said)
            assert isinstance(found, Found)
            stored = read_run(runs.create(found, Path(folder) / "results"))
        except ConfigError as error:
            assert str(error).count("\n") == 2, str(error)
            return
        assert stored.set_aside == ()
        assert len(stored.trials) == len(found.measured) > 0
        assert stored.plan.imported and "blocks" in stored.plan.imported.missing


@pytest.mark.parametrize("tool", TOOLS)
@settings(max_examples=20)
@given(
    content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
)
def test_any_bytes(tool: str, content: bytes) -> None:
    take(tool, content)


@pytest.mark.parametrize("tool", TOOLS)
@settings(max_examples=20)
@given(content=JSON)
def test_any_json(tool: str, content: Any) -> None:
    take(tool, json.dumps(content).encode())


@pytest.mark.parametrize("tool", TOOLS)
@settings(max_examples=20)
@given(data=st.data())
def test_a_good_file_cut_off_or_with_other_bytes(tool: str, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(FILES[tool])).read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    else:
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    take(tool, bytes(content))


@pytest.mark.parametrize("tool", ["trtexec", "perf-analyzer", "nvbench"])
@settings(max_examples=25)
@given(data=st.data())
def test_a_good_file_with_something_else_somewhere(tool: str, data: st.DataObject) -> None:
    document = json.loads(next(file for file in FILES[tool] if file.suffix == ".json").read_text())
    inside = document
    while True:  # walk down to any place, and put anything there
        key = data.draw(st.sampled_from(sorted(inside) if isinstance(inside, dict) else range(len(inside))))
        below = inside[key]
        if not isinstance(below, dict | list) or not below or data.draw(st.integers(0, 4)) == 0:
            break
        inside = below
    inside[key] = data.draw(JSON)
    take(tool, json.dumps(document).encode())
