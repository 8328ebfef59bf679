"""CSV with a mapping."""

from __future__ import annotations

from pathlib import Path

import pytest
from read_files import DATA, missing, read, write

from bench.errors import ConfigError, InputError

FILE = DATA / "csv" / "results.csv"
MAPPING = DATA / "csv" / "mapping.yaml"
UNSAID = {"optimization": "", "batch_size": None}
RATE = {"map.throughput_per_s": "img/s"}


def test_a_row_is_a_repetition_and_units_become_ours() -> None:
    found = read("csv", FILE, options={"mapping": str(MAPPING), "tool": "mine", "version": "2"}, **UNSAID)
    assert [one.place.optimization for one in found.measured] == ["fp32", "fp32", "int8", "int8"]
    first = found.measured[0]
    assert first.throughput_per_s == 812.4
    assert first.place.batch_size == 8
    assert first.latency_ms is not None and first.latency_ms.p99 == pytest.approx(11.0)
    assert first.detail["row"]["precision"] == "fp32"
    assert found.imported.version == "mine 2"
    assert {"device", "blocks", "proof"} <= set(missing(found))


def test_single_mappings_may_be_said_in_the_command() -> None:
    options = {"map.throughput_per_s": "img/s", "factor.throughput_per_s": "60", "map.p50_ms": "p50 (us)"}
    found = read("csv", FILE, options={**options, "map.optimization": "precision", "unit.p50_ms": "us"}, **UNSAID)
    assert found.measured[0].throughput_per_s == pytest.approx(812.4 * 60)
    assert found.measured[0].latency_ms is None  # of five quantiles one is known


def test_what_the_command_says_is_held_to_the_table() -> None:
    with pytest.raises(InputError, match="optimization=fp32 is said, and the file tells of 'int8'"):
        read("csv", FILE, options={**RATE, "map.optimization": "precision"})


def test_a_column_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(InputError, match="column 'imgs', and there is none") as caught:
        read("csv", FILE, options={"map.throughput_per_s": "imgs"})
    assert "'precision', 'img/s', 'p50 (us)'" in caught.value.hint


def test_other_delimiters(tmp_path: Path) -> None:
    file = write(tmp_path, "table.csv", "rate;note\n100;a, b\n")
    options = {"map.throughput_per_s": "rate", "delimiter": ";"}
    assert read("csv", file, options=options).measured[0].throughput_per_s == 100
    with pytest.raises(ConfigError, match="one character"):
        read("csv", file, options={**options, "delimiter": "::"})


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({}, "nothing says which column holds the throughput"),
        ({**RATE, "map.speed": "img/s"}, "there is no field speed"),
        ({**RATE, "unit.p50_ms": "us"}, "p50_ms has no column"),
        ({**RATE, "unit.throughput_per_s": "us"}, "cannot be in 'us'"),
        ({**RATE, "map.p50_ms": "p50 (us)", "unit.p50_ms": "hours"}, "cannot be in 'hours'"),
        ({**RATE, "map.p50_ms": "p50 (us)", "unit.p50_ms": "us", "factor.p50_ms": "2"}, "a unit and a factor"),
        ({**RATE, "factor.throughput_per_s": "-1"}, "'-1' is no factor"),
        ({**RATE, "factor.throughput_per_s": "inf"}, "'inf' is no factor"),
        ({**RATE, "map.workload": "precision", "factor.workload": "2"}, "a name, and has no unit"),
        ({**RATE, "colour": "red"}, "has no option colour"),
    ],
)
def test_mappings_that_mean_nothing_are_refused(options: dict[str, str], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        read("csv", FILE, options=options)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("- a\n- b\n", "no mapping of fields"),
        ("throughput_per_s: [img/s]\n", "which is no column"),
        ("throughput_per_s: {column: img/s, colour: red}\n", "which is no column"),
        ("throughput_per_s: {column: 3}\n", "has no column"),
        ("throughput_per_s: {column: img/s, factor: [1]}\n", "is no factor"),
        ("{" * 1200, "no yaml"),
        ("!!python/object/apply:os.system [true]\n", "no yaml"),
        ("a: *nothing\n", "no yaml"),
    ],
)
def test_mapping_files_that_mean_nothing_are_refused(tmp_path: Path, content: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        read("csv", FILE, options={"mapping": str(write(tmp_path, "map.yaml", content))})


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "no row below its header"),
        ("img/s\n", "no row below its header"),
        ("img/s,b\n1\n", "line 2 has 1 cells, and the header 2"),
        ("img/s,img/s\n1,2\n", "'img/s' is there twice"),
        ("img/s\nfast\n", "is no number: 'fast'"),
        ("img/s\n-4\n", "which cannot be"),
        ("img/s\nnan\n", "which cannot be"),
        ('img/s\n"4\n', "no CSV"),
        ("img/s\n" + "1\n" * 2001, "more than 2000 rows"),
        (b"img/s\n\xff\n", "no text in UTF-8"),
        (b"\xff\xfei\x00", "no text in UTF-8"),
    ],
)
def test_tables_that_cannot_be_are_refused(tmp_path: Path, content: str | bytes, what: str) -> None:
    with pytest.raises(InputError, match=what):
        read("csv", write(tmp_path, "table.csv", content), options=RATE)


def test_an_empty_cell_is_not_told(tmp_path: Path) -> None:
    (one,) = read("csv", write(tmp_path, "table.csv", 'img/s,n\n"",1\n'), options=RATE).measured
    assert one.throughput_per_s is None
