"""CDI specifications are read as engines read them, and whatever else lies beside them does no harm."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from cdi_files import GPU, HOOK, SLICE, YAML, write
from hypothesis import given
from hypothesis import strategies as st

from bench.devices.cdi_specification import Ambiguous, CdiFile, Specification, find, read_files

NAME = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_.:-]{0,20}[A-Za-z0-9])?", fullmatch=True)
PART = st.from_regex(r"[A-Za-z]([A-Za-z0-9_.-]{0,10}[A-Za-z0-9])?", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)
PATH = TEXT.map(lambda text: f"/{text}")
EDITS = st.fixed_dictionaries(
    {},
    optional={
        "env": st.lists(st.builds("{}={}".format, NAME, TEXT), max_size=3),
        "deviceNodes": st.lists(st.fixed_dictionaries({"path": PATH}, optional={"hostPath": PATH}), max_size=3)
        | st.none(),
        "mounts": st.lists(st.fixed_dictionaries({"hostPath": PATH, "containerPath": PATH}), max_size=2),
        "hooks": st.lists(st.just(HOOK), max_size=2),
        "intelRdt": st.just({"closID": "x"}),
    },
)
DEVICES = st.lists(
    st.fixed_dictionaries({"name": NAME, "containerEdits": EDITS}),
    min_size=1, max_size=4, unique_by=lambda device: device["name"],
)  # fmt: skip
SPECIFICATION = st.fixed_dictionaries(
    {
        "cdiVersion": st.sampled_from(["0.3.0", "0.5.0", "0.8.0", "1.1.0"]),
        "kind": st.builds("{}/{}".format, PART, PART),
        "devices": DEVICES,
    },
    optional={"containerEdits": EDITS, "annotations": st.just({"a.b/c": "d"})},
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


def only(folder: Path) -> CdiFile:
    (file,) = read_files([folder])
    return file


def test_a_specification_of_nvidia_s_toolkit(tmp_path: Path) -> None:
    path = write(tmp_path, "nvidia.yaml", YAML)
    files = read_files([tmp_path])
    mig, gpu = find(files, "nvidia.com/gpu", SLICE), find(files, "nvidia.com/gpu", GPU)
    assert mig is not None and gpu is not None
    assert mig.name == f"nvidia.com/gpu={SLICE}" and mig.file.path == path
    caps = ["/dev/nvidia-caps/nvidia-cap156", "/dev/nvidia-caps/nvidia-cap157"]
    assert [node.path for node in mig.own.nodes] == ["/dev/nvidia1", *caps]
    common = ["/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidiactl"]
    assert [node.on_host for node in mig.edits.nodes] == [*common, "/dev/nvidia1", *caps]
    assert mig.edits.env == ("NVIDIA_VISIBLE_DEVICES=void",)
    assert [hook.name for hook in mig.edits.hooks] == ["createContainer"]
    assert len(gpu.edits.hooks) == 2
    assert find(files, "nvidia.com/gpu", "0") is None
    assert find(files, "nvidia.com/mig", SLICE) is None


@given(content=SPECIFICATION)
def test_json_and_yaml_say_the_same(content: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        write(Path(folder), "a.json", content)
        write(Path(folder), "b.yaml", yaml.safe_dump(content, allow_unicode=True))
        one, other = read_files([Path(folder)])
    assert one.fault == "" and one.specification is not None
    assert one.specification == other.specification
    kept = {device.name: device for device in one.specification.devices}
    for device in content["devices"]:
        nodes = device["containerEdits"].get("deviceNodes") or []
        assert [node.path for node in kept[device["name"]].edits.nodes] == [node["path"] for node in nodes]
        assert list(kept[device["name"]].edits.env) == device["containerEdits"].get("env", [])


@given(junk=st.binary(max_size=200) | JSON.map(lambda tree: json.dumps(tree).encode()), suffix=st.sampled_from([".json", ".yaml"]))  # fmt: skip  # noqa: E501
def test_no_junk_hinders_the_others(junk: bytes, suffix: str) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / f"junk{suffix}").write_bytes(junk)
        write(Path(folder), "nvidia.yaml", YAML)
        files = read_files([Path(folder)])
    assert find(files, "nvidia.com/gpu", SLICE) is not None
    junks = [file for file in files if file.path.stem == "junk"]
    assert [bool(file.fault) for file in junks] == [True]


@given(content=SPECIFICATION, data=st.data())
def test_a_specification_in_which_something_is_wrong_is_none(content: dict[str, Any], data: st.DataObject) -> None:
    """Half of a specification would be half of a device."""
    wrong = data.draw(st.sampled_from(["cdiVersion", "kind", "devices", "name", "path", "env", "twice"]))
    device = dict(content["devices"][0])
    if wrong in ("cdiVersion", "kind", "devices"):
        content = {key: value for key, value in content.items() if key != wrong}
    elif wrong == "twice":
        content = {**content, "devices": [*content["devices"], device]}
    else:
        broken = {
            "name": {"name": data.draw(st.sampled_from(["", "-", "a b", "a/b", "a=b", 0, None]))},
            "path": {"containerEdits": {"deviceNodes": [{"path": data.draw(st.sampled_from(["dev/null", "", 1]))}]}},
            "env": {"containerEdits": {"env": data.draw(st.sampled_from([["A"], ["=b"], "A=b", [1]]))}},
        }
        content = {**content, "devices": [*content["devices"][1:], {**device, **broken[wrong]}]}
    with TemporaryDirectory() as folder:
        write(Path(folder), "a.json", content)
        file = only(Path(folder))
    assert file.specification is None and file.fault and len(file.sha256) == 64


@given(places=st.lists(st.sampled_from([(rank, name) for rank in range(2) for name in "abc"]), unique=True))
def test_a_later_folder_outranks_an_earlier_one_and_equals_outrank_each_other(places: list[tuple[int, str]]) -> None:
    """As in the reference implementation's cache."""
    content = {"cdiVersion": "0.5.0", "kind": "a.b/c", "devices": [{"name": "d", "containerEdits": {"env": ["A=1"]}}]}
    with TemporaryDirectory() as folder:
        folders = [Path(folder, str(rank)) for rank in range(2)]
        for rank, name in places:
            write(folders[rank], f"{name}.json", content)
        files = read_files(folders)
        ranks = Counter(rank for rank, _ in places)
        if max(ranks.values(), default=0) > 1:
            with pytest.raises(Ambiguous, match="both describe"):
                find(files, "a.b/c", "d")
            return
        found = find(files, "a.b/c", "d")
    assert (found.file.rank if found else None) == max(ranks, default=None)


def test_files_that_no_engine_looks_at(tmp_path: Path) -> None:
    for name in ("a.yml", "b.txt", "c.json.bak", ".json"):
        write(tmp_path, name, YAML)
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    assert read_files([tmp_path, tmp_path / "none"]) == []


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", YAML + "#" * (8 * 2**20))
    assert "8 MiB" in only(tmp_path).fault


def test_a_file_that_expands_without_end_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "a.json", "[" * 100_000)
    assert only(tmp_path).fault


def test_edits_of_all_devices_come_before_those_of_one() -> None:
    told = Specification.model_validate(yaml.safe_load(YAML))
    both = told.edits + told.devices[0].edits
    assert both.nodes == told.edits.nodes + told.devices[0].edits.nodes
