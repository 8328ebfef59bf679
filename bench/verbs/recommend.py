"""`bench recommend`: which measured configuration satisfies a need, what it costs, and what deploys it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.errors import GATE_FAILED, NOT_ENOUGH_EVIDENCE
from bench.judge.recommend.answer import Answer, answer
from bench.judge.recommend.deploying import deployment
from bench.judge.recommend.need import read_need
from bench.report.progress import say
from bench.report.recommend import page as recommendation
from bench.report.recommend.console import print_recommendation
from bench.report.recommend.json_form import to_json
from bench.report.recommend.words import words
from bench.stored import newest_run
from bench.verbs.files import file_stem, write
from bench.verbs.inputs import RESULTS, measured, read_runs
from bench.verbs.printing import print_json


def run(runs: Sequence[str], need: str, emit: str | None, output: str, as_json: bool) -> int:
    """0: something is recommended. 1: all that was measured fails the need. 4: it is not known. With `emit` standard
    output is the configuration that deploys it, and nothing where nothing is recommended."""
    asked = read_need(Path(need))
    folders = [Path(text) for text in runs] or [newest_run(RESULTS)]
    found = answer(measured(read_runs(folders), "recommendation"), asked)
    name = f"recommendation-{_name(found)}.html"
    write(Path(output), {name: recommendation.render(found)})
    say(f"all of it, with reasons: {Path(output) / name}")
    emitted = _emitted(found, emit)
    if as_json:
        content = to_json(found) | ({"emitted": emitted} if emit else {})
        print_json(content)
    elif emit:
        shown = words(found)
        say(f"{shown.headline}: {shown.lead}")
        if emitted is None:
            say(f"Nothing is recommended, so nothing is emitted for {emit}: a file that this was to go to is empty.")
            for why, command in shown.measure:
                say(f"{why}: {command}" if command else f"{why}.")
        else:
            sys.stdout.write(emitted)
    else:
        print_recommendation(found)
    if found.best:
        return 0
    return NOT_ENOUGH_EVIDENCE if found.only_lacks_evidence or not found.weighed else GATE_FAILED


def _emitted(found: Answer, form: str | None) -> str | None:
    if form is None or found.best is None:
        return None
    from bench.emit.forms import emit

    return emit(form, deployment(found.best.candidate, found.need, found.devices or 1, found.per_s))


def _name(found: Answer) -> str:
    return file_stem(found.runs[0].folder) if len(found.runs) == 1 else f"{len(found.runs)}-runs"
