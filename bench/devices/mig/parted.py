"""The configuration file of NVIDIA mig-parted, version v1: read as strictly as mig-parted does, and written.

    version: v1
    mig-configs:
      half-and-half:
      - device-filter: ["0x20B010DE"]     # PCI ids, or one of them; left out: any GPU
        devices: all                      # or a list of indices
        mig-enabled: true
        mig-devices: {"3g.20gb": 2}       # left out where MIG is off; {}: no instance

Format: github.com/NVIDIA/mig-parted, api/spec/v1/spec.go. Stricter than that in what nobody means: a key given twice,
a filter that is no PCI id, a count that no GPU can hold. YAML aliases are refused: a few lines of them can unfold to
more than any memory holds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml

from bench.errors import ConfigError, InputError

MOST_BYTES = 128 * 1024
"""The file that comes with mig-parted, for every GPU there is, has 10 KB."""
MOST_INSTANCES = 64
PCI_ID = re.compile(r"0x[0-9A-Fa-f]{8}(:0x[0-9A-Fa-f]{8})?")
"""Device and vendor as one number, as NVML's pciDeviceId; after a colon the same of the board's maker."""
PROFILE = re.compile(r"((?P<compute>\d)c\.)?(?P<slices>[1-8])g\.\d{1,4}gb(\+me|\+gfx|\+me\.all|-me)?")


def _pci_id(text: str) -> str:
    if not PCI_ID.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no PCI id such as '0x20B010DE'")
    return text


def _profile_name(text: str) -> str:
    if not PROFILE.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no MIG profile such as '1g.5gb'")
    return text


def _as_list(filters: Any) -> Any:
    """One PCI id may stand without a list; mig-parted takes "" for no filter."""
    if not isinstance(filters, str | list):
        raise ValueError("it should be a PCI id in quotes, or a list of them")
    return filters if isinstance(filters, list) else [filters] if filters else []


def _all_or_indices(devices: Any) -> Any:
    if devices != "all" and not isinstance(devices, list):
        raise ValueError("it should be 'all', or a list of indices: [0]")
    return None if devices == "all" else devices


Text = Annotated[str, pydantic.Field(strict=True)]
PciId = Annotated[Text, pydantic.AfterValidator(_pci_id)]
ProfileName = Annotated[Text, pydantic.AfterValidator(_profile_name)]
Index = Annotated[int, pydantic.Field(strict=True, ge=0)]
Count = Annotated[int, pydantic.Field(strict=True, ge=0, le=MOST_INSTANCES)]


class Entry(pydantic.BaseModel):
    """What some of the GPUs shall be. `devices` None: all that pass the filter; an empty filter passes all."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", alias_generator=lambda name: name.replace("_", "-"))

    device_filter: Annotated[list[PciId], pydantic.BeforeValidator(_as_list)] = []
    devices: Annotated[list[Index] | None, pydantic.BeforeValidator(_all_or_indices)]
    mig_enabled: Annotated[bool, pydantic.Field(strict=True)]
    mig_devices: dict[ProfileName, Count] | None = None

    @pydantic.model_validator(mode="after")
    def _devices_fit_the_mode(self) -> Entry:
        if self.mig_enabled and self.mig_devices is None:
            raise ValueError("mig-devices is missing, and mig-enabled is true: {} says that there is no instance")
        if not self.mig_enabled and self.mig_devices:
            raise ValueError("there are mig-devices, and mig-enabled is false")
        if self.mig_devices and not any(self.mig_devices.values()):
            raise ValueError("all counts of mig-devices are 0")
        return self

    def covers(self, pci_device_id: int, pci_subsystem_id: int | None, index: int) -> bool:
        """Raises ValueError where that depends on a subsystem id that is not known."""
        if self.devices is not None and index not in self.devices:
            return False
        if not self.device_filter:
            return True
        plain_first = sorted(self.device_filter, key=len)  # what decides without a subsystem needs none
        return any(_passes(text, pci_device_id, pci_subsystem_id) for text in plain_first)


def _passes(text: str, pci_device_id: int, pci_subsystem_id: int | None) -> bool:
    device, _, subsystem = text.partition(":")
    if int(device, 16) != pci_device_id:
        return False
    if subsystem and pci_subsystem_id is None:
        raise ValueError(f"the filter {text} depends on the board's subsystem id, which is not known here")
    return not subsystem or int(subsystem, 16) == pci_subsystem_id


Label = Annotated[Text, pydantic.Field(min_length=1)]
Entries = Annotated[list[Entry], pydantic.Field(min_length=1)]


class _File(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    version: Literal["v1"]
    configs: Annotated[dict[Label, Entries], pydantic.Field(alias="mig-configs", min_length=1)]


@dataclass(frozen=True)
class Configs:
    """A file that was read: its labels, each with the entries for the GPUs that it speaks of."""

    path: Path
    labels: Mapping[str, Sequence[Entry]]


@dataclass(frozen=True)
class Desired:
    """What one GPU shall be: MIG off, or on with so many instances of each profile, by label."""

    mig_enabled: bool
    profiles: tuple[tuple[str, int], ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """For `geometry.parse`: ("2x1g.5gb", "1x3g.20gb")."""
        return tuple(f"{count}x{name}" for name, count in self.profiles)


def read(path: Path) -> Configs:
    """Raises InputError naming the file, the place in it and what is wrong there."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES // 1024} KiB")
        tree = yaml.load(content.decode(), Loader=_PlainLoader)  # a SafeLoader
        return Configs(path, _File.model_validate(tree).configs)
    except pydantic.ValidationError as error:
        raise _mistake(path, error) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or type(error).__name__
        raise _unreadable(what, f"{path}, line {mark.line + 1}" if mark else str(path)) from error
    except RecursionError as error:
        raise _unreadable("it is nested too deeply", str(path)) from error
    except (OSError, ValueError) as error:
        raise _unreadable((str(error).splitlines() or [type(error).__name__])[0], str(path)) from error


def choose(
    configs: Configs, label: str, pci_device_id: int, index: int, pci_subsystem_id: int | None = None
) -> Desired:
    """What `label` wants of the GPU with these NVML ids and this NVML index.

    Raises InputError where there is no such label, where none or several of its entries speak of this GPU, and where
    it wants a compute instance that is smaller than its GPU instance, which bench does not make."""
    if label not in configs.labels:
        raise _problem(configs, "mig-configs", f"there is no label {label[:60]!r}", f"it has: {_some(configs.labels)}")
    place = f"mig-configs.{label}"
    entries = configs.labels[label]
    try:
        found = [number for number, e in enumerate(entries) if e.covers(pci_device_id, pci_subsystem_id, index)]
    except ValueError as error:
        raise _problem(configs, place, str(error), "filter by the device's PCI id alone") from error
    gpu = f"GPU {index} (0x{pci_device_id:08X})"
    if not found:
        raise _problem(configs, place, f"no entry speaks of {gpu}", "see its device-filter and devices")
    if len(found) > 1:
        numbers = ", ".join(str(number) for number in found)
        raise _problem(configs, place, f"more than one entry speaks of {gpu}: {numbers}", "let device-filters differ")
    chosen = entries[found[0]]
    profiles = tuple((name, count) for name, count in (chosen.mig_devices or {}).items() if count)
    for name, _ in profiles:
        match = PROFILE.fullmatch(name)
        if match and match["compute"] not in (None, match["slices"]):
            raise _problem(
                configs,
                f"{place}.{found[0]}.mig-devices.{name}",
                "bench makes no compute instance smaller than its GPU instance",
                "name a GPU instance profile, such as 1g.5gb",
            )
    return Desired(chosen.mig_enabled, profiles)


def write(
    label: str,
    pci_device_id: int | None,
    mig_enabled: bool,
    profiles: Sequence[str] = (),
    devices: Sequence[int] | None = None,
) -> str:
    """The text of a file with one label, for all GPUs of that PCI id (None: any), or those `devices` of them.
    `profiles`: the name of each instance's.

    Raises ConfigError for a label or profile that such a file cannot hold."""
    entry = {
        **({} if pci_device_id is None else {"device-filter": [f"0x{pci_device_id:08X}"]}),
        "devices": "all" if devices is None else list(devices),
        "mig-enabled": mig_enabled,
        **({"mig-devices": dict(Counter(profiles))} if mig_enabled or profiles else {}),
    }
    tree = {"version": "v1", "mig-configs": {label: [entry]}}
    try:
        _File.model_validate(tree)
    except pydantic.ValidationError as error:
        what, place = _first(error)
        raise ConfigError(what, where=place, hint="mig-parted would not read such a file") from error
    return yaml.safe_dump(tree, sort_keys=False)


class _PlainLoader(yaml.SafeLoader):
    """Without aliases, and with each key once."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not read: write it out", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        times = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        for key, count in times.items():
            if count > 1:
                raise yaml.MarkedYAMLError(problem=f"{key[:40]!r} is given twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


WORDS = {
    "missing": "a field is missing",
    "extra_forbidden": "there is no such field",
    "literal_error": "the only version that is known is v1",
    "too_short": "it is empty",
    "string_too_short": "a label is empty",
    "model_type": "it should be a mapping",
    "dict_type": "it should be a mapping",
    "list_type": "it should be a list",
    "string_type": "it should be text, in quotes",
    "int_type": "it should be a whole number",
    "bool_type": "it should be true or false",
}
"""Of pydantic's mistakes that people make; the rest of them say it well enough."""


def _first(error: pydantic.ValidationError) -> tuple[str, str]:
    """The first mistake and its place."""
    first = error.errors()[0]
    what = WORDS.get(first["type"], first["msg"].removeprefix("Value error, "))
    place = ".".join(str(part) for part in first["loc"] if part != "[key]")
    return f"{what[:1].lower()}{what[1:]}", place


def _mistake(path: Path, error: pydantic.ValidationError) -> InputError:
    what, place = _first(error)
    return _unreadable(what, f"{path}, {place}" if place else str(path))


def _unreadable(what: str, where: str) -> InputError:
    return InputError(
        f"the mig-parted file cannot be read: {what}",
        where=where,
        hint="an entry has devices (all, or [0]), mig-enabled, mig-devices ({1g.5gb: 7}) and may have a device-filter",
    )


def _problem(configs: Configs, place: str, what: str, hint: str) -> InputError:
    return InputError(what, where=f"{configs.path}, {place}", hint=hint)


def _some(labels: Mapping[str, Any]) -> str:
    names = list(labels)
    return ", ".join(names[:12]) + (" ..." if len(names) > 12 else "")
