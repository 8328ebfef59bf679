"""Everything that can be checked on a GPU, on lab hardware.

    scripts/acceptance_gpu --folder acceptance [--minutes 8] [--mig]

Runs bench's doctor, compares its timing with that of others, measures all optimizations of all workloads on the whole
GPU and on shares of it, judges the claims, writes a report, and says what did not work. It needs no network. Call it
again with the same folder and it goes on where it was; with --minutes it ends by itself in time, in the middle of a run
if need be, and exits with 3 until everything is done. The GPU's MIG layout is changed only with --mig.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from scripts.acceptance import account
from scripts.acceptance.steps import (
    BENCH,
    PARTITIONS,
    SCENARIOS,
    WORKLOADS,
    Choice,
    Step,
    all_steps,
    model_optimizations,
    resumed,
)

NOT_FINISHED = 3
INTERRUPTED = 130
GRACE_S = 45.0
"""How long before the end a run is interrupted: it stores what it has, and ends its tenants."""


def main() -> int:
    choice, limit_s = _arguments()
    ends_s = time.monotonic() + limit_s
    choice.folder.mkdir(parents=True, exist_ok=True)
    ledger = choice.folder / "acceptance.json"
    done: dict[str, Any] = json.loads(ledger.read_text()) if ledger.exists() else {}
    for step in all_steps(choice):
        if step.name in done and not step.every_time:
            continue
        left_s = ends_s - time.monotonic() - GRACE_S
        finished = left_s > 0 and _take(step, choice.folder, left_s, done)
        if not finished:
            print(f"stopped at {step.name}: call it again with the same folder, and it goes on there")
            return NOT_FINISHED
        ledger.write_text(json.dumps(done, indent=1))
    print(account.told(choice.folder, done))
    print(f"report: {choice.folder / 'report'}")
    return 0


def _take(step: Step, folder: Path, limit_s: float, done: dict[str, Any]) -> bool:
    """Do one step and note what became of it; False when it was interrupted before it was finished."""
    print(f"{step.name} ...", flush=True)
    started_s = time.monotonic()
    log = folder / "logs" / f"{step.name}.log"
    log.parent.mkdir(exist_ok=True)
    unfinished = step.output.with_suffix(".part")
    with log.open("a") as errors, unfinished.open("w") as output:
        code = _watched(resumed(step), output, errors, limit_s)
    if code is None or code == INTERRUPTED:
        return False
    unfinished.replace(step.output)
    spent_s = time.monotonic() - started_s
    said = "" if code == 0 else "\n".join(log.read_text().splitlines()[-3:])
    done[step.name] = {"exit_code": code, "seconds": round(spent_s, 1), "said": said}
    print(f"{step.name}: {'done' if code == 0 else f'exit code {code}'} in {spent_s:.0f} s", flush=True)
    if said:
        print(said, flush=True)
    return True


def _watched(command: tuple[str, ...], output: Any, errors: Any, limit_s: float) -> int | None:
    """The exit code; None when it was interrupted, because the time was up or a person pressed Ctrl-C."""
    process = subprocess.Popen(command, stdout=output, stderr=errors, start_new_session=True)
    try:
        return process.wait(None if math.isinf(limit_s) else limit_s)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        _interrupt(process)
        return None


def _interrupt(process: subprocess.Popen[Any]) -> None:
    """Ask it to end, as Ctrl-C would, and see to it that nothing of it is left."""
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S * 2 / 3)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _arguments() -> tuple[Choice, float]:
    parser = argparse.ArgumentParser(
        prog="scripts/acceptance_gpu",
        description=(__doc__ or "").partition("\n\n    ")[0],
        epilog="It goes on where it was when it is called again with the same folder.",
    )
    parser.add_argument("--folder", type=Path, default=Path("acceptance"), help="where everything is written")
    parser.add_argument("--minutes", type=float, default=None, help="end by itself in time (default: no limit)")
    parser.add_argument("--mig", action="store_true", help="measure MIG slices, too: changes the GPU's MIG layout")
    parser.add_argument("--gpu", default="cuda", help="bench's option: cuda, or cpu to try the script itself")
    parser.add_argument("--protocol", default="standard", help="smoke, standard or publish")
    parser.add_argument("--workloads", type=_names, default=WORKLOADS, metavar="NAME,...")
    parser.add_argument("--scenarios", type=_names, default=SCENARIOS, metavar="NAME,...")
    parser.add_argument("--partitions", type=_names, default=PARTITIONS, metavar="NAME,...")
    parser.add_argument("--optimizations", type=_names, default=None, metavar="NAME,...", help="default: all there are")
    parser.add_argument("--rounds", type=int, default=15, help="of comparing bench's timing with that of others")
    arguments = parser.parse_args()
    limit_s = arguments.minutes * 60 if arguments.minutes else float("inf")
    if limit_s <= 2 * GRACE_S:
        parser.error(f"--minutes should be more than {2 * GRACE_S / 60:g}")
    return (
        Choice(
            folder=arguments.folder.absolute(),
            gpu=arguments.gpu,
            protocol=arguments.protocol,
            workloads=arguments.workloads,
            scenarios=arguments.scenarios,
            partitions=arguments.partitions,
            optimizations=arguments.optimizations or _all_optimizations(),
            mig=arguments.mig,
            rounds=arguments.rounds,
            # A build that is interrupted begins anew: it must fit into one call, or it would never end.
            build_limit_s=min(1800.0, limit_s - 2 * GRACE_S),
        ),
        limit_s,
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _all_optimizations() -> tuple[str, ...]:
    listed = subprocess.run((*BENCH, "list", "--json"), check=True, capture_output=True, text=True)
    return model_optimizations(json.loads(listed.stdout)["optimizations"])


if __name__ == "__main__":
    sys.exit(main())
