"""A later process with the same number is nobody's owner; nor is one that cannot be seen from here held for dead."""

from __future__ import annotations

import dataclasses
import subprocess

import pytest

from bench.isolation.containers import owner as owners
from bench.isolation.containers.owner import Owner


def test_it_survives_being_written_down() -> None:
    this = Owner.this()
    assert Owner.parse(str(this)) == this
    assert not this.dead and this.on_this_boot


@pytest.mark.parametrize("text", ["", "x", "a.b.c.d", "a.b.1", "a.b.1.2.3"])
def test_what_others_have_written(text: str) -> None:
    assert Owner.parse(text) is None


def test_a_process_that_has_ended_is_dead() -> None:
    process = subprocess.Popen(["sleep", "60"])
    start = owners.start_ticks(process.pid)
    assert start is not None
    owner = dataclasses.replace(Owner.this(), pid=process.pid, start_ticks=start)
    assert not owner.dead
    assert dataclasses.replace(owner, start_ticks=start + 1).dead  # the number was somebody else's before
    process.kill()
    process.wait()
    assert owner.dead
    assert not dataclasses.replace(owner, boot="another").dead
    assert not dataclasses.replace(owner, namespace="another").dead
