"""`--against VERSION` in the words of options: which isolation runs that version, and beside which."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bench.composition import CONFIG, as_chosen
from bench.errors import ConfigError
from bench.git import state_of
from bench.isolation.versions import commit
from bench.report.progress import say

WORKING_TREE = "bench.isolation.versions.commit.WorkingTree"
FLOOR = "protocol.noise_floor="
FORMS = "a git revision, wheel:FILE, package:NAME==VERSION, python:FILE or image:NAME"


def options(version: str, given: Sequence[str], folders: Sequence[Path] = (), config_name: str = CONFIG) -> list[str]:
    """What `given` and the version come to. Claims and the noise floor are not measured unless they are asked for:
    every trial counts twice here, once for each version."""
    chosen = as_chosen(given, folders, config_name)[0]
    beside = "container" if version.startswith("image:") else "process"
    named = list(chosen.config["isolation"] or {})
    said = [text for text in given if text.startswith("isolation=")]
    if named != [beside] and (said or named != ["process"]):  # which is what it is where nobody says anything
        raise ConfigError(
            f"--against {version} is measured beside isolation={beside}, and isolation is {', '.join(named)}",
            where=said[-1] if said else "isolation",
            hint="leave it out; image:NAME goes with containers, everything else with plain processes",
        )
    name, settings = _isolation(version)
    rest = [text for text in given if text not in said]
    if not chosen.config.get("claims"):
        rest.append("claims=[]")
    if chosen.config["protocol"]["noise_floor"] and not any(text.startswith(FLOOR) for text in given):
        say(f"--against leaves the noise floor out: each trial counts twice as it is ({FLOOR}true measures it)")
        rest.append(f"{FLOOR}false")
    told = [f"isolation.{name}.{key}={_quoted(value)}" for key, value in settings]
    if name == "against_commit":  # the other side has to be the working tree, as surely as this one is the commit
        told += [
            f"isolation.process._target_={WORKING_TREE}",
            f"+isolation.process.repository={told[-1].split('=', 1)[1]}",
        ]
    return [*rest, f"isolation=[{beside},{name}]", *told]


def _isolation(version: str) -> tuple[str, list[tuple[str, str]]]:
    """The option, and what it is told. A revision is pinned: HEAD~1 may be another commit when the run is resumed."""
    kind, colon, value = version.partition(":")
    if colon and kind in ("wheel", "package", "python", "image"):
        if not value:
            raise ConfigError(f"{version!r} names nothing", where="--against", hint=f"say {FORMS}")
        if kind == "wheel":
            return "against_package", [("requirement", str(_file(value)))]
        if kind == "python":
            # Not resolved: the python of a virtual environment is a link, and means the environment.
            return "against_python", [("python", str(_file(value)))]
        return (
            ("against_image", [("image", value)]) if kind == "image" else ("against_package", [("requirement", value)])
        )
    checkout = commit.top_level(Path())
    revision = commit.resolve(checkout, version)
    if (state_of(checkout) or "") == revision[: commit.SHORT]:
        say(f"note: {version} is the commit that is checked out, unchanged: it is compared with itself")
    return "against_commit", [("revision", revision), ("repository", str(checkout))]


def _file(name: str) -> Path:
    found = Path(name).expanduser().absolute()
    if not found.is_file():
        raise ConfigError(f"there is no file {found}", where="--against", hint=f"say {FORMS}")
    return found


def _quoted(value: str) -> str:
    """As Hydra reads a text of any characters: backslashes count before a quote, and no reference is meant."""
    doubled = re.sub(r"(\\+)(?='|$)", r"\1\1", value)
    escaped = doubled.replace("'", "\\'").replace("${", "\\${")
    return f"'{escaped}'"
