"""What nvidia-ml-py passes to C, read and written as C would: numbers, references, strings, arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from bench.devices.rehearsal.refusal import Refused


def number(argument: Any) -> int:
    """A number that was passed by value, as a ctypes object or as it is."""
    return int(getattr(argument, "value", argument))


def address(pointer: Any) -> int:
    """The address in a pointer that was passed by value; 0 for NULL."""
    return ctypes.cast(pointer, ctypes.c_void_p).value or 0 if pointer is not None else 0


def referred(reference: Any) -> Any:
    """The object behind byref(), pointer() or an array. Raises Refused INVALID_ARGUMENT for NULL."""
    if reference is None:
        raise Refused("INVALID_ARGUMENT")
    if hasattr(reference, "_obj"):
        return reference._obj
    return reference.contents if hasattr(reference, "contents") else reference


def put(reference: Any, value: float) -> None:
    """*reference = value"""
    referred(reference).value = value


def put_text(buffer: Any, text: str, length: Any) -> None:
    """Raises Refused INSUFFICIENT_SIZE where the text and its end do not fit."""
    if buffer is None:
        raise Refused("INVALID_ARGUMENT")
    if len(text.encode()) + 1 > number(length):
        raise Refused("INSUFFICIENT_SIZE")
    buffer.value = text.encode()


def fill(structure: Any, **values: Any) -> None:
    """Set fields; what is unknown (None) is 0."""
    for name, value in values.items():
        setattr(structure, name, 0 if value is None else value)


def write_handle(place: Any, handle: int) -> None:
    """place = handle, for a pointer variable, or a pointer within a structure."""
    ctypes.c_void_p.from_address(ctypes.addressof(place)).value = handle


def put_handle(reference: Any, handle: int) -> None:
    """*reference = handle"""
    write_handle(referred(reference), handle)


def put_handles(array: Any, handles: Sequence[int], count: Any) -> None:
    """Handles into an array of pointers, which the caller has made large enough, and their number."""
    put(count, len(handles))
    if not handles:
        return
    room = referred(array)
    if isinstance(room, ctypes.Array) and len(room) < len(handles):
        raise Refused("INSUFFICIENT_SIZE")  # C would write past the end
    target = (ctypes.c_void_p * len(handles)).from_address(ctypes.addressof(room))
    for index, handle in enumerate(handles):
        target[index] = handle


def check_version(structure: Any, version: int) -> None:
    """Raises Refused ARGUMENT_VERSION_MISMATCH."""
    if structure.version != version:
        raise Refused("ARGUMENT_VERSION_MISMATCH")
