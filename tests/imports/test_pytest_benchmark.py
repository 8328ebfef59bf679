"""pytest-benchmark's documents: imported, given back as they were, and refused where they cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import InputError
from bench.imports import runs
from bench.imports.imported import Found, Place
from bench.imports.pytest_benchmark.importer import PytestBenchmark
from bench.stored import StoredRun, read_run
from bench.stored_tables import Samples, read_samples
from bench.verbs import exporting

DATA = Path(__file__).parent / "data" / "pytest_benchmark"
SAID = Place(device="a CPU", device_kind="cpu")
TOOL = "pytest-benchmark"


def found(*files: Path, said: Place = SAID) -> Found:
    read = PytestBenchmark().read(files, said)
    assert isinstance(read, Found)
    return read


def stored(folder: Path, *files: Path, said: Place = SAID) -> StoredRun:
    return read_run(runs.create(found(*files, said=said), folder))


def sums() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((DATA / "sums_1.json").read_text())
    return content


def written(folder: Path, content: Any) -> Path:
    file = folder / "changed.json"
    file.write_text(json.dumps(content))
    return file


def test_each_benchmark_is_an_optimization_and_each_round_a_request(tmp_path: Path) -> None:
    run = stored(tmp_path, DATA / "sums_1.json")
    assert (run.plan.workload, run.plan.scenario) == ("bench_sums", "single_stream")
    assert [trial.optimization for trial in run.trials] == [
        "test_sum-1000", "test_sum-20000", "test_calibrated", "test_odd_numbers",
    ]  # fmt: skip
    entry, trial = sums()["benchmarks"][0], run.trials[0]
    samples = read_samples(run, trial)
    assert isinstance(samples, Samples)
    assert samples.latency_ms / 1e3 == pytest.approx(entry["stats"]["data"], rel=1e-12)
    assert trial.throughput_per_s == pytest.approx(entry["stats"]["ops"])
    assert trial.artifact["imported"]["fullname"] == entry["fullname"]


def test_means_of_many_calls_are_no_latencies() -> None:
    calibrated = next(one for one in found(DATA / "sums_1.json").measured if one.detail["iterations"] > 1)
    entry = next(entry for entry in sums()["benchmarks"] if entry["name"] == "test_calibrated")
    assert not calibrated.latencies_ms
    assert calibrated.throughput_per_s == pytest.approx(1 / entry["stats"]["mean"])
    assert calibrated.requests == entry["stats"]["rounds"] * entry["stats"]["iterations"]


def test_a_store_without_rounds_tells_the_same_throughput() -> None:
    with_data, without = found(DATA / "sums_1.json").measured, found(DATA / "autosave.json").measured
    assert [one.place for one in with_data] == [one.place for one in without]
    for one, other in zip(with_data, without, strict=True):
        assert one.throughput_per_s == pytest.approx(other.throughput_per_s)
    assert not any(one.latencies_ms for one in without)


def test_sessions_are_repetitions_in_their_order_in_time(tmp_path: Path) -> None:
    run = stored(tmp_path, DATA / "sums_2.json", DATA / "sums_1.json")
    assert run.plan.imported
    assert [file.name for file in run.plan.imported.files] == ["sums_1.json", "sums_2.json"]
    assert [trial.block for trial in run.trials] == [1, 1, 1, 1, 2, 2, 2, 2]
    assert "blocks" in run.plan.imported.missing


def test_the_processor_is_the_device_only_where_the_user_says_that_it_was(tmp_path: Path) -> None:
    assert (
        found(DATA / "sums_1.json", said=Place(device_kind="cpu")).measured[0].place.device.startswith("CPU AMD EPYC")
    )
    assert found(DATA / "sums_1.json", said=Place(device_kind="cuda")).measured[0].place.device == ""
    with pytest.raises(InputError, match="neither the files nor the command tell: device, device_kind"):
        runs.create(found(DATA / "sums_1.json", said=Place()), tmp_path)


def test_benchmarks_whose_names_become_alike_stay_apart(tmp_path: Path) -> None:
    content = sums()
    for index, name in enumerate(["test[a b]", "test[a/b]", "test[a]", "!"]):
        content["benchmarks"][index] |= {"name": name, "fullname": f"bench.py::{name}"}
    names = [one.place.optimization for one in found(written(tmp_path, content)).measured]
    assert len(set(names)) == 4
    assert names[2:] == ["test-a", "benchmark"]
    assert all(name.startswith("test-a-b-") for name in names[:2])


def test_one_function_may_be_chosen_whose_parameters_are_compared(tmp_path: Path) -> None:
    read = PytestBenchmark({"benchmark": "test_sum"}).read([DATA / "sums_1.json"], SAID)
    assert isinstance(read, Found)
    assert [(one.place.workload, one.place.optimization) for one in read.measured] == [
        ("test_sum", "1000"), ("test_sum", "20000"),
    ]  # fmt: skip
    run = read_run(runs.create(read, tmp_path / "results"))
    exporting.run(TOOL, str(run.folder), str(tmp_path / "back.json"))
    assert (tmp_path / "back.json").read_bytes() == (DATA / "sums_1.json").read_bytes()
    with pytest.raises(InputError, match="no benchmark in it is of 'test_su'") as caught:
        PytestBenchmark({"benchmark": "test_su"}).read([DATA / "sums_1.json"], SAID)
    assert caught.value.hint == "it has: test_sum, test_calibrated, test_odd_numbers"


def test_a_session_counts_once() -> None:
    with pytest.raises(InputError, match="of the same session as"):
        found(DATA / "sums_1.json", DATA / "autosave.json")


def test_one_name_is_not_for_several_benchmarks(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is said of 4 benchmarks"):
        found(DATA / "sums_1.json", said=Place(optimization="fp32"))
    content = sums()
    del content["benchmarks"][1:]
    (one,) = found(written(tmp_path, content), said=Place(optimization="fp32", batch_size=8)).measured
    assert one.place.optimization == "fp32"
    assert one.throughput_per_s == pytest.approx(8 * content["benchmarks"][0]["stats"]["ops"])


# --- and back ---


def test_a_session_is_given_back_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("sums_1.json", "autosave.json"):
        run = stored(tmp_path / "results", DATA / name)
        assert exporting.run(TOOL, str(run.folder), str(tmp_path / "back.json")) == 0
        assert (tmp_path / "back.json").read_bytes() == (DATA / name).read_bytes()
        capsys.readouterr()
        assert exporting.run(TOOL, str(run.folder), None) == 0
        assert capsys.readouterr().out == (DATA / name).read_text()


def test_several_sessions_are_given_back_into_a_folder(tmp_path: Path) -> None:
    run = stored(tmp_path / "results", DATA / "sums_1.json", DATA / "sums_2.json")
    with pytest.raises(InputError, match="of 2 sessions, and a document is of one"):
        exporting.run(TOOL, str(run.folder), None)
    exporting.run(TOOL, str(run.folder), str(tmp_path / "back"))
    for name in ("sums_1.json", "sums_2.json"):
        assert (tmp_path / "back" / name).read_bytes() == (DATA / name).read_bytes()


def test_what_was_altered_since_it_was_imported_is_not_given_back(tmp_path: Path) -> None:
    run = stored(tmp_path, DATA / "sums_1.json")
    (kept,) = (run.folder / "imported").iterdir()
    kept.write_text(kept.read_text().replace('"runner"', '"another"'))
    with pytest.raises(InputError, match="was altered since"):
        exporting.run(TOOL, str(run.folder), None)
    kept.unlink()
    with pytest.raises(InputError, match="cannot be read: it is missing"):
        exporting.run(TOOL, str(run.folder), None)


TEXTS = st.text(max_size=8)
SECONDS = st.just(0.0) | st.floats(1e-9, 1e3)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | TEXTS,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(TEXTS, inside, max_size=3),
    max_leaves=6,
)


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    data = draw(st.lists(SECONDS, min_size=1, max_size=6))
    told = {"rounds": len(data), "iterations": draw(st.integers(1, 100)), "mean": sum(data) / len(data)}
    stats = {
        **draw(st.dictionaries(TEXTS, JSON, max_size=3)),
        **told,
        **({"data": data} if draw(st.booleans()) else {}),
    }
    names = {"name": draw(TEXTS), "fullname": draw(TEXTS), "group": draw(st.none() | TEXTS)}
    rest = {name: draw(JSON) for name in ("params", "param", "extra_info", "options")}
    return {**names, **rest, "stats": stats}


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    rest = {name: draw(JSON) for name in ("machine_info", "commit_info", "datetime", "version")}
    return {**rest, "benchmarks": draw(st.lists(entries(), min_size=1, max_size=3))}


@settings(max_examples=15)
@given(content=documents())
def test_any_document_comes_back_equal(tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any]) -> None:
    folder = tmp_path_factory.mktemp("back")
    file = written(folder, content)
    said = Place(workload="suite", device="a CPU", device_kind="cpu")
    run = stored(folder / "results", file, said=said)
    assert len(run.trials) == len(content["benchmarks"])
    assert not run.set_aside
    exporting.run(TOOL, str(run.folder), str(folder / "back.json"))
    assert repr(json.loads((folder / "back.json").read_text())) == repr(json.loads(file.read_text()))  # NaN is not NaN


# --- what cannot be ---


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "no whole JSON"),
        ("[]", "no document of pytest-benchmark"),
        ("{}", "no list of benchmarks"),
        ('{"benchmarks": []}', "no benchmark ran"),
        ('{"benchmarks": [3]}', "benchmark 1 has no name"),
        ('{"benchmarks": [{"name": "a", "fullname": "a"}]}', "'a' has no stats"),
        ('{"benchmarks": [{"name": "a", "fullname": "a", "stats": {}}]}', "'a': rounds is None"),
        ('{"benchmarks": [], "benchmarks": []}', "stands twice"),
        ("[" * 100_000, "nested"),
        ('{"benchmarks": [], "version": "\\ud800"}', "surrogates not allowed"),
    ],
)
def test_foreign_files_are_refused(tmp_path: Path, content: str, what: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match=what):
        PytestBenchmark().read([tmp_path / "a.json"], SAID)


@pytest.mark.parametrize(
    ("stats", "what"),
    [
        ({"data": [1.0]}, "40 rounds, and data of another number"),
        ({"data": [float("nan")] * 40}, "round 1 is nan, which cannot be"),
        ({"data": [-1.0] * 40}, "round 1 is -1.0, which cannot be"),
        ({"data": ["1"] * 40}, "round 1 is no number: '1'"),
        ({"data": [True] * 40}, "round 1 is no number: True"),
        ({"rounds": 10**400}, "data of another number|cannot be"),
        ({"iterations": 0}, "iterations is 0"),
    ],
)
def test_numbers_that_cannot_be_are_refused(tmp_path: Path, stats: dict[str, Any], what: str) -> None:
    content = sums()
    content["benchmarks"][0]["stats"] |= stats
    with pytest.raises(InputError, match=what):
        found(written(tmp_path, content))


@settings(max_examples=30)
@given(share=st.floats(0, 0.999))
def test_truncated_files_are_refused(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    text = (DATA / "sums_1.json").read_text()
    file = tmp_path_factory.mktemp("cut") / "sums.json"
    file.write_text(text[: int(share * (len(text) - 2))])
    with pytest.raises(InputError):
        PytestBenchmark().read([file], SAID)


def test_rounds_that_took_no_time_are_no_measurement(tmp_path: Path) -> None:
    content = sums()
    content["benchmarks"][0]["stats"] |= {"data": [0.0] * 40}
    trial = stored(tmp_path, written(tmp_path, content)).trials[0]
    assert (trial.status, trial.throughput_per_s) == ("invalid", None)
