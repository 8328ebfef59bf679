"""The shared library, as nvidia-ml-py sees it: attributes that are C functions, which return NVML codes.

    pynvml.nvmlLib = open_library(path)

Everything that the catalog does not know is 0 or NOT_SUPPORTED here, and everything that a GPU would measure is a round
placeholder (calls/sensors.py): no figure of a rehearsal says anything about hardware.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from bench.devices.rehearsal.calls import EXPORTS
from bench.devices.rehearsal.calls.library import WITHOUT_SESSION
from bench.devices.rehearsal.driver import Driver
from bench.devices.rehearsal.faults import KILL
from bench.devices.rehearsal.refusal import Refused
from bench.devices.rehearsal.state import State

SUCCESS = 0


def open_library(path: Path) -> Library:
    """The library of the driver whose state is in the file `path`."""
    return Library(Driver(path))


class Strike(NamedTuple):
    """What a fault does to one call: an NVML error or KILL."""

    do: str
    after: bool = False

    def strike(self) -> int:
        if self.do == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        return Refused(self.do).code


class Library:
    """Symbols that the rehearsed driver lacks are missing attributes, as ctypes has it."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def __getattr__(self, symbol: str) -> Callable[..., Any]:
        function = EXPORTS.get(symbol)
        if function is None or symbol in _missing(self._driver):
            raise AttributeError(symbol)
        if symbol == "nvmlErrorString":
            return lambda result: function(self._driver, result)  # the one that returns no code
        return lambda *arguments: self._call(symbol, function, arguments)

    def _call(self, symbol: str, function: Callable[..., None], arguments: tuple[Any, ...]) -> int:
        try:
            strike = self._strike(symbol)
            if strike is not None and not strike.after:
                return strike.strike()
            code = SUCCESS
            try:
                if self._driver.sessions == 0 and symbol not in WITHOUT_SESSION:
                    raise Refused("UNINITIALIZED")
                function(self._driver, *arguments)
            except Refused as refusal:
                code = refusal.code
            return strike.strike() if strike is not None else code
        except Refused as refusal:
            return refusal.code

    def _strike(self, symbol: str) -> Strike | None:
        """What happens to this call; it is counted where a fault needs that."""
        state = self._driver.state
        if state.faults.count_calls:
            state = self._driver.update(lambda before: _counted(before, symbol))
        faults = state.faults
        if faults.at_call is not None and faults.at_call.number == state.calls:
            return Strike(faults.at_call.do, after=faults.at_call.moment == "after")
        fail = faults.fail.get(symbol)
        if fail is not None and (fail.times is None or state.failed[symbol] <= fail.times):
            return Strike(fail.error)
        return None


def _counted(state: State, symbol: str) -> State:
    calls = state.calls + 1
    failed = state.failed
    if symbol in state.faults.fail:
        failed = {**failed, symbol: failed.get(symbol, 0) + 1}
    return state.with_(calls=calls, failed=failed, lost=state.lost or calls == state.faults.lost_at_call)


def _missing(driver: Driver) -> tuple[str, ...]:
    try:
        return driver.state.faults.missing
    except Refused:
        return ()
