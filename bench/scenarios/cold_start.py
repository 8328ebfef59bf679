"""How long a tenant takes until it answers for the first time."""

from __future__ import annotations

from typing import ClassVar, Literal

from bench.contract import Scenario, plugin


@plugin
class ColdStart(Scenario):
    """From creating the process or container to its first answer, of one item: starting, importing, loading, and the
    first request with whatever it compiles. What lies on the disk is as the last trial left it: cached by the system,
    so this is the start of a service's next instance, not of the first after a reboot."""

    measures: ClassVar[Literal["throughput", "start_up"]] = "start_up"

    def batch_sizes(self) -> tuple[int, ...]:
        return (1,)
