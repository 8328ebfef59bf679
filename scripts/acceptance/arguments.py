"""What a person may choose on the command line."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from scripts.acceptance.child import GRACE_S
from scripts.acceptance.steps import BENCH, PARTITIONS, SCENARIOS, WORKLOADS, Choice, model_optimizations


def arguments(text: str) -> tuple[Choice, float]:
    """The choice, and the seconds that it may take; `text`: what the script does. Ends the process with 2 and words
    where an argument is none."""
    summary, _, rest = text.partition("\n\n    ")
    parser = argparse.ArgumentParser(
        prog="scripts/acceptance_gpu",
        description=summary,
        epilog=rest.partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, default=Path("acceptance"), help="where everything is written")
    parser.add_argument("--minutes", type=float, default=None, help="end by itself in time (default: no limit)")
    parser.add_argument("--mig", action="store_true", help="measure MIG slices, too: changes the GPU's MIG layout")
    parser.add_argument("--gpu", default="cuda", help="bench's option: cuda, or cpu to try the script itself")
    parser.add_argument(
        "--device", default=None, metavar="GPU-...", help="its UUID or PCI bus id, where there are several"
    )
    parser.add_argument("--protocol", default="standard", help="smoke, standard or publish")
    parser.add_argument("--workloads", type=_names, default=WORKLOADS, metavar="NAME,...")
    parser.add_argument("--scenarios", type=_names, default=SCENARIOS, metavar="NAME,...")
    parser.add_argument("--partitions", type=_names, default=PARTITIONS, metavar="NAME,...")
    parser.add_argument("--optimizations", type=_names, default=None, metavar="NAME,...", help="default: all there are")
    parser.add_argument("--rounds", type=int, default=15, help="of comparing bench's timing with that of others")
    found = parser.parse_args()
    limit_s = float("inf") if found.minutes is None else found.minutes * 60
    if not limit_s > 2 * GRACE_S:  # neither is nan
        parser.error(f"--minutes should be more than {2 * GRACE_S / 60:g}")
    if found.rounds < 1:
        parser.error("--rounds should be at least 1")
    choice = Choice(
        folder=found.folder.absolute(),
        gpu=found.gpu,
        device=found.device,
        protocol=found.protocol,
        workloads=found.workloads,
        scenarios=found.scenarios,
        partitions=found.partitions,
        optimizations=found.optimizations or _all_optimizations(),
        mig=found.mig,
        rounds=found.rounds,
        # A build that is interrupted begins anew: it must fit into one call, or it would never end.
        build_limit_s=min(1800.0, limit_s - 2 * GRACE_S),
    )
    return choice, limit_s


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _all_optimizations() -> tuple[str, ...]:
    listed = subprocess.run((*BENCH, "list", "--json"), stdout=subprocess.PIPE, text=True)
    if listed.returncode != 0:  # bench said why
        sys.exit(listed.returncode)
    return model_optimizations(json.loads(listed.stdout)["optimizations"])
