"""All MIG layouts that a GPU can have, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.devices.geometry import Profile, place


def layouts(profiles: Sequence[Profile], compute_slices: int) -> tuple[tuple[Profile, ...], ...]:
    """Every non-empty multiset of the profiles without attributes that fits, each in the order of `profiles`.

    One with attributes takes the room of an ordinary one: it adds no geometry and is not counted. 77 on GPUs of seven
    compute slices, 9 on those of four."""
    return tuple(_grow((), ordinary(profiles), compute_slices))


def maximal_layouts(profiles: Sequence[Profile], compute_slices: int) -> tuple[tuple[Profile, ...], ...]:
    """The layouts to which no further instance can be added: 28 and 4."""
    return tuple(
        layout
        for layout in layouts(profiles, compute_slices)
        if all(place((*layout, profile), (), compute_slices) is None for profile in ordinary(profiles))
    )


def _grow(layout: tuple[Profile, ...], more: tuple[Profile, ...], compute_slices: int) -> Iterator[tuple[Profile, ...]]:
    for index, profile in enumerate(more):
        larger = (*layout, profile)
        if place(larger, (), compute_slices) is not None:
            yield larger
            yield from _grow(larger, more[index:], compute_slices)


def ordinary(profiles: Sequence[Profile]) -> tuple[Profile, ...]:
    return tuple(profile for profile in profiles if not profile.attributes)
