"""`--against VERSION` in the words of options: which isolation runs the older version, and beside which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.errors import ConfigError
from bench.isolation.versions import commit

FORMS = "a git revision, wheel:FILE, package:NAME==VERSION, python:FILE or image:NAME"


def options(version: str, given: Sequence[str]) -> list[str]:
    """What `given` and the version come to. Claims and the noise floor are not measured unless `given` asks for them:
    every trial counts twice here, once for each version."""
    chosen = [text for text in given if text.startswith("isolation=")]
    beside = "container" if version.startswith("image:") else "process"
    if chosen and chosen[-1] not in (f"isolation={beside}", f"isolation=[{beside}]"):
        raise ConfigError(
            f"--against {version} is measured beside isolation={beside}",
            where=chosen[-1],
            hint="leave isolation= out; image:NAME goes with containers, everything else with plain processes",
        )
    name, settings = _isolation(version)
    rest = [text for text in given if text not in chosen]
    keys = {text.lstrip("+").partition("=")[0] for text in rest}
    if "claims" not in keys:
        rest.append("claims=[]")
    if "protocol.noise_floor" not in keys:
        rest.append("protocol.noise_floor=false")
    return [*rest, f"isolation=[{beside},{name}]", *(f"isolation.{name}.{key}={_quoted(v)}" for key, v in settings)]


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
    return "against_commit", [("revision", commit.resolve(checkout, version)), ("repository", str(checkout))]


def _file(name: str) -> Path:
    found = Path(name).expanduser().absolute()
    if not found.is_file():
        raise ConfigError(f"there is no file {found}", where="--against", hint=f"say {FORMS}")
    return found


def _quoted(value: str) -> str:
    """As Hydra reads a text of any characters."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
