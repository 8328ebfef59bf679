"""`bench verify`: what stored runs say about published claims."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import GATE_FAILED, NOT_ENOUGH_EVIDENCE
from bench.judge.ledger import Entry, ledger, to_json
from bench.report.console_ledger import print_ledger
from bench.verbs.inputs import read_inputs
from bench.verbs.printing import print_json


def run(arguments: Sequence[str], config_dirs: Sequence[str], as_json: bool, gate: bool) -> int:
    """Judge, print, and with `gate` turn the verdicts into an exit code."""
    inputs = read_inputs(arguments, config_dirs)
    entries = ledger(inputs.claims, inputs.runs, inputs.published)
    if as_json:
        rows = [to_json(verdict) for entry in entries for verdict in entry.verdicts]
        print_json(rows)
    else:
        print_ledger(entries)
    return _exit_code(entries) if gate else 0


def _exit_code(entries: Sequence[Entry]) -> int:
    """Of what was measured on the hardware that the claims speak of: 1 when a claim fails anywhere, 4 when something is
    open or a claim was not measured there at all, else 0. What a specification settles is no news to a gate."""
    asked = [entry for entry in entries if entry.claim.settled is None]
    if any(entry.own.fails and _measured(entry) for entry in asked):
        return GATE_FAILED
    undecided = not asked or any(entry.own.open or not _measured(entry) for entry in asked)
    return NOT_ENOUGH_EVIDENCE if undecided else 0


def _measured(entry: Entry) -> bool:
    """Something was decided or tried there; a claim that is finer than the noise floor was not."""
    return any(v.counted and v.evidence == "measured" and v.verdict != "not_testable" for v in entry.verdicts)
