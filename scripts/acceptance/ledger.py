"""What became of the steps so far, and with which options: acceptance.json in the folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import ConfigError
from bench.stored import first_line

NAME = "acceptance.json"


@dataclass(frozen=True)
class Outcome:
    """`said`: the last lines of its standard error, where it failed."""

    exit_code: int
    seconds: float
    said: str


@dataclass
class Ledger:
    """`options`: those that the folder was begun with, by name, plain."""

    folder: Path
    options: Mapping[str, Any]
    steps: dict[str, Outcome] = field(default_factory=dict)

    def note(self, name: str, outcome: Outcome) -> None:
        self.steps[name] = outcome
        self.write()

    def done(self, name: str) -> bool:
        return name in self.steps and self.steps[name].exit_code == 0

    def failed(self, name: str) -> bool:
        return name in self.steps and self.steps[name].exit_code != 0

    def write(self) -> None:
        steps = {name: asdict(outcome) for name, outcome in self.steps.items()}
        unfinished = self.folder / f"{NAME}.part"
        unfinished.write_text(json.dumps({"options": self.options, "steps": steps}, indent=1))
        unfinished.replace(self.folder / NAME)


def opened(folder: Path, options: Mapping[str, Any]) -> Ledger:
    """Raises ConfigError where something was done with other options: one report cannot be about both."""
    options = json.loads(json.dumps(options))
    ledger = _stored(folder)
    if ledger is None or not any(map(ledger.done, ledger.steps)):
        ledger = Ledger(folder, options)
    if changed := sorted(name for name in options if ledger.options.get(name) != options[name]):
        was = ", ".join(f"--{name} {_words(ledger.options.get(name))}" for name in changed)
        now = ", ".join(f"--{name} {_words(options[name])}" for name in changed)
        raise ConfigError(
            f"this folder was begun with {was}, and is called with {now}",
            where=str(folder / NAME),
            hint="say the same options again (only --minutes may differ), or name another --folder",
        )
    ledger.write()
    return ledger


def _stored(folder: Path) -> Ledger | None:
    try:
        content = json.loads((folder / NAME).read_text())
        steps = {str(name): Outcome(**outcome) for name, outcome in content["steps"].items()}
        return Ledger(folder, dict(content["options"]), steps)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"{folder / NAME} cannot be read ({first_line(error)}): all steps are done anew, begun runs go on")
        return None


def _words(value: Any) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, bool):
        return "(yes)" if value else "(no)"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
