"""One run from its plan to what is told of it."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

from bench.config import Experiment
from bench.errors import NOT_ENOUGH_EVIDENCE, Interrupted
from bench.judge import table
from bench.judge.compare import within
from bench.judge.compare.comparison import Comparison, to_json
from bench.judge.interference import interference
from bench.judge.ledger import ledger
from bench.judge.looks import NextLook, next_look
from bench.measure.conductor import Conductor
from bench.plan.planner import prolong
from bench.records import Plan
from bench.report import console, console_ledger, console_neighbours, progress
from bench.report.compare import console as console_comparison
from bench.store import Run
from bench.stored import StoredRun


def conduct(experiment: Experiment, plan: Plan, stored: Run, as_json: bool, begun: bool = True) -> dict[str, Any]:
    """Measure it and tell what was found; the same as JSON. `begun`: its plan is stored. From that moment on it can be
    resumed, and whoever interrupts it is told how."""
    try:
        if not begun:
            stored.write_json("plan.json", plan.model_dump())
        plan = _measure(experiment, plan, stored)
    except KeyboardInterrupt:
        if stored.read_json("plan.json") is None:
            raise
        planned, done = stored.plan(), stored.trials()
        raise Interrupted(
            f"interrupted after {len(done)} of {len(planned.trials)} trials, all of them stored",
            where=str(stored.folder),
            hint=shlex.join(["bench", "run", "--resume", str(stored.folder)]),
        ) from None
    run = _as_stored(plan, stored)
    rows = table.rows(plan, run.trials)
    run = dataclasses.replace(run, description=stored.read_json("run.json") or {})
    compared = within.within(run) if plan.against and not plan.rehearsal else None
    if not as_json:
        console.print_table(plan, rows)
        console_neighbours.print_brief(interference(run))
        if plan.looks and not plan.rehearsal and experiment.claims:
            console_ledger.print_brief(ledger(experiment.claims, [run], {}))
        if compared:
            console_comparison.print_comparison(compared)
    if plan.against and plan.rehearsal:
        progress.say("not enough evidence: a rehearsal compares nothing")
    progress.say(f"stored in {stored.folder}; next: {_after(plan, stored)}")
    return {
        "run": str(stored.folder),
        "device": plan.device,
        "rehearsal": plan.rehearsal,
        "workload": plan.workload,
        "scenario": plan.scenario,
        "baseline": plan.baseline,
        "trials": len(plan.trials),
        "failed": sum(record.status == "failed" for record in run.trials),
        "rows": [table.to_json(row) for row in rows],
        "infeasible": [item.model_dump() for item in plan.infeasible],
        **(_told(compared) if compared else {"gate": NOT_ENOUGH_EVIDENCE} if plan.against else {}),
    }


def _after(plan: Plan, stored: Run) -> str:
    if plan.rehearsal:
        return "a rehearsal has no report"
    verb = ["compare", "--markdown", "summary.md"] if plan.against else ["report"]
    return shlex.join(["bench", *verb, str(stored.folder)])


def _told(compared: Comparison) -> dict[str, Any]:
    """gate: 0 where nothing is slower, 1 where something is, 4 where that is not known."""
    return {"gate": compared.exit_code, "comparison": [to_json(outcome) for outcome in compared.outcomes]}


def _measure(experiment: Experiment, plan: Plan, stored: Run) -> Plan:
    """Measure what is planned; then, while verdicts are open and looks are left, plan more blocks for them. The plan
    as it is in the end."""
    while True:
        done = len(stored.trials())
        expected = progress.duration(plan.estimate.trials_s * (1 - done / len(plan.trials)))
        progress.say(
            f"run {stored.folder}: {len(plan.trials) - done} trials, about {expected} and what has to be built"
        )
        with progress.ProgressView(plan, done) as view:
            Conductor(experiment, plan, stored, view).conduct()
        more = None if plan.rehearsal else _next(_as_stored(plan, stored), experiment)
        if more is None:
            return plan
        cells = sum(len(names) for names in more.cells.values())
        asked = "series" if plan.against else "verdicts"
        progress.say(
            f"after {plan.blocks} blocks {more.open} {asked} are open: up to {more.blocks} blocks of {cells} cells"
        )
        plan = prolong(plan, more.cells, more.blocks)
        stored.write_json("plan.json", plan.model_dump())


def _next(run: StoredRun, experiment: Experiment) -> NextLook | None:
    """What a run goes on for: the comparison that it is there for, or verdicts."""
    return within.next_look(run) if run.plan.against else next_look(run, experiment.claims)


def _as_stored(plan: Plan, stored: Run) -> StoredRun:
    return StoredRun(stored.folder, {}, plan, tuple(stored.trials()))
