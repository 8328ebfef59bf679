"""`bench history`: how speeds went over many runs, and when they shifted."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.errors import InputError
from bench.judge.history.history import history
from bench.report.history import json_form as history_json
from bench.report.history import page as history_page
from bench.report.history.console import print_history
from bench.report.progress import say
from bench.stored import SetAside, StoredRun, find_runs, read_run
from bench.verbs.files import write
from bench.verbs.inputs import RESULTS

PAGE, DATA = "history.html", "history.json"
MOST_SAID = 20


def run(runs: Sequence[str], output: str, as_json: bool) -> int:
    """Read, judge, write the page and its data, print; the exit code. Raises InputError where there is no run that can
    be used."""
    paths = [Path(text) for text in runs] or [RESULTS]
    found = history(_read(paths))
    for item in found.set_aside[:MOST_SAID]:
        say(f"set aside: {item.where}: {item.why}")
    if (left := len(found.set_aside) - MOST_SAID) > 0:
        say(f"set aside: and {left} more")
    if not found.series:
        raise InputError(
            "no run here can be used",
            where=", ".join(map(str, paths)),
            hint="the reasons stand above; a history is made of runs that `bench run` measured",
        )
    data = json.dumps(history_json.to_json(found), indent=1, ensure_ascii=True, allow_nan=False) + "\n"
    folder = Path(output)
    write(folder, {PAGE: history_page.render(found), DATA: data})
    say(str(folder / DATA))
    if as_json:
        say(str(folder / PAGE))
        sys.stdout.write(data)
    else:
        print_history(found)
        sys.stdout.write(f"{folder / PAGE}\n")
    return 0


def _check(paths: Sequence[Path]) -> None:
    for path in paths:
        if not path.exists():
            raise InputError(
                f"there is no {path}",
                where=str(path),
                hint="name a folder of runs, such as results, or measure with `bench run`",
            )


def _read(paths: Sequence[Path]) -> Iterator[StoredRun | SetAside]:
    """One after the other, so that only what a history keeps of each stays in memory. A night that left no run is
    named, and the others go on."""
    _check(paths)
    folders: list[Path] = []
    for path in paths:
        try:
            folders += find_runs([path])
        except InputError as error:
            yield SetAside(str(path), error.what)
    for folder in {folder.resolve(): folder for folder in folders}.values():
        try:
            yield read_run(folder)
        except InputError as error:
            yield SetAside(folder.name, error.what)
