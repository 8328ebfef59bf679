"""Everything that can be checked on a GPU, on lab hardware.

    scripts/acceptance_gpu --folder acceptance [--minutes 8] [--mig]

Runs bench's doctor, compares its timing with that of others, measures all optimizations of all workloads on the whole
GPU and on shares of it, judges the claims, writes a report, and says what did not work. It needs no network. Call it
again with the same folder and options, and it goes on where it was, and tries again what failed; with --minutes it ends
by itself in time, in the middle of a run if need be. The GPU's MIG layout is changed only with --mig.

Exit codes: 0 everything worked, 1 a step failed, 2 usage, 3 not finished: call it again.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import IO

from bench.errors import BenchError, StoreError
from scripts.acceptance import account, ledger
from scripts.acceptance.arguments import arguments
from scripts.acceptance.child import GRACE_S, INTERRUPTED, NOT_FINISHED, end_as_by_ctrl_c, hold, watched
from scripts.acceptance.ledger import Ledger, Outcome
from scripts.acceptance.steps import Choice, Step, all_steps, next_command, options

FAILED = 1
BUSY = "another process is writing this run"
"""bench's words for a run that somebody else resumed."""


def main() -> int:
    end_as_by_ctrl_c()
    try:
        choice, limit_s = arguments(__doc__ or "")
        return _all(choice, limit_s)
    except KeyboardInterrupt:
        print("stopped: call it again with the same folder, and it goes on there")
        return NOT_FINISHED
    except OSError as error:
        hint = "say --folder FOLDER for a place that you may write to, or free some space"
        return _refused(StoreError(f"cannot write: {error.strerror}", where=str(error.filename), hint=hint))
    except BenchError as error:
        return _refused(error)


def _refused(error: BenchError) -> int:
    print(f"acceptance: {error}", file=sys.stderr)
    return error.exit_code


def _all(choice: Choice, limit_s: float) -> int:
    ends_s = time.monotonic() + limit_s
    choice.folder.mkdir(parents=True, exist_ok=True)
    with hold(choice.folder) as lock:
        done = ledger.opened(choice.folder, options(choice))
        for step in all_steps(choice):
            if done.done(step.name) and not step.every_time:
                continue
            left_s = ends_s - time.monotonic() - GRACE_S
            if left_s <= 0 or not take(step, left_s, done, lock):
                print(f"stopped at {step.name}: call it again with the same folder, and it goes on there")
                return NOT_FINISHED
            if step.needed and done.failed(step.name):
                return FAILED
        print(account.told(choice.folder, done.steps))
        report = choice.folder / "report"
        if report.exists():
            print(f"report: {report}")
        return FAILED if any(map(done.failed, done.steps)) else 0


def take(step: Step, limit_s: float, done: Ledger, lock: IO[str]) -> bool:
    """Do one step and note what became of it; False when it was interrupted before it was finished."""
    print(f"{step.name} ...", flush=True)
    started_s = time.monotonic()
    log = done.folder / "logs" / f"{step.name}.log"
    log.parent.mkdir(exist_ok=True)
    before = _size(log)
    unfinished = step.output.with_suffix(".part")
    with log.open("a") as errors, unfinished.open("w") as output:
        code = watched(next_command(step, done.failed(step.name)), output, errors, limit_s, lock)
    told = log.read_bytes()[before:].decode(errors="replace")
    said = "" if code == 0 else "\n".join(told.splitlines()[-3:])
    busy = code != 0 and BUSY in said
    if code is None or code == INTERRUPTED or busy:
        if busy:
            print(said, flush=True)
        return False
    unfinished.replace(step.output)
    spent_s = time.monotonic() - started_s
    done.note(step.name, Outcome(code, round(spent_s, 1), said))
    print(f"{step.name}: {'done' if code == 0 else f'exit code {code}'} in {spent_s:.0f} s", flush=True)
    if said:
        print(said, flush=True)
    return True


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


if __name__ == "__main__":
    sys.exit(main())
