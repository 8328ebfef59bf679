"""The head of a report: what was measured, what kind of evidence that is, and how many verdicts of each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.judge.ledger import Entry
from bench.judge.untold import source, untold
from bench.judge.verdicts import Verdict
from bench.report.compare.words import headline
from bench.report.data import Report, RunReport
from bench.report.numbers import counted
from bench.report.words import SIGNS


@dataclass(frozen=True)
class Count:
    """How often a verdict was given."""

    verdict: str
    number: int


@dataclass(frozen=True)
class Tally:
    """Counts under one heading."""

    heading: str
    counts: Sequence[Count]


@dataclass(frozen=True)
class Summary:
    """`kind` is the evidence in two words; `paragraph` the answer in sentences; `warnings` are to be read first."""

    title: str
    kind: str
    facts: Sequence[tuple[str, str]]
    paragraph: str
    tallies: Sequence[Tally]
    warnings: Sequence[str]


def summary(report: Report) -> Summary:
    """Of everything that the report holds."""
    kind = evidence_kind(report)
    open_to_evidence = [entry.verdict for entry in report.entries if entry.claim.settled is None]
    claims = Tally("Claims, on the hardware that they speak of", _counts(open_to_evidence))
    beside = Tally("Verdicts on other hardware, not counted", _counts([v.verdict for v in others(report.entries)]))
    same = [v.verdict for entry in report.entries for v in entry.verdicts if v.role == "same_runtime"]
    within = Tally("Verdicts against fp32 in the treatment's own runtime", _counts(same))
    return Summary(
        title(report),
        kind,
        _facts(report),
        _paragraph(report, claims, beside),
        [tally for tally in (claims, beside, within) if tally.counts],
        _warnings(report),
    )


def title(report: Report) -> str:
    """The experiment's subject, or how many there are."""
    subjects = list(dict.fromkeys(f"{r.run.plan.workload}, {r.run.plan.scenario}" for r in report.runs))
    if len(subjects) == 1:
        return subjects[0]
    return counted(len(report.runs), "run") if subjects else "published figures"


def evidence_kind(report: Report) -> str:
    """What stands behind the verdicts, so that nothing is taken for what it is not."""
    kinds = {run.run.plan.device_kind for run in report.runs}
    parts = []
    if any(run.run.plan.imported for run in report.runs):
        parts.append("imported from another tool")
    if "cpu" in kinds:
        parts.append("measured on a CPU, no GPU")
    if "cuda" in kinds:
        parts.append("measured on a GPU")
    parts += [f"measured on {kind}" for kind in sorted(kinds - {"cpu", "cuda"})]
    if report.published:
        parts.append("published figures")
    return "; ".join(parts) or "no evidence"


def others(entries: Sequence[Entry]) -> list[Verdict]:
    """Verdicts that stand beside the claims: on other hardware than they speak of, against the claimed baseline."""
    return [v for entry in entries for v in entry.verdicts if not v.counted and v.role == "claimed"]


def _counts(words: Sequence[str]) -> list[Count]:
    found = Counter(words)
    return [Count(word, found[word]) for word in SIGNS if found[word]]


def _said(counts: Sequence[Count]) -> str:
    return ", ".join(f"{count.number} {count.verdict.replace('_', ' ')}" for count in counts)


def _paragraph(report: Report, claims: Tally, beside: Tally) -> str:
    sources = [counted(len(report.runs), "run")] if report.runs else []
    if report.published:
        sources.append(counted(len(report.published), "file of published figures", "files of published figures"))
    compared = [headline(run.compared) + "." for run in report.runs if run.compared]
    if not report.entries:
        return " ".join(compared)
    held = f"{counted(len(report.entries), 'claim')} put to {' and '.join(sources)}."
    sentences = [*compared, held, f"On the hardware that they speak of: {_said(claims.counts)}."]
    if beside.counts:
        devices = sorted({verdict.device for verdict in others(report.entries) if verdict.device})
        sentences.append(f"On other hardware ({', '.join(devices)}), which counts for none of them: ")
        sentences[-1] += f"{_said(beside.counts)}."
    settled = sum(entry.claim.settled is not None for entry in report.entries)
    if settled:
        sentences.append(f"Settled by a specification, with nothing to measure: {settled}.")
    return " ".join(sentences)


def _facts(report: Report) -> list[tuple[str, str]]:
    """Device, time and protocol, each said once."""
    runs = report.runs
    facts = [
        ("Device", _distinct(run.run.plan.device for run in runs)),
        ("Imported from", _distinct(source(r.run.plan.imported) for r in runs if r.run.plan.imported)),
        ("Measured", _distinct(started(run) for run in runs)),
        ("Protocol", _distinct(f"{r.run.plan.protocol}, {_blocks(r)}" for r in runs)),
        ("Trials", _distinct(_trials(run) for run in runs)),
        ("Published figures", _distinct(f"{p.source} ({p.device})" for p in report.published.values())),
    ]
    return [(name, value) for name, value in facts if value]


def started(run: RunReport) -> str:
    """When a run was begun, as its record says it; anybody may have written that."""
    found = run.run.description.get("started_at")
    return found[:19].replace("T", " ") + (" UTC" if found.endswith("+00:00") else "") if isinstance(found, str) else ""


def _trials(run: RunReport) -> str:
    trials = run.run.trials
    valid = sum(trial.status == "ok" for trial in trials)
    return f"{valid:,} valid of {len(trials):,} measured, {len(run.run.plan.trials):,} planned"


def _blocks(run: RunReport) -> str:
    """Cells whose verdicts were drawn early have fewer blocks than others."""
    first, last = min((cell.row.planned for cell in run.cells), default=0), run.run.plan.blocks
    one = "repetition" if run.run.plan.imported else "block"
    return counted(last, one) if first in (0, last) else f"{first} to {last} {one}s"


def _distinct(values: Iterable[str]) -> str:
    found = [value for value in dict.fromkeys(values) if value]
    return "; ".join(found[:4]) + (f"; and {len(found) - 4} more" if len(found) > 4 else "")


def _random_weights(run: RunReport) -> bool:
    """As the run's own configuration tells it; anybody may have written that."""
    config = run.run.description.get("config")
    workload = config.get("workload") if isinstance(config, dict) else None
    return isinstance(workload, dict) and workload.get("weights") == "random"


def _warnings(report: Report) -> list[str]:
    lines = []
    for run in report.runs:
        plan, name = run.run.plan, f"{run.run.name}: " if len(report.runs) > 1 else ""
        if plan.imported:
            lines.append(f"{name}{untold(plan.imported)}")
        elif plan.look_level is None:
            lines.append(f"{name}protocol {plan.protocol}: it shows that things run; the numbers decide nothing.")
        if _random_weights(run):
            lines.append(
                f"{name}the weights of {plan.workload} are random. Speed is what it is; quality tells made-up inputs "
                "apart, and what pruning or quantisation loses here says little about trained weights."
            )
        missing = len(plan.trials) - len(run.run.trials)
        if missing > 0:
            lines.append(f"{name}{counted(missing, 'planned trial')} not in the record: the run is not finished.")
        for floor in run.floors:
            if floor.differs:
                lines.append(
                    f"{name}on {floor.partition} the baseline differs from itself: once in twenty that is chance; "
                    "otherwise something treats the two unlike, and small differences there mean nothing."
                )
    return lines
