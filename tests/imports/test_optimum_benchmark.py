"""optimum-benchmark's files: as the tool wrote them, cut off by itself, of other tools, and with what cannot be."""

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
from bench.imports.optimum_benchmark import OptimumBenchmark
from bench.stored import read_run

DATA = Path(__file__).parent / "data" / "optimum_benchmark"
GENERATION = ("tiny_gpt2_report.json", "tiny_gpt2_config.json")


NOTHING = Place()


def found(*names: str, said: Place = NOTHING, **options: str) -> Found:
    return OptimumBenchmark(options).read([DATA / name for name in names], said)


def bert() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((DATA / "tiny_bert.json").read_text())
    return content


def test_one_file_or_two_tell_the_same() -> None:
    whole, parts = found("tiny_bert.json"), found("tiny_bert_report.json", "tiny_bert_config.json")
    assert whole.measured == parts.measured
    assert whole.imported.version == "0.6.0"


def test_what_the_file_tells_of_the_place() -> None:
    (one,) = found("tiny_bert.json").measured
    assert one.place == Place(
        workload="tiny-bert", scenario="offline", device="CPU AMD EPYC (2 cores)", device_kind="cpu", batch_size=4
    )
    assert one.window_s is None  # the tool times calls, and not how long all of them took
    assert "not by the wall's clock" in one.detail["throughput_is"]


def test_throughput_is_the_batch_by_the_mean_of_every_latency() -> None:
    (one,) = found("tiny_bert.json").measured
    told = bert()["report"]["forward"]
    assert list(one.latencies_ms) == [value * 1e3 for value in told["latency"]["values"]]
    assert one.throughput_per_s == pytest.approx(4 / told["latency"]["mean"])


def test_a_stored_run_says_what_is_missing(tmp_path: Path) -> None:
    stored = read_run(runs.create(found("tiny_bert.json", said=Place(optimization="fp32")), tmp_path))
    assert stored.trials[0].status == "ok"
    assert stored.plan.imported
    assert {"blocks", "proof", "quality"} <= set(stored.plan.imported.missing)


def test_generation_has_several_parts_of_which_one_is_chosen() -> None:
    with pytest.raises(InputError, match="3 parts of this report have a throughput") as caught:
        found(*GENERATION)
    assert caught.value.hint == "say one of them: part=generate, prefill, decode"
    (decode,) = found(*GENERATION, part="decode").measured
    assert decode.detail["items"] == "tokens/s"
    assert not decode.latencies_ms  # a decode is what a generate took beyond a mean prefill: no request of its own
    assert found(*GENERATION, part="prefill").measured[0].latencies_ms
    with pytest.raises(InputError, match="part=sing has no throughput"):
        found(*GENERATION, part="sing")


def test_tokens_that_the_tool_calls_samples_are_refused() -> None:
    with pytest.raises(InputError, match="is 3 for each call of 1"):
        found(*GENERATION, part="generate")


def test_the_file_that_the_tool_itself_left_half_is_refused() -> None:
    with pytest.raises(InputError, match="this is no whole JSON"):
        found("tiny_gpt2_cut_off.json")


def test_reports_and_configurations_come_in_pairs() -> None:
    with pytest.raises(InputError, match="reports without configuration"):
        found("tiny_bert_report.json")


def test_a_gpu_is_named_where_there_is_one_kind_of_it(tmp_path: Path) -> None:
    """Made up: the same file with a GPU's names in it."""
    content = bert()
    content["config"]["backend"]["device"] = "cuda"
    for gpus, told in (["made-up GPU"] * 2, "made-up GPU"), (["made-up GPU", "another"], ""):
        content["config"]["environment"]["gpu"] = gpus
        (tmp_path / "benchmark.json").write_text(json.dumps(content))
        (one,) = OptimumBenchmark().read([tmp_path / "benchmark.json"], Place()).measured
        assert (one.place.device_kind, one.place.device) == ("cuda", told)


def test_what_the_user_says_otherwise_than_the_file_is_refused() -> None:
    with pytest.raises(InputError, match="batch_size=8 is said, and the file tells of 4"):
        found("tiny_bert.json", said=Place(batch_size=8))
    assert found("tiny_bert.json", said=Place(workload="mine")).measured[0].place.workload == "mine"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("[]", "no record of optimum-benchmark"),
        ("{}", "neither a report nor a configuration"),
        ('{"benchmarks": [1]}', "neither a report nor a configuration"),
        ('{"config": {}, "report": {}}', "0 parts of this report"),
        ("[" * 100_000, "nested"),
        ('{"a": NaN}', "no number in JSON"),
    ],
)
def test_foreign_files_are_refused(tmp_path: Path, content: str, what: str) -> None:
    (tmp_path / "benchmark.json").write_text(content)
    with pytest.raises(InputError, match=what):
        OptimumBenchmark().read([tmp_path / "benchmark.json"], Place())


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Of every value in a document."""
    inside = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [path, *(place for key, value in inside for place in places(value, (*path, key)))]


ANYTHING = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.text(max_size=5), st.none(), st.booleans(),
    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)  # fmt: skip


@settings(max_examples=40)
@given(place=st.sampled_from(places(bert())[1:]), value=ANYTHING)
def test_a_changed_value_is_refused_or_stored(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[Any, ...], value: object
) -> None:
    folder, content = tmp_path_factory.mktemp("changed"), bert()
    record: Any = content
    for key in place[:-1]:
        record = record[key]
    record[place[-1]] = value
    (folder / "benchmark.json").write_text(json.dumps(content))
    try:
        read = OptimumBenchmark().read([folder / "benchmark.json"], Place(optimization="fp32"))
        stored = read_run(runs.create(read, folder / "results"))
    except InputError:
        return
    assert len(stored.trials) == 1
    assert not stored.set_aside
