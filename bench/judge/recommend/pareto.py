"""Which candidates nothing beats: in cost (or throughput), p99 and quality at once. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from bench.judge.recommend.candidates import Candidate
from bench.judge.recommend.need import Need, Objective
from bench.judge.recommend.ranking import Levels

Axis = Literal["cost", "throughput", "p99", "quality"]


@dataclass(frozen=True)
class Front:
    """axes: in which they are compared; an axis counts when the need names it, or all have it. members: by their
    levels (ranking.py), so neighbours on the front may be noise. unplaced: those that lack a number for one of the
    axes."""

    axes: tuple[Axis, ...]
    members: tuple[Candidate, ...]
    unplaced: tuple[Candidate, ...]
    levels: Levels = field(repr=False, compare=False)

    def badness(self, candidate: Candidate, axis: Axis) -> float | None:
        """Of which less is better; None where it is not known."""
        return badness(candidate, axis, self.levels)


def front(found: Sequence[Candidate], need: Need, levels: Levels) -> Front:
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
        if wanted or (found and all(badness(candidate, axis, levels) is not None for candidate in found))
    )
    placed = {id(c): numbers for c in found if (numbers := _numbers(c, axes, levels)) is not None}
    members = tuple(
        candidate
        for candidate in found
        if id(candidate) in placed and not any(_beats(other, placed[id(candidate)]) for other in placed.values())
    )
    return Front(axes, members, tuple(candidate for candidate in found if id(candidate) not in placed), levels)


def badness(candidate: Candidate, axis: Axis, levels: Levels) -> float | None:
    """Of which less is better; None where it is not known."""
    if axis == "quality":
        return 0.0 if candidate.is_baseline else candidate.loss.loss if candidate.loss else None
    objective: Objective = "latency" if axis == "p99" else axis
    return levels.badness(candidate, objective)


def _numbers(candidate: Candidate, axes: Sequence[Axis], levels: Levels) -> tuple[float, ...] | None:
    found = [badness(candidate, axis, levels) for axis in axes]
    known = tuple(value for value in found if value is not None)
    return known if len(known) == len(found) else None


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(mine <= theirs for mine, theirs in zip(one, other, strict=True))
