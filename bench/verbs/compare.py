"""`bench compare`: whether a version is slower than another, of one run or of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.errors import ConfigError, InputError
from bench.judge.compare.across import across
from bench.judge.compare.comparison import Comparison, to_json
from bench.judge.compare.within import within
from bench.records import Thresholds
from bench.report.compare import junit
from bench.report.compare import markdown as markdown_comparison
from bench.report.compare.console import print_comparison
from bench.report.numbers import counted as counted_words
from bench.report.progress import say
from bench.stored import PLAN, StoredRun, newest_run
from bench.verbs.files import write
from bench.verbs.inputs import RESULTS, measured, read_runs
from bench.verbs.printing import print_json


def run(
    runs: Sequence[str],
    thresholds: Sequence[str],
    day_to_day: str | None,
    markdown: str | None,
    junit_file: str | None,
    as_json: bool,
) -> int:
    """Compare, write, print; the exit code is that of the gate: 0, 1 (regressed) or 4 (not enough evidence)."""
    overrides = read_thresholds(thresholds)
    share = None if day_to_day is None else _day_to_day(day_to_day)
    for flag, file in (("--markdown", markdown), ("--junit", junit_file)):
        _ordinary(flag, file)
    if markdown and junit_file and Path(markdown).resolve() == Path(junit_file).resolve():
        raise ConfigError("both files are the same", where=f"--markdown {markdown}", hint="name two")
    paths = [Path(text) for text in runs] or [newest_run(RESULTS)]
    if len(paths) == 1:
        comparison = _alone(paths[0], overrides, share)
    else:
        base, candidate = _sides(paths[:-1], paths[-1])
        comparison = across(base, candidate, overrides, share)
    for file, text in ((markdown, markdown_comparison.render), (junit_file, junit.render)):
        if file:
            write(Path(file).parent, {Path(file).name: text(comparison)})
            say(file)
    _print(comparison, as_json)
    return comparison.exit_code


def _print(comparison: Comparison, as_json: bool) -> None:
    if not as_json:
        print_comparison(comparison)
        return
    for note in comparison.notes:
        say(f"note: {note}")
    print_json([to_json(outcome) for outcome in comparison.outcomes])


def _alone(path: Path, overrides: Mapping[str, float | None], day_to_day: float | None) -> Comparison:
    """One run against the version that was measured in its blocks."""
    found = measured(read_runs([path]), "comparison")
    if len(found) > 1:
        raise InputError(
            f"there are {len(found)} runs, and nothing that they are to be compared with",
            where=str(path),
            hint="name one that was measured with --against, or BASE runs before it",
        )
    (only,) = found
    if not only.plan.against:
        raise InputError(
            "this run has nothing to be compared with",
            where=str(path),
            hint="name the BASE runs before it, or measure both in the same blocks: bench run --against main",
        )
    if day_to_day is not None:
        raise ConfigError(
            "--day-to-day is about runs of different times",
            where=f"--day-to-day with {path}",
            hint="leave it out: both versions were measured in the same blocks",
        )
    return within(only, only.plan.thresholds.model_copy(update=dict(overrides)))


def _sides(bases: Sequence[Path], candidate: Path) -> tuple[Sequence[StoredRun], Sequence[StoredRun]]:
    """What counts of the base runs, and the candidate. Raises InputError where nothing of the base can count."""
    ours = measured(read_runs([candidate]), "comparison")
    same = {run.folder.resolve() for run in ours}
    theirs = [run for run in measured(read_runs(bases), "comparison") if run.folder.resolve() not in same]
    if not theirs:
        raise InputError(
            "the candidate is the only run on both sides",
            where=" ".join(map(str, (*bases, candidate))),
            hint="name other runs before it",
        )
    devices = {run.plan.device for run in ours}
    counted = [run for run in theirs if run.plan.device in devices]
    if not counted:
        others = ", ".join(sorted({run.plan.device for run in theirs}))
        raise InputError(
            f"the candidate was measured on {', '.join(sorted(devices))}, and the base on {others}",
            where=str(candidate),
            hint="compare runs of the same device; `bench report RUN RUN` shows runs of several side by side",
        )
    for run in theirs:
        if run not in counted:
            say(f"set aside: {run.name} was measured on another device: {run.plan.device}")
    if not (candidate / PLAN).exists():  # a folder of runs: what fell out of it is to be seen
        return counted, ours
    # A run has one workload and scenario: base runs of others have nothing to do with it.
    (only,) = ours
    wanted = only.plan.workload, only.plan.scenario
    alike = [run for run in counted if (run.plan.workload, run.plan.scenario) == wanted]
    if not alike:
        others = ", ".join(sorted({f"{run.plan.workload} {run.plan.scenario}" for run in counted}))
        raise InputError(
            f"the candidate measured {' '.join(wanted)}, and the base {others}",
            where=str(candidate),
            hint="compare runs of the same workload and scenario",
        )
    if len(alike) < len(counted):
        left = counted_words(len(counted) - len(alike), "run")
        say(f"set aside: {left} of other workloads or scenarios than the candidate's")
    return alike, ours


def read_thresholds(texts: Sequence[str]) -> dict[str, float | None]:
    """Of `metric=share` on the command line: 2% and 0.02 are the same, none switches a metric off."""
    found: dict[str, float | None] = {}
    for text in texts:
        metric, equals, value = text.partition("=")
        if not equals or metric not in Thresholds.model_fields:
            raise ConfigError(
                f"{text!r} names no metric that is compared",
                where=f"--threshold {text}",
                hint=f"say METRIC=SHARE with one of {', '.join(Thresholds.model_fields)}, e.g. throughput=2%",
            )
        if value == "none":
            found[metric] = None
            continue
        share = _share(value)
        if share is None or not 0 < share < 1:
            raise ConfigError(
                f"{value!r} is no threshold",
                where=f"--threshold {text}",
                hint="a share above 0 and below 1, such as 2% or 0.02; none: that metric is not judged",
            )
        found[metric] = share
    return found


def _day_to_day(text: str) -> float:
    share = _share(text)
    if share is None or not 0 <= share < 1:
        raise ConfigError(
            f"{text!r} is no share",
            where=f"--day-to-day {text}",
            hint="say how much runs of the same thing differ (standard deviation), such as 0.5% or 0.005",
        )
    return share


def _ordinary(flag: str, file: str | None) -> None:
    """Files are renamed into place: that would take the place of a pipe, a device or a link."""
    path = Path(file) if file else None
    if path and (path.is_symlink() or (path.exists() and not path.is_file())):
        raise ConfigError(
            f"{file} is no ordinary file", where=f"{flag} {file}", hint="name a file; what is printed can be piped"
        )


def _share(text: str) -> float | None:
    number, percent = text.removesuffix("%"), text.endswith("%")
    try:
        return float(number) / 100 if percent else float(number)
    except ValueError:
        return None
