"""How often does this machine see a difference where there is none, and how large are they? The noise floor.

    python scripts/aa.py --results aa [--experiments 20] [option=value ...]

Runs A/A experiments (the baseline against itself, in fresh processes, in balanced blocks), says in how many the 95 %
interval misses 1 (at most 3 of 20 are to be expected; 4 or more happen once in 60) and gives the median half-width of
those intervals: differences below it are noise here. Options are those of `bench run`. Interrupted, it goes on where
it was when it is called again with the same folder.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median

from scipy.special import bdtr

from bench.judge.evidence import RunEvidence
from bench.judge.noise import Floor
from bench.judge.speedup import LEVEL
from bench.judge.statistics import ratio
from bench.stored import read_run

UNLIKELY = 0.02
"""So many significant experiments or more, by chance alone, are not believed: 4 of 20 happen in 1.6 % of cases."""


def main() -> int:
    arguments, options = _arguments()
    found: dict[str, list[Floor]] = {}
    for number in range(1, arguments.experiments + 1):
        floors = _experiment(arguments.results / f"{number:02d}", options)
        for floor in floors:
            found.setdefault(floor.partition, []).append(floor)
            print(f"{number:3d}  {floor.partition:16} {_interval(floor)}", flush=True)
        if not floors:
            print(f"{number:3d}  spoiled: fewer than two blocks are valid; delete its folder to repeat it", flush=True)
    if not found:
        sys.exit("no experiment has two valid blocks with a second baseline: is protocol.noise_floor on?")
    most = 0
    for partition, measured in found.items():
        significant = sum(floor.differs for floor in measured)
        half_width = ratio(median(floor.paired.half_width(LEVEL) for floor in measured)) - 1
        print(f"{partition}: {significant} of {len(measured)} significant, noise floor {half_width:.2%}")
        most = max(most, significant)
    return int(bdtr(most - 1, arguments.experiments, LEVEL) > 1 - UNLIKELY)


def _experiment(folder: Path, options: list[str]) -> list[Floor]:
    """Measure one experiment, unless its folder holds it already; the baseline against itself on each partition."""
    plans = sorted(folder.glob("*/plan.json"))
    if plans and not _complete(plans[0].parent):
        shutil.rmtree(plans[0].parent)  # half an experiment: it is short, so it is measured anew
        plans = []
    if not plans:
        chosen = any(option.startswith("optimizations=") for option in options)
        own = ["protocol.doublings=0", f"results_dir={folder}", *([] if chosen else ["optimizations=[fp32]"])]
        done = subprocess.run([sys.executable, "-m", "bench", "run", *options, *own], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        plans = sorted(folder.glob("*/plan.json"))
    evidence = RunEvidence(read_run(plans[0].parent))
    floors = [evidence.floor(name, evidence.plan.blocks) for name in evidence.partitions()]
    return [floor for floor in floors if floor]


def _complete(folder: Path) -> bool:
    run = read_run(folder)
    return len(run.trials) == len(run.plan.trials)


def _interval(floor: Floor) -> str:
    found = floor.again
    sign = "  significant" if floor.differs else ""
    return f"{found.estimate:.4f} [{found.low:.4f}, {found.high:.4f}] of {found.pairs} pairs{sign}"


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="folder for the runs; may hold some already")
    parser.add_argument("--experiments", type=int, default=20)
    parser.add_argument("options", nargs="*", metavar="option=value", help="as for `bench run`")
    arguments = parser.parse_args()
    return arguments, arguments.options


if __name__ == "__main__":
    sys.exit(main())
