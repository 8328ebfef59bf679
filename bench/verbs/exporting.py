"""`bench export`: a stored run in another tool's form."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.errors import InputError
from bench.imports.files import MOST_BYTES
from bench.imports.pytest_benchmark import document as pytest_document
from bench.imports.pytest_benchmark.importer import PytestBenchmark, read_document
from bench.records import SourceFile
from bench.report.progress import say
from bench.stored import IMPORTED, StoredRun, content, first_line, read_run
from bench.verbs.files import write


def run(form: str, run: str, output: str | None) -> int:
    """Write the run's document to a file, or to standard output. A run that was imported from the same tool gives back
    the files as they were; of several sessions, into a folder."""
    assert form == PytestBenchmark.tool, form
    stored = read_run(Path(run))
    if stored.rehearsal:
        raise InputError(
            "this run is a rehearsal: its figures are of no device", where=run, hint="measure, and export that run"
        )
    if stored.plan.imported is not None and stored.plan.imported.tool == form:
        _give_back(stored, stored.plan.imported.files, output)
    else:
        _write_out(_exported(stored), output)
    return 0


def _exported(stored: StoredRun) -> bytes:
    document = pytest_document.document(stored)
    for aside in stored.set_aside:
        say(f"left out, {aside.where}: {aside.why}")
    if without := len(document["bench"]["unmeasured"]):
        say(f"{without} of {len(stored.trials)} trials have no times of their own: other readers will not see them")
    text = json.dumps(document).encode()
    if len(text) > MOST_BYTES:
        say(f"this document has {len(text):,} bytes, and bench import reads at most {MOST_BYTES:,}")
    return text + b"\n"


def _give_back(stored: StoredRun, files: Sequence[SourceFile], output: str | None) -> None:
    if len(files) == 1:
        _write_out(_kept(stored, files[0]), output)
        return
    if output is None:
        raise InputError(
            f"this run is of {len(files)} sessions, and a document is of one",
            where=str(stored.folder),
            hint="say --output FOLDER: each is written there under its name",
        )
    contents = [_kept(stored, file) for file in files]
    names = [Path(file.name).name or "session.json" for file in files]
    taken = [
        name if names.count(name) == 1 else f"{file.sha256[:8]}-{name}" for name, file in zip(names, files, strict=True)
    ]
    _save(Path(output), dict(zip(taken, contents, strict=True)))


def _kept(stored: StoredRun, file: SourceFile) -> bytes:
    """A file as it was imported, unless it was altered since."""
    path = stored.folder / IMPORTED / file.sha256
    try:
        found = content(path)
    except OSError as error:
        what = f"{file.name}, which this run was imported from, cannot be read: {first_line(error)}"
        raise InputError(what, where=str(path), hint="restore it from a copy") from error
    if hashlib.sha256(found).hexdigest() != file.sha256:
        what = f"{file.name}, which this run was imported from, was altered since"
        raise InputError(what, where=str(path), hint="restore it from a copy")
    read_document(path)
    return found


def _write_out(document: bytes, output: str | None) -> None:
    if output in (None, "-"):
        sys.stdout.write(document.decode())
        sys.stdout.flush()
    else:
        path = Path(output)
        _save(path.parent, {path.name: document})


def _save(folder: Path, documents: Mapping[str, bytes]) -> None:
    write(folder, documents)
    for name in documents:
        say(str(folder / name))
