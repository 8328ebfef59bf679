"""Which candidates nothing beats: in cost (or throughput), p99 and quality at once. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.judge.recommend.candidates import Candidate
from bench.judge.recommend.need import Need

Axis = Literal["cost", "throughput", "p99", "quality"]


@dataclass(frozen=True)
class Front:
    """axes: in which they are compared; an axis counts when the need names it, or all have it. members: by their
    estimates, so neighbours on the front may be noise. unplaced: those that lack a number for one of the axes."""

    axes: tuple[Axis, ...]
    members: tuple[Candidate, ...]
    unplaced: tuple[Candidate, ...]


def front(found: Sequence[Candidate], need: Need) -> Front:
    """Of candidates with enough evidence."""
    first: Axis = "cost" if any(candidate.cost for candidate in found) else "throughput"
    asked: tuple[tuple[Axis, bool], ...] = (
        (first, True),
        ("p99", bool(need.p99_ms)),
        ("quality", bool(need.quality_loss_below)),
    )
    axes = tuple(
        axis
        for axis, wanted in asked
        if wanted or (found and all(badness(candidate, axis) is not None for candidate in found))
    )
    placed = {id(c): numbers for c in found if (numbers := _numbers(c, axes)) is not None}
    members = tuple(
        candidate
        for candidate in found
        if id(candidate) in placed and not any(_beats(other, placed[id(candidate)]) for other in placed.values())
    )
    return Front(axes, members, tuple(candidate for candidate in found if id(candidate) not in placed))


def badness(candidate: Candidate, axis: Axis) -> float | None:
    """Of which less is better; None where it is not known."""
    if axis == "quality":
        return 0.0 if candidate.is_baseline else candidate.loss.loss if candidate.loss else None
    known = {"cost": candidate.cost, "throughput": candidate.throughput, "p99": candidate.p99}[axis]
    if known is None:
        return None
    return -known.estimate if axis == "throughput" else known.estimate


def _numbers(candidate: Candidate, axes: Sequence[Axis]) -> tuple[float, ...] | None:
    found = [badness(candidate, axis) for axis in axes]
    known = tuple(value for value in found if value is not None)
    return known if len(known) == len(found) else None


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(mine <= theirs for mine, theirs in zip(one, other, strict=True))
