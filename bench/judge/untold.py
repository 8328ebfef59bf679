"""What a run that another tool measured does not tell, in words. Pure."""

from __future__ import annotations

from bench.records import Imported, Missing, Plan

WORDS: dict[Missing, str] = {
    "blocks": "interleaved blocks",
    "quality": "quality",
    "telemetry": "telemetry",
    "proof": "proof of what ran",
    "requests": "single requests",
    "latency": "every trial's latency",
    "device": "the device (it is what the user said)",
}


def interleaved(plan: Plan) -> bool:
    """Whether trials with the same block number were measured side by side, so that drift cancels between them."""
    return without_blocks(plan) is None


def without_blocks(plan: Plan) -> str | None:
    """Why nothing of a run can be paired, nor its spread judged; None for what was measured in blocks."""
    if plan.imported is None or "blocks" not in plan.imported.missing:
        return None
    return f"measured by {source(plan.imported)}, which has no blocks"


def source(imported: Imported) -> str:
    """The tool, with its version where that is known. Of a table it is what the user said of it."""
    if imported.tool == "csv":
        return f"{imported.version or 'another tool'} (csv)"
    return f"{imported.tool} {imported.version}".strip()


def untold(imported: Imported) -> str:
    """For people, in a sentence: what it is, and what is missing."""
    missing = ", ".join(WORDS[name] for name in imported.missing)
    told = f"; not told: {missing}" if missing else ""
    return f"Measured by {source(imported)}, not by bench{told}. Nothing is decided from it."
