"""How a comparison is told to people, the same in every form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.judge.compare.comparison import Comparison, Outcome, Word
from bench.judge.compare.wording import percent
from bench.report.numbers import counted

WORDS: Mapping[Word, str] = {
    "regressed": "✗ regressed", "not_enough_evidence": "? not enough evidence", "not_regressed": "✓ not regressed",
}  # fmt: skip
"""With a sign, so that colour never has to carry it; in the order in which they are shown."""
GATES = {0: "passed", 1: "FAILED", 4: "open"}
MOST_NOTES, MOST_DIFFERENCES = 40, 25
COLUMNS = (
    "outcome", "workload", "scenario", "partition", "optimization", "metric", "speed, candidate / base:", "measured:",
    "why",
)  # fmt: skip
"""Names that end in a colon hold numbers."""


def headline(comparison: Comparison) -> str:
    """What the gate says, and the counts."""
    gate = GATES[comparison.exit_code]
    counts = ", ".join(f"{comparison.count(word)} {word.replace('_', ' ')}" for word in WORDS if comparison.count(word))
    versions = f"{comparison.candidate} against {comparison.base}"
    return f"{gate}: {counts or 'nothing was compared'} ({versions})"


def devices(comparison: Comparison) -> str:
    """That it was measured on."""
    return ", ".join(sorted({outcome.series.device for outcome in comparison.outcomes}))


def worst_first(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Regressed, then open, then fine; among equals as they were planned."""
    order = list(WORDS)
    return sorted(outcomes, key=lambda outcome: order.index(outcome.outcome))


def units(outcome: Outcome) -> str:
    """What was measured on each side."""
    if outcome.metric == "quality" or not (outcome.base_units or outcome.candidate_units):
        return "–"
    if outcome.unit == "block":
        return counted(outcome.base_units, "pair")
    return f"{outcome.base_units} / {outcome.candidate_units} days"


def shortened(lines: Sequence[str], most: int) -> list[str]:
    """The first of them, and how many more there are."""
    left = [f"and {len(lines) - most} more"] if len(lines) > most else []
    return [*lines[:most], *left]


def how_to_read(comparison: Comparison) -> list[str]:
    """Each thing that the outcomes rest on, once."""
    assumed = sorted({outcome.assumed for outcome in comparison.outcomes if outcome.assumed})
    told = {outcome.metric: outcome.threshold for outcome in comparison.outcomes if outcome.threshold}
    thresholds = ", ".join(f"{metric.replace('_', '-')} {percent(share)}" for metric, share in told.items())
    lines = [f"assumed: {text}" for text in assumed]
    if thresholds:
        lines.append(
            f"thresholds: {thresholds}. regressed: shown to be slower, and not shown to be below the threshold. "
            "not regressed: shown to be below it. Above 1 the candidate is faster; intervals are 95 % of a single "
            "look, and outcomes are drawn at a stricter level (docs/compare.md)."
        )
    return lines


def as_row(outcome: Outcome) -> tuple[str, ...]:
    """One outcome, in COLUMNS."""
    series = outcome.series
    return (
        WORDS[outcome.outcome],
        series.workload,
        series.scenario,
        series.partition,
        series.optimization,
        outcome.metric.replace("_", "-"),
        str(outcome.ratio or "–"),
        units(outcome),
        outcome.reason,
    )
