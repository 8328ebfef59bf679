"""What can go wrong, drawn once.

    BenchError                what, where, hint; exit code
    ├── ConfigError       2   an option is unknown, of the wrong type, or does not fit the others
    │   └── InputError    2   a file the user named is missing, unreadable or not what it should be
    ├── StoreError        2   the results folder cannot be written or read
    ├── InfeasibleHere    3   nothing of what was asked for can run on this machine
    └── Interrupted     130   stopped by the user; the run can be resumed

Every message is three short lines: what happened, where, and `hint:` what to do about it.
"""

from __future__ import annotations

GATE_FAILED, NOT_ENOUGH_EVIDENCE = 1, 4
"""Exit codes of answers, which are no errors: something is refuted or got slower; nobody knows yet."""


class BenchError(Exception):
    """An error that a user can act on."""

    exit_code = 2

    def __init__(self, what: str, *, where: str, hint: str) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}\n  in {self.where}\n  hint: {self.hint}"


class ConfigError(BenchError):
    """An option is unknown, of the wrong type, or does not fit the others."""


class InputError(ConfigError):
    """A file the user named is missing, unreadable or not what it should be."""


class StoreError(BenchError):
    """The results folder cannot be written or read."""


class InfeasibleHere(BenchError):
    """Nothing of what was asked for can run on this machine."""

    exit_code = 3


class Interrupted(BenchError):
    """Stopped by the user; the run can be resumed."""

    exit_code = 130
