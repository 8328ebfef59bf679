"""`bench` in forks of one process that has imported it already: what takes a second otherwise takes a twentieth.

Each call has a process of its own, so that what one does to its interpreter (imports, signals) does not reach the next,
and pytest's own interpreter, which may have imported torch, is not in the way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from harness import BENCH


class Forked:
    """Answers calls until it is closed."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(
        self, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`bench <arguments>`."""
        assert self._server.stdin and self._server.stdout
        request = {"arguments": arguments, "cwd": str(cwd), "env": env or {}, "files": [f"{cwd}/.out", f"{cwd}/.err"]}
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        status = int(self._server.stdout.readline())
        out, err = (Path(path).read_text(errors="replace") for path in request["files"])
        return subprocess.CompletedProcess([*BENCH, *arguments], status, out, err)

    def close(self) -> None:
        assert self._server.stdin
        self._server.stdin.close()
        self._server.wait()


def _serve() -> None:
    # What any verb imports before it looks at its arguments.
    import bench.verbs.doctor
    import bench.verbs.list_options
    import bench.verbs.plan
    import bench.verbs.run  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _call(request["arguments"], request["cwd"], request["env"], request["files"])
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _call(arguments: list[str], cwd: str, env: Mapping[str, str], files: list[str]) -> None:
    code = 1
    try:
        from bench.cli import main

        os.chdir(cwd)
        os.environ.update(env)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for descriptor, path in enumerate(files, start=1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        sys.argv = ["bench", *arguments]
        main(arguments)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
