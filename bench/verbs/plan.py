"""`bench plan`: what would run, before anything runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby

from bench.composition import user_folders
from bench.config import load_experiments
from bench.plan.planner import make_plan
from bench.records import Layout, Plan
from bench.report.progress import duration
from bench.verbs import against as versions
from bench.verbs.printing import print_json


def run(
    overrides: Sequence[str],
    config_dirs: Sequence[str],
    as_json: bool,
    config: bool,
    config_name: str,
    against: str | None,
) -> int:
    if against is not None:
        overrides = versions.options(against, overrides, user_folders(config_dirs), config_name)
    experiments = load_experiments(overrides, config_dirs, config_name)
    if config:
        print_json([experiment.config for experiment in experiments])
        return 0
    plans = [make_plan(experiment) for experiment in experiments]
    if as_json:
        content = [plan.model_dump() for plan in plans]
        print_json(content[0] if len(content) == 1 else content)
        return 0
    sys.stdout.write("\n\n".join(text(plan) for plan in plans) + "\n")
    return 0


def _later(plan: Plan) -> str:
    later = [str(look) for look in plan.looks if look > plan.blocks]
    return f"; then up to {' and '.join(later)} blocks of what is still undecided" if later else ""


def _layout_lines(name: str, layout: Layout) -> Iterator[str]:
    """How a partition divides the GPU, and what a person would type for the same: bench does it through NVML."""
    yield f"layout {name}: {layout.words}"
    for instance in layout.instances:
        last = instance.start + instance.size - 1
        memory = f", {instance.memory_bytes / 2**30:.2f} GiB" if instance.memory_bytes else ""
        sms = f", {instance.sm_count} SMs" if instance.sm_count else ""
        yield f"  {instance.profile} on memory slices {instance.start} to {last}{sms}{memory}"
    for command in layout.commands:
        yield f"  as by: {command}"
    yield ""


def text(plan: Plan) -> str:
    """A plan for people: the trials of each block in their order."""
    lines = [
        f"{plan.workload}, {plan.scenario} on {plan.device}",
        f"protocol {plan.protocol}: {plan.blocks} blocks, {len(plan.trials)} trials, baseline {plan.baseline}, "
        f"seed {plan.seed}{_later(plan)}",
        f"about {duration(plan.estimate.trials_s)}, and the time to build {plan.estimate.builds} artifacts where they "
        "are not cached",
        "",
    ]
    for name, layout in plan.layouts.items():
        lines += _layout_lines(name, layout)
    for block, trials in groupby(plan.trials, key=lambda trial: trial.block):
        lines.append(f"block {block}")
        for trial in trials:
            tenants = f" x {trial.tenants} tenants" if trial.tenants > 1 else ""
            lines.append(f"  {trial.position:2d}  {trial.partition}{tenants}  {trial.optimization}  ({trial.id})")
    for item in plan.infeasible:
        lines.append(f"infeasible  {item}")
    return "\n".join(lines)
