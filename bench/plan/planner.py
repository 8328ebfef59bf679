"""From an experiment to its plan: which cells can run here, and every trial in its order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from bench.arrangement import Arrangement
from bench.config import Experiment
from bench.errors import ConfigError, InfeasibleHere
from bench.plan.blocks import Cell, ordered_blocks
from bench.records import ALL, Estimate, Infeasible, Layout, Plan, PlannedTrial

TENANT_START_S = 2.0
"""Typical time to start a tenant and load a model: interpreter, torch, weights."""


def make_plan(experiment: Experiment) -> Plan:
    """Plan an experiment. Pure: nothing is started, no device is touched."""
    infeasible = list(_infeasible(experiment))
    cells = _cells(experiment, infeasible)
    if not any(cells.values()):
        raise InfeasibleHere(
            "nothing of this experiment can run here: " + _reasons(infeasible),
            where=f"workload={experiment.workload_name} on {experiment.device.name}",
            hint=_what_could(experiment),
        )
    _check_baseline(experiment, cells)
    _check_base(experiment, cells, infeasible)
    protocol = experiment.protocol
    sides = {name: _side(experiment, name) for name in cells}
    blocks = islice(ordered_blocks(_by_division(cells, sides), experiment.seed), protocol.blocks)
    trials = tuple(_trials(experiment.workload_name, experiment.scenario_name, sides, blocks, first=1))
    per_trial_s = TENANT_START_S + 2 * protocol.warmup_min_s + protocol.window_s
    used = {optimization for optimizations in cells.values() for optimization in optimizations} - {experiment.again}
    return Plan(
        workload=experiment.workload_name,
        scenario=experiment.scenario_name,
        device=experiment.device.name,
        device_kind=experiment.device.kind,
        rehearsal=experiment.device.rehearsal,
        protocol=experiment.protocol_name,
        baseline=experiment.baseline,
        seed=experiment.seed,
        blocks=protocol.blocks,
        looks=protocol.looks,
        look_level=protocol.look_level,
        again=experiment.again,
        same_runtime=_same_runtime(experiment, used),
        layouts=_layouts(experiment, cells),
        measures=experiment.scenario.measures,
        min_requests=protocol.min_requests,
        against=_against(experiment, cells),
        thresholds=experiment.thresholds,
        trials=trials,
        infeasible=(*infeasible, *_silent_sources(experiment)),
        estimate=Estimate(trials_s=per_trial_s * len(trials), builds=len(used)),
    )


def _reasons(infeasible: list[Infeasible]) -> str:
    """Each reason once, with the names that it holds for."""
    names: dict[str, list[str]] = {}
    for item in infeasible:
        named = [part for part in (item.partition, item.optimization) if part != ALL]
        names.setdefault(item.reason, []).extend(named)
    return "; ".join(f"{', '.join(named)}: {reason}" if named else reason for reason, named in names.items())


def _what_could(experiment: Experiment) -> str:
    baseline = experiment.workload.default_baseline
    if baseline not in experiment.optimizations:
        return f"this workload's own baseline is {baseline}: say 'optimizations=[{baseline},...]'"
    return "`bench list` names what else there is; `bench doctor` tells what this machine has"


def _infeasible(experiment: Experiment) -> list[Infeasible]:
    device = experiment.device
    found: list[Infeasible] = []
    if reason := experiment.workload.infeasible(device):
        found.append(Infeasible(partition=ALL, optimization=ALL, reason=reason))
    sizes, fixed = experiment.scenario.batch_sizes(), experiment.workload.fixed_batch
    if fixed is not None and sizes != (fixed,):
        wanted = " or ".join(map(str, sizes))
        reason = f"the model takes batches of {fixed} only, and {experiment.scenario_name} measures at {wanted}"
        found.append(Infeasible(partition=ALL, optimization=ALL, reason=reason))
    divided = experiment.divisions.items()
    impossible = {name: reason for name, partition in divided if (reason := partition.infeasible(device))}
    for name, arrangement in experiment.arrangements.items():
        reason = impossible.get(arrangement.division) or arrangement.infeasible(device)
        if reason or (reason := _unanswerable(experiment, arrangement)):
            parts = {"division": arrangement.division, "isolation": arrangement.isolation_name}
            found.append(Infeasible(partition=name, optimization=ALL, reason=reason, **parts))
    for name, optimization in experiment.optimizations.items():
        if reason := optimization.infeasible(experiment.workload, device):
            found.append(Infeasible(partition=ALL, optimization=name, reason=reason))
    return found


def _unanswerable(experiment: Experiment, arrangement: Arrangement) -> str | None:
    if experiment.scenario.measures == "start_up" and (arrangement.occupant or any(arrangement.listed)):
        return f"{experiment.scenario_name} times first answers, and a neighbour has yet to start when they are given"
    return None


def _silent_sources(experiment: Experiment) -> list[Infeasible]:
    return [
        Infeasible(partition="", optimization="", telemetry=name, reason=reason)
        for name, source in experiment.telemetry.items()
        if (reason := source.infeasible(experiment.device))
    ]


def _cells(experiment: Experiment, infeasible: list[Infeasible]) -> dict[str, list[str]]:
    """Partition -> the optimizations that are measured on it; partitions with none are left out."""
    out_partitions = {item.partition for item in infeasible if item.optimization == ALL}
    out_optimizations = {item.optimization for item in infeasible if item.partition == ALL}
    if ALL in out_partitions:
        return {}
    cells: dict[str, list[str]] = {}
    for partition, arrangement in experiment.arrangements.items():
        everything = experiment.only.get(arrangement.division, tuple(experiment.optimizations))
        chosen = experiment.only.get(partition, everything)
        wanted = {*chosen, experiment.again} if experiment.baseline in chosen else {*chosen}
        names = [name for name in experiment.optimizations if name in wanted and name not in out_optimizations]
        if names and partition not in out_partitions:
            cells[partition] = names
    return cells


def _check_baseline(experiment: Experiment, cells: dict[str, list[str]]) -> None:
    """Without its baseline a partition has numbers but no answer, so that is a mistake to be told at once."""
    baseline = experiment.baseline
    lacking = [partition for partition, names in cells.items() if baseline not in names]
    if not lacking:
        return
    feasible = sorted(set.intersection(*(set(names) for names in cells.values())))
    raise ConfigError(
        f"the baseline {baseline!r} is not measured on {', '.join(lacking)}",
        where=f"baseline={baseline}",
        hint=f"add {baseline} to optimizations=[...] (and to only.<partition>), or say baseline="
        + (" or ".join(feasible) if feasible else "..."),
    )


def _check_base(experiment: Experiment, cells: Iterable[str], infeasible: list[Infeasible]) -> None:
    """Without what it is to be compared with, a version would be measured for nothing, and pass."""
    wanted = {name for name, arranged in experiment.arrangements.items() if arranged.isolation.base_of}
    if wanted and not _against(experiment, cells):
        here = [item for item in infeasible if item.partition in wanted]
        raise InfeasibleHere(
            "what this version is to be compared with cannot run here: " + _reasons(here),
            where="--against",
            hint="`bench doctor` tells what this machine has",
        )


def _against(experiment: Experiment, cells: Iterable[str]) -> dict[str, str]:
    """Of the isolations in use: the one of the base version -> that of the version which is compared with it."""
    chosen = [experiment.arrangements[name] for name in cells]
    used = {arrangement.isolation_name for arrangement in chosen}
    pairs = {arrangement.isolation_name: arrangement.isolation.base_of for arrangement in chosen}
    return {base: compared for base, compared in pairs.items() if compared in used and compared is not None}


def _layouts(experiment: Experiment, cells: Iterable[str]) -> dict[str, Layout]:
    chosen = (experiment.arrangements[name] for name in cells)
    found = {arrangement.division: arrangement.partition.layout(experiment.device) for arrangement in chosen}
    return {name: layout for name, layout in found.items() if layout is not None}


def _same_runtime(experiment: Experiment, used: Iterable[str]) -> dict[str, str]:
    """For each optimization the one that runs the unchanged fp32 model in the same runtime, where there is exactly one:
    how much faster int8 is *within* ONNX Runtime is another question than how much faster than torch."""
    optimizations = {name: experiment.optimizations[name] for name in sorted(used)}
    plain: dict[type, list[str]] = {}
    for name, optimization in optimizations.items():
        if not optimization.passes and optimization.expects == "fp32":
            plain.setdefault(type(optimization.runtime), []).append(name)
    found: dict[str, str] = {}
    for name, optimization in optimizations.items():
        references = plain.get(type(optimization.runtime), [])
        if len(references) == 1 and references[0] != name:
            found[name] = references[0]
    return found


def prolong(plan: Plan, cells: Mapping[str, Sequence[str]], blocks: int) -> Plan:
    """The same plan with more blocks, up to `blocks` in all, that hold only `cells` (partition -> optimizations)."""
    sides = {trial.partition: {name: getattr(trial, name) for name in SIDE} for trial in plan.trials}
    orders = islice(ordered_blocks(_by_division(cells, sides), plan.seed), plan.blocks, blocks)
    added = _trials(plan.workload, plan.scenario, sides, orders, first=plan.blocks + 1)
    each_s = plan.estimate.trials_s / len(plan.trials)
    trials = (*plan.trials, *added)
    estimate = plan.estimate.model_copy(update={"trials_s": each_s * len(trials)})
    return plan.model_copy(update={"blocks": blocks, "trials": trials, "estimate": estimate})


SIDE = ("tenants", "division", "isolation", "neighbours")
"""Fields of a planned trial that its partition implies."""


def _side(experiment: Experiment, name: str) -> dict[str, Any]:
    arrangement = experiment.arrangements[name]
    tenants = len(arrangement.tenants(arrangement.partition.count(experiment.device)))
    return dict(
        zip(SIDE, (tenants, arrangement.division, arrangement.isolation_name, arrangement.neighbours), strict=True)
    )


def _by_division(cells: Mapping[str, Sequence[str]], sides: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Cell]]:
    found: dict[str, list[Cell]] = {}
    for partition, optimizations in cells.items():
        found.setdefault(sides[partition]["division"], []).extend((partition, name) for name in optimizations)
    return found


def _trials(
    workload: str,
    scenario: str,
    sides: Mapping[str, Mapping[str, Any]],
    blocks: Iterable[tuple[Cell, ...]],
    first: int,
) -> list[PlannedTrial]:
    return [
        PlannedTrial(
            id=f"{block:03d}-{position:02d}-{partition}-{optimization}",
            block=block,
            position=position,
            workload=workload,
            scenario=scenario,
            partition=partition,
            optimization=optimization,
            **sides[partition],
        )
        for block, order in enumerate(blocks, start=first)
        for position, (partition, optimization) in enumerate(order, start=1)
    ]
