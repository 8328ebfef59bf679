"""The verbs. Nothing heavy is imported before a verb needs it: `bench --help` must be immediate."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from bench import __version__
from bench.errors import BenchError, Interrupted
from bench.printable import printable

EPILOG = """\
options are name=value as in Hydra: lists in brackets are compared with each other in one experiment,
values separated by commas make separate experiments:

  bench run
  bench run workload=resnet50 scenario=offline 'optimizations=[fp32,bf16,int8_ort]'
  bench run 'partitions=[full,time_shared,cpuset]' partitions.time_shared.tenants=4
  bench list

exit codes: 0 done, 2 usage or configuration, 3 infeasible here, 4 nothing measured,
130 interrupted (then: bench run --resume RUN)
"""


MISTAKE = 70
"""Exit code of an error that is none of the user's (EX_SOFTWARE)."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console script; ends the process with the verb's exit code."""
    for stream in (sys.stdout, sys.stderr):  # a terminal that lacks a character shows its code instead
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = _parse(arguments)
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
    except BrokenPipeError:  # the reader of our output has gone, which is its right
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
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


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Flags may stand between options, which argparse alone does not allow."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    listed = next((name for name in ("overrides", "evidence", "words") if name in options), None)
    unknown = [text for text in rest if text.startswith("-") or listed is None]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if rest and listed:
        getattr(options, listed).extend(rest)
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench",
        description="Measure optimised models on partitioned devices, and check published speed-up claims.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"bench {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    run = _verb(verbs, "run", "plan, measure and store experiments", overrides=True)
    run.add_argument("--resume", metavar="RUN", help="finish an interrupted run; RUN is its folder")
    plan = _verb(verbs, "plan", "print every trial, what is infeasible and why, and how long it takes", overrides=True)
    plan.add_argument("--config", action="store_true", help="print the composed configuration instead")
    verify = _verb(verbs, "verify", "say what stored runs tell about published claims", judges=True)
    verify.add_argument(
        "--gate", action="store_true", help="exit with 1 when a claim is refuted, with 4 when one is not decided"
    )
    report = _verb(verbs, "report", "show stored runs and verdicts as HTML, Markdown and CSV", judges=True)
    report.add_argument(
        "--output", default="reports", metavar="DIR", help="where the files are written (default: reports)"
    )
    _verb(verbs, "list", "list every group's options", overrides=False)
    _verb(
        verbs,
        "doctor",
        "tell what this machine is, what it lacks and what spoils measurements",
        overrides=True,
    )
    mig = _verb(verbs, "mig", "tell, change and bring back a GPU's MIG layout")
    mig.add_argument("action", choices=("status", "plan", "apply", "restore", "export"))
    mig.add_argument(
        "words", nargs="*", metavar="LAYOUT gpu=...",
        help="plan and apply take a layout: off, a list such as 3g,2g,2x1g, or a label of --file",
    )  # fmt: skip
    mig.add_argument("--file", metavar="FILE", help="a mig-parted configuration file, whose label LAYOUT is")
    mig.add_argument("--config-dir", action="append", default=[], metavar="DIR", help=argparse.SUPPRESS)
    image = _verb(verbs, "image", "build what tenants run in with isolation=container")
    image.add_argument(
        "action", choices=("build", "list", "remove"), help="remove: those that hold other versions of bench"
    )
    image.add_argument(
        "--variant", choices=("slim", "full"),
        help="slim holds what tenants execute alone, full also what the building took (default: slim)",
    )  # fmt: skip
    image.add_argument("--extras", metavar="NAME,NAME", help="extras of bench to install: cpu, say (default: none)")
    image.add_argument(
        "--base", metavar="IMAGE", help="an image with this Python (default: python:3.x-slim, and python:3.x for full)"
    )
    image.add_argument("--engine", choices=("auto", "podman", "docker"), default="auto", help="(default: auto)")
    return parser


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    overrides: bool = False,
    judges: bool = False,
) -> argparse.ArgumentParser:
    """`overrides`: it takes options of experiments. `judges`: it takes stored runs, and claims."""
    verb = verbs.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=EPILOG if overrides else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("--json", action="store_true", help="print the result as JSON")
    verb.add_argument("--debug", action="store_true", help="show tracebacks")
    if overrides or judges or name == "list":
        verb.add_argument(
            "--config-dir", action="append", default=[], metavar="DIR",
            help="a folder with your own options (also: BENCH_CONFIG_PATH); may be repeated",
        )  # fmt: skip
    if overrides:
        verb.add_argument("overrides", nargs="*", metavar="option=value", help="see below, and `bench list`")
    if judges:
        verb.add_argument(
            "evidence", nargs="*", metavar="RUN",
            help="run folders, yaml files of published figures, or folders of either (without any: the newest run in "
            "results/), and 'claims=[name,name]' (without it: all claims)",
        )  # fmt: skip
    return verb


def _dispatch(options: argparse.Namespace) -> int:
    if options.verb == "run":
        from bench.verbs import run

        return run.run(options.overrides, options.config_dir, options.resume, options.json)
    if options.verb == "plan":
        from bench.verbs import plan

        return plan.run(options.overrides, options.config_dir, options.json, options.config)
    if options.verb == "verify":
        from bench.verbs import verify

        return verify.run(options.evidence, options.config_dir, options.json, options.gate)
    if options.verb == "report":
        from bench.verbs import report

        return report.run(options.evidence, options.config_dir, options.output, options.json)
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
