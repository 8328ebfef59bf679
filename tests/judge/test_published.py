"""Published figures as evidence: they come out as their sources print them, and slips in a file are named."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from forked import Forked
from harness import three_lines
from made_up_runs import claim

from bench.claims import Claim, read_claims
from bench.composition import compose_all
from bench.errors import InputError
from bench.judge.ledger import Entry, ledger
from bench.judge.published import Published, judge_published, read_published

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
BERT, NETWORKS, MIG = (
    PUBLISHED / f"{name}.yaml"
    for name in ("a100-tensorrt-bert-int8", "a100-tensorrt-quantized-networks", "a100-mig-bert")
)
TWICE = {
    "title": "INT8 at least 2x over FP16", "source": {"document": "what people say"}, "reading": "at_least",
    "low": 2.0, "baseline": "tensorrt_fp16", "treatments": ["tensorrt_int8"],
}  # fmt: skip
LOSSLESS = {
    "title": "INT8 costs less than 1 %", "source": {"document": "what people say"}, "reading": "at_least",
    "low": 1.0, "quality_loss_below": 0.01, "treatments": ["tensorrt_int8"],
}  # fmt: skip
SEVENTH = {
    "title": "a 1g slice gives its share", "source": {"document": "what people say"}, "reading": "at_least",
    "low": 0.142857, "contrast": "partition", "baseline": "full", "treatments": ["mig_1g_alone"],
}  # fmt: skip


def judged(file: Path, content: Mapping[str, Any]) -> Entry:
    asked = Claim.model_validate(content)
    (entry,) = ledger({"mine": asked}, [], {str(file): read_published(file)})
    return entry


@pytest.mark.parametrize("file", sorted(PUBLISHED.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_file_of_ours_names_its_source_and_can_be_read(file: Path) -> None:
    found = read_published(file)
    assert found.source and found.note and found.figures
    assert found.device_kind == "cuda"


def test_int8_is_not_twice_as_fast_as_fp16_on_an_a100() -> None:
    entry = judged(BERT, TWICE)
    assert entry.verdict == "refuted"
    ratios = {(v.workload, v.scenario): v.speedup.estimate for v in entry.verdicts if v.speedup}
    assert ratios == {
        ("bert-base, sequence 128", "batch 1"): pytest.approx(1.15, abs=0.005),
        ("bert-base, sequence 128", "batch 128"): pytest.approx(1.89, abs=0.005),
        ("bert-base, sequence 384", "batch 128"): pytest.approx(1.69, abs=0.005),
    }
    for verdict in entry.verdicts:
        assert (verdict.verdict, verdict.evidence, verdict.counted) == ("refuted", "published", True)
        assert verdict.speedup and verdict.speedup.low is None  # a printed figure has no interval
        assert "as printed" in verdict.reason and "8c6d69dd" in verdict.reason


def test_three_of_nine_networks_lose_more_than_one_per_cent() -> None:
    entry = judged(NETWORKS, LOSSLESS)
    words = {v.workload: v.verdict for v in entry.verdicts}
    assert [name for name, word in words.items() if word == "refuted"] == [
        "mobilenet-v1", "efficientnet-b0", "efficientnet-b3",
    ]  # fmt: skip
    assert Counter(words.values()) == {"refuted": 3, "inconclusive": 6}
    losses = {v.workload: round(100 * v.quality.loss, 2) for v in entry.verdicts if v.quality}
    assert losses["efficientnet-b0"] == 5.26 and losses["resnet50-v2"] == -0.12
    open_ones = [v.reason for v in entry.verdicts if v.verdict == "inconclusive"]
    assert all("no speed is published beside it" in reason for reason in open_ones)


def test_our_own_int8_claim_meets_the_same_networks() -> None:
    claims = read_claims(compose_all([], ())[0].config["claims"])
    rows = judge_published("networks", read_published(NETWORKS), claims)
    assert {row.claim for row in rows} == {"quantization-int8"} and len(rows) == 9
    assert sum(row.verdict == "refuted" for row in rows) == 3


def test_a_slice_gives_its_share_of_a_gpu_until_the_gpu_is_full() -> None:
    entry = judged(MIG, SEVENTH)
    words = {v.scenario: v.verdict for v in entry.verdicts}
    assert words == {"batch 8": "confirmed", "batch 64": "refuted", "batch 256": "refuted"}
    assert entry.verdict == "mixed"
    shares = {v.scenario: v.speedup.estimate for v in entry.verdicts if v.speedup}
    assert shares["batch 8"] == pytest.approx(0.752, abs=0.001)
    assert shares["batch 256"] == pytest.approx(0.133, abs=0.001)  # 13.3 %, and a seventh is 14.3 %


def test_one_slice_alone_says_nothing_about_seven_slices_together() -> None:
    claims = read_claims(compose_all([], ())[0].config["claims"])
    assert judge_published("mig", read_published(MIG), claims) == []


# --- how single figures are judged ---

PLAIN: dict[str, Any] = {"source": "a paper, table 2", "device": "some GPU", "device_kind": "cuda"}


def rows(*figures: dict[str, Any], **fields: Any) -> list[tuple[str, str]]:
    published = Published.model_validate({**PLAIN, "figures": [{"workload": "w", **f} for f in figures]})
    found = judge_published("file", published, {"c": claim(**{"hardware": "gpu", **fields})})
    return [(v.verdict, v.reason) for v in found]


@pytest.mark.parametrize(
    ("speed", "accuracy", "word"),
    [
        (130.0, 99.5, "confirmed"), (150.0, 99.5, "confirmed"), (160.0, 99.5, "exceeded"), (110.0, 99.5, "refuted"),
        (130.0, 98.0, "refuted"), (130.0, 99.0, "refuted"), (None, 98.0, "refuted"), (None, 99.5, "inconclusive"),
        (130.0, None, "inconclusive"), (110.0, None, "refuted"),
    ],
)  # fmt: skip
def test_figures_are_compared_as_printed(speed: float | None, accuracy: float | None, word: str) -> None:
    """Claimed: 1.2 to 1.5 and a loss below 1 %."""
    figures = (
        {"optimization": "fp32", "throughput_per_s": 100.0, "accuracy_percent": 100.0},
        {"optimization": "int8_ort", "throughput_per_s": speed, "accuracy_percent": accuracy},
    )
    ((found, reason),) = rows(*figures, quality_loss_below=0.01)
    assert found == word, reason


def test_what_has_no_counterpart_is_not_compared() -> None:
    fp32, int8 = {"optimization": "fp32", "latency_ms": 2.0}, {"optimization": "int8_ort", "latency_ms": 1.5}
    assert len(rows(fp32, int8)) == 1
    for other in ({"workload": "another"}, {"scenario": "offline"}, {"partition": "mig_1of7"}):
        assert rows(fp32, {**int8, **other}) == []
    assert rows(int8) == rows(fp32) == []


# --- files ---

FIGURE = "{workload: w, optimization: fp32, latency_ms: 1.0}"
SOUND = f"source: a paper\ndevice: some GPU\ndevice_kind: cuda\nfigures:\n  - {FIGURE}\n"
SLIPS = {
    "empty": ("", "valid dictionary"),
    "a list": ("- 1\n", "valid dictionary"),
    "no source": (SOUND.replace("source: a paper\n", ""), "source"),
    "another key": (SOUND + "colour: red\n", "colour"),
    "no figure": (SOUND.replace("latency_ms: 1.0", ""), "needs throughput_per_s, latency_ms or accuracy_percent"),
    "two speeds": (SOUND.replace("1.0}", "1.0, throughput_per_s: 2}"), "not both"),
    "negative": (SOUND.replace("1.0", "-1.0"), "greater than or equal to"),
    "next to nothing": (SOUND.replace("1.0", "5.0e-324"), "greater than or equal to"),
    "not a number": (SOUND.replace("1.0", ".nan"), "figures.0.latency_ms"),
    "infinite": (SOUND.replace("1.0", ".inf"), "finite"),
    "words": (SOUND.replace("1.0", "fast"), "figures.0.latency_ms"),
    "too accurate": (SOUND.replace("latency_ms: 1.0", "accuracy_percent: 101"), "less than or equal to 100"),
    "twice the same": (SOUND + f"  - {FIGURE}\n", "2 figures of the same cell: w, full, fp32"),
    "unclosed": (SOUND + "  - {", "line 6"),
    "a tag": ("!!python/object/apply:os.system ['touch pwned']\n", "line 1"),
    "deep": ("[" * 20_000, "recursion"),
    "control characters": ("a: \x00\n", "cannot read published figures"),
}


@pytest.fixture(scope="module")
def bench() -> Iterator[Forked]:
    forked = Forked()
    yield forked
    forked.close()


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_in_a_file_is_answered_in_three_lines(bench: Forked, tmp_path: Path, slip: str) -> None:
    text, words = SLIPS[slip]
    (tmp_path / "figures.yaml").write_text(text)
    result = bench("verify", "figures.yaml", "--json", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    what, where, hint = three_lines(result.stderr)
    assert words in what + where, result.stderr
    assert "figures.yaml" in where and "results/published/" in hint
    assert not (tmp_path / "pwned").exists()


def test_bytes_that_are_no_text_are_no_figures(tmp_path: Path) -> None:
    file = tmp_path / "figures.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError):
        read_published(file)
    with pytest.raises(InputError):
        read_published(tmp_path)


def test_published_figures_through_the_command_line(bench: Forked, tmp_path: Path) -> None:
    """A user's own claims, in a folder of the user's own."""
    folder = tmp_path / "mine" / "claims"
    folder.mkdir(parents=True)
    for name, content in (("twice", TWICE), ("lossless", LOSSLESS), ("seventh", SEVENTH)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({name: content}))
    result = bench(
        "verify", str(BERT), str(NETWORKS), str(MIG), "--json", "--config-dir", "mine",
        "claims=[twice,lossless,seventh]", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    counted = Counter((row["claim"], row["verdict"]) for row in found)
    assert counted == {
        ("twice", "refuted"): 3, ("lossless", "refuted"): 3, ("lossless", "inconclusive"): 6,
        ("seventh", "confirmed"): 1, ("seventh", "refuted"): 2,
    }  # fmt: skip
    assert all(row["evidence"] == "published" and row["counted"] for row in found)
