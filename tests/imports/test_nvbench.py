"""nvbench's JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from read_files import DATA, missing, read, write

from bench.errors import InputError

FILE = DATA / "nvbench" / "results.json"
COPY = {"benchmark": "copy"}
UNSAID = {"workload": "", "scenario": "", "optimization": "", "device": "", "device_kind": "", "batch_size": None}


def test_each_state_is_a_cell_named_by_its_axes() -> None:
    found = read("nvbench", FILE, options=COPY, **UNSAID)
    places = [one.place for one in found.measured]
    assert [place.optimization for place in places] == ["BlockSize-128", "BlockSize-256", "BlockSize-2048"]
    assert {(place.workload, place.device, place.device_kind) for place in places} == {("copy", "made-up GPU", "cuda")}
    assert [one.throughput_per_s for one in found.measured] == [pytest.approx(1000), pytest.approx(1250), None]
    assert found.measured[2].invalid == "skipped: Not enough shared memory."
    assert found.measured[0].requests == 500
    assert found.imported.version == "0.1.0"
    assert found.fingerprint["nvbench devices"]["0"]["number_of_sms"] == 100
    assert "device" not in missing(found)


def test_a_benchmark_without_axes_is_named_by_the_user_or_default() -> None:
    for said, name in (("", "default"), ("mine", "mine")):
        (one,) = read("nvbench", FILE, options={"benchmark": "simple"}, **{**UNSAID, "optimization": said}).measured
        assert one.place.optimization == name


def test_what_the_user_has_to_choose_is_said() -> None:
    with pytest.raises(InputError, match="these benchmarks: 'copy', 'simple'"):
        read("nvbench", FILE, **UNSAID)
    with pytest.raises(InputError, match="3 states, and they cannot all be fp32"):
        read("nvbench", FILE, options=COPY, batch_size=None)
    with pytest.raises(InputError, match="device=another is said, and the file tells of 'made-up GPU'"):
        read("nvbench", FILE, options=COPY, **{**UNSAID, "device": "another"})


def spoiled(change: Any) -> str:
    document = json.loads(FILE.read_text())
    change(document)
    return json.dumps(document)


def devices(document: Any) -> None:
    document["devices"].append({"id": 1, "name": "another GPU"})
    document["benchmarks"][0]["states"][0]["device"] = 1


def test_of_several_devices_one_is_chosen(tmp_path: Path) -> None:
    file = write(tmp_path, "two.json", spoiled(devices))
    with pytest.raises(InputError, match="several devices: another GPU, made-up GPU"):
        read("nvbench", file, options=COPY, **UNSAID)
    found = read("nvbench", file, options=COPY, **{**UNSAID, "device": "another GPU"})
    assert [one.place.optimization for one in found.measured] == ["BlockSize-128"]


def value(text: Any) -> Any:
    def change(document: Any) -> None:
        document["benchmarks"][0]["states"][0]["summaries"][2]["data"][0]["value"] = text

    return change


def without(*path: Any) -> Any:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return change


STATE = ("benchmarks", 0, "states", 0)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (FILE.read_text()[:2000], "no whole JSON"),
        ("[]", "not nvbench's"),
        ('{"devices": []}', "no list of benchmarks"),
        ('{"devices": [{"id": "x"}], "benchmarks": []}', "a device has no number"),
        ('{"devices": [], "benchmarks": []}', "these benchmarks: "),
        (spoiled(value("nan")), "which cannot be"),
        (spoiled(value("-1")), "which cannot be"),
        (spoiled(value("0")), "500 executions of 0 s cannot be"),
        (spoiled(value(None)), "has no value"),
        (spoiled(value(10**400)), "which cannot be"),
        (spoiled(without(*STATE, "summaries")), "no list of summaries"),
        (spoiled(without(*STATE, "summaries", 2)), "has no nv/cold/time/gpu/mean"),
        (spoiled(without(*STATE, "name")), "a state has no name"),
        (spoiled(without("devices", 0)), "measured on no GPU"),
    ],
)
def test_truncated_and_foreign_files_are_refused(tmp_path: Path, content: str, what: str) -> None:
    with pytest.raises(InputError, match=what):
        read("nvbench", write(tmp_path, "results.json", content), options=COPY, **UNSAID)
