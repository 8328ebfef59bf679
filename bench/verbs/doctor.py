"""`bench doctor`: what this machine is, what it lacks, and what spoils measurements on it. It changes nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from bench.composition import hydra_ready, user_folders
from bench.config import Experiment, load_experiments
from bench.devices import container_stack
from bench.devices.fingerprint import fingerprint, warnings
from bench.devices.nvml import NvmlError
from bench.errors import ConfigError
from bench.groups import options
from bench.verbs.printing import print_json


def run(overrides: Sequence[str], config_dirs: Sequence[str], as_json: bool) -> int:
    """`overrides` choose the workload and the GPU that feasibility is told for. All real GPUs are shown, or the
    rehearsed one that was chosen."""
    try:
        experiment = _everything(overrides, config_dirs)
    except NvmlError as error:  # the chosen GPU does not answer, which is what a doctor is asked about
        rehearsed, infeasible = None, [{"group": "gpu", "name": "gpu", "reason": f"{error.what} ({error.where})"}]
    else:
        rehearsed = experiment.device if experiment.device.rehearsal else None
        infeasible = _infeasible(experiment)
    found = fingerprint(rehearsed, detect_energy=True)
    told = warnings(found)
    if as_json:
        content = {
            "fingerprint": found,
            "warnings": [{"what": what, "mend": mend} for what, mend in told],
            "infeasible": infeasible,
        }
        print_json(content)
        return 0
    sys.stdout.write("\n".join(_lines(found, told, infeasible)) + "\n")
    return 0


def _everything(overrides: Sequence[str], config_dirs: Sequence[str]) -> Experiment:
    """An experiment of all partitions and optimizations that there are."""
    with hydra_ready(user_folders(config_dirs)):
        every = [f"{group}=[{','.join(options(group))}]" for group in ("partitions", "optimizations")]
    experiments = load_experiments([*every, *overrides], config_dirs)
    if len(experiments) > 1:
        raise ConfigError(
            "a comma would make several experiments, and bench doctor looks at one",
            where=" ".join(overrides),
            hint="name one workload and one GPU",
        )
    return experiments[0]


def _infeasible(experiment: Experiment) -> list[dict[str, str]]:
    """Partitions and optimizations that cannot run here with this workload, and why."""
    reasons: list[dict[str, str]] = []
    for name, partition in experiment.divisions.items():
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
        *_gpu_lines(found["gpu"]),
        *container_stack.words(found["containers"]),
        f"libraries {installed}",
    ]
    if missing:
        lines.append(f"missing   {', '.join(missing)} (pip install -e '.[cpu]')")
    lines += ["", "what may spoil a measurement here:" if told else "nothing found that spoils a measurement"]
    lines += [f"  {what}\n      {mend}" for what, mend in told]
    lines += ["", "infeasible here:"]
    lines += [f"  {item['name']}: {item['reason']}" for item in infeasible]
    return lines


def _gpu_lines(found: dict[str, Any]) -> list[str]:
    """A short block for each GPU; the JSON form has the rest."""
    if not found["devices"]:
        return [f"gpu       {found['driver']}" + (" sees no GPU" if found["driver"][0].isdigit() else "")]
    return [line for gpu in found["devices"] for line in _gpu_block(gpu)]


def _gpu_block(gpu: dict[str, Any]) -> list[str]:
    if "error" in gpu:
        return [f"gpu       {gpu['uuid']}: {gpu['error']}"]
    told = [
        (gpu["pci_bus_id"], "at {}"),
        (gpu["driver"], "driver {}"),
        (gpu["cuda_driver"], "CUDA {}"),
        (gpu["vbios"], "VBIOS {}"),
        (None if gpu["virtualization"] == "none" else gpu["virtualization"], "virtualization {}"),
    ]
    size = [
        (gpu["sm_count"], "{} SMs"),
        (gpu["memory_bytes"] and gpu["memory_bytes"] / 2**30, "{:.1f} GiB"),
        (_switch(gpu["mig"]["on"]), "MIG {}"),
        (len(gpu["mig"]["devices"]) or None, "{} MIG devices"),
        (_switch(gpu["ecc"] and gpu["ecc"]["on"]), "ECC {}"),
        (_switch(gpu["persistence"]), "persistence {}"),
        (gpu["compute_mode"], "compute mode {}"),
    ]
    now = [
        (gpu["power_limit_w"]["enforced"], "at most {:g} W"),
        (gpu["clocks_mhz"]["sm"]["now"], "SMs at {} MHz now"),
        (gpu["clocks_mhz"]["sm"]["max"], "{} MHz at most"),
        (gpu["temperature_c"]["gpu"], "{} °C"),
        (gpu["energy_update_s"] and gpu["energy_update_s"] * 1000, "energy counted every {:.0f} ms"),
        (", ".join(gpu["event_reasons"] or ()) or None, "{}"),
    ]
    title = f"gpu       {gpu['name']}{' (rehearsal)' if gpu['rehearsal'] else ''} {gpu['uuid']}"
    return [title, *(f"          {line}" for line in map(_line, (told, size, now)) if line)]


def _line(parts: list[tuple[Any, str]]) -> str:
    """What the driver tells, in words; nothing of what it does not."""
    return ", ".join(words.format(value) for value, words in parts if value is not None)


def _switch(value: bool | None) -> str | None:
    return None if value is None else "on" if value else "off"
