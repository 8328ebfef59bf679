"""A recommendation as plain values, for `--json`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bench.judge.recommend.answer import Answer, Weighed
from bench.printable import finite


def to_json(answer: Answer) -> dict[str, Any]:
    """Valid JSON: what is no number is null. `recommended` is null where nothing is."""
    found: dict[str, Any] = finite(
        {
            "runs": [run.name for run in answer.runs],
            "device": answer.device,
            "device_kind": answer.device_kind,
            "workload": answer.workload,
            "scenario": answer.scenario,
            "need": answer.need.told() | {"headroom": answer.need.headroom, "objective": answer.need.aim},
            "recommended": _weighed(answer, answer.best) if answer.best else None,
            "judged_at_once": answer.judged,
            "only_lacks_evidence": answer.only_lacks_evidence,
            "plan_per_s": answer.per_s,
            "devices": answer.devices,
            "cost_per_month": asdict(answer.month) if answer.month else None,
            "ties": [item.candidate.name for item in answer.ties],
            "pareto": {
                "axes": answer.front.axes,
                "members": [member.name for member in answer.front.members],
                "not_placed": [candidate.name for candidate in answer.front.unplaced],
            },
            "candidates": [_weighed(answer, item) for item in answer.weighed],
            "rules_of_thumb": [
                {
                    "section": said.rule.section,
                    "original": said.rule.original,
                    "translated": said.rule.translated,
                    "answer": said.answer,
                    "reason": said.words,
                }
                for said in answer.rules
            ],
            "to_measure": [asdict(item) for item in answer.to_measure],
        }
    )
    return found


def _weighed(answer: Answer, item: Weighed) -> dict[str, Any]:
    found = item.candidate
    return {
        "run": found.run.name,
        "partition": found.partition,
        "optimization": found.optimization,
        "division": found.kind,
        "isolation": found.isolation,
        "tenants": found.tenants,
        "standing": item.standing,
        "findings": [asdict(finding) for finding in item.findings],
        "against_best": asdict(item.against_best) if item.against_best else None,
        "on_front": any(found is member for member in answer.front.members),
        "valid_blocks": len(found.trials),
        "lost_blocks": len(found.lost),
        "throughput_per_s": asdict(found.throughput) if found.throughput else None,
        "tenant_throughput_per_s": asdict(found.tenant_throughput) if found.tenant_throughput else None,
        "fewest_requests": found.fewest_requests,
        "p99_ms": asdict(found.p99) if found.p99 else None,
        "quality_loss": {"loss": found.loss.loss, "upper": found.loss.upper, "metric": found.loss.metric}
        if found.loss
        else None,
        "isolation_level": found.separation.level,
        "memory_bytes": asdict(found.memory),
        "energy_per_item_j": asdict(found.energy) if found.energy else None,
        "energy_from": found.energy_from,
        "cost_per_million": asdict(found.cost) if found.cost else None,
    }
