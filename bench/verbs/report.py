"""`bench report`: stored runs as one HTML file, and as Markdown, CSV and JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.report import html, json_form, markdown, tables_csv
from bench.report.data import Report, build
from bench.report.progress import say
from bench.verbs.files import file_stem, write
from bench.verbs.inputs import Inputs, read_inputs
from bench.verbs.printing import print_json


def run(arguments: Sequence[str], config_dirs: Sequence[str], output: str, as_json: bool) -> int:
    """Judge, render, write; tell the paths on standard error and the HTML's (or the JSON) on standard output."""
    inputs = read_inputs(arguments, config_dirs)
    # A run that is there to compare two versions was asked about no claim, and its report is not about twenty others.
    claims = inputs.claims if inputs.claims_chosen or not _compares(inputs) else {}
    report = build(claims, inputs.runs, inputs.published)
    name = file_name(report)
    forms = {
        f"{name}.html": html.render(report),
        f"{name}.md": markdown.render(report),
        f"{name}-verdicts.csv": tables_csv.verdicts_csv(report),
        f"{name}-cells.csv": tables_csv.cells_csv(report),
    }
    folder = Path(output)
    write(folder, forms)
    for written in forms:
        say(str(folder / written))
    if as_json:
        print_json(json_form.to_json(report))
    else:
        sys.stdout.write(f"{folder / name}.html\n")
    return 0


def _compares(inputs: Inputs) -> bool:
    return bool(inputs.runs) and not inputs.published and all(r.plan.against and not r.claims for r in inputs.runs)


def file_name(report: Report) -> str:
    """The run's own name, as far as it can be part of a file name; of several runs, their number."""
    if len(report.runs) != 1:
        return f"report-{len(report.runs)}-runs" if report.runs else "report-published"
    return file_stem(report.runs[0].run.folder)
