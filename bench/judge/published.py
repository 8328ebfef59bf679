"""Figures that others published, entered as evidence for claims: as they are printed, with where they stand.

A file of them (yaml) names its source and device, then one figure per cell: a throughput or a latency, an accuracy,
or both. Published figures come without blocks and mostly without intervals, so they are compared as printed and every
verdict from one says so: it tells what the source shows, not how sure that is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import pydantic
import yaml

from bench.claims import Claim
from bench.errors import InputError
from bench.judge import reasons
from bench.judge.decisions import Word
from bench.judge.loss import Loss
from bench.judge.speedup import SpeedUp
from bench.judge.verdicts import Verdict
from bench.records import StrictRecord

Positive = Annotated[float, pydantic.Field(ge=1e-12, le=1e15, allow_inf_nan=False)]


class Figure(StrictRecord):
    """One cell of a published table. Latency per request counts as the inverse of a throughput."""

    workload: str
    optimization: str
    partition: str = "full"
    scenario: str = ""
    throughput_per_s: Positive | None = None
    latency_ms: Positive | None = None
    accuracy_percent: Annotated[float, pydantic.Field(ge=0, le=100)] | None = None

    @pydantic.model_validator(mode="after")
    def _says_something(self) -> Figure:
        if self.throughput_per_s is not None and self.latency_ms is not None:
            raise ValueError("a figure is a throughput or a latency, not both")
        if self.speed is None and self.accuracy_percent is None:
            raise ValueError("a figure needs throughput_per_s, latency_ms or accuracy_percent")
        return self

    @property
    def speed(self) -> float | None:
        """Proportional to throughput; comparable within one file."""
        if self.latency_ms is not None:
            return 1 / self.latency_ms
        return self.throughput_per_s


class Published(StrictRecord):
    """A source and its figures. `device_kind` is `cuda` for NVIDIA GPUs; `items` that accuracy was counted on."""

    source: str
    device: str
    device_kind: str
    note: str = ""
    items: Annotated[int, pydantic.Field(ge=1)] | None = None
    figures: tuple[Figure, ...]

    @pydantic.model_validator(mode="after")
    def _each_once(self) -> Published:
        cells = Counter((f.workload, f.scenario, f.partition, f.optimization) for f in self.figures)
        for cell, count in cells.items():
            if count > 1:
                raise ValueError(f"{count} figures of the same cell: {', '.join(part for part in cell if part)}")
        if any(f.latency_ms for f in self.figures) and any(f.throughput_per_s for f in self.figures):
            raise ValueError("some figures are latencies and some throughputs, which cannot be compared: use two files")
        return self


def read_published(path: Path) -> Published:
    """Raises InputError for a file that cannot be read or says something else."""
    try:
        return Published.model_validate(yaml.safe_load(path.read_text()))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        what, place = first["msg"].removeprefix("Value error, "), ".".join(str(part) for part in first["loc"])
        raise _unreadable(f"{what[:1].lower()}{what[1:]}", f"{path}, {place}" if place else str(path)) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or type(error).__name__
        raise _unreadable(what, f"{path}, line {mark.line + 1}" if mark else str(path)) from error
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable((str(error).splitlines() or [type(error).__name__])[0], str(path)) from error


def judge_published(name: str, published: Published, claims: Mapping[str, Claim]) -> list[Verdict]:
    """Every treatment of every claim against the claimed baseline of the same workload and scenario."""
    return [
        _verdict(name, published, claim_name, claim, figure, reference)
        for claim_name, claim in claims.items()
        if claim.measurable
        for figure, reference in _contrasts(published, claim)
    ]


def _contrasts(published: Published, claim: Claim) -> Iterator[tuple[Figure, Figure]]:
    def key(figure: Figure) -> tuple[str, ...]:
        kept = figure.optimization if claim.contrast == "partition" else figure.partition
        return figure.workload, figure.scenario, kept

    def varied(figure: Figure) -> str:
        return figure.partition if claim.contrast == "partition" else figure.optimization

    references = {key(figure): figure for figure in published.figures if varied(figure) == claim.baseline}
    for figure in published.figures:
        if claim.treats(varied(figure)) and varied(figure) != claim.baseline and key(figure) in references:
            yield figure, references[key(figure)]


def _verdict(
    name: str, published: Published, claim_name: str, claim: Claim, figure: Figure, reference: Figure
) -> Verdict:
    ratio = figure.speed / reference.speed if figure.speed and reference.speed else None
    loss = _loss(published, figure, reference)
    word, reason = _as_printed(claim, ratio, loss)
    return Verdict(
        claim=claim_name,
        verdict=word,
        reason=f"{reason}; as printed, no interval: {published.source}",
        counted=claim.counts(published.device_kind, published.device),
        evidence="published",
        run=name,
        device=published.device,
        device_kind=published.device_kind,
        partition=figure.partition,
        workload=figure.workload,
        scenario=figure.scenario,
        optimization=figure.optimization,
        baseline=claim.baseline,
        role="claimed",
        speedup=SpeedUp(ratio, None, None, 1) if ratio else None,
        quality=loss,
        quality_margin=claim.quality_loss_below,
    )


def _loss(published: Published, figure: Figure, reference: Figure) -> Loss | None:
    if figure.accuracy_percent is None or reference.accuracy_percent is None:
        return None
    loss = (reference.accuracy_percent - figure.accuracy_percent) / 100
    return Loss("accuracy", published.items or 0, loss, upper=None)


def _as_printed(claim: Claim, ratio: float | None, loss: Loss | None) -> tuple[Word, str]:
    margin = claim.quality_loss_below
    if margin is not None and loss is not None and not loss.loss < margin:
        return "refuted", f"quality lost {reasons.points(loss.loss)}, and less than {reasons.points(margin)} is claimed"
    if ratio is None:
        kept = f"quality lost {reasons.points(loss.loss)}, " if loss else ""
        return "inconclusive", f"{kept}but no speed is published beside it"
    low, high = claim.band
    said = f"{ratio:.2f}x against the claimed {reasons.band(claim)}"
    if ratio < low:
        return "refuted", said
    if margin is not None and loss is None:
        return "inconclusive", f"{said}, but no quality is published beside it"
    return ("confirmed" if ratio <= high else "exceeded"), said


def _unreadable(what: str, where: str) -> InputError:
    return InputError(
        f"cannot read published figures: {what}",
        where=where,
        hint="a file has source, device, device_kind and figures; see results/published/ for examples",
    )
