"""Callables of a team's own pytest suite, measured in its sessions: a session is a fresh process, so a block."""

CHILD = "BENCH_PYTEST_BLOCK"
"""Environment variable of a session that was started for one more block: a file with the ids of its tests."""
