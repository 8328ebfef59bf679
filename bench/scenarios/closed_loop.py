"""Scenarios whose next request starts when the last one is answered."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from bench.contract import Requests, Scenario, plugin

BatchSize = Annotated[int, pydantic.Field(ge=1, le=65536, strict=True)]


@plugin
class SingleStream(Scenario):
    """One request of one item at a time (MLPerf's SingleStream): the latency that a single user sees. `transfers` and
    `cold` are as in `Requests`."""

    transfers: bool = False
    cold: bool = False

    def requests(self) -> Requests:
        return Requests(transfers=self.transfers, cold=self.cold)

    def batch_sizes(self) -> tuple[int, ...]:
        return (1,)


@plugin
class Offline(Scenario):
    """Back-to-back batches (MLPerf's Offline): throughput. With `batch_size: best` each cell's fastest of
    `candidates` is searched once before the blocks begin, and all its trials then measure at that one: choosing by
    one measurement and reporting another keeps the choice from flattering the result. `transfers` is as in
    `Requests`."""

    batch_size: BatchSize | Literal["best"] = 32
    candidates: Annotated[tuple[BatchSize, ...], pydantic.Field(min_length=1)] = (1, 2, 4, 8, 16, 32, 64)
    transfers: bool = False

    def requests(self) -> Requests:
        return Requests(back_to_back=True, transfers=self.transfers)

    def batch_sizes(self) -> tuple[int, ...]:
        return self.candidates if self.batch_size == "best" else (self.batch_size,)
