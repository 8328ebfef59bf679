"""Tenants that run on another interpreter, with all that is installed there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bench
from bench.contract import Isolation, Launcher, plugin
from bench.errors import InputError
from bench.isolation.versions.arrived import Expected
from bench.isolation.versions.launcher import VersionLauncher

LIMIT_S = 60
ASK = """
import json, platform, sys
from importlib import metadata
try:
    import bench
    told = bench.__version__
except ImportError:
    told = None
packages = sorted({(found.name, found.version) for found in metadata.distributions() if found.name})
told = {"bench": told, "prefix": sys.prefix, "python": platform.python_version(), "packages": dict(packages)}
print(json.dumps(told))
"""


@plugin
class Interpreter(Isolation):
    """`python` is the interpreter of an environment in which this version of bench is installed, with other versions of
    what is to be compared."""

    python: Path
    base_of: str | None = "process"

    @contextmanager
    def opened(self) -> Iterator[Launcher]:
        python = str(self.python.expanduser().absolute())
        told = dict(_ask(python))
        if told.pop("prefix") == sys.prefix:
            raise InputError(
                "this is the environment that bench itself runs in: both sides would be the same",
                where=f"--against python:{python}",
                hint="name the python of another environment",
            )
        yield VersionLauncher(Expected(f"the environment of {python}"), told, python=python)


def _ask(python: str) -> Mapping[str, Any]:
    """What is installed there. Raises InputError where tenants cannot run on it."""
    where = f"--against python:{python}"
    try:
        done = subprocess.run([python, "-P", "-c", ASK], capture_output=True, timeout=LIMIT_S, check=True)
        told: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise InputError(
            f"this interpreter cannot be asked what it has: {error}",
            where=where,
            hint="name the python of a virtual environment, such as python:/envs/old/bin/python",
        ) from error
    if told["bench"] != bench.__version__:
        has = f"has bench {told['bench']}" if told["bench"] else "has no bench"
        raise InputError(
            f"this interpreter {has}, and tenants need bench {bench.__version__} there",
            where=where,
            hint="install it there: both sides have to be measured by the same instrument",
        )
    return told
