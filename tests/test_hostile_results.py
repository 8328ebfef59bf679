"""Results that anybody may have written: used as far as they can be, named where they cannot, and never obeyed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from forked import Forked
from harness import three_lines
from hostile import CLAIMS, SCRIPT, sound_run, use
from hypothesis import HealthCheck, given, settings

from bench.errors import InputError
from bench.judge.evidence import RunEvidence
from bench.judge.ledger import to_json
from bench.judge.verdicts import judge_run
from bench.stored import read_run


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sound_run(tmp_path_factory.mktemp("sound") / "run")


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sound, tmp_path / "run")


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]


def store(folder: Path, content: list[Any]) -> None:
    (folder / "trials.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in content))


def test_a_sound_run_has_nothing_set_aside(folder: Path) -> None:
    stored, report = use(folder)
    assert len(stored.trials) == 30
    assert list(report.runs[0].set_aside) == []
    assert len(report.runs[0].timelines) == 30
    assert all(cell.requests == 10_000 and cell.percentiles_ms for cell in report.runs[0].cells)


# --- lines of trials ---

LINES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a path in the id": (lambda line: {**line, "id": "../../escaped"}, "id: String should match"),
    "an absolute id": (lambda line: {**line, "id": "/tmp/escaped"}, "id: String should match"),
    "NUL in the id": (lambda line: {**line, "id": "001\x00"}, "id: String should match"),
    "a newline after the id": (lambda line: {**line, "id": f"{line['id']}\n"}, "id: String should match"),
    "a script in the id": (lambda line: {**line, "id": SCRIPT}, "id: String should match"),
    "a very long id": (lambda line: {**line, "id": "a" * 5000}, "id: String should have at most"),
    "a dot id": (lambda line: {**line, "id": ".."}, "id: String should match"),
    "an id of nobody": (lambda line: {**line, "id": "999-01-full-fp32"}, "the plan has no trial 999-01-full-fp32"),
    "a script in the partition": (lambda line: {**line, "partition": SCRIPT}, "partition: String should match"),
    "another cell": (lambda line: {**line, "optimization": "other"}, "its optimization is not what was planned"),
    "another block": (lambda line: {**line, "block": 7}, "its block is not what was planned"),
    "another workload": (lambda line: {**line, "workload": SCRIPT}, "its workload is not what was planned"),
    "another device": (lambda line: {**line, "device": "a faster one"}, "measured on another device"),
    "negative throughput": (lambda line: {**line, "throughput_per_s": -1.0}, "throughput_per_s"),
    "no throughput": (lambda line: {**line, "throughput_per_s": None}, "is called valid and has no throughput"),
    "throughput 0": (lambda line: {**line, "throughput_per_s": 0}, "is called valid and has no throughput"),
    "NaN": (lambda line: {**line, "throughput_per_s": float("nan")}, "throughput_per_s"),
    "infinity": (lambda line: {**line, "throughput_per_s": float("inf")}, "throughput_per_s"),
    "huge throughput": (lambda line: {**line, "throughput_per_s": 1e308}, "numbers that cannot be"),
    "tiny throughput": (lambda line: {**line, "throughput_per_s": 5e-324}, "numbers that cannot be"),
    "huge tenants": (lambda line: {**line, "tenant_throughput_per_s": [1e300, 1]}, "numbers that cannot be"),
    "huge latency": (
        lambda line: {**line, "tenant_latency_ms": [{**line["latency_ms"], "p99": 1e308}] * 2},
        "numbers that cannot be",
    ),
    "negative time": (lambda line: {**line, "latency_ms": {**line["latency_ms"], "p50": -1}}, "latency_ms.p50"),
    "text for a number": (lambda line: {**line, "block": "one"}, "block"),
    "a list for a word": (lambda line: {**line, "status": ["ok"]}, "status"),
    "negative items": (lambda line: {**line, "quality": {**line["quality"], "items": -1}}, "quality.items"),
    "another status": (lambda line: {**line, "status": "great"}, "status"),
    "a list": (lambda line: [1, 2], ""),
    "null": (lambda line: None, ""),
    "a number": (lambda line: 10**400, ""),
    "without an id": (lambda line: {key: value for key, value in line.items() if key != "id"}, "id: Field required"),
    "empty": (lambda line: {}, "id: Field required"),
}  # fmt: skip


@pytest.mark.parametrize("harm", LINES)
def test_a_line_that_cannot_be_is_named_and_the_rest_is_used(folder: Path, harm: str) -> None:
    change, why = LINES[harm]
    content = lines(folder)
    store(folder, [change(content[0]), *content[1:]])
    stored, report = use(folder)
    assert len(stored.trials) == 29
    (aside,) = stored.set_aside
    assert aside.where == "trials.jsonl, line 1" and why in aside.why and len(aside.why) <= 200
    assert aside in report.runs[0].set_aside


@pytest.mark.parametrize(
    "line",
    [
        b"{", b"no trial", b"\xff\xfe", b"\x00" * 50, b"", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 100_000,
        b'"\\ud800"',
    ],
    ids=["cut", "words", "binary", "zeros", "empty", "deep", "deep objects", "long", "surrogate"],
)  # fmt: skip
def test_a_broken_line_is_set_aside(folder: Path, line: bytes) -> None:
    (folder / "trials.jsonl").write_bytes(line + b"\n" + (folder / "trials.jsonl").read_bytes())
    stored, _ = use(folder)
    assert len(stored.trials) == 30
    assert [aside.where for aside in stored.set_aside] == ["trials.jsonl, line 1"]


def test_a_line_that_was_cut_off_is_no_line_yet(folder: Path) -> None:
    content = (folder / "trials.jsonl").read_bytes()
    (folder / "trials.jsonl").write_bytes(content[:-40])
    stored, _ = use(folder)
    assert len(stored.trials) == 29 and stored.set_aside == ()


def test_of_two_lines_of_one_trial_the_first_counts(folder: Path) -> None:
    content = lines(folder)
    store(folder, [*content, {**content[0], "throughput_per_s": 1e6}])
    stored, _ = use(folder)
    assert len(stored.trials) == 30
    assert stored.trials[0].throughput_per_s == content[0]["throughput_per_s"]
    assert "a second line of trial" in stored.set_aside[0].why


def test_no_number_in_a_line_can_break_judging(folder: Path) -> None:
    """Valid by type, and absurd."""
    quality = {**lines(folder)[0]["quality"], "items": 10**400, "lost": 10**399, "gained": 0}
    absurd = {"quality": quality, "requests": 10**400, "telemetry": {"x": 1e308}, "timing_s": {"x": -1e308}}
    content = [{**line, **absurd, "throughput_per_s": 1e12 if n % 2 else 1e-9} for n, line in enumerate(lines(folder))]
    store(folder, content)
    stored, _ = use(folder)
    assert len(stored.trials) == 30


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(SCRIPT),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_value_in_any_place_of_a_line(sound: Path, data: st.DataObject) -> None:
    content = lines(sound)
    for index in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        key = data.draw(st.sampled_from(sorted(content[index])))
        content[index] = {**content[index], key: data.draw(VALUES)}
    place = sound.parent / "changed"
    place.mkdir(exist_ok=True)
    shutil.copy(sound / "plan.json", place)
    store(place, content)
    stored = read_run(place)
    lost = [aside for aside in stored.set_aside if aside.where != "run.json"]
    assert len(stored.trials) + len(lost) == len(content)
    json.dumps([to_json(verdict) for verdict in judge_run(RunEvidence(stored), CLAIMS)], allow_nan=False)


# --- the plan and the description ---


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"{}", b'{"trials": [{"id": "../x"}]}'],
    ids=["empty", "cut", "list", "null", "binary", "deep", "deep objects", "nothing in it", "a path"],
)
def test_without_its_plan_a_run_means_nothing(folder: Path, content: bytes) -> None:
    (folder / "plan.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_run(folder)
    assert "plan.json" in caught.value.where and len(caught.value.what) < 300 and "\n" not in caught.value.what


PLANS: dict[str, dict[str, Any]] = {
    "scripts in names": {"workload": SCRIPT, "scenario": SCRIPT, "device_kind": SCRIPT, "protocol": SCRIPT},
    "no trials": {"trials": []},
    "looks without a level": {"look_level": None},
    "a look at one block": {"looks": [1]},
    "huge blocks": {"blocks": 10**30, "looks": [10, 10**30]},
    "a baseline of nobody": {"baseline": "nobody"},
    "a floor of nobody": {"again": "nobody"},
    "runtimes of nobody": {"same_runtime": {"int8_ort": "nobody", "nobody": "fp32"}},
    "a runtime of its own": {"same_runtime": {"int8_ort": "int8_ort"}},
    "scripts in what is infeasible": {"infeasible": [{"partition": SCRIPT, "optimization": SCRIPT, "reason": SCRIPT}]},
    "an endless estimate": {"estimate": {"trials_s": 1e308, "builds": 10**30}},
}


@pytest.mark.parametrize("harm", PLANS)
def test_an_odd_plan_breaks_nothing(folder: Path, harm: str) -> None:
    content = json.loads((folder / "plan.json").read_text())
    (folder / "plan.json").write_text(json.dumps({**content, **PLANS[harm]}))
    use(folder)


@pytest.mark.parametrize("looks", [[20, 10, 1], [10, 10], list(range(1, 32))])
def test_a_plan_that_peeks_at_will_is_refused(folder: Path, looks: list[int]) -> None:
    content = json.loads((folder / "plan.json").read_text())
    (folder / "plan.json").write_text(json.dumps({**content, "looks": looks}))
    with pytest.raises(InputError, match="looks"):
        read_run(folder)


def test_the_same_trial_planned_twice_breaks_nothing(folder: Path) -> None:
    content = json.loads((folder / "plan.json").read_text())
    content["trials"] += content["trials"]
    (folder / "plan.json").write_text(json.dumps(content))
    use(folder)


@pytest.mark.parametrize(
    "content",
    [None, b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 10_000],
    ids=["missing", "empty", "cut", "list", "binary", "deep", "deep objects", "a long number"],
)
def test_a_bad_description_is_set_aside(folder: Path, content: bytes | None) -> None:
    (folder / "run.json").unlink()
    if content is not None:
        (folder / "run.json").write_bytes(content)
    stored, _ = use(folder)
    assert stored.description == {} and [aside.where for aside in stored.set_aside] == ["run.json"]
    assert stored.set_aside[0].why and len(stored.set_aside[0].why) <= 200


# --- through the command line ---


@pytest.fixture(scope="module")
def bench() -> Iterator[Forked]:
    forked = Forked()
    yield forked
    forked.close()


def hostile(folder: Path) -> Path:
    """Everything at once."""
    content = lines(folder)
    for number, (change, _) in enumerate(LINES.values()):
        content[number % 10] = change(content[number % 10]) if isinstance(content[number % 10], dict) else None
    store(folder, [*content, content[-1], "text", 3])
    made = json.loads((folder / "plan.json").read_text())
    told = {"partition": SCRIPT, "optimization": "int8_" + SCRIPT, "reason": SCRIPT}
    (folder / "plan.json").write_text(json.dumps({**made, "protocol": SCRIPT, "infeasible": [told]}))
    (folder / "run.json").write_text(json.dumps({"overrides": [SCRIPT], "config": {SCRIPT: "javascript:alert(1)"}}))
    for number, path in enumerate(sorted((folder / "samples").iterdir())[-10:]):
        path.write_bytes(path.read_bytes()[: 100 * number])
    return folder


def everything(folder: Path) -> dict[str, bytes]:
    """All files below, without those that catch what the forked bench prints."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (".out", ".err")
    }


def test_verifying_a_hostile_run_writes_nothing(bench: Forked, folder: Path) -> None:
    hostile(folder)
    before = everything(folder.parent)
    result = bench("verify", "run", cwd=folder.parent)
    assert result.returncode == 0, result.stderr
    assert "set aside: run, trials.jsonl, line 1" in result.stderr
    assert bench("verify", "run", "--json", cwd=folder.parent).returncode == 0
    assert everything(folder.parent) == before


def test_a_folder_without_a_plan_that_can_be_read_is_refused_in_three_lines(bench: Forked, folder: Path) -> None:
    (folder / "plan.json").write_text(SCRIPT)
    result = bench("verify", "run", cwd=folder.parent)
    assert (result.returncode, result.stdout) == (2, "")
    _, where, _ = three_lines(result.stderr)
    assert "plan.json" in where
