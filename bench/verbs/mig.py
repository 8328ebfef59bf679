"""`bench mig`: what layout a GPU has, what another would take, change it, bring it back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.composition import compose_all, user_folders
from bench.contract import Device, Gpu
from bench.devices import nvml, select
from bench.devices.gpu import describe
from bench.devices.mig import change, journal, parted
from bench.devices.mig.commands import commands
from bench.devices.mig.guard import made_by_us
from bench.devices.mig.instances import mig_devices
from bench.devices.mig.wanted import wanted_layout
from bench.errors import ConfigError, InfeasibleHere
from bench.verbs.printing import print_json

NEEDS_LAYOUT = ("plan", "apply")


def run(action: str, words: Sequence[str], config_dirs: Sequence[str], file: str | None, as_json: bool) -> int:
    """`words`: a layout where the action takes one, and gpu=... options."""
    layouts = [word for word in words if "=" not in word]
    options = [word for word in words if "=" in word]
    if strange := [option for option in options if not option.startswith(("gpu=", "gpu."))]:
        raise ConfigError(f"{strange[0]} is no option of bench mig", where=strange[0], hint="it takes gpu=... only")
    if len(layouts) != (action in NEEDS_LAYOUT):
        raise ConfigError(
            f"bench mig {action} takes {'one layout' if action in NEEDS_LAYOUT else 'no layout'}",
            where=f"bench mig {action} {' '.join(layouts)}".strip(),
            hint="a layout is off, a list such as 3g,2g,2x1g, or a label of the file that --file names",
        )
    device = select.find_device(compose_all(options, user_folders(config_dirs))[0].config["gpu"])
    if device.gpu is None:
        raise InfeasibleHere(
            f"{device.name} is no GPU", where="gpu", hint="name one: gpu=cuda, or rehearse one: gpu=rehearsal/a100-40gb"
        )
    answer = _ANSWERS[action](device, device.gpu, layouts[0] if layouts else "", Path(file) if file else None)
    if as_json:
        print_json(answer)
    else:
        sys.stdout.write("\n".join(_LINES[action](answer)) + "\n")
    return 0


def _status(device: Device, gpu: Gpu, layout: str, file: Path | None) -> dict[str, Any]:
    by_id = {profile.id: profile for profile in gpu.profiles}
    book = journal.read(gpu.address.uuid)
    with nvml.session(gpu.address.driver) as session:
        devices = mig_devices(session, session.device(gpu.address.uuid)) if gpu.mig.on else []
    return {
        **_about(device, gpu),
        "mig": gpu.mig.on,
        "mig_after_reset": gpu.mig.pending,
        "instances": [
            {
                "profile": by_id[instance.profile_id].name,
                "number": instance.number,
                "start": instance.start,
                "size": instance.size,
                "ours": book is not None and made_by_us(instance, book.created),
                "devices": [
                    {"uuid": mig.uuid, "sm_count": mig.sm_count, "memory_bytes": mig.memory_bytes}
                    for mig in devices
                    if mig.gpu_instance == instance.number
                ],
            }
            for instance in gpu.mig.instances or ()
        ],
        "visible": gpu.mig.instances is not None,
        "to_restore": book.model_dump() if book else None,
        "profiles": [{"profile": profile.name, "most": profile.max_instances} for profile in gpu.profiles],
    }


def _plan(device: Device, gpu: Gpu, layout: str, file: Path | None) -> dict[str, Any]:
    wanted = wanted_layout(gpu, layout, file)
    return {
        **_about(device, gpu),
        "mig": wanted.on,
        "placements": [
            {"profile": placement.profile.name, "start": placement.start, "size": placement.profile.size}
            for placement in wanted.placements
        ],
        "commands": list(commands(gpu, wanted)),
    }


def _apply(device: Device, gpu: Gpu, layout: str, file: Path | None) -> dict[str, Any]:
    wanted = wanted_layout(gpu, layout, file)
    before = journal.read(gpu.address.uuid)
    devices = change.keep(gpu, wanted)
    return {
        **_about(device, gpu),
        "changed": journal.read(gpu.address.uuid) != before,
        "mig": wanted.on,
        "devices": [mig.uuid for mig in devices],
    }


def _restore(device: Device, gpu: Gpu, layout: str, file: Path | None) -> dict[str, Any]:
    book = change.put_back(gpu)
    with nvml.session(gpu.address.driver) as session:
        left = describe(session, gpu.address).mig
    others = [instance.number for instance in left.instances or ()]
    return {**_about(device, gpu), "restored": book.model_dump() if book else None, "others": others}


def _export(device: Device, gpu: Gpu, layout: str, file: Path | None) -> dict[str, Any]:
    by_id = {profile.id: profile for profile in gpu.profiles}
    if gpu.mig.instances is None:
        raise InfeasibleHere(
            "this user may not see the MIG layout", where=gpu.address.uuid, hint="sudo bench mig export"
        )
    profiles = [by_id[instance.profile_id].name for instance in gpu.mig.instances]
    return {**_about(device, gpu), "text": parted.write("current", gpu.pci_device_id, bool(gpu.mig.on), profiles)}


def _about(device: Device, gpu: Gpu) -> dict[str, Any]:
    return {"device": device.name, "uuid": gpu.address.uuid, "rehearsal": device.rehearsal}


def _status_lines(found: dict[str, Any]) -> list[str]:
    mode = {None: "has no MIG", True: "MIG is on", False: "MIG is off"}[found["mig"]]
    pending = "" if found["mig"] == found["mig_after_reset"] else ", and would be switched by a reset"
    lines = [f"{found['device']} {found['uuid']}: {mode}{pending}"]
    if not found["visible"]:
        lines.append("  this user may not see the layout: sudo bench mig status")
    for instance in found["instances"]:
        whose = "  (ours)" if instance["ours"] else ""
        lines.append(f"  {instance['profile']} at {instance['start']}, GPU instance {instance['number']}{whose}")
        for mig in instance["devices"]:
            sms = f", {mig['sm_count']} SMs" if mig["sm_count"] else ""
            lines.append(f"      {mig['uuid']}{sms}")
    if found["to_restore"]:
        lines.append("bench changed this layout; `bench mig restore` brings the earlier one back")
    if found["mig"] is not None:
        lines.append("profiles: " + ", ".join(f"{p['most']} x {p['profile']}" for p in found["profiles"]))
    return lines


def _plan_lines(found: dict[str, Any]) -> list[str]:
    lines = [f"{found['device']} {found['uuid']}: MIG {'on' if found['mig'] else 'off'}"]
    lines += [f"  {place['profile']} at {place['start']}, size {place['size']}" for place in found["placements"]]
    lines += [f"as by: {command}" for command in found["commands"]]
    return lines if found["commands"] else [*lines, "it is so already"]


def _apply_lines(found: dict[str, Any]) -> list[str]:
    done = "changed; `bench mig restore` brings the earlier layout back" if found["changed"] else "it was so already"
    return [f"{found['device']} {found['uuid']}: {done}", *(f"  {uuid}" for uuid in found["devices"])]


def _restore_lines(found: dict[str, Any]) -> list[str]:
    done = "the layout is as it was" if found["restored"] else "there is nothing of ours to bring back"
    if found["restored"] and found["others"]:
        numbers = ", ".join(map(str, found["others"]))
        done = f"what bench made is gone; GPU instance {numbers} is somebody else's, and stays, and MIG with it"
    return [f"{found['device']} {found['uuid']}: {done}"]


_ANSWERS: dict[str, Callable[[Device, Gpu, str, Path | None], dict[str, Any]]] = {
    "status": _status,
    "plan": _plan,
    "apply": _apply,
    "restore": _restore,
    "export": _export,
}
_LINES: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "status": _status_lines,
    "plan": _plan_lines,
    "apply": _apply_lines,
    "restore": _restore_lines,
    "export": lambda found: found["text"].splitlines(),
}
