"""A comparison as JUnit XML, which CI systems show as tests: a case for each series and metric.

Regressed is a failure. Not enough evidence is an error: a gate that could not tell has not passed, and a case that is
skipped would be shown in green.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from bench.judge.compare.comparison import Comparison, Outcome
from bench.report.compare.words import headline, how_to_read, worst_first

IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, not even escaped."""


def render(comparison: Comparison) -> str:
    """One suite; well-formed whatever a record says."""
    outcomes = comparison.outcomes
    counts = {
        "tests": str(len(outcomes) or 1),
        "failures": str(comparison.count("regressed")),
        "errors": str(comparison.count("not_enough_evidence") if outcomes else 1),
        "skipped": "0",
    }
    root = ET.Element("testsuites", {"name": "bench compare", **counts})
    suite = ET.SubElement(root, "testsuite", {"name": "bench compare", **counts})
    for outcome in worst_first(outcomes):
        _case(suite, outcome)
    if not outcomes:
        case = ET.SubElement(suite, "testcase", {"classname": "bench.compare", "name": "matched series", "time": "0"})
        ET.SubElement(case, "error", {"type": "not_enough_evidence", "message": "nothing was compared"})
    told = [headline(comparison), *map(str, comparison.differs), *comparison.notes, *how_to_read(comparison)]
    ET.SubElement(suite, "system-out").text = _text("\n".join(told))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, outcome: Outcome) -> None:
    series = outcome.series
    place = ".".join((series.workload, series.scenario, series.partition))
    name = f"{series.optimization} {outcome.metric}"
    case = ET.SubElement(suite, "testcase", {"classname": _text(place), "name": _text(name), "time": "0"})
    said = f"{outcome.ratio or 'no ratio'} (speed, candidate / base): {outcome.reason}"
    kind = {"regressed": "failure", "not_enough_evidence": "error"}.get(outcome.outcome)
    if kind:
        told = {"type": outcome.outcome, "message": _text(outcome.reason)}
        ET.SubElement(case, kind, told).text = _text(f"{said}\non {series.device}")
    else:
        ET.SubElement(case, "system-out").text = _text(said)


def _text(text: str) -> str:
    return IMPOSSIBLE.sub("?", text)
