"""A run's command once more, with what has to change. Pure.

run.json tells how a run was asked for, and anybody may have written it: its words are quoted for a shell, and nothing
of it is executed.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from bench.judge.recommend.candidates import Candidate
from bench.records import PROCESS
from bench.stored import StoredRun

MOST_WORDS, LONGEST_WORD = 50, 2000


def command(run: StoredRun, cells: Sequence[Candidate], changes: Sequence[str]) -> str:
    """As the run was asked for, with these changes, and of cells only these and their baseline; without what the record
    tells, the workload and the scenario are named."""
    words = overrides(run)
    if words is None:
        words = [f"workload={run.plan.workload}", f"scenario={run.plan.scenario}"]
    only = [*_only(run, cells), *changes] if cells else list(changes)
    replaced = {word.partition("=")[0].partition(".")[0] for word in only}
    parts = {word.partition("=")[0] for word in only}
    kept = [word for word in words if not _gives_way(word, replaced, parts)]
    folders = run.description.get("config_folders")
    extra = [f for f in folders if isinstance(f, str)][:MOST_WORDS] if isinstance(folders, list) else []
    return shlex.join(["bench", "run", *kept, *only, *(text for f in extra for text in ("--config-dir", f))])


def overrides(run: StoredRun) -> list[str] | None:
    """What the run was asked for; None where the record does not tell, or tells what no command line is."""
    found = run.description.get("overrides")
    if not isinstance(found, list) or len(found) > MOST_WORDS:
        return None
    return found if all(isinstance(word, str) and len(word) <= LONGEST_WORD for word in found) else None


def _gives_way(word: str, replaced: set[str], parts: set[str]) -> bool:
    """An earlier run's word for the same thing, its seed, and what belongs to its protocol."""
    key = word.partition("=")[0].lstrip("+~")
    group = key.partition(".")[0]
    if (
        key in parts
        or group == "seed"
        or (key == "isolation" and "optimizations" in parts)
        or (group in ("only", "neighbours") and "partitions" in parts)
    ):
        return True
    return group == "protocol" and "protocol" in replaced


def _only(run: StoredRun, cells: Sequence[Candidate]) -> list[str]:
    """The brackets that name just these cells, and the baseline, of each division."""
    told = wanted(run, cells)
    everything = sorted(set().union(*told.values()))
    words = [f"partitions=[{','.join(sorted(told))}]", f"optimizations=[{','.join(everything)}]"]
    isolations = sorted({candidate.isolation for candidate in cells})
    if isolations != [PROCESS]:
        words.append(f"isolation=[{','.join(isolations)}]")
    return words + [
        f"only.{division}=[{','.join(sorted(names))}]"
        for division, names in sorted(told.items())
        if sorted(names) != everything
    ]


def wanted(run: StoredRun, cells: Sequence[Candidate]) -> dict[str, set[str]]:
    """Division -> the optimizations of these cells, and the baseline."""
    found: dict[str, set[str]] = {}
    for candidate in cells:
        found.setdefault(candidate.division, {run.plan.baseline}).add(candidate.optimization)
    return found
