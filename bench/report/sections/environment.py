"""Where and how it was measured: fingerprint, configuration, and the command that measures it again.

All of it is from run.json, which anybody may have written: it may be missing, or of any shape.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from bench.report.data import RunReport

DEEPEST = 6
MOST_LINES = 300
LONGEST = 400
LONGEST_CONFIGURATION = 40_000


@dataclass(frozen=True)
class Environment:
    """`command` is empty where the record does not tell how the run was asked for."""

    facts: list[tuple[str, str]]
    configuration: str
    command: str


def environment(run: RunReport) -> Environment:
    """As far as the record tells."""
    told = run.run.description
    imported = run.run.plan.imported
    facts = [fact for part in ("device", "fingerprint", "subject") for fact in _flat(part, told.get(part))]
    facts = [*_issued(run), *(_flat("imported", imported.model_dump(mode="json")) if imported else ()), *facts]
    return Environment(facts[:MOST_LINES], _configuration(told.get("config")), command(told))


def _issued(run: RunReport) -> list[tuple[str, str]]:
    """What the times of a GPU's requests hold, and how cold its caches were; it may differ from cell to cell."""
    found: dict[str, set[str]] = {}
    for trial in run.run.trials:
        for name, value in _flat("requests", trial.proof.get("issued"), depth=1):
            found.setdefault(name, set()).add(value)
    return [(name, " or ".join(sorted(values))[:LONGEST]) for name, values in found.items()]


def command(told: Mapping[str, Any]) -> str:
    """Quoted for a shell, with the seed, so that the trials come in the same order."""
    overrides, folders, seed = (told.get(key) for key in ("overrides", "config_folders", "seed"))
    if not isinstance(overrides, list) or not all(isinstance(item, str) for item in overrides):
        return ""
    words = ["bench", "run", *overrides]
    if isinstance(seed, int) and not any(item.startswith("seed=") for item in overrides):
        words.append(f"seed={seed}")
    if isinstance(folders, list):
        words += [word for folder in folders if isinstance(folder, str) for word in ("--config-dir", folder)]
    return shlex.join(words)


def _flat(name: str, value: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Nested records as lines: "cpu name", "versions torch"."""
    if isinstance(value, Mapping) and value and depth < DEEPEST:
        for key, inside in value.items():
            yield from _flat(f"{name} {str(key)[:80]}" if depth else str(key)[:80], inside, depth + 1)
    elif value not in (None, "", [], {}):
        plain = isinstance(value, list) and all(isinstance(item, (str, int, float)) for item in value)
        yield name, (", ".join(map(str, value)) if plain else str(value))[:LONGEST]


def _configuration(config: Any) -> str:
    """Without the claims, which the verdicts quote."""
    if not isinstance(config, Mapping):
        return ""
    kept = {key: value for key, value in config.items() if key != "claims"}
    try:
        text = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=110)
    except RecursionError:
        return "# nested too deeply to be shown; see run.json"
    return text if len(text) <= LONGEST_CONFIGURATION else text[:LONGEST_CONFIGURATION] + "\n# cut here; see run.json"
