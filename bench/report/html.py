"""The report as one HTML file that loads nothing: style, script and pictures stand in it (docs/adr/0006)."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.report import words
from bench.report.cells import cell_line, rate_title
from bench.report.data import Report, RunReport
from bench.report.numbers import counted, ratio
from bench.report.sections import (
    aside,
    environment,
    forest,
    heatmap,
    latency,
    neighbours,
    pareto,
    scaling,
    summary,
    timelines,
    versions,
)
from bench.report.sections import trials as trial_table
from bench.report.sections import verdicts as verdict_table

TEMPLATES = Path(__file__).parent / "templates"


def render(report: Report) -> str:
    """The same bytes for the same data: no time, no path of this machine."""
    return page(
        "report.html.j2",
        summary=summary.summary(report),
        claims=len(report.entries),
        groups=verdict_table.groups(report.entries),
        untested=verdict_table.untested(report.entries),
        forests=forest.forests(report.entries),
        runs=[_run(run, number, len(report.runs)) for number, run in enumerate(report.runs, start=1)],
        percent_of=lambda share: f"{100 * share:.1f} %",
    )


def page(template: str, **content: object) -> str:
    """A template with its content, and with the style, script and policy of every page that bench writes."""
    style, script = _asset("style.css"), _asset("script.js")
    policy = f"default-src 'none'; base-uri 'none'; form-action 'none'; style-src {_hash(style)}; "
    return (
        _environment()
        .get_template(template)
        .render(
            style=Markup(style),
            script=Markup(script),
            # Whatever a hostile record smuggled in, a browser would run this script and no other, and fetch nothing.
            policy=f"{policy}script-src {_hash(script)}",
            **content,
        )
    )


def _run(run: RunReport, number: int, total: int) -> dict[str, object]:
    """What the part of one run shows. `ident` keeps ids apart where there are several runs."""
    ident = f"run{number}"
    return {
        "ident": ident,
        "prefix": "trial-" if total == 1 else f"trial-{number}-",
        "name": run.run.name,
        "plan": run.run.plan,
        "started": summary.started(run),
        "rate_title": rate_title(run.run.plan),
        "cells": [(cell.row, cell_line(cell.row, run.run.plan.baseline)) for cell in run.cells],
        "versions": versions.versions(run.compared),
        "panels": pareto.panels(run, ident),
        "heat": heatmap.heat_map(run),
        "latencies": latency.latencies(run),
        "scaling": scaling.scaling(run, ident),
        "neighbours": neighbours.tables(run.neighbours),
        "told": neighbours.sentences(run.neighbours),
        "floors": run.floors,
        "trials": trial_table.trials(run),
        "timelines": timelines.shown(run),
        "aside": aside.aside(run),
        "environment": environment.environment(run),
    }


@cache
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"word": words.word, "ratio": ratio}
    found.globals |= {"counted": counted, "SIGNS": words.SIGNS}
    return found


def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a content security policy names an inline element that may be used."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
