"""MIG geometry: which instances fit beside each other on one GPU, and what people call them.

A GPU has compute slices and a row of memory slices. A profile is a kind of instance: it takes `compute_slices` of the
ones and `size` neighbouring ones of the others, and may begin only at its `starts`. The profiles of a GPU come from
its driver (bench/devices/gpu.py) or from the catalog. All of this is arithmetic; the driver has the last word: media
engines, which profiles share too, are not counted here.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bench.errors import ConfigError

MEMORY_TOLERANCE = 0.2
"""Share by which the figure in a label may miss that of the GPU's own label: 3g.39gb and 3g.40gb are one profile under
two drivers, 1g.5gb and 1g.10gb are two profiles."""
LABEL = re.compile(
    r"((?P<count>[1-9]\d?)\s*x\s*)?(?P<slices>\d+)g(\.(?P<gigabytes>\d+)gb)?(?P<attributes>[+-][a-z]+(\.[a-z]+)?)?"
)


@dataclass(frozen=True)
class Profile:
    """A kind of GPU instance. None is unknown.

    enum: NVML's number for asking about it. id: NVML's number for creating it (the ID of `nvidia-smi mig -lgip`).
    name: a label for people only, it differs between drivers. attributes: what it has beyond the ordinary profile of
    its slices ("+me", "+me.all": media engines, "+gfx": graphics) or lacks ("-me"). max_instances: of this profile on
    one GPU. starts, size: in memory slices. The last five are counts of engines.
    """

    enum: int
    id: int | None
    name: str
    compute_slices: int
    attributes: str
    memory_bytes: int | None
    sm_count: int | None
    max_instances: int
    starts: tuple[int, ...]
    size: int
    copy_engines: int | None
    decoders: int | None
    encoders: int | None
    jpegs: int | None
    ofas: int | None

    @property
    def kind(self) -> str:
        """ "2g", "1g+me": without memory, so the same under every driver."""
        return f"{self.compute_slices}g{self.attributes}"


@dataclass(frozen=True)
class Placement:
    """An instance of `profile` that begins at memory slice `start`."""

    profile: Profile
    start: int

    @property
    def occupied(self) -> range:
        """Its memory slices."""
        return range(self.start, self.start + self.profile.size)


def place(
    profiles: Sequence[Profile], beside: Collection[Placement] = (), compute_slices: int | None = None
) -> tuple[Placement, ...] | None:
    """A place for each of `profiles`, in their order, among instances that stay (`beside`); None: they do not fit.

    Whether they fit does not depend on the order, as it does where a driver chooses places, and the same question has
    always the same answer. `compute_slices` of the GPU; None: memory alone decides, which comes to the same on every
    GPU in the catalog (tested).
    """
    everything = Counter(profiles) + Counter(placement.profile for placement in beside)
    if any(count > profile.max_instances for profile, count in everything.items()):
        return None
    if compute_slices is not None and sum(profile.compute_slices for profile in everything.elements()) > compute_slices:
        return None
    taken = frozenset(cell for placement in beside for cell in placement.occupied)
    starts = _search(tuple(profiles), taken, {})
    return None if starts is None else tuple(map(Placement, profiles, starts))


def _search(profiles: tuple[Profile, ...], taken: frozenset[int], last: dict[Profile, int]) -> tuple[int, ...] | None:
    """Starts by backtracking. `last`: where the latest of each profile begins; equal ones stand in ascending order, as
    their exchange would change nothing."""
    if not profiles:
        return ()
    first, *rest = profiles
    for start in sorted(first.starts):
        cells = Placement(first, start).occupied
        if start > last.get(first, -1) and taken.isdisjoint(cells):
            found = _search(tuple(rest), taken | set(cells), {**last, first: start})
            if found is not None:
                return (start, *found)
    return None


def _ordinary(profiles: Sequence[Profile]) -> tuple[Profile, ...]:
    return tuple(profile for profile in profiles if not profile.attributes)


def plain(profiles: Sequence[Profile]) -> tuple[Profile, ...]:
    """The ordinary profiles, by compute slices: no attributes, and no more memory than these slices need (1g.5gb, and
    not 1g.10gb)."""
    smallest: dict[int, Profile] = {}
    for profile in _ordinary(profiles):
        other = smallest.get(profile.compute_slices)
        if other is None or profile.size < other.size:
            smallest[profile.compute_slices] = profile
    return tuple(smallest[slices] for slices in sorted(smallest))


def one_of(share: int, profiles: Sequence[Profile], compute_slices: int) -> Profile | None:
    """The plain profile nearest to 1/`share` of a GPU of so many compute slices, from below: 1/3 of seven is 2g. None
    where that is less than one slice. Whether `share` of them fit beside each other is `place`'s to say."""
    most = compute_slices // share
    return max(
        (profile for profile in plain(profiles) if profile.compute_slices <= most),
        key=lambda profile: profile.compute_slices,
        default=None,
    )


def possible(profiles: Sequence[Profile]) -> str:
    """The layouts of equal plain profiles in words, "4 x 1g.6gb, 2 x 2g.12gb or 1 x 4g.24gb", for people who asked for
    something else."""
    words = [f"{count} x {profile.name}" for profile in plain(profiles) if (count := _most(profile))]
    if len(words) < 2:
        return "".join(words) or "no MIG slices"
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _most(profile: Profile) -> int:
    """How many of this profile alone fit on one GPU."""
    counts = range(1, profile.max_instances + 1)
    return max((count for count in counts if place((profile,) * count) is not None), default=0)


def parse(wanted: str | Sequence[str], profiles: Sequence[Profile]) -> tuple[Profile, ...]:
    """The profiles that people mean: "3g,2g,2x1g", or a list of such; in their order, whether or not they fit.

    "2g" is the plain profile, "1g+me" the one with that attribute, "1g.10gb" the one of these slices and attributes
    whose memory is nearest (labels differ between drivers). Raises ConfigError for what this GPU does not offer."""
    texts = [wanted] if isinstance(wanted, str) else wanted
    parts = [part.strip() for text in texts for part in text.lower().split(",")]
    return tuple(profile for part in parts for profile in _meant(part, profiles))


def _meant(part: str, profiles: Sequence[Profile]) -> tuple[Profile, ...]:
    match = LABEL.fullmatch(part)
    if match is None:
        raise ConfigError(
            f"{part[:40]!r} is no MIG profile", where="profiles", hint="write 2g, 1g+me, 1g.10gb or 7x1g, with commas"
        )
    attributes = match["attributes"] or ""
    alike = [p for p in profiles if p.compute_slices == int(match["slices"]) and p.attributes == attributes]
    if match["gigabytes"]:
        figure = int(match["gigabytes"])
        alike = sorted((p for p in alike if _miss(p, figure) <= MEMORY_TOLERANCE), key=lambda p: _miss(p, figure))
    else:
        alike.sort(key=lambda p: p.size)
    if not alike:
        there = ", ".join(profile.name for profile in profiles) or "none"
        raise ConfigError(f"this GPU has no MIG profile {part}", where="profiles", hint=f"it has: {there}")
    return (alike[0],) * int(match["count"] or 1)


def _miss(profile: Profile, figure: int) -> float:
    """How far the memory in a label is from the profile's, as a share of it. Labels are compared with labels: their
    figures are rounded up from what the instance really has, by up to an eighth."""
    label = LABEL.fullmatch(profile.name)
    if label is not None and label["gigabytes"]:
        own = float(label["gigabytes"])
    elif profile.memory_bytes is not None:
        own = profile.memory_bytes / 2**30
    else:
        return math.inf
    return abs(figure - own) / own
