"""What a child does to itself before anything else: pinned, limited, and gone when its conductor is gone.

It runs in the child because a hook between fork and exec is unsafe in a parent with threads. Containers do the same
with their runtime's options.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

CPUS = "BENCH_CPUS"
MEMORY_LIMIT_BYTES = "BENCH_MEMORY_LIMIT_BYTES"
CONDUCTOR_PID = "BENCH_CONDUCTOR_PID"

PR_SET_PDEATHSIG = 1


def confine_from_environment() -> None:
    """Apply what the conductor put into the environment."""
    if conductor := os.environ.get(CONDUCTOR_PID):
        _die_with(int(conductor))
    if cpus := os.environ.get(CPUS):
        os.sched_setaffinity(0, [int(cpu) for cpu in cpus.split(",")])
    if limit := os.environ.get(MEMORY_LIMIT_BYTES):
        # RLIMIT_DATA counts private writable memory. RLIMIT_AS would also count what is mapped and never touched,
        # of which torch has gigabytes.
        resource.setrlimit(resource.RLIMIT_DATA, (int(limit), int(limit)))


def _die_with(conductor_pid: int) -> None:
    """Linux: be killed when the conductor ends, however it ends. Elsewhere a closed stdin has to do."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != conductor_pid:  # it was gone before the line above
        os._exit(1)
