"""MLPerf LoadGen's logs: as the tool wrote them, cut off, of other tools, and with numbers that cannot be."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import InputError
from bench.imports import runs
from bench.imports.imported import Found, Place
from bench.imports.loadgen import LoadGen
from bench.stored import read_run

DATA = Path(__file__).parent / "data" / "loadgen"
SAID = Place(workload="sines", optimization="fp32", device="a CPU", device_kind="cpu", batch_size=8)


NOTHING = Place()


def found(*names: str, said: Place = NOTHING) -> Found:
    return LoadGen().read([DATA / name for name in names], said)


@pytest.mark.parametrize("scenario", ["single_stream", "offline", "server", "multi_stream"])
def test_a_log_and_its_summary_tell_the_same(scenario: str) -> None:
    detail, summary = (found(f"{scenario}_{kind}.txt").measured[0] for kind in ("detail", "summary"))
    assert detail.place == summary.place
    assert detail.place.scenario == scenario
    assert detail.throughput_per_s == pytest.approx(summary.throughput_per_s, rel=1e-4)
    assert detail.latency_ms == summary.latency_ms
    assert detail.invalid == summary.invalid


def test_latencies_are_milliseconds_of_queries() -> None:
    """The system takes half a millisecond a sample, and eight samples are a query of the multi-stream."""
    single, multi = (found(f"{name}_detail.txt").measured[0] for name in ("single_stream", "multi_stream"))
    assert single.latency_ms and multi.latency_ms
    assert 0.5 <= single.latency_ms.p50 < 1.0
    assert 4.0 <= multi.latency_ms.p50 < 8.0
    assert (single.place.batch_size, multi.place.batch_size) == (1, 8)
    assert multi.throughput_per_s == pytest.approx(8 / multi.latency_ms.mean * 1e3)


def test_throughput_fits_the_window_and_the_requests() -> None:
    for name in ("single_stream", "server"):
        one = found(f"{name}_detail.txt").measured[0]
        assert one.requests and one.window_s
        assert one.throughput_per_s == pytest.approx(one.requests / one.window_s, rel=0.01)


def test_offline_has_no_latency_of_requests() -> None:
    one = found("offline_detail.txt").measured[0]
    assert one.latency_ms is None
    assert one.place.batch_size is None  # how many samples are answered at once, LoadGen does not know


def test_an_invalid_result_becomes_an_invalid_trial_with_its_reason(tmp_path: Path) -> None:
    stored = read_run(runs.create(found("multi_stream_detail.txt", said=SAID), tmp_path))
    (trial,) = stored.trials
    assert trial.status == "invalid"
    assert trial.reason == "loadgen calls it invalid: too few queries to be sure (early stopping)"
    assert stored.plan.imported and "quality" in stored.plan.imported.missing


def test_several_runs_are_repetitions(tmp_path: Path) -> None:
    said = Place(workload="sines", optimization="fp32", device="a CPU", device_kind="cpu")
    other = tmp_path / "mlperf_log_detail.txt"
    other.write_text((DATA / "server_detail.txt").read_text())
    text = other.read_text()
    mean = re.search(r'"result_mean_latency_ns", "value": (\d+)', text)
    assert mean
    other.write_text(text.replace(mean[1], str(int(mean[1]) + 1)))
    both = LoadGen().read([DATA / "server_detail.txt", other], said)
    assert [trial.block for trial in read_run(runs.create(both, tmp_path / "results")).trials] == [1, 2]


@pytest.mark.parametrize("scenario", ["single_stream", "offline", "server", "multi_stream"])
def test_a_log_and_its_summary_are_one_run(scenario: str) -> None:
    with pytest.raises(InputError, match="of the same run as"):
        found(f"{scenario}_detail.txt", f"{scenario}_summary.txt")


def test_what_the_user_says_otherwise_than_the_log_is_refused() -> None:
    with pytest.raises(InputError, match=r"scenario=.?offline.? is said, and the file tells of 'server'"):
        found("server_detail.txt", said=Place(scenario="offline"))


def test_an_accuracy_run_measures_no_speed() -> None:
    with pytest.raises(InputError, match="mode 'AccuracyOnly', which measures no speed"):
        found("accuracy_detail.txt")


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("mlperf_log_accuracy.json", "[{}]", "not scored here"),
        ("log.txt", "", "no log of MLPerf LoadGen"),
        ("log.txt", '{"benchmarks": []}', "no log of MLPerf LoadGen"),
        ("log.txt", ':::MLLOG {"key": 3}', "line 1 is no log"),
        ("log.txt", ":::MLLOG " + "[" * 100_000, "line 1 is cut off"),
        ("log.txt", ':::MLLOG {"key": "effective_scenario", "value": "Server"}\n', "in mode None"),
        ("log.txt", ':::MLLOG {"key": "effective_scenario", "value": ["Server"]}\n', "its scenario is"),
        ("log.txt", "MLPerf Results Summary\nScenario : Server\nMean latency (ns) : soon\n", "is no number: 'soon'"),
        ("log.txt", "MLPerf Results Summary\nMean latency (ns) : nan\n", "cannot be"),
    ],
)
def test_foreign_files_are_refused(tmp_path: Path, name: str, content: str, what: str) -> None:
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(InputError, match=what):
        LoadGen().read([file], Place())


@pytest.mark.parametrize("kind", ["detail", "summary"])
@settings(max_examples=30)
@given(share=st.floats(0, 0.97))
def test_truncated_logs_are_refused(tmp_path_factory: pytest.TempPathFactory, kind: str, share: float) -> None:
    """A summary is whole when its results and settings are; the samples per query come among the last of them."""
    text = (DATA / f"single_stream_{kind}.txt").read_text()
    whole = text.rindex("result_99.00_percentile") if kind == "detail" else text.index("samples_per_query")
    file = tmp_path_factory.mktemp("cut") / "log.txt"
    file.write_text(text[: int(share * whole)])
    with pytest.raises(InputError):
        LoadGen().read([file], Place())


NUMBERS = st.one_of(st.floats(), st.integers(), st.text(max_size=5), st.none(), st.booleans(), st.lists(st.integers()))


@settings(max_examples=40)
@given(key=st.sampled_from(["result_mean_latency_ns", "effective_samples_per_query", "result_query_count",
                            "result_completed_samples_per_sec", "power_end", "result_validity", "sut_name"]),
       value=NUMBERS)  # fmt: skip
def test_a_changed_value_is_refused_or_stored(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: object
) -> None:
    folder = tmp_path_factory.mktemp("changed")
    lines = []
    for line in (DATA / "server_detail.txt").read_text().splitlines():
        record = json.loads(line.removeprefix(":::MLLOG "))
        if record["key"] == key:
            record["value"] = value
        lines.append(":::MLLOG " + json.dumps(record))
    (folder / "log.txt").write_text("\n".join(lines))
    said = Place(workload="sines", optimization="fp32", device="a CPU", device_kind="cpu")
    try:
        stored = read_run(runs.create(LoadGen().read([folder / "log.txt"], said), folder / "results"))
    except InputError:
        return
    assert len(stored.trials) == 1
    assert not stored.set_aside
