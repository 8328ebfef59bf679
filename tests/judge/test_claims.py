"""Claims: what a file may say, and what it may not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_up_runs import claim

from bench.claims import read_claims
from bench.composition import compose_all
from bench.errors import ConfigError

OURS = Path(__file__).parents[2] / "configs" / "claims"
SOUND: dict[str, Any] = {
    "title": "twice as fast", "source": {"document": "a paper"}, "reading": "at_least", "low": 2.0,
    "treatments": ["int8_*"],
}  # fmt: skip


def test_every_claim_of_ours_is_read_and_names_its_place_and_its_hardware() -> None:
    claims = read_claims(compose_all([], ())[0].config["claims"])
    assert sorted(claims) == sorted(path.stem for path in OURS.glob("*.yaml"))
    for name, found in claims.items():
        assert found.source.document and found.source.section and found.source.words, name
        assert found.measurable or found.needs or found.settled or found.decided_by, name
        assert found.reading != "qualitative" or found.settled or (found.needs and found.decided_by), name


def test_a_file_holds_one_claim_under_its_own_name() -> None:
    for path in OURS.glob("*.yaml"):
        assert list(yaml.safe_load(path.read_text())) == [path.stem]


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        ({"low": None}, "claims.mine", "'at_least' has low and no high"),
        ({"high": 3.0}, "claims.mine", "'at_least' has low and no high"),
        ({"reading": "range"}, "claims.mine", "'range' has low and high"),
        ({"reading": "range", "high": 2.0}, "claims.mine", "low (2.0) is not below high (2.0)"),
        ({"reading": "up_to", "low": None, "high": 0.9}, "claims.mine", "up to 0.9 is no gain"),
        ({"reading": "qualitative"}, "claims.mine", "'qualitative' has neither low nor high"),
        ({"reading": "about"}, "claims.mine.reading", "'range', 'at_least', 'up_to' or 'qualitative'"),
        ({"low": -1}, "claims.mine.low", "greater than 0"),
        ({"low": math.nan}, "claims.mine.low", ""),
        ({"low": math.inf}, "claims.mine.low", "finite"),
        ({"low": "fast"}, "claims.mine.low", "valid number"),
        ({"quality_loss_below": 1.0}, "claims.mine.quality_loss_below", "less than 1"),
        ({"treatments": []}, "claims.mine", "neither treatments nor what it needs"),
        ({"treatments": "int8_ort"}, "claims.mine.treatments", "tuple"),
        ({"tretments": ["int8_ort"]}, "claims.mine.tretments", "not permitted"),
        ({"source": "a paper"}, "claims.mine.source", "dictionary"),
        ({"source": {}}, "claims.mine.source.document", "required"),
        ({"settled": {"verdict": "true"}}, "claims.mine.settled.verdict", "'confirmed' or 'refuted'"),
    ],
)
def test_a_slip_is_named_with_its_key(change: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_claims({"mine": {**SOUND, **change}})
    assert caught.value.where == key
    assert "the claim mine cannot be read" in caught.value.what and words in caught.value.what


@pytest.mark.parametrize("node", [[SOUND], "mine", 3])
def test_claims_are_a_mapping(node: Any) -> None:
    with pytest.raises(ConfigError, match="not a mapping"):
        read_claims(node)
    assert read_claims(None) == {}


@pytest.mark.parametrize("content", [None, [], "fast", 2.0])
def test_a_claim_is_a_mapping(content: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        read_claims({"mine": content})
    assert caught.value.where == "claims.mine"


def test_bands() -> None:
    assert claim(reading="range", low=2, high=4).band == (2, 4)
    assert claim(reading="at_least", low=2).band == (2, math.inf)
    assert claim(reading="up_to", high=3).band == (1, 3)  # no slower than the baseline


def test_what_is_measured_today() -> None:
    assert claim().measurable
    assert claim(metric="start_up").metrics == ("start_up",)
    assert claim(metric=["throughput", "p99"]).metrics == ("throughput", "p99")
    assert not claim(metric="other").measurable
    assert not claim(treatments=(), needs="something else").measurable
    assert not claim(reading="qualitative").measurable
    assert not claim(settled={"verdict": "refuted", "reason": "r", "source": "s"}).measurable


def test_evidence_counts_for_the_hardware_that_a_claim_speaks_of() -> None:
    gpu, a30, every = claim(hardware="gpu"), claim(hardware="gpu", devices=("*A30*",)), claim(hardware="any")
    for found, expected in ((gpu, (True, True, False)), (a30, (True, False, False)), (every, (True, True, True))):
        devices = (("cuda", "NVIDIA A30"), ("cuda", "NVIDIA A100-SXM4-40GB"), ("cpu", "CPU, A30 in its name"))
        assert tuple(found.counts(*device) for device in devices) == expected


def test_patterns_of_treatments() -> None:
    found = claim(treatments=("int8_*", "tensorrt_int8"))
    assert [name for name in ("int8_ort", "int8_", "tensorrt_int8", "xint8_ort", "INT8_ort") if found.treats(name)] == [
        "int8_ort", "int8_", "tensorrt_int8",
    ]  # fmt: skip
