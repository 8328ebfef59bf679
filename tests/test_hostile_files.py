"""Tables that anybody may have written, and things that are no files: named and set aside, never waited for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hostile import SCRIPT, sound_run, use
from hypothesis import HealthCheck, given, settings
from made_up_runs import parquet, sample_table, telemetry_table

from bench.errors import InputError
from bench.stored import SetAside, StoredRun, read_run
from bench.stored_tables import MOST_ROWS, read_samples, read_telemetry

SAMPLES = {"tenant": [0, 0], "end_ns": [10, 20], "latency_ns": [5, 5], "counted": [True, True]}
TELEMETRY = {"t_ns": [1, 2], "subject": ["tenant0"] * 2, "metric": ["cpu_s"] * 2, "value": [0.1, 0.2]}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sound_run(tmp_path_factory.mktemp("sound") / "run")


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sound, tmp_path / "run")


TABLES: dict[str, bytes | None] = {
    "missing": None,
    "empty": b"",
    "no Parquet": b"these are no columns",
    "truncated": sample_table(1000)[:-100],
    "cut in the middle": sample_table(1000)[: len(sample_table(1000)) // 2],
    "no columns": parquet({}),
    "a column missing": parquet({"tenant": [0], "end_ns": [1], "counted": [True]}),
    "words": parquet({**SAMPLES, "latency_ns": ["fast", "slow"]}),
    "words for tenants": parquet({**SAMPLES, "tenant": [SCRIPT, SCRIPT]}),
    "lists": parquet({**SAMPLES, "latency_ns": [[1], [2, 3]]}),
    "gaps": parquet({**SAMPLES, "end_ns": [1, None]}),
    "nothing but gaps": parquet({**SAMPLES, "counted": [None, None]}),
    "fractions of time": parquet({**SAMPLES, "end_ns": [1.5, float("inf")]}),
    "NaN": parquet({**SAMPLES, "latency_ns": [1.0, float("nan")]}),
    "infinity": parquet({**SAMPLES, "latency_ns": [1.0, float("inf")]}),
    "negative": parquet({**SAMPLES, "latency_ns": [5, -5]}),
    "huge": parquet({**SAMPLES, "latency_ns": [1.0, 1e300]}),
    "nothing counts": parquet({**SAMPLES, "counted": [False, False]}),
    "no rows": parquet({name: values[:0] for name, values in SAMPLES.items()}),
    "another table": telemetry_table(),
}


@pytest.mark.parametrize("harm", TABLES)
def test_a_bad_table_of_samples_is_named(folder: Path, harm: str) -> None:
    stored = read_run(folder)
    trial, content = stored.trials[0], TABLES[harm]
    path = folder / "samples" / f"{trial.id}.parquet"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    found = read_samples(stored, trial)
    assert isinstance(found, SetAside)
    assert found.where == f"samples/{trial.id}.parquet" and 0 < len(found.why) <= 200
    _, report = use(folder)
    assert found in report.runs[0].set_aside
    assert sum(cell.requests for cell in report.runs[0].cells) == 29_000


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"value": [0.1, float("nan")]}, 1), ({"value": [1e308, -1e308]}, 0), ({"t_ns": [2**62, 1]}, 2),
        ({"subject": [SCRIPT, SCRIPT]}, 2), ({"value": [1, 2]}, 2),
    ],
)  # fmt: skip
def test_readings_that_cannot_be_are_left_out(folder: Path, change: dict[str, Any], kept: int) -> None:
    stored = read_run(folder)
    trial = stored.trials[0]
    (folder / "telemetry" / f"{trial.id}.parquet").write_bytes(parquet({**TELEMETRY, **change}))
    found = read_telemetry(stored, trial)
    assert not isinstance(found, SetAside)
    assert sum(len(ticks) for ticks in found.values()) == kept
    use(folder)


@pytest.mark.parametrize("change", [{"value": ["a", "b"]}, {"t_ns": [None, None]}, {"subject": [1, 2]}])
def test_a_bad_table_of_telemetry_is_named(folder: Path, change: dict[str, Any]) -> None:
    stored = read_run(folder)
    trial = stored.trials[0]
    (folder / "telemetry" / f"{trial.id}.parquet").write_bytes(parquet({**TELEMETRY, **change}))
    _, report = use(folder)
    assert [aside.where for aside in report.runs[0].set_aside] == [f"telemetry/{trial.id}.parquet"]


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_bytes_in_any_place_of_a_table(sound: Path, data: st.DataObject) -> None:
    stored = read_run(sound)
    trial = stored.trials[0]
    content = bytearray(sample_table(50))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    place = sound.parent / "bytes"
    (place / "samples").mkdir(parents=True, exist_ok=True)
    (place / "samples" / f"{trial.id}.parquet").write_bytes(bytes(content))
    found = read_samples(StoredRun(place, {}, stored.plan, stored.trials), trial)
    if not isinstance(found, SetAside):
        assert np.isfinite(found.latency_ms).all() and (found.latency_ms >= 0).all()


def test_a_table_with_more_rows_than_memory_is_not_read(folder: Path) -> None:
    """Run-length encoding makes a few kilobytes of many million rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    part, times = MOST_ROWS // 10, 11
    zeros = pa.array(np.zeros(part, np.int64))
    table = pa.table({"tenant": zeros, "end_ns": zeros, "latency_ns": zeros, "counted": pa.array(np.ones(part, bool))})
    stored = read_run(folder)
    path = folder / "samples" / f"{stored.trials[0].id}.parquet"
    with pq.ParquetWriter(path, table.schema) as writer:
        for _ in range(times):
            writer.write_table(table)
    assert path.stat().st_size < 500_000
    found = read_samples(stored, stored.trials[0])
    assert isinstance(found, SetAside) and "11000000 rows" in found.why


# --- things that are no files ---


@pytest.mark.parametrize("name", ["run.json", "trials.jsonl", "plan.json"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "loop", "dangling"])
def test_what_is_no_file_is_not_read(folder: Path, name: str, kind: str) -> None:
    """A pipe would never be read to its end, and /dev/zero has none."""
    path = folder / name
    path.unlink()
    make: dict[str, Callable[[], None]] = {
        "folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "device": lambda: path.symlink_to("/dev/zero"),
        "loop": lambda: path.symlink_to(path), "dangling": lambda: path.symlink_to("/no/such/file"),
    }  # fmt: skip
    make[kind]()
    if name == "plan.json":
        with pytest.raises(InputError):
            read_run(folder)
    else:
        stored, _ = use(folder)
        empty = kind == "dangling" and name == "trials.jsonl"  # as good as not there yet
        assert [aside.where for aside in stored.set_aside] == ([] if empty else [name])


@pytest.mark.parametrize("kind", ["samples", "telemetry"])
def test_a_table_that_is_a_device_is_not_read(folder: Path, kind: str) -> None:
    stored = read_run(folder)
    path = folder / kind / f"{stored.trials[0].id}.parquet"
    path.unlink()
    path.symlink_to("/dev/zero")
    _, report = use(folder)
    assert SetAside(f"{kind}/{path.name}", "it is no file") in report.runs[0].set_aside


def test_a_link_to_a_file_is_a_file(folder: Path, tmp_path: Path) -> None:
    (folder / "trials.jsonl").rename(tmp_path / "elsewhere.jsonl")
    (folder / "trials.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    stored, _ = use(folder)
    assert len(stored.trials) == 30
