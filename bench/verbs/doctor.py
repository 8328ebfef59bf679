"""`bench doctor`: what this machine is, what it lacks, and what spoils measurements on it. It changes nothing."""

from __future__ import annotations

import json
import sys
from typing import Any

from bench.composition import GROUPS, compose_all, hydra_ready, options
from bench.config import build_experiment
from bench.devices.fingerprint import fingerprint, warnings


def run(as_json: bool) -> int:
    found = fingerprint()
    told = warnings(found)
    infeasible = _infeasible()
    if as_json:
        content = {
            "fingerprint": found,
            "warnings": [{"what": what, "mend": mend} for what, mend in told],
            "infeasible": infeasible,
        }
        json.dump(content, sys.stdout, indent=1)
        sys.stdout.write("\n")
        return 0
    sys.stdout.write("\n".join(_lines(found, told, infeasible)) + "\n")
    return 0


def _infeasible() -> list[dict[str, str]]:
    """Partitions and optimizations that cannot run here with the default workload, and why."""
    with hydra_ready([]):
        names = {group: options(group) for group in GROUPS}
    every = [f"{group}=[{','.join(names[group])}]" for group in ("partitions", "optimizations")]
    experiment = build_experiment(compose_all(every, [])[0], [])
    reasons: list[dict[str, str]] = []
    for name, partition in experiment.partitions.items():
        if reason := partition.infeasible(experiment.device):
            reasons.append({"group": "partitions", "name": name, "reason": reason})
    for name, optimization in experiment.optimizations.items():
        if reason := optimization.infeasible(experiment.workload, experiment.device):
            reasons.append({"group": "optimizations", "name": name, "reason": reason})
    return reasons


def _lines(found: dict[str, Any], told: list[tuple[str, str]], infeasible: list[dict[str, str]]) -> list[str]:
    cpu = found["cpu"]
    missing = [name for name, version in found["versions"].items() if version is None]
    installed = ", ".join(f"{name} {version}" for name, version in found["versions"].items() if version)
    lines = [
        f"bench {found['bench']}" + (f" ({found['commit']})" if found["commit"] else ""),
        f"system    {found['system']}, Python {found['python']}",
        f"cpu       {cpu['name']}, {len(cpu['usable'])} of {cpu['online']} cores usable, {' '.join(cpu['flags'])}",
        f"memory    {found['memory_bytes'] / 2**30:.1f} GiB",
        f"libraries {installed}",
    ]
    if missing:
        lines.append(f"missing   {', '.join(missing)} (pip install 'bench[cpu]')")
    lines += ["", "what may spoil a measurement here:" if told else "nothing found that spoils a measurement"]
    lines += [f"  {what}\n      {mend}" for what, mend in told]
    lines += ["", "infeasible here:"]
    lines += [f"  {item['name']}: {item['reason']}" for item in infeasible]
    return lines
