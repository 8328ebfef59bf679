"""MIG geometry: placements against brute force, layouts against the published numbers, labels as people write them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import permutations, product

import enumerated
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.devices import catalog, geometry
from bench.devices.geometry import Placement, Profile
from bench.errors import ConfigError

SEVEN = catalog.model("a100-40gb")
FOUR = catalog.model("a30-24gb")
RTX = catalog.model("rtx-pro-6000-96gb")
GRIDS = {model.name: model for model in (SEVEN, FOUR, RTX)}


def made_up(number: int, starts: tuple[int, ...], size: int, compute_slices: int, most: int) -> Profile:
    return Profile(
        number, number, f"{compute_slices}g", compute_slices, "", None, None, most, starts, size, *[None] * 5
    )


@st.composite
def some_gpu(draw: st.DrawFn) -> tuple[Profile, ...]:
    """Up to four profiles of a GPU that nobody has built, on six memory slices."""
    found = []
    for number in range(draw(st.integers(1, 4))):
        size = draw(st.integers(1, 4))
        starts = draw(st.sets(st.integers(0, 6 - size), min_size=1))
        most = draw(st.integers(1, 4))
        found.append(made_up(number, tuple(sorted(starts)), size, draw(st.integers(1, 3)), most))
    return tuple(found)


def wished(profiles: Sequence[Profile], most: int = 5) -> st.SearchStrategy[list[Profile]]:
    return st.lists(st.sampled_from(profiles), max_size=most)


@st.composite
def question(draw: st.DrawFn) -> tuple[list[Profile], tuple[Placement, ...], int]:
    """Profiles to place, beside what is placed already, and the compute slices of the GPU."""
    profiles = draw(some_gpu())
    there = geometry.place(draw(wished(profiles, 2))) or ()
    return draw(wished(profiles, 4)), there, draw(st.integers(1, 9))


def fits(placements: Sequence[Placement], compute_slices: int) -> bool:
    """The rules, said once more and in another way."""
    cells = [cell for placement in placements for cell in placement.occupied]
    counts = Counter(placement.profile for placement in placements)
    return (
        len(cells) == len(set(cells))
        and all(placement.start in placement.profile.starts for placement in placements)
        and all(count <= profile.max_instances for profile, count in counts.items())
        and sum(placement.profile.compute_slices for placement in placements) <= compute_slices
    )


@given(question())
def test_place_finds_a_layout_exactly_when_there_is_one(
    asked: tuple[list[Profile], tuple[Placement, ...], int],
) -> None:
    profiles, beside, compute_slices = asked
    every = product(*(profile.starts for profile in profiles))
    brute = any(fits((*beside, *map(Placement, profiles, starts)), compute_slices) for starts in every)
    found = geometry.place(profiles, beside, compute_slices)
    assert (found is not None) == brute
    if found is not None:
        assert [placement.profile for placement in found] == profiles
        assert fits((*beside, *found), compute_slices)


@pytest.mark.parametrize("name", GRIDS)
@given(data=st.data())
def test_the_order_changes_nothing(name: str, data: st.DataObject) -> None:
    profiles = data.draw(wished(GRIDS[name].profiles, 7))
    other = data.draw(st.permutations(profiles))
    first, second = geometry.place(profiles), geometry.place(other)
    assert (first is None) == (second is None)
    assert first == geometry.place(profiles)


def test_the_order_that_a_driver_refuses_is_placed() -> None:
    """`nvidia-smi mig -cgi 19,19,14,9` fails with Insufficient Resources, `9,14,19,19` does not."""
    by_id = {profile.id: profile for profile in SEVEN.profiles}
    for order in permutations((19, 19, 14, 9)):
        found = geometry.place([by_id[number] for number in order])
        assert found is not None
        assert fits(found, 7)


def test_what_is_there_stays_where_it_is() -> None:
    one, three = geometry.parse("1g,3g", SEVEN.profiles)
    assert geometry.place([three], [Placement(one, 0)]) == (Placement(three, 4),)
    assert geometry.place([three], [Placement(one, 0), Placement(one, 6)]) is None
    assert geometry.place([], [Placement(one, 0)]) == ()


def test_an_instance_counts_against_its_limit_wherever_it_stands() -> None:
    (media,) = geometry.parse("1g+me", SEVEN.profiles)
    assert geometry.place([media]) == (Placement(media, 0),)
    assert geometry.place([media, media]) is None
    assert geometry.place([media], [Placement(media, 6)]) is None


@given(some_gpu(), st.integers(1, 9))
def test_layouts_are_all_that_fit(profiles: tuple[Profile, ...], compute_slices: int) -> None:
    found = enumerated.layouts(profiles, compute_slices)
    brute = {
        counts
        for counts in product(*(range(profile.max_instances + 1) for profile in profiles))
        if any(counts) and geometry.place(_flat(profiles, counts), (), compute_slices) is not None
    }
    assert sorted(tuple(layout.count(profile) for profile in profiles) for layout in found) == sorted(brute)
    below = {_less(counts, index) for counts in brute for index in range(len(counts)) if counts[index]}
    maximal = enumerated.maximal_layouts(profiles, compute_slices)
    assert {tuple(layout.count(profile) for profile in profiles) for layout in maximal} == brute - below


def _flat(profiles: Sequence[Profile], counts: Sequence[int]) -> list[Profile]:
    return [profile for profile, count in zip(profiles, counts, strict=True) for _ in range(count)]


def _less(counts: tuple[int, ...], index: int) -> tuple[int, ...]:
    return (*counts[:index], counts[index] - 1, *counts[index + 1 :])


@pytest.mark.parametrize(("model", "every", "maximal"), [(SEVEN, 77, 28), (FOUR, 9, 4), (RTX, 9, 4)])
def test_the_published_numbers_of_layouts(model: catalog.GpuModel, every: int, maximal: int) -> None:
    assert len(enumerated.layouts(model.profiles, model.compute_slices)) == every
    assert len(enumerated.maximal_layouts(model.profiles, model.compute_slices)) == maximal


def test_the_maximal_layouts_of_an_a30() -> None:
    found = enumerated.maximal_layouts(FOUR.profiles, FOUR.compute_slices)
    assert {"+".join(profile.kind for profile in layout) for layout in found} == {
        "1g+1g+1g+1g",
        "1g+1g+2g",
        "2g+2g",
        "4g",
    }


def test_plain_profiles() -> None:
    assert [profile.name for profile in geometry.plain(SEVEN.profiles)] == [
        "1g.5gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb",
    ]  # fmt: skip
    assert [profile.name for profile in geometry.plain(tuple(reversed(RTX.profiles)))] == [
        "1g.24gb", "2g.48gb", "4g.96gb",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "share", "kind"),
    [(SEVEN, 1, "7g"), (SEVEN, 2, "3g"), (SEVEN, 3, "2g"), (SEVEN, 4, "1g"), (SEVEN, 7, "1g"), (SEVEN, 8, None),
     (FOUR, 1, "4g"), (FOUR, 2, "2g"), (FOUR, 3, "1g"), (FOUR, 4, "1g"), (FOUR, 7, None)],
)  # fmt: skip
def test_one_of(model: catalog.GpuModel, share: int, kind: str | None) -> None:
    found = geometry.one_of(share, model.profiles, model.compute_slices)
    assert (found and found.kind) == kind
    if found is not None:
        assert found in geometry.plain(model.profiles)
        assert geometry.place([found] * share) is not None


def test_what_is_possible_instead() -> None:
    assert geometry.possible(FOUR.profiles) == "4 x 1g.6gb, 2 x 2g.12gb or 1 x 4g.24gb"
    assert geometry.possible(FOUR.profiles[:1]) == "4 x 1g.6gb"
    assert geometry.possible(()) == "no MIG slices"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("3g,2g,2x1g", ["3g.20gb", "2g.10gb", "1g.5gb", "1g.5gb"]),
        ("7x1g", ["1g.5gb"] * 7),
        ("1g+me", ["1g.5gb+me"]),
        ("1g.5gb+me", ["1g.5gb+me"]),
        ("1g.10gb", ["1g.10gb"]),
        (" 2 x 1G.5GB , 3g ", ["1g.5gb", "1g.5gb", "3g.20gb"]),
        (["1g", "2x2g,7g"], ["1g.5gb", "2g.10gb", "2g.10gb", "7g.40gb"]),
        ("7g.39gb", ["7g.40gb"]),
    ],
)
def test_profiles_as_people_write_them(text: str | list[str], names: list[str]) -> None:
    assert [profile.name for profile in geometry.parse(text, SEVEN.profiles)] == names


@pytest.mark.parametrize(
    ("model", "label", "name"),
    [("a100-80gb", "3g.39gb", "3g.40gb"), ("a100-80gb", "7g.79gb", "7g.80gb"), ("gb200-186gb", "1g.24gb", "1g.23gb"),
     ("gb200-186gb", "3g.95gb", "3g.93gb"), ("gb200-186gb", "7g.189gb", "7g.186gb")],
)  # fmt: skip
def test_labels_of_another_driver(model: str, label: str, name: str) -> None:
    assert [profile.name for profile in geometry.parse(label, catalog.model(model).profiles)] == [name]


@pytest.mark.parametrize(
    "text", ["", ",", "1g,", "g", "0x1g", "100x1g", "1g.gb", "1c.2g.10gb", "-1g", "one", "1g.5gb+", "1g 2g", "x1g"]
)
def test_what_is_no_profile(text: str) -> None:
    with pytest.raises(ConfigError, match="is no MIG profile"):
        geometry.parse(text, SEVEN.profiles)


@pytest.mark.parametrize("text", ["5g", "1g+gfx", "1g.7gb", "1g.40gb", "2g.5gb", "3g+me", "1g-me"])
def test_what_this_gpu_does_not_have(text: str) -> None:
    with pytest.raises(ConfigError, match="this GPU has no MIG profile") as error:
        geometry.parse(text, SEVEN.profiles)
    assert "1g.5gb, 1g.5gb+me, 1g.10gb, 2g.10gb" in error.value.hint


def test_a_profile_without_a_label_is_found_by_its_memory() -> None:
    unnamed = made_up(0, (0,), 1, 1, 1)
    measured = Profile(0, 0, "1g", 1, "", 9 * 2**30, None, 1, (0,), 1, *[None] * 5)
    assert geometry.parse("1g.10gb", (unnamed, measured)) == (measured,)
    with pytest.raises(ConfigError):
        geometry.parse("1g.10gb", (unnamed,))


@given(st.text(max_size=30) | st.from_regex(geometry.LABEL, fullmatch=True))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    try:
        found = geometry.parse(text, RTX.profiles)
    except ConfigError as error:
        assert error.hint
    else:
        assert found
        assert set(found) <= set(RTX.profiles)


@pytest.mark.parametrize("name", catalog.models())
def test_every_label_and_kind_in_the_catalog_means_itself(name: str) -> None:
    profiles = catalog.model(name).profiles
    for profile in profiles:
        assert geometry.parse(profile.name, profiles) == (profile,)
        (plainest,) = geometry.parse(profile.kind, profiles)
        assert plainest.kind == profile.kind
        assert plainest.size <= profile.size
