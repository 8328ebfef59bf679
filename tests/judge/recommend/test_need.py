"""What may be asked for, and what mistakes are told."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import yaml
from hypothesis import given, settings

from bench.errors import ConfigError, InputError
from bench.judge.recommend.need import GOALS, Need, read_need
from bench.judge.recommend.service import Service
from bench.judge.recommend.values import GIB

EXAMPLES = Path(__file__).parents[3] / "examples"


def read(tmp_path: Path, text: str) -> Need:
    path = tmp_path / "need.yaml"
    path.write_text(text)
    return read_need(path)


def mistake(tmp_path: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as found:
        read(tmp_path, text)
    assert str(tmp_path / "need.yaml") in found.value.where
    assert found.value.hint and "\n" not in found.value.what + found.value.hint
    return found.value


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("need*.yaml")), ids=lambda path: path.name)
def test_examples_can_be_read(path: Path) -> None:
    assert read_need(path).headroom == 0.2


def test_what_is_commented_out_in_the_example_may_be_said(tmp_path: Path) -> None:
    text = (EXAMPLES / "need.yaml").read_text()
    said = {
        line.removeprefix("# ").partition(":")[0]
        for line in text.splitlines()
        if line.startswith("# ") and ": " in line
    }
    shown = said | set(yaml.safe_load(text))
    assert set(GOALS) - {"memory_bytes"} <= shown
    every = "\n".join(
        line.removeprefix("# ") if line.startswith("# ") and line[2:].partition(":")[0] in GOALS else line
        for line in text.splitlines()
    )
    assert read(tmp_path, every).budget is not None


def test_numbers_are_taken_as_they_are_written(tmp_path: Path) -> None:
    found = read(tmp_path, "p99_ms: 1e1\nmemory_gib: 1.5\nprices: {price_per_hour: 2}\n")
    assert (found.p99_ms, found.tenant_memory_bytes, found.aim) == (10, 3 * GIB // 2, "cost")
    assert read(tmp_path, "tenants: 2").aim == "throughput"


@pytest.mark.parametrize(
    ("text", "what", "where", "hint"),
    [
        ("p99_mss: 10", "p99_mss is no key of a need", "p99_mss", "did you mean p99_ms?"),
        ("tenants: 2\nprices: {price_hour: 1}", "prices.price_hour is no key", "prices.price_hour", "price_per_hour"),
        (
            "tenants: 2\nprices: {power: {watts: 3}}",
            "Field required",
            "prices.power.price_per_kwh",
            "docs/recommend.md",
        ),
        ("tenants: yes", "yes or no, and should be a number", "tenants", "docs/recommend.md"),
        ("tenants: 0", "greater than or equal to 1", "tenants", "docs/recommend.md"),
        ("p99_ms: -1", "greater than 0", "p99_ms", "docs/recommend.md"),
        ("p99_ms: .nan", "greater than 0", "p99_ms", "docs/recommend.md"),
        ("quality_loss_below: 1", "less than 1", "quality_loss_below", "docs/recommend.md"),
        ("isolation: strong", "'high', 'medium' or 'general'", "isolation", "docs/recommend.md"),
        ("headroom: 0.2", "it names no goal", "", "at least one of p99_ms"),
        ("1: 2", "", "", "docs/recommend.md"),
        ("{}", "it names no goal", "", "at least one of p99_ms"),
        ("budget: {per_million: 1}", "needs prices", "", "price_per_hour"),
        ("tenants: 1\nbudget: {}\nprices: {price_per_hour: 1}", "names no bound", "budget", "per_million"),
        ("tenants: 1\nprices: {currency: EUR}", "names no price", "prices", "price_per_hour"),
        ("tenants: 1\nobjective: cost", "needs prices", "", "price_per_hour"),
        ("devices: 2", "devices bounds what throughput_per_s takes", "", "say that, too"),
        ("memory_gib: 1\nmemory_bytes: 1", "say the same", "", "keep one"),
        ("tenants: 1\ndeploy: {name: My Service, image: 'a:1'}", "cannot be deployed", "deploy.name", "a letter first"),
        ("tenants: 2\ntenants: 3", "'tenants' is there twice", "", "examples/need.yaml"),
        (
            "tenants: 2\nprices: {price_per_hour: 1, price_per_hour: 2}",
            "'price_per_hour' is there twice",
            "",
            "need.yaml",
        ),
        ("- p99_ms", "a list of `key: value`", "", "examples/need.yaml"),
        ("p99_ms: [", "cannot be read", "", "examples/need.yaml"),
        ("!!python/object/apply:os.getcwd []", "cannot be read", "", "examples/need.yaml"),
    ],
)
def test_a_mistake_says_what_where_and_what_to_do(tmp_path: Path, text: str, what: str, where: str, hint: str) -> None:
    found = mistake(tmp_path, text)
    assert what in found.what and where in found.where and hint in found.hint, str(found)


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("name", "Resnet", "'Resnet' cannot be deployed"), ("name", "9", "'9'"), ("name", "1abc", "'1abc'"),
        ("name", "a" * 64, "aaa"), ("name", "a\nb", "'a\\nb'"), ("namespace", "", "''"),
        ("image", "resnet", "resnet names no tag and no digest"), ("image", "host:5000/resnet", "no tag and no digest"),
        ("image", "A//B", "'A//B' cannot be deployed"), ("image", "a b:1", "'a b:1'"), ("image", "x:1\n", "'x:1\\n'"),
        ("image", "a: b", "'a: b' cannot be deployed"), ("port", 0, "greater"), ("port", 65536, "less"),
        ("user_id", 0, "greater"), ("health_path", "health", "'health'"), ("health_path", "/a b", "'/a b'"),
        ("command", ["a\0"], "a zero byte"), ("memory_gib", 0, "greater than 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_deployed_is_refused_when_the_need_is_read(
    tmp_path: Path, field: str, value: Any, what: str
) -> None:
    deploy = {"name": "resnet", "image": "registry.example/resnet:1.4", field: value}
    found = mistake(tmp_path, yaml.safe_dump({"tenants": 1, "deploy": deploy}))
    assert what in found.what and f": deploy.{field}" in found.where, str(found)


def test_a_need_that_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(InputError):
            read_need(path)
    (tmp_path / "latin.yaml").write_bytes(b"currency: \xe4")
    with pytest.raises(InputError):
        read_need(tmp_path / "latin.yaml")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=8), inside, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(sorted(Need.model_fields)) | st.text(max_size=8)


@settings(max_examples=50)
@given(st.dictionaries(keys, values, max_size=6))
def test_anything_is_a_need_or_a_mistake(tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any]) -> None:
    folder = tmp_path_factory.mktemp("need")
    (folder / "need.yaml").write_text(yaml.safe_dump(content))
    try:
        found = read_need(folder / "need.yaml")
    except ConfigError as error:
        assert error.what and error.hint
    else:
        assert any(getattr(found, goal) is not None for goal in GOALS)
    finally:
        shutil.rmtree(folder)


def test_every_key_is_documented() -> None:
    text = (EXAMPLES.parent / "docs" / "recommend.md").read_text()
    assert [key for key in (*Need.model_fields, *Service.model_fields) if f"`{key}" not in text] == []
