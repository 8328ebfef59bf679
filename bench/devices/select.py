"""The device of an experiment, from the group `gpu`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.contract import Device
from bench.devices import host
from bench.errors import ConfigError


def find_device(node: Any) -> Device:
    """The device that the configuration names. `auto` is the best that this version can measure on: the CPU."""
    if not isinstance(node, Mapping) or set(node) != {"kind"}:
        raise ConfigError("gpu needs a kind and nothing else", where="gpu", hint="say gpu=auto or gpu=cpu")
    if node["kind"] not in ("auto", "cpu"):
        raise ConfigError(f"unknown device kind {node['kind']!r}", where="gpu.kind", hint="auto or cpu")
    return host.cpu_device()
