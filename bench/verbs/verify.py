"""`bench verify`: what stored runs say about published claims."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from bench.judge.ledger import Entry, ledger, to_json
from bench.report.verdict_table import print_ledger
from bench.verbs.evidence import read_asked

REFUTED = 1
NOT_ENOUGH_EVIDENCE = 4


def run(arguments: Sequence[str], config_dirs: Sequence[str], as_json: bool, gate: bool) -> int:
    """Judge, print, and with `gate` turn the verdicts into an exit code."""
    asked = read_asked(arguments, config_dirs)
    entries = ledger(asked.claims, asked.runs, asked.published)
    if as_json:
        rows = [to_json(verdict) for entry in entries for verdict in entry.verdicts]
        json.dump(rows, sys.stdout, indent=1, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        print_ledger(entries)
    return _exit_code(entries) if gate else 0


def _exit_code(entries: Sequence[Entry]) -> int:
    """1 when a claim fails anywhere on the hardware that it speaks of, 4 when something is open or a claim has no
    evidence there, else 0."""
    if any(entry.verdict in ("refuted", "mixed") for entry in entries):
        return REFUTED
    undecided = any(entry.open or entry.verdict == "not_testable" for entry in entries)
    return NOT_ENOUGH_EVIDENCE if undecided else 0
