"""What strangers wrote cannot command a terminal."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import hypothesis.strategies as st
from harness import run_bench
from hypothesis import given
from made_up_runs import plan, run, write

from bench.printable import printable


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    shown = printable(text)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in "\n\t"]


@given(st.text(st.characters(categories=("L", "N", "P", "S", "Zs"))))
def test_other_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_a_stored_run_cannot_command_the_terminal(tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07\x1b[31mred\u202egnirts"
    made = plan(workload=evil, device=evil)
    stored = run(made, lambda planned: {"status": "invalid", "reason": evil, "throughput_per_s": None})
    write(stored, tmp_path / "results" / "20261101-evil")
    for arguments in (("verify",), ("verify", "nowhere\x1b[31m")):
        told = run_bench(*arguments, cwd=tmp_path)
        assert "red" in told.stdout or "nowhere" in told.stderr
        for text in (told.stdout, told.stderr):
            assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text
