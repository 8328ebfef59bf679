"""mig-parted's configuration file: as strict as mig-parted, round trips, and files that mean harm."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bench.devices import catalog, geometry
from bench.devices.geometry import Profile
from bench.devices.mig import parted
from bench.errors import ConfigError, InputError

A100, A30, H100 = 0x20B010DE, 0x20B710DE, 0x233010DE
DEFAULTS = """
version: v1
mig-configs:
  all-disabled:
    - devices: all
      mig-enabled: false
  all-enabled:
    - devices: all
      mig-enabled: true
      mig-devices: {}
  all-1g.10gb:
    - device-filter: ["0x233010DE", "0x20B210DE"]
      devices: all
      mig-enabled: true
      mig-devices:
        "1g.10gb": 7
    - device-filter: "0x20B010DE"
      devices: all
      mig-enabled: true
      mig-devices:
        "1g.10gb": 4
  half:
    - devices: [0, 1]
      mig-enabled: false
    - devices: [2]
      mig-enabled: true
      mig-devices: {"1g.5gb": 2, "2g.10gb": 1, "3g.20gb": 1, "7g.40gb": 0}
  boards:
    - device-filter: "0x20B010DE:0x144E10DE"
      devices: all
      mig-enabled: false
    - device-filter: ["0x20B010DE:0x134F10DE", "0x233010DE"]
      devices: all
      mig-enabled: true
      mig-devices: {}
  split:
    - devices: all
      mig-enabled: true
      mig-devices: {"1c.3g.20gb": 2}
  twice:
    - devices: all
      mig-enabled: false
    - devices: [0]
      mig-enabled: false
"""
GOOD: dict[str, Any] = {"devices": "all", "mig-enabled": True, "mig-devices": {"1g.5gb": 7}}
OFF: dict[str, Any] = {"devices": "all", "mig-enabled": False}


def stored(folder: Path, content: str | bytes) -> Path:
    path = folder / "mig.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refused(folder: Path, content: str | bytes) -> InputError:
    path = stored(folder, content)
    with pytest.raises(InputError) as error:
        parted.read(path)
    assert error.value.where.startswith(str(path))
    assert "\n" not in error.value.what
    return error.value


@pytest.fixture
def configs(tmp_path: Path) -> parted.Configs:
    return parted.read(stored(tmp_path, DEFAULTS))


@pytest.mark.parametrize(
    ("label", "device", "index", "enabled", "profiles"),
    [
        ("all-disabled", A30, 5, False, ()),
        ("all-enabled", A30, 5, True, ()),
        ("all-1g.10gb", H100, 0, True, (("1g.10gb", 7),)),
        ("all-1g.10gb", A100, 0, True, (("1g.10gb", 4),)),
        ("half", A100, 1, False, ()),
        ("half", A100, 2, True, (("1g.5gb", 2), ("2g.10gb", 1), ("3g.20gb", 1))),
    ],
)
def test_what_a_label_wants_of_a_gpu(
    configs: parted.Configs, label: str, device: int, index: int, enabled: bool, profiles: tuple[tuple[str, int], ...]
) -> None:
    assert parted.choose(configs, label, device, index) == parted.Desired(enabled, profiles)


def test_the_answer_is_what_geometry_reads(configs: parted.Configs) -> None:
    texts = parted.choose(configs, "half", A100, 2).texts
    assert texts == ("2x1g.5gb", "1x2g.10gb", "1x3g.20gb")
    profiles = catalog.model("a100-40gb").profiles
    assert [profile.kind for profile in geometry.parse(texts, profiles)] == ["1g", "1g", "2g", "3g"]


@pytest.mark.parametrize(
    ("label", "device", "index", "words"),
    [
        ("nonsense", A100, 0, "there is no label 'nonsense'"),
        ("all-1g.10gb", A30, 0, "no entry speaks of GPU 0 (0x20B710DE)"),
        ("half", A100, 3, "no entry speaks of GPU 3"),
        ("twice", A100, 0, "more than one entry speaks of GPU 0 (0x20B010DE): 0, 1"),
        ("split", A100, 0, "no compute instance smaller than its GPU instance"),
        ("boards", A100, 0, "depends on the board's subsystem id"),
    ],
)
def test_no_answer_is_given_in_words(configs: parted.Configs, label: str, device: int, index: int, words: str) -> None:
    with pytest.raises(InputError) as error:
        parted.choose(configs, label, device, index)
    assert words in error.value.what
    assert error.value.where.startswith(f"{configs.path}, mig-configs")


def test_a_filter_for_one_makers_boards(configs: parted.Configs) -> None:
    assert not parted.choose(configs, "boards", A100, 0, 0x144E10DE).mig_enabled
    assert parted.choose(configs, "boards", A100, 0, 0x134F10DE).mig_enabled
    assert parted.choose(configs, "boards", H100, 0).mig_enabled
    with pytest.raises(InputError, match="no entry"):
        parted.choose(configs, "boards", A100, 0, 0x000010DE)


ENTRIES: dict[str, tuple[dict[str, Any], str, str]] = {
    "no devices": ({"mig-enabled": False}, "a field is missing", "devices"),
    "no mig-enabled": ({"devices": "all"}, "a field is missing", "mig-enabled"),
    "no mig-devices": ({"devices": "all", "mig-enabled": True}, "mig-devices is missing", ""),
    "null mig-devices": ({**GOOD, "mig-devices": None}, "mig-devices is missing", ""),
    "mig-devices, off": ({**GOOD, "mig-enabled": False}, "there are mig-devices, and mig-enabled is false", ""),
    "unknown field": ({**OFF, "bogus": 1}, "there is no such field", "bogus"),
    "our own spelling": ({**OFF, "mig_enabled": False}, "there is no such field", "mig_enabled"),
    "scalar devices": ({**OFF, "devices": 7}, "it should be 'all', or a list of indices", "devices"),
    "other devices": ({**OFF, "devices": "bogus"}, "it should be 'all', or a list of indices", "devices"),
    "mapped devices": ({**OFF, "devices": {}}, "it should be 'all', or a list of indices", "devices"),
    "index as text": ({**OFF, "devices": ["0"]}, "it should be a whole number", "devices.0"),
    "index true": ({**OFF, "devices": [True]}, "it should be a whole number", "devices.0"),
    "index below 0": ({**OFF, "devices": [0, -1]}, "greater than or equal to 0", "devices.1"),
    "enabled as text": ({**OFF, "mig-enabled": "true"}, "it should be true or false", "mig-enabled"),
    "enabled as number": ({**OFF, "mig-enabled": 0}, "it should be true or false", "mig-enabled"),
    "profile": ({**GOOD, "mig-devices": {"bogus": 2}}, "'bogus' is no MIG profile", "mig-devices.bogus"),
    "profile, no memory": ({**GOOD, "mig-devices": {"1g": 2}}, "'1g' is no MIG profile", "mig-devices.1g"),
    "attribute": ({**GOOD, "mig-devices": {"1g.5gb+x": 1}}, "is no MIG profile", "mig-devices.1g.5gb+x"),
    "profiles in a list": ({**GOOD, "mig-devices": ["1g.5gb"]}, "it should be a mapping", "mig-devices"),
    "count as text": ({**GOOD, "mig-devices": {"1g.5gb": "7"}}, "a whole number", "mig-devices.1g.5gb"),
    "count with a point": ({**GOOD, "mig-devices": {"1g.5gb": 7.5}}, "a whole number", "mig-devices.1g.5gb"),
    "count below 0": ({**GOOD, "mig-devices": {"1g.5gb": -1}}, "or equal to 0", "mig-devices.1g.5gb"),
    "count too large": ({**GOOD, "mig-devices": {"1g.5gb": 10**9}}, "or equal to 64", "mig-devices.1g.5gb"),
    "all counts 0": ({**GOOD, "mig-devices": {"1g.5gb": 0, "2g.10gb": 0}}, "all counts of mig-devices are 0", ""),
    "filter as number": ({**OFF, "device-filter": A100}, "a PCI id in quotes", "device-filter"),
    "filter as a model": ({**OFF, "device-filter": "A100"}, "'A100' is no PCI id", "device-filter.0"),
    "filter, mixed": ({**OFF, "device-filter": ["0x20B010DE", 3]}, "text, in quotes", "device-filter.1"),
}


@pytest.mark.parametrize("case", ENTRIES)
def test_entries_that_are_refused(case: str, tmp_path: Path) -> None:
    entry, words, place = ENTRIES[case]
    tree = {"version": "v1", "mig-configs": {"fine": [OFF, GOOD], "mine": [OFF, entry]}}
    error = refused(tmp_path, json.dumps(tree))  # which is YAML, too
    assert words in error.what
    assert error.where.endswith(f"mig-configs.mine.1{place and '.'}{place}")


FILES: dict[str, tuple[str | bytes, str, str]] = {
    "empty": ("", "it should be a mapping", ""),
    "text": ("v1", "it should be a mapping", ""),
    "list": ("- version: v1", "it should be a mapping", ""),
    "no version": ("mig-configs: {a: [{devices: all, mig-enabled: false}]}", "a field is missing", ", version"),
    "version 2": ("version: v2\nmig-configs: {}", "the only version that is known is v1", ", version"),
    "version as number": ("version: 1\nmig-configs: {}", "the only version that is known is v1", ", version"),
    "version alone": ("version: v1", "a field is missing", ", mig-configs"),
    "no label": ("version: v1\nmig-configs: {}", "it is empty", ", mig-configs"),
    "no entry": ("version: v1\nmig-configs: {a: []}", "it is empty", ", mig-configs.a"),
    "entry alone": ("version: v1\nmig-configs: {a: {devices: all}}", "it should be a list", ", mig-configs.a"),
    "label 1": (
        "version: v1\nmig-configs: {1: [{devices: all, mig-enabled: false}]}", "it should be text", ", mig-configs.1"
    ),
    "other field": ("version: v1\nmig-config: {}", "a field is missing", ", mig-configs"),
    "twice": ("version: v1\nmig-configs:\n  a: 1\n  a: 1\n", "'a' is given twice", ", line 3"),
    "two documents": ("version: v1\n---\nversion: v1\n", "another document", ", line 2"),
    "broken": ("version: [v1\n", "expected ',' or ']'", ", line 2"),
    "no text": (b"version: \xff\xfe", "codec can't decode", ""),
    "control characters": ("version: \x00v1", "ReaderError", ""),
    "python": ("!!python/object/apply:os.getcwd []", "could not determine a constructor", ", line 1"),
    "too large": ("#" * parted.MOST_BYTES + "\nversion: v1", "it is larger than 128 KiB", ""),
    "deep": ("[" * 5000, "it is nested too deeply", ""),
    "long number": (f"version: {'9' * 5000}", "", ""),
    "no date": ("version: 2001-99-99", "", ""),
    "alias": ("a: &a [1]\nb: [*a, *a]", "aliases (*name) are not read", ", line 2"),
    "itself": ("a: &a [*a]", "aliases (*name) are not read", ", line 1"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_files_that_are_none(case: str, tmp_path: Path) -> None:
    content, words, place = FILES[case]
    error = refused(tmp_path, content)
    assert words in error.what
    assert error.where.endswith(place)


def test_aliases_that_unfold_to_more_than_memory_holds(tmp_path: Path) -> None:
    devices = ", ".join(map(str, range(1000)))
    entries = ", ".join(["*entry"] * 1000)
    labels = "".join(f"  l{number}: *entries\n" for number in range(1000))
    bomb = (
        f"devices: &d [{devices}]\nentry: &entry {{devices: *d, mig-enabled: false}}\nentries: &entries [{entries}]\n"
        f"version: v1\nmig-configs:\n{labels}"
    )
    assert "aliases" in refused(tmp_path, bomb).what


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(InputError) as error:
            parted.read(path)
        assert error.value.where == str(path)


PROFILES = st.sampled_from([model for model in catalog.models().values() if model.profiles]).flatmap(
    lambda model: st.lists(st.sampled_from(model.profiles), max_size=7)
)
LABELS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(LABELS, st.integers(1, 2**32 - 1), st.booleans(), PROFILES, st.none() | st.lists(st.integers(0, 15)))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    label: str,
    device: int,
    enabled: bool,
    profiles: list[Profile],
    devices: list[int] | None,
) -> None:
    wanted = [profile.name for profile in profiles] if enabled else []
    text = parted.write(label, device, enabled, wanted, devices)
    path = stored(tmp_path_factory.getbasetemp(), text)
    configs = parted.read(path)
    assert list(configs.labels) == [label]
    for index in devices if devices is not None else [0]:
        found = parted.choose(configs, label, device, index)
        assert found.mig_enabled == enabled
        assert Counter(dict(found.profiles)) == Counter(wanted)
    with pytest.raises(InputError):
        parted.choose(configs, label, device ^ 1, 0)


def test_the_text_is_as_mig_parted_has_it() -> None:
    profiles = [profile.name for profile in geometry.parse("3g,2x1g", catalog.model("a100-40gb").profiles)]
    assert parted.write("mine", A100, True, profiles) == (
        "version: v1\n"
        "mig-configs:\n"
        "  mine:\n"
        "  - device-filter:\n"
        "    - '0x20B010DE'\n"
        "    devices: all\n"
        "    mig-enabled: true\n"
        "    mig-devices:\n"
        "      3g.20gb: 1\n"
        "      1g.5gb: 2\n"
    )
    assert yaml.safe_load(parted.write("off", None, False)) == {"version": "v1", "mig-configs": {"off": [OFF]}}
    empty = yaml.safe_load(parted.write("empty", None, True))
    assert empty["mig-configs"]["empty"] == [{"devices": "all", "mig-enabled": True, "mig-devices": {}}]


def test_nothing_is_written_that_could_not_be_read() -> None:
    profiles = ["1g.6gb"]
    with pytest.raises(ConfigError, match="mig-enabled is false"):
        parted.write("mine", None, False, profiles)
    with pytest.raises(ConfigError, match="a label is empty"):
        parted.write("", None, True, profiles)
    with pytest.raises(ConfigError, match="no MIG profile"):
        parted.write("mine", None, True, ["1g"])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.sampled_from(["all", "v1", "1g.5gb", "0x20B010DE", ""]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["version", "mig-configs", "devices", "mig-enabled", "mig-devices", "device-filter", "1g.5gb"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_tree_is_read_or_refused_in_words(tmp_path_factory: pytest.TempPathFactory, tree: Any) -> None:
    path = stored(tmp_path_factory.getbasetemp(), json.dumps(tree))
    try:
        parted.read(path)
    except InputError as error:
        assert str(path) in error.where
