"""What `verify` and `report` are given on the command line: runs, files of published figures, and claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.claims import Claim, read_claims
from bench.composition import compose_all, user_folders
from bench.errors import ConfigError, InputError
from bench.judge.published import Published, read_published
from bench.report.progress import say
from bench.stored import StoredRun, find_runs, newest_run, read_run

RESULTS = Path("results")
TABLES = (".yaml", ".yml")


@dataclass(frozen=True)
class Inputs:
    """Everything that is to be judged, read."""

    claims: Mapping[str, Claim]
    claims_chosen: bool
    runs: Sequence[StoredRun]
    published: Mapping[str, Published]


def read_inputs(arguments: Sequence[str], config_dirs: Sequence[str]) -> Inputs:
    """Paths are runs, yaml files of published figures, or folders of either; without any, the newest run is meant.
    `claims=[...]` chooses claims, otherwise all are judged. Rehearsals are refused."""
    paths = [Path(text) for text in arguments if not _is_option(text)]
    options = [text for text in arguments if _is_option(text)]
    claims = _claims(options, config_dirs)
    files = [file for path in paths for file in _files(path)]
    folders = [path for path in paths if not _files(path)]
    _check(paths)
    if not paths:
        folders = [newest_run(RESULTS)]
    runs = read_runs(folders)
    for run in runs:
        for name, claim in claims.items():
            planned = run.claims.get(name)
            if planned and planned.measurable and claim.measurable and planned != claim:
                say(f"note: the claim {name} is not as it was when {run.name} was planned")
    return Inputs(claims, bool(options), measured(runs, "verdict"), _published(files))


def _files(path: Path) -> list[Path]:
    """The files of published figures that a path names: itself, or what a folder holds."""
    if path.suffix in TABLES:
        return [path]
    return sorted(file for file in path.glob("*") if file.suffix in TABLES) if path.is_dir() else []


def read_runs(folders: Sequence[Path]) -> list[StoredRun]:
    """Runs, from their folders and from folders of them. One that cannot be read is an error where it was named itself;
    in a folder of runs the others go on. What of them cannot be used is said."""
    _check(folders)
    runs = []
    for folder in find_runs(folders):
        try:
            runs.append(read_run(folder))
        except InputError as error:
            if folder in folders:
                raise
            say(f"set aside: {folder.name}: {error.what}")
    for run in runs:
        for item in run.set_aside:
            say(f"set aside: {run.name}, {item.where}: {item.why}")
    return runs


def _check(paths: Sequence[Path]) -> None:
    for path in paths:
        if not path.exists():
            raise InputError(f"there is no {path}", where=str(path), hint="name a run's folder, e.g. results/2026...")


def _published(files: Sequence[Path]) -> dict[str, Published]:
    names = [path.name for path in files]
    return {
        str(path) if names.count(path.name) > 1 else path.name: read_published(path) for path in dict.fromkeys(files)
    }


def _is_option(text: str) -> bool:
    return "=" in text and not Path(text).exists()


def _claims(options: Sequence[str], config_dirs: Sequence[str]) -> Mapping[str, Claim]:
    for text in options:
        if text.partition("=")[0].partition(".")[0] != "claims":
            raise ConfigError(
                f"{text!r} is no option here: what was measured is measured",
                where=text,
                hint="'claims=[name,name]' chooses claims; everything else is a run's folder",
            )
    return read_claims(compose_all(options, user_folders(config_dirs))[0].config.get("claims"))


def measured(runs: Sequence[StoredRun], what: str) -> Sequence[StoredRun]:
    """Those that were measured; a rehearsal alone is an error, among others it is set aside. `what`: is never drawn
    from one."""
    real = [run for run in runs if not run.rehearsal]
    if runs and not real:
        raise InputError(
            f"this is a rehearsal, and no {what} is ever drawn from one",
            where=str(runs[0].folder),
            hint="measure on the real device: the same command without gpu=rehearsal/...",
        )
    for run in runs:
        if run.rehearsal:
            say(f"set aside: {run.name} is a rehearsal: no {what} is drawn from one")
    return real
