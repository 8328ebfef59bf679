"""`bench export` as its users call it: to pytest-benchmark's own command line, and back by `bench import`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forked import Forked
from harness import three_lines
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_runs import parquet, plan, run, write
from pytest_benchmark.stats import Stats

from bench.errors import InputError
from bench.imports.imported import Found, Place
from bench.imports.pytest_benchmark import restored
from bench.imports.pytest_benchmark.document import document, stats
from bench.imports.pytest_benchmark.importer import PytestBenchmark, read_document
from bench.imports.pytest_benchmark.whole_run import whole_run
from bench.records import PlannedTrial
from bench.stored import StoredRun, read_run
from bench.stored_tables import Samples, read_samples

REFERENCE = Path(__file__).parents[1] / "results" / "reference" / "container-cpu"


@pytest.fixture(scope="module")
def bench() -> Iterator[Forked]:
    forked = Forked()
    yield forked
    forked.close()


@pytest.fixture(scope="module")
def exported(bench: Forked, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference run, which was measured for real."""
    folder = tmp_path_factory.mktemp("exported")
    done = bench("export", "pytest-benchmark", str(REFERENCE), "--output", "run.json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run.json"


def brought_back(bench: Forked, file: Path, folder: Path) -> StoredRun:
    done = bench("import", "pytest-benchmark", str(file), "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return read_run(folder / json.loads(done.stdout)["run"])


def test_pytest_benchmark_reads_it(exported: Path) -> None:
    command = [sys.executable, "-m", "pytest_benchmark", "compare", str(exported), "--columns=median,rounds"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=exported.parent, check=True)
    assert "Failed" not in done.stderr + done.stdout
    entry = json.loads(exported.read_text())["benchmarks"][0]
    (row,) = (line for line in done.stdout.splitlines() if line.startswith(entry["name"] + " "))
    assert row.split()[-1] == str(entry["stats"]["rounds"])


def test_a_run_comes_back_equal(bench: Forked, exported: Path, tmp_path: Path) -> None:
    before, after = read_run(REFERENCE), brought_back(bench, exported, tmp_path)
    assert after.plan == before.plan
    assert after.trials == before.trials
    assert after.description == before.description
    assert not after.set_aside
    for trial in before.trials:
        was, now = read_samples(before, trial), read_samples(after, trial)
        assert isinstance(was, Samples) and isinstance(now, Samples)
        assert np.array_equal(was.latency_ms, now.latency_ms)
        assert np.array_equal(was.tenant, now.tenant)
        assert (was.start_ns, was.end_ns) == (now.start_ns, now.end_ns)
    again = bench("export", "pytest-benchmark", str(after.folder), cwd=tmp_path)
    assert json.loads(again.stdout) == json.loads(exported.read_text())


def test_trials_without_times_and_fractions_of_nanoseconds_come_back_too(bench: Forked, tmp_path: Path) -> None:
    def measured(planned: PlannedTrial) -> Mapping[str, Any]:
        if planned.position == 1:
            return {}
        return {"status": "failed", "reason": "it was to fail", "throughput_per_s": None, "latency_ms": None}

    made = plan(blocks=2)
    folder = write(run(made, measured), tmp_path / "run", samples=True)
    odd = {"tenant": [1, 0], "end_ns": [5, 3], "latency_ns": [0.1 + 0.2, 1e6 / 3], "counted": [True, True]}
    (folder / "samples" / f"{made.trials[0].id}.parquet").write_bytes(parquet(odd))
    done = bench("export", "pytest-benchmark", str(folder), "--output", "a.json", cwd=tmp_path)
    assert "2 of 4 trials have no times of their own" in done.stderr
    before, after = read_run(folder), brought_back(bench, tmp_path / "a.json", tmp_path)
    assert after.trials == before.trials
    was, now = (read_samples(one, before.trials[0]) for one in (before, after))
    assert isinstance(was, Samples) and isinstance(now, Samples)
    assert was.latency_ms.tolist() == now.latency_ms.tolist()


def test_start_up_times_are_rounds(bench: Forked, tmp_path: Path) -> None:
    made = plan(blocks=1, scenario="cold_start", measures="start_up", looks=(), look_level=None)
    made = made.model_copy(update={"trials": made.trials[:1]})
    told = {"throughput_per_s": None, "start_up_s": 1.25, "latency_ms": None, "tenant_latency_ms": ()}
    folder = write(run(made, lambda planned: told), tmp_path / "run")
    bench("export", "pytest-benchmark", str(folder), "--output", "a.json", cwd=tmp_path)
    assert json.loads((tmp_path / "a.json").read_text())["benchmarks"][0]["stats"]["data"] == [1.25]
    assert brought_back(bench, tmp_path / "a.json", tmp_path).trials == read_run(folder).trials


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 40, 1001])
def test_statistics_are_those_of_pytest_benchmark(count: int) -> None:
    seconds = np.random.default_rng(count).lognormal(size=count)
    theirs = Stats()
    for second in seconds.tolist():
        theirs.update(second)
    ours = stats(seconds)
    assert ours.pop("data") == theirs.data
    assert ours.pop("iterations") == 1
    assert ours.pop("outliers") == theirs.outliers
    expected = theirs.as_dict()
    del expected["outliers"]
    assert ours == pytest.approx(expected)


def test_a_rehearsal_is_not_exported(bench: Forked, tmp_path: Path) -> None:
    folder = write(run(plan(blocks=1, rehearsal=True), lambda planned: {"rehearsal": True}), tmp_path / "run")
    done = bench("export", "pytest-benchmark", str(folder), cwd=tmp_path)
    assert done.returncode == 2
    assert "rehearsal" in three_lines(done.stderr)[0]
    assert not done.stdout


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda own, first: own.update(form=2), "its form is 2"),
        (lambda own, first: own.pop("run"), "parts of the run are missing"),
        (lambda own, first: own["plan"].pop("blocks"), "its plan or a trial cannot be read: blocks"),
        (lambda own, first: own["plan"].update(rehearsal=True), "this is a rehearsal"),
        (lambda own, first: own["order"].pop(), "its order names other trials"),
        (lambda own, first: own["order"].append(own["order"][0]), "its order names other trials"),
        (lambda own, first: first["extra_info"].clear(), "carries no trial"),
        (lambda own, first: first["extra_info"]["bench"]["trial"].update(id="../x"), "id: String should match"),
        (lambda own, first: first["extra_info"]["bench"]["trial"].update(device="another"), "on another device"),
        (lambda own, first: first["extra_info"]["bench"]["trial"].update(block=7), "its block is not what was planned"),
        (lambda own, first: first["extra_info"]["bench"]["tenant"].pop(), "of different lengths"),
        (lambda own, first: first["extra_info"]["bench"]["end_ns"].__setitem__(0, 2**70), "which cannot be"),
        (lambda own, first: first["extra_info"]["bench"].update(latency_ns=[1.0]), "other times than data"),
        (lambda own, first: first["stats"]["data"].__setitem__(0, float("inf")), "data holds inf"),
        (lambda own, first: own["unmeasured"].append(first["extra_info"]["bench"]["trial"]), "stands in it twice"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, change: Any, what: str) -> None:
    changed = document(read_run(write(run(plan(blocks=1), lambda planned: {}), tmp_path / "run", samples=True)))
    change(changed["bench"], changed["benchmarks"][0])
    file = tmp_path / "a.json"
    file.write_text(json.dumps(changed))
    with pytest.raises(InputError, match=re.escape(what)):
        restored.create(whole_run(file, read_document(file)), file, tmp_path / "results")
    assert not (tmp_path / "results").exists()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("small") / "run"
    write(run(plan({"full": ("fp32",)}, blocks=2, looks=(2,)), lambda planned: {}), folder)
    (folder / "samples").mkdir()
    few = {"tenant": [0, 0], "end_ns": [2_000_000, 4_000_000], "latency_ns": [1_000_000] * 2, "counted": [True] * 2}
    (folder / "samples" / "001-01-full-fp32.parquet").write_bytes(parquet(few))
    return document(read_run(folder))


ANYTHING = st.one_of(
    st.floats(), st.integers(), st.text(max_size=5), st.none(), st.booleans(),
    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)  # fmt: skip


@settings(max_examples=100)
@given(data=st.data())
def test_a_changed_value_is_refused_or_brings_back_a_sound_run(
    small: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    changed = json.loads(json.dumps(small))
    record: Any = changed
    while True:  # down to a value, any of those on the way included
        key = data.draw(st.sampled_from(list(record) if isinstance(record, dict) else range(len(record))))
        inside = record[key]
        if not isinstance(inside, dict | list) or not inside or data.draw(st.integers(0, 9)) == 0:
            break
        record = inside
    record[key] = data.draw(ANYTHING)
    folder = tmp_path_factory.mktemp("changed")
    file = folder / "a.json"
    file.write_text(json.dumps(changed))
    try:
        read = PytestBenchmark().read([file], Place())
        if isinstance(read, Found):  # what made it a run of bench was changed
            return
        after = read_run(restored.create(read, file, folder / "results"))
    except InputError:
        return
    assert not after.set_aside
    assert [trial.id for trial in after.trials] == [trial.id for trial in read.trials]
    for trial in read.requests:
        assert isinstance(read_samples(after, next(one for one in after.trials if one.id == trial)), Samples)


def test_a_whole_run_is_imported_alone(bench: Forked, exported: Path, tmp_path: Path) -> None:
    done = bench("import", "pytest-benchmark", str(exported), "workload=mine", cwd=tmp_path)
    assert done.returncode == 2
    assert "import it alone" in three_lines(done.stderr)[2]


def test_a_place_that_cannot_be_written_is_told(bench: Forked, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = bench("export", "pytest-benchmark", str(REFERENCE), "--output", "file/run.json", cwd=tmp_path)
    assert done.returncode == 2
    assert "cannot write" in three_lines(done.stderr)[0]
