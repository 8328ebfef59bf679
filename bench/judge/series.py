"""What is measured again and again: by two versions that are compared, or night after night. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Series:
    """One cell of an experiment, whichever run measures it."""

    device: str
    workload: str
    scenario: str
    partition: str
    optimization: str

    def __str__(self) -> str:
        return f"{self.optimization} on {self.partition}, {self.workload} {self.scenario}"
