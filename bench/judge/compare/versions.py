"""Which version the base side of a run's comparison was, as its trials tell. Anybody may have written them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.judge.differences import LONGEST, Difference
from bench.records import TrialRecord

SHORT = 12
"""Characters of a commit that are shown, as the fingerprint has them."""
MOST_NAMED = 2


def version_words(trials: Sequence[TrialRecord]) -> str:
    """What to call it: a commit, or the packages that were installed; "" where trials do not tell, or tell of an
    environment full of packages."""
    told = _told(trials)
    if isinstance(commit := told.get("commit"), str):
        return f"commit {commit[:SHORT]}"
    packages = _packages(told)
    return " ".join(f"{name} {version}" for name, version in packages.items()) if len(packages) <= MOST_NAMED else ""


def version_differences(trials: Sequence[TrialRecord], description: Mapping[str, Any]) -> Iterator[Difference]:
    """From that version to what the run itself (its run.json) ran."""
    told = _told(trials)
    fingerprint = description.get("fingerprint")
    ours = fingerprint if isinstance(fingerprint, Mapping) else {}
    now = ours.get("project_commit")  # `commit` is that of bench
    if isinstance(commit := told.get("commit"), str) and isinstance(now, str) and now != commit[:SHORT]:
        yield Difference("commit", commit[:SHORT], now[:LONGEST], ("fingerprint", "project_commit"))
    versions = ours.get("versions")
    for name, version in _packages(told).items():
        now = versions.get(name) if isinstance(versions, Mapping) else None
        if isinstance(now, str) and now != version:
            yield Difference(name, version, now[:LONGEST], ("fingerprint", "versions", name))


def _told(trials: Sequence[TrialRecord]) -> Mapping[str, Any]:
    found = (trial.confinement.get("version") for trial in trials)
    return next((version for version in found if isinstance(version, Mapping)), {})


def _packages(told: Mapping[str, Any]) -> dict[str, str]:
    found = told.get("packages")
    items = found.items() if isinstance(found, Mapping) else ()
    return {str(name)[:LONGEST]: version[:LONGEST] for name, version in items if isinstance(version, str)}
