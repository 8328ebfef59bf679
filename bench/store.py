"""results/: the only module that writes there. Append-only, synced, atomic, resumable.

    <run>/run.json               how the run was asked for: configuration, fingerprint, versions, commit
          plan.json              every trial in its order, and what is infeasible
          cells.json             the search for each cell's best batch size, where there was one
          trials.jsonl           one line per finished trial
          samples/<trial>.parquet, telemetry/<trial>.parquet
          imported/<sha256>    a file that was imported, as it was, where it is to be given back

A trial's files are written before its line, each under a temporary name and renamed into place; the line is appended
and synced. So a trial is finished exactly if its line is whole, and what a kill left behind (half a line, temporary
files, files without a line) is recognised and cleared when the run is resumed.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from bench.errors import InputError, StoreError
from bench.records import Plan, TrialRecord
from bench.stored import IMPORTED, TRIALS, parse_lines

TEMPORARY = ".tmp"
SAMPLES = "samples"
TELEMETRY = "telemetry"


class Run:
    """One run folder, held by one process at a time."""

    def __init__(self, folder: Path, lock: IO[str]) -> None:
        self.folder = folder
        self._lock = lock

    @classmethod
    def create(cls, results_dir: Path, name: str) -> Run:
        """A new folder; a number is added to the name while it is taken."""
        with _told(results_dir):
            results_dir.mkdir(parents=True, exist_ok=True)
            folder, count = results_dir / name, 1
            while True:
                try:
                    folder.mkdir()
                    break
                except FileExistsError:
                    count += 1
                    folder = results_dir / f"{name}-{count}"
            for part in (SAMPLES, TELEMETRY):
                (folder / part).mkdir()
            return cls(folder, _hold(folder))

    @classmethod
    def open(cls, folder: Path) -> Run:
        """An existing run, to be resumed: what a kill left behind is cleared."""
        if not (folder / "plan.json").is_file() or not (folder / "run.json").is_file():
            raise InputError(
                f"{folder} is not a run that can be resumed",
                where="--resume",
                hint="name the folder that `bench run` printed; without run.json and plan.json it never began",
            )
        with _told(folder):
            run = cls(folder, _hold(folder))
            run._clear_leftovers()
            return run

    def close(self) -> None:
        """Let other processes write to it, before this one ends."""
        self._lock.close()

    def discard(self) -> None:
        """Nothing was measured, and nothing is left of it."""
        if not self.trials():
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- writing ---

    def write_json(self, name: str, content: Any) -> None:
        def write(path: Path) -> None:
            with path.open("w") as file:
                json.dump(content, file, indent=1, default=str)
                file.write("\n")

        self._write(self.folder / name, write)

    def write_samples(self, trial: str, columns: Mapping[str, Any]) -> None:
        self._write_table(self.folder / SAMPLES / f"{trial}.parquet", columns)

    def write_telemetry(self, trial: str, columns: Mapping[str, Any]) -> None:
        self._write_table(self.folder / TELEMETRY / f"{trial}.parquet", columns)

    def keep(self, sha256: str, content: bytes) -> None:
        with _told(self.folder):
            (self.folder / IMPORTED).mkdir(exist_ok=True)
        self._write(self.folder / IMPORTED / sha256, lambda temporary: temporary.write_bytes(content))

    def append_trial(self, record: TrialRecord) -> None:
        """Append one line and sync it. When the disk is full, what was written of it is taken back."""
        line = (record.model_dump_json() + "\n").encode()
        with _told(self.folder):
            descriptor = os.open(self.folder / TRIALS, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                length = os.fstat(descriptor).st_size
                try:
                    view = memoryview(line)
                    while view:
                        view = view[os.write(descriptor, view) :]
                    os.fsync(descriptor)
                except OSError:
                    os.ftruncate(descriptor, length)
                    raise
            finally:
                os.close(descriptor)

    # --- reading ---

    def read_json(self, name: str) -> Any:
        try:
            return json.loads((self.folder / name).read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise _unreadable(self.folder / name, error) from error

    def plan(self) -> Plan:
        try:
            return Plan.model_validate(self.read_json("plan.json"))
        except ValueError as error:
            raise _unreadable(self.folder / "plan.json", error) from error

    def trials(self) -> list[TrialRecord]:
        """Finished trials, in the order in which they were finished."""
        return list(read_trials(self.folder))

    # --- inside ---

    def _write_table(self, path: Path, columns: Mapping[str, Any]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table({name: pa.array(values) for name, values in columns.items()})
        self._write(path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))

    def _write(self, path: Path, write: Callable[[Path], object]) -> None:
        """Write under a temporary name, sync, rename; nothing is left behind when that fails."""
        temporary = path.with_name(path.name + TEMPORARY)
        with _told(self.folder):
            try:
                write(temporary)
                _sync(temporary)
                temporary.rename(path)
                _sync(path.parent)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise

    def _clear_leftovers(self) -> None:
        trials = self.folder / TRIALS
        if trials.exists():
            content = trials.read_bytes()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                os.truncate(trials, whole)
        finished = {record.id for record in self.trials()}
        for part in (SAMPLES, TELEMETRY):
            (self.folder / part).mkdir(exist_ok=True)
            for path in (self.folder / part).iterdir():
                if path.suffix == TEMPORARY or path.stem not in finished:
                    path.unlink()
        for path in self.folder.glob(f"*{TEMPORARY}"):
            path.unlink()


def read_trials(folder: Path) -> Iterator[TrialRecord]:
    """The finished trials of a run folder. A line that is not a trial is an error with its number."""
    path = folder / TRIALS
    try:
        for number, found in parse_lines(path):
            if isinstance(found, ValueError):
                raise InputError(
                    "a line is not a trial record: " + str(found).splitlines()[0],
                    where=f"{path}, line {number}",
                    hint="restore the file, or delete that line to have its trial measured again by --resume",
                ) from found
            yield found
    except OSError as error:
        raise _unreadable(path, error) from error


def _hold(folder: Path) -> IO[str]:
    """Hold the folder as long as this process lives; the kernel lets go when it dies."""
    lock = (folder / ".lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise StoreError(
            "another process is writing this run",
            where=str(folder),
            hint="wait until it has ended, or end it; side by side use different runs",
        ) from error
    return lock


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """An OSError inside becomes three lines. Nothing that was finished before is lost by it."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = "nothing finished is lost: free some space, then `bench run --resume` this run"
        else:
            hint = "say results_dir=FOLDER for a place that you may write to"
        # pyarrow wraps the system's words in its own; its error number is the system's.
        what = os.strerror(error.errno) if error.errno else str(error)
        what = "there is a file of that name" if isinstance(error, FileExistsError) else what
        raise StoreError(f"cannot write results: {what}", where=str(folder), hint=hint) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(
        f"cannot read a run's file: {str(error).splitlines()[0]}",
        where=str(path),
        hint="restore it from a copy; what the other trials measured is untouched",
    )
