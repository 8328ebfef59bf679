"""Tenants that run another version of one package: a wheel, or a release."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from bench.contract import Isolation, Launcher, plugin
from bench.errors import InputError
from bench.isolation.versions.arrived import Expected
from bench.isolation.versions.launcher import VersionLauncher
from bench.isolation.versions.unpacked import empty_folder

LIMIT_S = 1800


@plugin
class Package(Isolation):
    """`requirement` is what pip installs: the path of a wheel, or `name==1.2`. It alone comes before everything else on
    the import path; what it needs is what is installed here."""

    requirement: str
    base_of: str | None = "process"

    @contextmanager
    def opened(self) -> Iterator[Launcher]:
        with empty_folder() as root:
            _install(self.requirement, root)
            installed = {found.name: found.version for found in metadata.distributions(path=[str(root)])}
            words = " ".join(f"{name} {version}" for name, version in sorted(installed.items()))
            told = {"packages": installed, "sha256": _sha256(root)}
            yield VersionLauncher(
                Expected(words or self.requirement, str(root), (str(root),)), told, first=(str(root),)
            )


def _install(requirement: str, root: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    try:
        subprocess.run(
            [*command, "--target", str(root), "--", requirement], capture_output=True, timeout=LIMIT_S, check=True
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines() or ["it does not say why"]
        why = next((line for line in reversed(said) if line.startswith("ERROR")), said[-1]).removeprefix("ERROR: ")
        raise InputError(
            f"pip cannot install {requirement}: {why}",
            where=f"--against {requirement}",
            hint="name a wheel:FILE that is there, or a package:NAME==VERSION that pip finds; where pip itself is "
            "missing: `python -m ensurepip`",
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"pip could not be asked: {error}", where=requirement, hint="is pip installed?") from error


def _sha256(root: Path) -> str:
    """Of all that was installed: two wheels may call themselves the same version."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        # Compiled caches and the record of them differ from one installation to the next.
        if path.is_file() and path.suffix != ".pyc" and path.name not in ("RECORD", "direct_url.json"):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
