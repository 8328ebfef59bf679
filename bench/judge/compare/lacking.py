"""Why a side has not measured what the other one did. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from bench.records import Infeasible


def why_not(infeasible: Iterable[Infeasible]) -> str:
    """`infeasible`: what its plan says of the series in question."""
    reasons = (item.reason for item in infeasible if not item.telemetry)
    reason = next(reasons, None)
    return "it was not planned" if reason is None else f"infeasible: {reason}"
