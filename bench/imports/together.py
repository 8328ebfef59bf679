"""What can stand in one run: measurements of one workload, scenario and device, by one tool, each of them once."""

from __future__ import annotations

from collections.abc import Sequence

import pydantic

from bench.errors import InputError
from bench.imports.files import shown
from bench.imports.imported import Found, Measured, Place
from bench.records import Imported, Name, SourceFile
from bench.stored import GREATEST, StoredRun

EXAMPLES = {
    "workload": "workload=resnet50",
    "scenario": "scenario=offline",
    "optimization": "optimization=tensorrt_int8",
    "device": 'device="NVIDIA A100-SXM4-40GB"',
    "device_kind": "device_kind=cuda (or cpu)",
    "batch_size": "batch_size=8 (items in one request)",
}
LONGEST = 200
_NAME: pydantic.TypeAdapter[str] = pydantic.TypeAdapter(Name)


def one_place(measured: Sequence[Measured]) -> Place:
    """What all of them share: workload, scenario and device. Raises InputError where something is not told or
    differs: a run is of one."""
    if not measured:
        raise InputError("there is no measurement in it", where="the files of this import", hint="measure again")
    for one in measured:
        _told(one.place)
    first = measured[0].place
    for name in ("workload", "scenario", "device", "device_kind"):
        values = list(dict.fromkeys(getattr(one.place, name) for one in measured))
        if len(values) > 1:
            raise InputError(
                f"these files are of several: {name} {' and '.join(map(shown, values[:4]))}",
                where="the files of this import",
                hint="a run is of one workload, scenario and device: import each by itself, with options that choose",
            )
    return first


def _told(place: Place) -> None:
    missing = [name for name in EXAMPLES if getattr(place, name) in ("", None)]
    if missing:
        raise InputError(
            f"neither the files nor the command tell: {', '.join(missing)}",
            where="bench import",
            hint="add " + " ".join(EXAMPLES[name] for name in missing),
        )
    for name in ("workload", "scenario", "partition", "optimization"):
        value = getattr(place, name) or "full"
        try:
            _NAME.validate_python(value)
        except pydantic.ValidationError as error:
            raise InputError(
                f"{name}={shown(value)} is no name: letters, digits, dots, dashes and underscores make one",
                where="bench import",
                hint=f"say {EXAMPLES.get(name, name + '=full')}",
            ) from error
    if not place.device.isprintable() or len(place.device) > LONGEST:
        raise InputError(
            f"device={shown(place.device)} is no name of a device",
            where="bench import",
            hint=f"say {EXAMPLES['device']}, as nvidia-smi -L writes it",
        )
    if place.device_kind not in ("cpu", "cuda"):
        raise InputError(
            f"device_kind={shown(place.device_kind)} is neither cpu nor cuda",
            where="bench import",
            hint="say device_kind=cuda for an NVIDIA GPU: what counts for a claim about GPUs depends on it",
        )
    if not 1 <= (place.batch_size or 0) <= GREATEST or not 1 <= (place.tenants or 1) <= GREATEST:
        raise InputError(
            f"batch_size={place.batch_size} tenants={place.tenants}: at least 1 of each is needed",
            where="bench import",
            hint="leave tenants= out where one process measured",
        )


def fits(before: StoredRun, found: Found, place: Place) -> Imported:
    """Whether it can stand in the same run; what that was imported from so far."""
    where, plan = f"--into {before.folder}", before.plan
    if plan.imported is None:
        raise InputError(
            "this run was measured by bench: what another tool measured does not belong beside it",
            where=where,
            hint="leave --into out, or name a run that `bench import` made",
        )
    if plan.imported.tool != found.imported.tool:
        raise InputError(
            f"this run is {plan.imported.tool}'s, and the files are {found.imported.tool}'s",
            where=where,
            hint="leave --into out: tools measure differently, so their figures are not compared",
        )
    for name in ("workload", "scenario", "device", "device_kind"):
        ours, theirs = getattr(plan, name), getattr(place, name)
        if ours != theirs:
            raise InputError(
                f"this run is of {name} {shown(ours)}, and the files are of {shown(theirs)}",
                where=where,
                hint="leave --into out for a run of its own: they cannot be compared",
            )
    each_file_once((*plan.imported.files, *found.imported.files))
    return plan.imported


def each_file_once(files: Sequence[SourceFile]) -> None:
    """Raises InputError for a second copy, whatever it is called."""
    seen: dict[str, str] = {}
    for file in files:
        if file.sha256 in seen:
            raise InputError(
                f"{file.name} is the same file as {seen[file.sha256]}, which is in this run already",
                where=file.name,
                hint="a measurement counts once: leave it out, or measure again",
            )
        seen[file.sha256] = file.name


def merged(before: Imported, new: Imported) -> Imported:
    """What is missing in one of them is missing in the whole."""
    return Imported(
        tool=before.tool,
        version=", ".join(dict.fromkeys(text for text in (*before.version.split(", "), new.version) if text)),
        when=before.when or new.when,
        files=(*before.files, *new.files),
        missing=tuple(dict.fromkeys((*before.missing, *new.missing))),
    )
