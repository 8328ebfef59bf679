"""The groups of options that an experiment is composed of. Hydra's listing is the registry: there is none in code."""

from __future__ import annotations

from hydra.core.global_hydra import GlobalHydra

GROUPS = (
    "workload",
    "scenario",
    "partitions",
    "optimizations",
    "protocol",
    "telemetry",
    "gpu",
    "isolation",
    "neighbours",
    "claims",
)
BRACKETED = ("partitions", "optimizations", "telemetry", "neighbours", "claims")
"""Groups whose options are compared or used together, so that a comma must be a mistake."""
NAMED = (*BRACKETED, "isolation")
"""Groups of which several options may be chosen: their files hold one key, the option's name."""


def options(group: str) -> list[str]:
    """The options of a group, inside `composition.hydra_ready`."""
    loader = GlobalHydra.instance().config_loader()
    found: list[str] = []
    for name in loader.get_group_options(group):
        found.append(name)
    for nested in loader.list_groups(group):
        found += [f"{nested}/{name}" for name in loader.get_group_options(f"{group}/{nested}")]
    return sorted(found)
