"""A function that a user named by a dotted path: found without running anything, imported only on request."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from bench.errors import InputError


@dataclass(frozen=True)
class Dotted:
    """`package.module:function` or `package.module.function`; `option` is where the user wrote it."""

    path: str
    option: str

    def source(self) -> Path:
        """The module's source file; an `InputError` if there is none, or it does not mention the name."""
        module, name = self._parts()
        spec = _find(module)
        if spec is None:
            raise InputError(
                f"there is no Python module {module!r}",
                where=f"{self.option}={self.path}",
                hint="put its folder on PYTHONPATH or BENCH_CONFIG_PATH",
            )
        if spec.origin is None or not spec.origin.endswith(".py"):
            raise InputError(
                f"{module!r} has no source file that could be identified",
                where=f"{self.option}={self.path}",
                hint="name a function in a .py file",
            )
        source = Path(spec.origin)
        text = source.read_text(encoding="utf-8", errors="replace")
        if not re.search(rf"\b{re.escape(name)}\b", text) and "import *" not in text:
            raise self._missing(f"{source} does not mention {name!r}")
        return source

    def sources(self) -> list[Path]:
        """All source files of the package that the module is in, by name; of a module that is in none, its own."""
        source = self.source()
        module, _ = self._parts()
        depth = module.count(".") - (source.name != "__init__.py")
        if depth < 0:
            return [source]
        return sorted(source.parents[depth].rglob("*.py"))

    def function(self) -> Callable[..., Any]:
        """Import the module and give the function (tenant only)."""
        self.source()  # the clearer errors first
        module, name = self._parts()
        try:
            found = getattr(importlib.import_module(module), name, None)
        except Exception as error:  # whatever a user's module raises while it is imported
            raise InputError(
                f"importing {module!r} failed: {type(error).__name__}: {error}",
                where=f"{self.option}={self.path}",
                hint=f"python -c 'import {module}' shows the whole of it",
            ) from error
        if not callable(found):
            raise self._missing(f"{module!r} has no function {name!r}")
        function: Callable[..., Any] = found
        return function

    def _parts(self) -> tuple[str, str]:
        module, _, name = self.path.rpartition(":" if ":" in self.path else ".")
        if not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
            raise self._missing(f"{self.path!r} is no dotted path of a function")
        return module, name

    def _missing(self, what: str) -> InputError:
        return InputError(
            what,
            where=f"{self.option}={self.path}",
            hint="write package.module:function",
        )


def _find(module: str) -> ModuleSpec | None:
    """Like `importlib.util.find_spec`, which would import (and so run) the packages that the module is in."""
    first, *rest = module.split(".")
    importlib.invalidate_caches()
    try:
        spec = importlib.util.find_spec(first)
    except ValueError:  # a module without a spec, such as __main__
        return None
    name = first
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, list(spec.submodule_search_locations))
    return spec
