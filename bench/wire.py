"""JSON lines between the conductor and its children.

A child's standard output is the channel. Libraries write there too (some from C), so the child first moves the
channel to a descriptor of its own and points its standard output at standard error, which the conductor keeps as the
child's last words.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import traceback
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt


class Channel:
    """The child's end."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._out: BinaryIO = os.fdopen(os.dup(1), "wb", buffering=0)
        os.set_inheritable(self._out.fileno(), False)
        os.dup2(2, 1)
        self._in = sys.stdin.buffer

    def receive(self) -> dict[str, Any] | None:
        """The conductor's next request; None when it has closed the channel, or is gone."""
        line = self._in.readline()
        if not line:
            return None
        request = json.loads(line)
        assert isinstance(request, dict)
        return request

    def send(self, event: str, **fields: Any) -> None:
        view = memoryview(encode({"event": event, **fields}))
        while view:  # a pipe may take less than all of it
            view = view[self._out.write(view) or 0 :]


def told(error: BaseException) -> str:
    """An error on one line, with the place in the code where it arose."""
    text = " ".join(str(getattr(error, "what", None) or error).split())
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}"[:500] + place


def encode(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, allow_nan=True).encode() + b"\n"


def pack_integers(integers: array[int], count: int) -> str:
    """The first `count` of them as base64 of little-endian 64-bit integers."""
    return base64.b64encode(np.frombuffer(integers, dtype=np.int64, count=count).astype("<i8").tobytes()).decode()


def unpack_integers(text: str) -> npt.NDArray[np.int64]:
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<i8").astype(np.int64)
