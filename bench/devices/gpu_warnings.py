"""What may spoil measurements on a GPU, each with the command that mends it. Nothing is ever run by us."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.devices.gpu_words import THROTTLING

Warning = tuple[str, str]

VARIABLES = {
    "CUDA_LAUNCH_BLOCKING": "every kernel is waited for",
    "CUDA_INJECTION64_PATH": "a tool is loaded into every CUDA process",
    "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "tenants get fewer multiprocessors",
    "CUDA_MPS_PIPE_DIRECTORY": "tenants become clients of somebody's MPS daemon",
    "NVIDIA_TF32_OVERRIDE": "libraries may compute in TF32 where fp32 is asked for",
    "PYTORCH_NO_CUDA_MEMORY_CACHING": "every tensor is allocated anew",
}
"""What they do when they are set; 0 switches them off."""


def gpu_warnings(found: Mapping[str, Any]) -> list[Warning]:
    """(what, mend) of one GPU of a fingerprint. What is not told (None) is not warned of."""
    told = [warning for check in _CHECKS for warning in check(found, f"nvidia-smi -i {found['uuid']}")]
    return [(f"rehearsal: {what}", mend) for what, mend in told] if found["rehearsal"] else told


def _guest(found: Mapping[str, Any], smi: str) -> Iterator[Warning]:
    if found["virtualization"] == "vgpu":
        yield (
            f"this is a vGPU guest's share ({found['name']}): neighbours are out of sight, MIG and clocks the host's",
            "compare only within one run, or measure on a whole GPU",
        )


def _clocks(found: Mapping[str, Any], smi: str) -> Iterator[Warning]:
    """NVML can set a lock and cannot tell of one; that an application clock holds is an event reason."""
    if "applications clocks setting" in (found["event_reasons"] or ()) or found["virtualization"] == "vgpu":
        return
    clock = found["clocks_mhz"]["graphics"]["application_default"]
    which = f"{clock},{clock}" if clock else "MHZ,MHZ"
    yield (
        "NVML does not tell whether clocks are locked: unless they are, they follow temperature and power",
        f"{smi} -lgc {which}  (`-q -d SUPPORTED_CLOCKS` lists them, choose one that it can hold; `-rgc` undoes it)",
    )


def _persistence(found: Mapping[str, Any], smi: str) -> Iterator[Warning]:
    if found["persistence"] is False:
        yield "persistence mode is off: the driver starts anew for each first client", f"{smi} -pm 1"


def _neighbours(found: Mapping[str, Any], smi: str) -> Iterator[Warning]:
    processes = found["processes"] or ()
    pids = sorted({process["pid"] for process in processes})
    names = sorted({process["name"] for process in processes if process["name"]})
    if pids:
        who = f" ({', '.join(names)})" if names else ""
        one = f"{len(pids)} other process has" if len(pids) == 1 else f"{len(pids)} other processes have"
        yield (
            f"{one} a context on it{who}",
            f"wait until they end, or where they are yours: kill {' '.join(map(str, pids))}",
        )


def _compute_mode(found: Mapping[str, Any], smi: str) -> Iterator[Warning]:
    if found["compute_mode"] not in (None, "default"):
        yield f"the compute mode is {found['compute_mode']}: tenants cannot share it", f"{smi} -c 0"


def _ecc(found: Mapping[str, Any], smi: str) -> Iterator[Warning]:
    ecc = found["ecc"]
    if ecc and ecc["on"] != ecc["after_reset"]:
        yield (
            f"ECC is {_on(ecc['on'])}, and a reset will switch it {_on(ecc['after_reset'])}",
            f"{smi} --gpu-reset, or leave it as it is: {smi} -e {int(ecc['on'])}",
        )


def _rows(found: Mapping[str, Any], smi: str) -> Iterator[Warning]:
    if found["remapped_rows"] and found["remapped_rows"]["pending"]:
        yield "rows of its memory wait to be remapped", f"{smi} --gpu-reset"
    if found["remapped_rows"] and found["remapped_rows"]["failed"]:
        yield "rows of its memory could not be remapped", f"have it replaced; {smi} -q -d ROW_REMAPPER tells more"


def _power(found: Mapping[str, Any], smi: str) -> Iterator[Warning]:
    limit = found["power_limit_w"]
    if limit["default"] is None:
        return
    if limit["now"] is not None and limit["now"] < limit["default"]:
        yield (
            f"its power limit is {limit['now']:g} W, below the default of {limit['default']:g} W",
            f"{smi} -pl {limit['default']:g}",
        )
    elif limit["enforced"] is not None and limit["enforced"] < limit["default"]:
        yield (
            f"something holds its power at {limit['enforced']:g} W, below the limit of {limit['default']:g} W",
            f"{smi} -q -d POWER tells more; it may be the chassis",
        )


def _mig(found: Mapping[str, Any], smi: str) -> Iterator[Warning]:
    mig = found["mig"]
    if mig["on"] != mig["after_reset"]:
        yield (
            f"MIG is {_on(mig['on'])}, and a reset will switch it {_on(mig['after_reset'])}",
            f"{smi} --gpu-reset, or leave it as it is: {smi} -mig {int(mig['on'])}",
        )


def _throttled(found: Mapping[str, Any], smi: str) -> Iterator[Warning]:
    if causes := [reason for reason in found["event_reasons"] or () if reason in THROTTLING]:
        yield f"it is throttled now: {', '.join(causes)}", f"{smi} -q -d PERFORMANCE,TEMPERATURE,POWER tells more"


def _pcie(found: Mapping[str, Any], smi: str) -> Iterator[Warning]:
    """Links slow down to save power while a GPU idles, so that a slow one says something only under load."""
    link, reasons = found["pcie"], found["event_reasons"]
    if reasons is None or "gpu idle" in reasons or None in link.values():
        return
    if link["generation"] < link["generation_max"] or link["width"] < link["width_max"]:
        yield (
            f"under load its PCIe link is at generation {link['generation']} of {link['generation_max']} and width "
            f"{link['width']} of {link['width_max']}",
            f"seat it anew, or see the machine's firmware; {smi} -q -d PCIE tells more",
        )


def _variables(found: Mapping[str, Any], smi: str) -> Iterator[Warning]:
    for name, effect in VARIABLES.items():
        if found["environment"].get(name, "0") not in ("", "0"):
            yield f"{name} is set: {effect}", f"unset {name}"


def _on(value: bool | None) -> str:
    return "on" if value else "off"


_CHECKS = (
    _guest, _clocks, _persistence, _neighbours, _compute_mode, _ecc, _rows, _power, _mig, _throttled, _pcie, _variables,
)  # fmt: skip
