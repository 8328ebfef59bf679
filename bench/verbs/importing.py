"""`bench import`: what another tool measured, taken into results/ as a run like any other."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from bench.errors import ConfigError, InputError
from bench.imports import runs
from bench.imports.imported import Place, WholeRun
from bench.imports.pytest_benchmark import restored
from bench.imports.tools import TOOLS, importer, kind
from bench.judge import table
from bench.report import console
from bench.report.progress import say
from bench.stored import StoredRun, read_run
from bench.verbs.inputs import RESULTS
from bench.verbs.printing import print_json

LIST = "list"
COUNTS = ("batch_size", "tenants")


def run(tool: str, words: Sequence[str], into: str | None, as_json: bool) -> int:
    """Read, store, and print what is now in the run."""
    if tool == LIST:
        if words or into:
            raise ConfigError("list takes nothing", where="bench import list", hint="name a tool instead of list")
        return _list(as_json)
    options, files = _split(words)
    results_dir = options.pop("results_dir", str(RESULTS))
    places = {field.name for field in fields(Place)}
    said = _place({name: value for name, value in options.items() if name in places})
    reader = importer(tool, {name: value for name, value in options.items() if name not in places})
    if not files:
        raise InputError("no file is named", where=f"bench import {tool}", hint=f"{tool} is read from: {reader.reads}")
    found = reader.read(files, said)
    if isinstance(found, WholeRun):
        folder, added = _restored(found, files, into, results_dir), len(found.trials)
    else:
        folder = runs.add(found, Path(into)) if into is not None else runs.create(found, Path(results_dir))
        added = len(found.measured)
    _show(read_run(folder), added, as_json)
    return 0


def _restored(whole: WholeRun, files: Sequence[Path], into: str | None, results_dir: str) -> Path:
    if into is not None or len(files) != 1:
        raise InputError(
            "this file holds a whole run of bench: it becomes a run of its own",
            where=f"bench import {' '.join(map(str, files))}",
            hint="import it alone, and without --into",
        )
    return restored.create(whole, files[0], Path(results_dir))


def _show(stored: StoredRun, added: int, as_json: bool) -> None:
    plan, rows = stored.plan, table.rows(stored.plan, stored.trials)
    if as_json:
        content: dict[str, Any] = {
            "run": str(stored.folder), "imported": plan.imported.model_dump() if plan.imported else None,
            "device": plan.device,
            "workload": plan.workload, "scenario": plan.scenario, "baseline": plan.baseline, "added": added,
            "trials": len(plan.trials), "rows": [table.to_json(row) for row in rows],
        }  # fmt: skip
        print_json(content)
    else:
        console.print_table(plan, rows)
    where = shlex.quote(str(stored.folder))
    more = f", or more of it by bench import ... --into {where}" if plan.imported else ""
    say(f"stored in {stored.folder}; next: bench verify {where}{more}")


def _list(as_json: bool) -> int:
    """Each tool, what it is read from, and its own options."""
    found = [{"tool": name, "reads": kind(name).reads, "options": dict(kind(name).takes)} for name in TOOLS]
    if as_json:
        print_json(found)
        return 0
    width = max(map(len, TOOLS))
    for name in TOOLS:
        sys.stdout.write(f"{name:{width}}  {kind(name).reads}\n")
        for option, what in kind(name).takes.items():
            sys.stdout.write(f"{'':{width}}    {option}{'FIELD' if option.endswith('.') else ''}=  {what}\n")
    return 0


def _split(words: Sequence[str]) -> tuple[dict[str, str], list[Path]]:
    """Options and files. What exists is a file, whatever its name holds."""
    options: dict[str, str] = {}
    files: list[Path] = []
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or _exists(word):
            files.append(Path(word))
        elif not _writable(word):
            raise ConfigError(
                f"{name}= is no text in UTF-8", where=f"{name}=", hint="type it again in a UTF-8 terminal"
            )
        elif name in options:
            raise ConfigError(f"{name}= is said twice", where=word, hint="say it once, or import the files one by one")
        else:
            options[name] = value
    return options, files


def _exists(word: str) -> bool:
    try:
        return Path(word).exists()
    except (OSError, ValueError):  # longer than a name may be, or with a zero byte in it
        return False


def _writable(word: str) -> bool:
    """Bytes that are no text come as halves of characters, which no file can hold."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _place(told: Mapping[str, str]) -> Place:
    values: dict[str, Any] = {name: value.strip() for name, value in told.items()}
    for name in COUNTS:
        if name not in values:
            continue
        if not values[name].isdecimal() or len(values[name]) > 9 or int(values[name]) < 1:
            raise ConfigError(
                f"{name}={told[name]} is no whole number of at least 1", where=f"{name}=", hint=f"say {name}=8"
            )
        values[name] = int(values[name])
    return Place(**values)
