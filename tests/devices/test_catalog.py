"""The catalog is complete, consistent, and says where each figure comes from."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import enumerated
import pynvml
import pytest
import yaml

from bench.devices import catalog, geometry
from bench.errors import ConfigError

NAMES = [
    "a30-24gb",
    "a100-40gb",
    "a100-80gb",
    "h100-80gb",
    "h100-nvl-94gb",
    "gh200-96gb",
    "gh200-144gb",
    "h200-141gb",
    "b200-180gb",
    "gb200-186gb",
    "b300-269gb",
    "gb300-278gb",
    "rtx-pro-6000-96gb",
    "v100-16gb",
    "t4-16gb",
    "l40s-48gb",
]
WITHOUT_MIG = ("v100-16gb", "t4-16gb", "l40s-48gb")
WITH_MIG = [name for name in NAMES if name not in WITHOUT_MIG]
FILE = yaml.safe_load(Path(catalog.__file__).with_suffix(".yaml").read_text())
ENUMS = {
    "1g": "1_SLICE", "2g": "2_SLICE", "3g": "3_SLICE", "4g": "4_SLICE", "7g": "7_SLICE",
    "1g+me": "1_SLICE_REV1", "2g+me": "2_SLICE_REV1", "1g.2x": "1_SLICE_REV2",
    "1g+gfx": "1_SLICE_GFX", "2g+gfx": "2_SLICE_GFX", "4g+gfx": "4_SLICE_GFX",
    "1g-me": "1_SLICE_NO_ME", "2g-me": "2_SLICE_NO_ME", "1g+me.all": "1_SLICE_ALL_ME", "2g+me.all": "2_SLICE_ALL_ME",
}  # fmt: skip


def test_the_models_of_the_contract_are_there() -> None:
    assert sorted(catalog.models()) == sorted(NAMES)
    assert all(catalog.model(name).name == name for name in NAMES)


@pytest.mark.parametrize("name", WITHOUT_MIG)
def test_a_model_without_mig_has_no_geometry(name: str) -> None:
    model = catalog.model(name)
    assert (model.grid, model.compute_slices, model.profiles) == (None, 0, ())


@pytest.mark.parametrize("name", WITH_MIG)
def test_profiles_stay_on_the_grid(name: str) -> None:
    model = catalog.model(name)
    assert model.grid is not None
    for profile in model.profiles:
        assert all(start >= 0 and start + profile.size <= model.grid for start in profile.starts)
        assert 1 <= profile.compute_slices <= model.compute_slices
        # As many as the table says really fit, and no more than its starts could hold.
        assert geometry.place([profile] * profile.max_instances) is not None
        assert profile.max_instances <= len(profile.starts)
    assert max(profile.size for profile in model.profiles) == model.grid


@pytest.mark.parametrize("name", WITH_MIG)
def test_numbers_of_profiles_are_unique(name: str) -> None:
    profiles = catalog.model(name).profiles
    for numbers in ([p.enum for p in profiles], [p.id for p in profiles], [p.name for p in profiles]):
        assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("name", WITH_MIG)
def test_room_in_memory_is_room_in_compute(name: str) -> None:
    """So `place` needs no count of compute slices, which is why it may be left out there."""
    model = catalog.model(name)
    for layout in enumerated.layouts(model.profiles, 1000):
        assert sum(profile.compute_slices for profile in layout) <= model.compute_slices


@pytest.mark.parametrize("name", WITH_MIG)
def test_memory_and_multiprocessors_are_within_the_gpu(name: str) -> None:
    model = catalog.model(name)
    for profile in model.profiles:
        if profile.memory_bytes is not None:
            share = profile.size / (model.grid or 1)
            assert 0.85 * share < profile.memory_bytes / model.memory_bytes < 1.02 * share
            label = geometry.LABEL.fullmatch(profile.name)
            assert label is not None
            assert profile.memory_bytes / 2**30 == pytest.approx(float(label["gigabytes"]), rel=0.2)
        if profile.sm_count is not None and model.sm_count is not None:
            assert profile.sm_count * profile.max_instances <= model.sm_count


def test_memory_is_what_a_driver_told_and_not_what_was_printed() -> None:
    """Captured on an H100 with driver 590.48.01: 40448, 20096 and 9984 MiB, printed as 39.5, 19.62 and 9.75 GiB."""
    h100 = {profile.kind: profile for profile in catalog.model("h100-80gb").profiles if profile.name != "1g.20gb"}
    assert [(h100[kind].memory_bytes or 0) // 2**20 for kind in ("3g", "2g", "1g")] == [40448, 20096, 9984]


@pytest.mark.parametrize("name", WITH_MIG)
def test_every_engine_of_a_slice_is_one_of_the_gpu(name: str) -> None:
    profiles = catalog.model(name).profiles
    whole = next(profile for profile in profiles if profile.kind == f"{catalog.model(name).compute_slices}g")
    for engine in ("copy_engines", "decoders", "encoders", "jpegs", "ofas"):
        total = getattr(whole, engine)
        for profile in profiles:
            count = getattr(profile, engine)
            assert count is None or total is None or 0 <= count <= total


def test_pci_ids_are_nvidias_and_name_one_model() -> None:
    ids = list(chain.from_iterable(model.pci_device_ids for model in catalog.models().values()))
    assert len(set(ids)) == len(ids)
    assert all(number & 0xFFFF == 0x10DE for number in ids)
    for model in catalog.models().values():
        assert {catalog.by_pci_device_id(number) for number in model.pci_device_ids} == {model}
    assert catalog.by_pci_device_id(0x000010DE) is None


def test_names_of_profiles_in_the_file_are_nvmls() -> None:
    for family in FILE["families"].values():
        for kind, profile in family["profiles"].items():
            assert profile["enum"] == getattr(pynvml, f"NVML_GPU_INSTANCE_PROFILE_{ENUMS[kind]}")


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_has_a_source_and_every_profile_its_evidence(name: str) -> None:
    node = FILE["models"][name]
    assert node["sources"]
    known = FILE["families"][node["family"]]["profiles"] if node["family"] else {}
    assert list(node.get("profiles", {})) == list(known)
    for profile in node.get("profiles", {}).values():
        assert profile["evidence"]
        if not profile["evidence"].startswith("observed"):
            assert None in (profile["memory_gib"], profile["sm_count"])


@pytest.mark.parametrize(
    ("asked", "near"), [("a100", "a100-80gb"), ("h100", "h100-80gb"), ("rtx-6000", "rtx-pro-6000-96gb"), ("", "a30")]
)
def test_an_unknown_model_is_answered_with_near_names(asked: str, near: str) -> None:
    with pytest.raises(ConfigError) as error:
        catalog.model(asked)
    assert near in error.value.hint


def test_it_is_read_once_and_cannot_be_changed() -> None:
    assert catalog.models() is catalog.models()
    with pytest.raises(TypeError):
        catalog.models()["mine"] = catalog.model("t4-16gb")  # type: ignore[index]
