"""The verbs. Nothing heavy is imported before a verb needs it: `bench --help` must be immediate."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from bench.arguments import parse
from bench.errors import BenchError, Interrupted
from bench.printable import printable

PIPE_CLOSED = 141
"""Exit code of a program whose reader has gone (SIGPIPE): none that a gate could take for an answer."""
MISTAKE = 70
"""Exit code of an error that is none of the user's (EX_SOFTWARE)."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console script; ends the process with the verb's exit code."""
    for stream in (sys.stdout, sys.stderr):  # a terminal that lacks a character shows its code instead
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = parse(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = _dispatch(options)
    except BenchError as error:
        if options.debug:
            raise
        sys.stderr.write(f"bench: {printable(str(error))}\n")
        code = error.exit_code
    except KeyboardInterrupt:
        early = Interrupted(
            "interrupted", where=f"bench {options.verb}", hint="start it again: nothing was being measured"
        )
        sys.stderr.write(f"bench: {early}\n")
        code = early.exit_code
    except BrokenPipeError:  # the reader of our output has gone; what the verb would have answered is not known
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = PIPE_CLOSED
    except Exception as error:  # a mistake of ours or of a plug-in gets three lines, too
        if options.debug:
            raise
        mistake = BenchError(
            f"a mistake of bench or of a plug-in: {type(error).__name__}: {error}",
            where=f"bench {options.verb}",
            hint="--debug shows where; what is stored of a run is whole, and --resume goes on from there",
        )
        sys.stderr.write(f"bench: {printable(str(mistake))}\n")
        code = MISTAKE
    raise SystemExit(code)


def _dispatch(options: argparse.Namespace) -> int:
    if options.verb == "run":
        from bench.verbs import run

        return run.run(
            options.overrides, options.config_dir, options.resume, options.json, options.config_name, options.against
        )
    if options.verb == "plan":
        from bench.verbs import plan

        return plan.run(
            options.overrides, options.config_dir, options.json, options.config, options.config_name, options.against
        )
    if options.verb == "verify":
        from bench.verbs import verify

        return verify.run(options.evidence, options.config_dir, options.json, options.gate)
    if options.verb == "report":
        from bench.verbs import report

        return report.run(options.evidence, options.config_dir, options.output, options.json)
    if options.verb == "compare":
        from bench.verbs import compare

        return compare.run(
            options.runs, options.threshold, options.day_to_day, options.markdown, options.junit, options.json
        )
    if options.verb == "history":
        from bench.verbs import history

        return history.run(options.runs, options.output, options.json)
    if options.verb == "recommend":
        from bench.verbs import recommend

        return recommend.run(options.runs, options.need, options.emit, options.output, options.json)
    if options.verb == "import":
        from bench.verbs import importing

        return importing.run(options.tool, options.words, options.into, options.json)
    if options.verb == "export":
        from bench.verbs import exporting

        return exporting.run(options.form, options.run, options.output)
    if options.verb == "list":
        from bench.verbs import list_options

        return list_options.run(options.config_dir, options.json)
    if options.verb == "mig":
        from bench.verbs import mig

        return mig.run(options.action, options.words, options.config_dir, options.file, options.json)
    if options.verb == "image":
        from bench.verbs import image

        return image.run(options.action, options.engine, options.variant, options.extras, options.base, options.json)
    from bench.verbs import doctor

    return doctor.run(options.overrides, options.config_dir, options.json)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends a run as Ctrl-C does: tenants are ended and the run can be resumed."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
