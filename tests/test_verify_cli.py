"""`bench verify` as its users call it, on runs that nobody measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from forked import Forked
from harness import three_lines
from made_up_runs import accuracy, faster, infeasible, plan, run, write

from bench.records import PlannedTrial

CLAIMS = Path(__file__).parents[1] / "configs" / "claims"
OLD, NEW = "20261101-090000-specimen", "20261102-080000-specimen"
MINE: dict[str, Any] = {
    "title": "mine", "source": {"document": "a slide"}, "reading": "range", "low": 1.2, "high": 1.5,
    "treatments": ["int8_ort"], "hardware": "any",
}  # fmt: skip
KEYS = {
    "claim", "verdict", "reason", "device", "partition", "workload", "scenario", "optimization", "baseline", "speedup",
    "quality",
}  # fmt: skip


@pytest.fixture(scope="module")
def bench() -> Iterator[Forked]:
    forked = Forked()
    yield forked
    forked.close()


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with two runs, of which the newer is 1.35x, and a claim of the user's own."""
    store(tmp_path, OLD, 1.0)
    store(tmp_path, NEW, 1.35)
    own_claim(tmp_path)
    return tmp_path


def store(folder: Path, name: str, ratio: float, **fields: Any) -> Path:
    speeds = faster({"int8_ort": ratio})
    quality = accuracy(10_000, 20, 10)
    stored = run(plan(**fields), lambda planned: {**speeds(planned), "quality": quality})
    return write(stored, folder / "results" / name)


def own_claim(folder: Path, name: str = "mine", **change: Any) -> None:
    (folder / "own" / "claims").mkdir(parents=True, exist_ok=True)
    (folder / "own" / "claims" / f"{name}.yaml").write_text(yaml.safe_dump({name: {**MINE, **change}}))


def verify(bench: Forked, here: Path, *arguments: str) -> Sequence[dict[str, Any]]:
    result = bench("verify", "--json", "--config-dir", "own", *arguments, cwd=here)
    assert result.returncode == 0, result.stderr
    rows: list[dict[str, Any]] = json.loads(result.stdout, parse_constant=lambda text: pytest.fail(f"{text} in JSON"))
    return rows


def test_without_arguments_the_newest_run_is_judged(bench: Forked, here: Path) -> None:
    (here / "results" / "reference").mkdir()  # a run under another name than its time's is not the newest
    for name in ("plan.json", "trials.jsonl", "run.json"):
        (here / "results" / "reference" / name).write_text((here / "results" / OLD / name).read_text())
    (row,) = verify(bench, here, "claims=[mine]")
    assert (row["run"], row["verdict"]) == (NEW, "confirmed")


def test_runs_can_be_named_alone_or_by_their_folder(bench: Forked, here: Path) -> None:
    (row,) = verify(bench, here, f"results/{OLD}", "claims=[mine]")
    assert (row["run"], row["verdict"]) == (OLD, "refuted")
    rows = verify(bench, here, "results", "claims=[mine]")
    assert [(row["run"], row["verdict"]) for row in rows] == [(OLD, "refuted"), (NEW, "confirmed")]


def test_json_has_one_or_more_rows_for_every_claim(bench: Forked, here: Path) -> None:
    rows = verify(bench, here)
    assert {row["claim"] for row in rows} == {"mine", *(path.stem for path in CLAIMS.glob("*.yaml"))}
    assert all(row.keys() >= KEYS and row["reason"] for row in rows)
    mine = next(row for row in rows if row["claim"] == "mine")
    assert mine["speedup"].keys() >= {"estimate", "low", "high"}
    assert mine["speedup"]["low"] < mine["speedup"]["estimate"] < mine["speedup"]["high"]
    assert (mine["device"], mine["partition"], mine["baseline"]) == ("made-up device", "full", "fp32")
    assert (mine["workload"], mine["scenario"], mine["optimization"]) == ("specimen", "single_stream", "int8_ort")
    assert mine["quality"]["loss"] == pytest.approx(0.001)
    ours = [row for row in rows if row["claim"] == "quantization-int8"]
    assert [row["counted"] for row in ours] == [True, False]  # a CPU stands beside a claim about GPUs
    assert ours[0]["verdict"] == "not_testable" and "an NVIDIA GPU" in ours[0]["reason"]


def test_every_claim_is_printed_for_people(bench: Forked, here: Path) -> None:
    result = bench("verify", "--config-dir", "own", cwd=here)
    assert (result.returncode, result.stderr) == (0, "")
    for name in ("mine", *(path.stem for path in CLAIMS.glob("*.yaml"))):
        assert f"{name}  " in result.stdout
    assert "1.35x" in result.stdout and "on other hardware, not counted" in result.stdout


@pytest.mark.parametrize(
    ("ratio", "fields", "code"),
    [
        (1.35, {}, 0),
        (2.0, {}, 0),  # more than was claimed
        (1.0, {}, 1),
        (1.2, {}, 4),
        (1.35, {"blocks": 9}, 4),  # no look yet
        (1.35, {"looks": (), "look_level": None, "protocol": "smoke"}, 4),
    ],
)
def test_a_gate_turns_verdicts_into_exit_codes(
    bench: Forked, tmp_path: Path, ratio: float, fields: dict[str, Any], code: int
) -> None:
    store(tmp_path, NEW, ratio, **fields)
    own_claim(tmp_path)
    asked = ("verify", "--config-dir", "own", "claims=[mine]")
    assert bench(*asked, "--gate", cwd=tmp_path).returncode == code
    assert bench(*asked, cwd=tmp_path).returncode == 0  # without it nothing fails


def test_a_gate_on_claims_about_hardware_that_is_not_here(bench: Forked, here: Path) -> None:
    result = bench("verify", "--gate", "claims=[quantization-int8]", cwd=here)
    assert result.returncode == 4  # a CPU decides nothing about it


def test_one_refuted_claim_among_many_fails_the_gate(bench: Forked, here: Path) -> None:
    own_claim(here, "greedy", low=3.0, high=4.0)
    asked = ("verify", "--gate", "--config-dir", "own")
    assert bench(*asked, "claims=[mine,greedy]", cwd=here).returncode == 1
    assert bench(*asked, "claims=[mine]", cwd=here).returncode == 0


def test_what_is_infeasible_is_told(bench: Forked, tmp_path: Path) -> None:
    missing = infeasible("*", "int8_ort", "needs onnxruntime, which is not installed")
    write(run(plan({"full": ("fp32",)}, infeasible=(missing,)), lambda planned: {}), tmp_path / "results" / NEW)
    own_claim(tmp_path)
    (row,) = verify(bench, tmp_path, "claims=[mine]")
    assert (row["verdict"], row["optimization"]) == ("not_testable", "int8_ort")
    assert "needs onnxruntime, which is not installed" in row["reason"]


def test_a_rehearsal_is_refused_and_among_others_set_aside(bench: Forked, here: Path) -> None:
    store(here, "20261103-rehearsal", 9.0, rehearsal=True)
    result = bench("verify", "--json", cwd=here)
    assert (result.returncode, result.stdout) == (2, "")
    what, _, _ = three_lines(result.stderr.removeprefix(result.stderr.partition("bench: ")[0]))
    assert "rehearsal" in what
    result = bench("verify", "results", "--json", "--config-dir", "own", "claims=[mine]", cwd=here)
    assert result.returncode == 0 and "20261103-rehearsal is a rehearsal" in result.stderr
    assert {row["run"] for row in json.loads(result.stdout)} == {OLD, NEW}


def test_lines_that_cannot_be_read_are_named_and_the_rest_is_judged(bench: Forked, here: Path) -> None:
    with (here / "results" / NEW / "trials.jsonl").open("a") as file:
        file.write("no trial\n")
    result = bench("verify", "--json", "--config-dir", "own", "claims=[mine]", cwd=here)
    assert result.returncode == 0
    assert f"set aside: {NEW}, trials.jsonl, line 21" in result.stderr
    assert json.loads(result.stdout)[0]["verdict"] == "confirmed"


@pytest.mark.parametrize(
    ("arguments", "mentioned"),
    [
        (("results/nothing",), ("there is no results/nothing", "results/nothing")),
        (("own",), ("there is no run in own",)),
        (("claims=[mien]",), ("no claim 'mien'", "did you mean mine?")),
        (("protocol=smoke",), ("is no option here",)),
    ],
)
def test_a_slip_is_answered_in_three_lines(
    bench: Forked, here: Path, arguments: tuple[str, ...], mentioned: tuple[str, ...]
) -> None:
    result = bench("verify", "--config-dir", "own", *arguments, cwd=here)
    assert (result.returncode, result.stdout) == (2, ""), result.stderr
    three_lines(result.stderr)
    assert [words for words in mentioned if words not in result.stderr] == [], result.stderr


@pytest.mark.parametrize(
    ("change", "mentioned"),
    [
        ({"low": "fast"}, "claims.mine.low"),
        ({"lo": 1.0}, "claims.mine.lo"),
        ({"source": {}}, "claims.mine.source.document"),
        ({"reading": "at_least"}, "'at_least' has low and no high"),
    ],
)
def test_a_bad_claims_file_is_answered_with_its_key(
    bench: Forked, here: Path, change: dict[str, Any], mentioned: str
) -> None:
    own_claim(here, **change)
    for asked in ("verify", "plan"):
        options = ("workload=calibration", "optimizations=[native]") if asked == "plan" else ()
        result = bench(asked, "--config-dir", "own", *options, cwd=here)
        assert (result.returncode, result.stdout) == (2, ""), result.stderr
        what, where, _ = three_lines(result.stderr)
        assert mentioned in what + where


def test_a_claims_file_that_is_no_yaml_is_named(bench: Forked, here: Path) -> None:
    (here / "own" / "claims" / "mine.yaml").write_text("mine: {")
    result = bench("verify", "--config-dir", "own", cwd=here)
    assert result.returncode == 2
    _, where, _ = three_lines(result.stderr)
    assert "mine.yaml, line 1" in where or "mine.yaml" in result.stderr


def test_without_any_run_there_is_something_to_do(bench: Forked, tmp_path: Path) -> None:
    result = bench("verify", cwd=tmp_path)
    assert result.returncode == 2
    _, _, hint = three_lines(result.stderr)
    assert "bench run" in hint


def test_judging_writes_nothing(bench: Forked, here: Path) -> None:
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    assert bench("verify", "results", "--config-dir", "own", cwd=here).returncode == 0
    after = {
        path: path.read_bytes() for path in here.rglob("*") if path.is_file() and path.name not in (".out", ".err")
    }
    assert after == before


def test_a_claim_that_was_declined_does_not_pass_a_gate(bench: Forked, here: Path) -> None:
    """Finer than the noise floor: nothing was decided about it."""
    noisy = plan({"full": ("fp32", "fp32_again", "int8_ort")}, again="fp32_again")

    def measured(planned: PlannedTrial) -> dict[str, float]:
        fast = (planned.optimization == "fp32_again") == bool(planned.block % 2)
        return {"throughput_per_s": 130.0 if fast else 80.0}

    write(run(noisy, measured), here / "results" / "20261105-noisy")
    own_claim(here, reading="at_least", low=1.02, high=None)
    (row,) = verify(bench, here, "results/20261105-noisy", "claims=[mine]")
    assert row["verdict"] == "not_testable" and "declined" in row["reason"]
    gate = ("verify", "--config-dir", "own", "results/20261105-noisy", "claims=[mine]", "--gate")
    assert bench(*gate, cwd=here).returncode == 4


def test_no_claims_at_all_are_no_error(bench: Forked, here: Path) -> None:
    assert verify(bench, here, "claims=[]") == []
