"""Tenants that do what a test says, and what they leave in the system."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.clock import NS_PER_S, now_ns
from bench.contract import Launcher, Slot
from bench.isolation.container import Containers
from bench.measure.link import ChildFailed, Link, await_events

MODULE = """
import json, os, sys

def say(**message):
    sys.stdout.write(json.dumps({"event": "said", **message}) + "\\n")
    sys.stdout.flush()

exec(sys.argv[1])
sys.stdin.read()  # who starts it has to see it first
"""
"""`python -m inside CODE`"""
WAITS = "say(); sys.stdin.readline(); say(last=True); sys.stdin.readline()"
SLOT = Slot(index=0, threads=1)
LIMIT_S = 30.0


@contextmanager
def launcher(options: Mapping[str, Any], **more: Any) -> Iterator[Launcher]:
    with Containers(**options, **more).opened() as opened:
        yield opened


@contextmanager
def tenant(launcher: Launcher, code: str, slot: Slot = SLOT, folders: Sequence[Path] = ()) -> Iterator[Link]:
    link = Link(launcher.start(["inside", code], slot, {}, folders), f"tenant{slot.index}")
    try:
        yield link
    finally:
        link.end()


def said(*links: Link) -> list[Mapping[str, Any]]:
    return await_events(links, "said", now_ns() + int(LIMIT_S * NS_PER_S))


def asked(launcher: Launcher, expression: str, slot: Slot = SLOT, folders: Sequence[Path] = ()) -> Any:
    """What an expression is inside a container."""
    with tenant(launcher, f"say(value={expression})", slot, folders) as link:
        return said(link)[0]["value"]


def failure(*links: Link) -> str:
    """How the conversation ends where somebody has ended it."""
    try:
        said(*links)
    except ChildFailed as error:
        return error.reason
    raise AssertionError("it went on")


def left() -> list[str]:
    """Mounts and cgroups that containers of bench have left, on the whole machine."""
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if _of_tests(line)]
    folders = [str(path) for pattern in ("bench-*", "*/bench-*") for path in Path("/sys/fs/cgroup").glob(pattern)]
    return [*mounts, *(path for path in folders if f".{os.getpid()}." in path)]


def _of_tests(line: str) -> bool:
    return os.environ["BENCH_STATE_DIR"] in line
