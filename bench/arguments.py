"""What `bench` takes on its command line. Nothing but the parser: `bench --help` must be immediate."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TypeAlias

from bench import __version__

OPTIONS = """\
options are name=value as in Hydra: lists in brackets are compared with each other in one experiment,
values separated by commas make separate experiments:

  bench run
  bench run workload=resnet50 scenario=offline 'optimizations=[fp32,bf16,int8_ort]'
  bench run 'partitions=[full,time_shared,cpuset]' partitions.time_shared.tenants=4
  bench list
"""
EXIT_CODES = """\
exit codes: 0 done, 1 a gate failed, 2 usage or configuration, 3 infeasible here, 4 not enough evidence,
130 interrupted (then: bench run --resume RUN)
"""
GATES = ("run", "verify", "compare", "recommend")
"""Verbs whose exit code is an answer."""


Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The verb with its options. Flags may stand between options, which argparse alone does not allow."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    listed = next((name for name in ("overrides", "evidence", "runs", "words") if name in options), None)
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
        epilog=f"{OPTIONS}\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"bench {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _measuring(verbs)
    _judging(verbs)
    _exchanging(verbs)
    _machine(verbs)
    return parser


def _measuring(verbs: Verbs) -> None:
    run = _verb(verbs, "run", "plan, measure and store experiments", overrides=True)
    run.add_argument("--resume", metavar="RUN", help="finish an interrupted run; RUN is its folder")
    plan = _verb(verbs, "plan", "print every trial, what is infeasible and why, and how long it takes", overrides=True)
    plan.add_argument("--config", action="store_true", help="print the composed configuration instead")
    for verb in (run, plan):
        verb.add_argument(
            "--against", metavar="VERSION",
            help="measure another version in the same blocks, and say whether this one is slower (exit code 1): a git "
            "revision of the repository here, a wheel:FILE, a package:NAME==1.2, a python:FILE of another environment "
            "or an image:NAME (docs/compare.md)",
        )  # fmt: skip
        verb.add_argument(
            "--config-name", default="config", metavar="NAME",
            help="the configuration to begin with, such as nightly (default: config)",
        )  # fmt: skip


def _judging(verbs: Verbs) -> None:
    verify = _verb(verbs, "verify", "say what stored runs tell about published claims", judges=True)
    verify.add_argument(
        "--gate", action="store_true", help="exit with 1 when a claim is refuted, with 4 when one is not decided"
    )
    compare = _verb(verbs, "compare", "say whether a run is slower than others, or than what it was measured against")
    compare.add_argument(
        "runs", nargs="*", metavar="[BASE...] CANDIDATE",
        help="run folders, or folders of runs: the last one is compared with those before it. One alone, measured with "
        "--against, is compared with what it was measured against (without any: the newest in results/)",
    )  # fmt: skip
    compare.add_argument(
        "--threshold", action="append", default=[], metavar="METRIC=SHARE",
        help="the least slow-down that matters, such as throughput=2%% or p99=0.1; none: not judged; may be repeated",
    )  # fmt: skip
    compare.add_argument(
        "--day-to-day", metavar="SHARE",
        help="how much runs of the same thing differ from day to day (standard deviation); without it BASE runs "
        "of three days or more measure it, and for one or two 1 %% is assumed",
    )  # fmt: skip
    compare.add_argument("--markdown", metavar="FILE", help="write a summary for a CI's page")
    compare.add_argument("--junit", metavar="FILE", help="write JUnit XML, one case for each series")
    history = _verb(verbs, "history", "show how speeds went over many runs, and when they shifted")
    history.add_argument("runs", nargs="*", metavar="DIR", help="folders of runs (default: results)")
    recommend = _verb(verbs, "recommend", "say which measured configuration satisfies a need, and what it costs")
    recommend.add_argument("runs", nargs="*", metavar="RUN", help="run folders (without any: the newest in results/)")
    recommend.add_argument("--need", metavar="FILE", required=True, help="a yaml of what is needed (docs/recommend.md)")
    recommend.add_argument(
        "--emit", choices=("mig-parted", "kubernetes", "device-plugin", "docker"),
        help="print the configuration that deploys it",
    )  # fmt: skip
    report = _verb(verbs, "report", "show stored runs and verdicts as HTML, Markdown and CSV", judges=True)
    for verb in (history, recommend, report):
        verb.add_argument(
            "--output", default="reports", metavar="DIR", help="where the files are written (default: reports)"
        )


def _exchanging(verbs: Verbs) -> None:
    taken = _verb(verbs, "import", "take what another tool measured into results/")
    taken.add_argument("tool", metavar="TOOL", help="see docs/import.md; `list` names those that are understood")
    taken.add_argument(
        "words", nargs="*", metavar="FILE option=value",
        help="the tool's files, and what they do not tell: workload= optimization= partition= scenario= device= ...",
    )  # fmt: skip
    taken.add_argument("--into", metavar="RUN", help="add to a run that was imported before, to be judged beside it")
    given = _verb(verbs, "export", "write a run in another tool's form", prints_json=False)
    given.add_argument("form", choices=("pytest-benchmark",))
    given.add_argument("run", metavar="RUN", help="a run's folder")
    given.add_argument(
        "--output", metavar="FILE", help="(default: standard output); a run of several sessions takes a folder"
    )


def _machine(verbs: Verbs) -> None:
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


def _verb(
    verbs: Verbs,
    name: str,
    summary: str,
    overrides: bool = False,
    judges: bool = False,
    prints_json: bool = True,
) -> argparse.ArgumentParser:
    """`overrides`: it takes options of experiments. `judges`: it takes stored runs, and claims."""
    verb = verbs.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog="\n".join([*([OPTIONS] if overrides else []), *([EXIT_CODES] if name in GATES else [])]) or None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if prints_json:
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
