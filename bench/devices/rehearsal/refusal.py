"""How a rehearsed call says no."""

from __future__ import annotations

import pynvml

PREFIX = "NVML_ERROR_"


class Refused(Exception):
    """The call gives an NVML error, named without its prefix: IN_USE."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.code: int = getattr(pynvml, PREFIX + name)


def code_of(name: str) -> int | None:
    """The number of an NVML error; None: there is no such error."""
    code = getattr(pynvml, PREFIX + name, None)
    return code if isinstance(code, int) else None
