"""`bench report`: stored runs as one HTML file, and as Markdown, CSV and JSON."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bench.errors import StoreError
from bench.report import html, json_form, markdown, tables_csv
from bench.report.data import Report, build
from bench.report.progress import say
from bench.verbs.inputs import Inputs, read_inputs


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
        json.dump(json_form.to_json(report), sys.stdout, indent=1, ensure_ascii=True, allow_nan=False)
        sys.stdout.write("\n")
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


def file_stem(folder: Path) -> str:
    """A run's name, as far as it can be part of a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", folder.resolve().name).lstrip(".-")[:150] or "report"


def write(folder: Path, forms: Mapping[str, str]) -> None:
    """All under temporary names first, then renamed: whoever reads meanwhile sees whole files, old or new. Raises
    StoreError; what it had written is then taken back."""
    temporary = {name: folder / f".{name}.{os.getpid()}.tmp" for name in forms}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in forms.items():
            # A lone surrogate that a record smuggled in cannot be encoded: it becomes a question mark.
            temporary[name].write_bytes(text.encode("utf-8", errors="replace"))
        for name, path in temporary.items():
            path.replace(folder / name)
    except OSError as error:
        for path in temporary.values():
            with suppress(OSError):
                path.unlink()
        raise StoreError(
            f"cannot write the report: {os.strerror(error.errno) if error.errno else error}",
            where=str(folder),
            hint="free some space, or say --output FOLDER for a place that you may write to",
        ) from error
