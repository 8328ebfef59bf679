"""What differs between two runs, as far as their run.json tells: commit, driver, libraries, settings, configuration.

run.json is anybody's: it may be missing, or of any shape. What changes from minute to minute on the same machine
(load, temperatures, other processes, times, seeds) is no difference. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Path = tuple[str, ...]

DEEPEST = 10
MOST_LEAVES = 20_000
LONGEST = 120
SET, UNSET = "set", "unset"
PARTS = ("fingerprint", "device", "subject", "config")

PASSING = frozenset({
    "load_average", "processes", "performance_state", "event_reasons", "throttled_ns", "temperature_c", "refused",
    "energy_update_s", "claims", "seed", "results_dir", "cache_dir",
})  # fmt: skip
"""Keys whose values pass, wherever they stand, or do not touch what is measured."""
PASSING_ENDS = (("clocks_mhz", "*", "now"), ("pcie", "generation"), ("ecc", "after_reset"), ("mig", "after_reset"))
"""A GPU's clocks and link sleep while it has nothing to do; "*" stands for any key."""
TWICE = (("device", "cpus"), ("device", "memory_bytes"), ("subject", "bench"), ("devices", "*", "driver"))
"""Beginnings or ends of paths whose values the fingerprint tells elsewhere as well."""

OPEN = ("environment", "config")
"""Where a key that is missing means that it is not set. Elsewhere a record without it is older than the key."""

NAMES: Mapping[Path, str] = {
    ("fingerprint", "project_commit"): "project commit",
    ("fingerprint", "commit"): "bench's commit",
    ("fingerprint", "bench"): "bench",
    ("fingerprint", "versions", "bench"): "bench",
    ("fingerprint", "gpu", "driver"): "GPU driver",
    ("fingerprint", "system"): "system and kernel",
    ("fingerprint", "cpu", "name"): "CPU",
    ("fingerprint", "cpu", "governor"): "CPU governor",
    ("fingerprint", "cpu", "boost"): "CPU boost",
    ("fingerprint", "python"): "Python",
    ("device", "name"): "device",
}
"""What people call it. The order is that in which differences are told; libraries come after these, then the rest."""


@dataclass(frozen=True)
class Difference:
    """`before` and `after` are short texts; `UNSET` where there is none. `path`: where it stands in run.json."""

    name: str
    before: str
    after: str
    path: Path

    def __str__(self) -> str:
        return f"{self.name} {self.before} → {self.after}"


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Between two descriptions of runs (run.json), what matters most first. A value that only one of them records is
    no difference, but for settings, of which a missing one is not set."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    found: dict[str, Difference] = {}
    for path in sorted(old.keys() | new.keys(), key=_order):
        if path in old and path in new:
            told = path, old[path], new[path]
        else:
            told = _set_on_one_side(path, old.get(path), new.get(path), after if path in old else before)
        if told[1] != told[2]:
            found.setdefault(_name(told[0]), Difference(_name(told[0]), told[1], told[2], told[0]))
    return list(found.values())


def described(description: Mapping[str, Any]) -> bool:
    """Whether it tells of the machine at all: without that, that nothing differs means nothing."""
    return bool(description.get("fingerprint")) and isinstance(description["fingerprint"], Mapping)


def _leaves(description: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Path and text of what stands in the parts that count; at most MOST_LEAVES: a stranger may have written it."""
    waiting: list[tuple[Path, Any]] = [((part,), description.get(part)) for part in reversed(PARTS)]
    told = 0
    while waiting and told < MOST_LEAVES:
        path, value = waiting.pop()
        if _passes(path):
            continue
        nested = isinstance(value, list) and any(isinstance(item, (Mapping, list)) for item in value)
        if isinstance(value, Mapping) or nested:
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            if len(path) < DEEPEST:
                waiting += reversed([((*path, str(key)[:LONGEST]), inside) for key, inside in items])
        elif len(path) > 1:
            told += 1
            yield path, _text(path, value)


def _passes(path: Path) -> bool:
    if path[-1] in PASSING or any(_ends(path, end) for end in (*PASSING_ENDS, *TWICE)):
        return True
    if "mig" in path[:-1] and "devices" in path[path.index("mig") :]:
        return True  # named anew whenever the layout is made
    within = path[path.index("mig") + 1 :] if "mig" in path else ()
    return len(within) == 3 and within[0] == "instances" and within[2] != "profile"


def _ends(path: Path, end: Path) -> bool:
    tail = path[-len(end) :]
    return len(tail) == len(end) and all(want in ("*", got) for want, got in zip(end, tail, strict=True))


def _set_on_one_side(path: Path, was: str | None, now: str | None, other: Mapping[str, Any]) -> tuple[Path, str, str]:
    """A setting that the `other` description lacks, or the whole option to which it belongs where that is lacking. What
    is no setting, or has no settings beside it, is not recorded there, so it does not differ."""
    opened = next((number for number, part in enumerate(path[:-1]) if part in OPEN), None)
    found: Any = other
    for depth, key in enumerate(path):
        if isinstance(found, list) and key.isdigit() and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, Mapping) and key in found:
            found = found[key]
        elif opened is None or depth <= opened:
            return path, UNSET, UNSET
        elif depth < len(path) - 1:
            return path[: depth + 1], UNSET if was is None else SET, UNSET if now is None else SET
        else:
            break
    return path, was or UNSET, now or UNSET


def _text(path: Path, value: Any) -> str:
    if value is None or value in ("", []):
        return UNSET
    if path[-1].endswith("_bytes") and isinstance(value, (int, float)) and abs(value) >= 1 << 30:
        return f"{value / (1 << 30):.1f} GiB"  # a few pages more or less after a restart are no difference
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _name(path: Path) -> str:
    if path in NAMES:
        return NAMES[path]
    part, *rest = path
    if "environment" in path[:-1]:
        return path[-1]
    if part == "config":
        words = ["configuration", *rest]
    elif rest[0] in ("versions", "libraries", "containers"):
        words = rest[1:]
    elif rest[:2] == ["gpu", "devices"]:
        words = ["GPU", *rest[2:]] if rest[2] != "0" else ["GPU", *rest[3:]]
    elif rest[0] == "cpu":
        words = ["CPU", *rest[1:]]
    else:
        words = [part, *rest] if part == "device" else rest
    return " ".join(word.replace("_", " ") if part != "config" else word for word in words)


def _order(path: Path) -> tuple[int, int, Path]:
    named = list(NAMES)
    if path in NAMES:
        return 0, named.index(path), path
    kinds = ("versions", "gpu", "cpu", "containers", "environment")
    kind = next((number for number, name in enumerate(kinds, start=1) if path[1] == name), len(kinds) + 1)
    return kind, PARTS.index(path[0]), path
