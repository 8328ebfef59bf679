"""What the document advises for a scene and a GPU, and whether what was measured agrees. Pure.

All that the document says stands in RULES, with its section and its own words. It speaks of GPUs: on anything else none
of it applies, and an analogy is none of its rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.judge.recommend.candidates import Candidate
from bench.judge.recommend.deployment import Division
from bench.judge.recommend.need import Objective, Scene
from bench.judge.recommend.ranking import advantage, pairs_level
from bench.records import PROCESS, Plan

DOCUMENT = "GPU虚拟化最佳实践, v1.0"
Standing = Literal["satisfies", "open", "fails"]
"""open: not shown to satisfy, and not shown not to: it would have to be measured (better)."""
Answer = Literal["agrees", "disagrees", "cannot_say", "impossible", "does_not_apply"]


@dataclass(frozen=True)
class Rule:
    """original: the document's words; translated: in English. gpu: its name in the document, "" for any.
    divisions, tenants: what it means here; None: any number."""

    section: str
    scene: Scene
    original: str
    translated: str
    divisions: tuple[Division, ...]
    tenants: int | None = None
    gpu: str = ""
    in_containers: bool = False

    def means(self, candidate: Candidate) -> bool:
        """Whether it is laid out as the rule says."""
        return candidate.kind in self.divisions and self.tenants in (None, candidate.tenants)


SHARED: tuple[Division, ...] = ("time_shared", "mps")
FOUR_INSTANCES = (
    "an A30 can be divided into at most four GPU instances (4 x 1g.6gb; NVIDIA Multi-Instance GPU User Guide), so "
    "seven cannot exist on it"
)
RULES: tuple[Rule, ...] = (
    Rule("2.1.2", "inference", "AI推理服务: 推荐 NVIDIA MIG; 配置: 7x 1/7 GPU",
         "AI inference service: MIG, 7 x 1/7 GPU", ("mig",), 7),
    Rule("2.1.2", "multi_tenant", "多租户云平台: 推荐 NVIDIA MIG + Container Toolkit; 配置: MIG + 容器",
         "multi-tenant cloud platform: MIG and containers", ("mig",), in_containers=True),
    Rule("2.1.2", "development", "开发测试环境: 推荐 Container Toolkit; 配置: 容器共享GPU",
         "development and test: containers share the GPU", SHARED, in_containers=True),
    Rule("2.2.2", "training", "A100配置: 训练 1x 1 GPU", "A100, training: the whole GPU", ("full",), gpu="A100"),
    Rule("2.2.2", "inference", "A100配置: 推理 7x 1/7 GPU", "A100, inference: 7 x 1/7 GPU", ("mig",), 7, gpu="A100"),
    Rule("2.2.2", "mixed", "A100配置: 混合 3x 1/3 GPU", "A100, mixed: 3 x 1/3 GPU", ("mig",), 3, gpu="A100"),
    Rule("2.2.2", "training", "A30配置: 训练 1x 1 GPU", "A30, training: the whole GPU", ("full",), gpu="A30"),
    Rule("2.2.2", "inference", "A30配置: 推理 7x 1/7 GPU", "A30, inference: 7 x 1/7 GPU", ("mig",), 7, gpu="A30"),
    Rule("2.2.2", "mixed", "A30配置: 混合 3x 1/3 GPU", "A30, mixed: 3 x 1/3 GPU", ("mig",), 3, gpu="A30"),
    Rule("2.2.2", "training", "V100配置: 训练 1x 1 GPU", "V100, training: the whole GPU", ("full",), gpu="V100"),
    Rule("2.2.2", "inference", "V100配置: 推理 容器共享", "V100, inference: containers share it", SHARED, gpu="V100",
         in_containers=True),
    Rule("2.2.2", "mixed", "V100配置: 混合 容器共享", "V100, mixed: containers share it", SHARED, gpu="V100",
         in_containers=True),
)  # fmt: skip
NO_MIG_BELOW_AMPERE = "a V100 has no MIG (it came with the A100)"


@dataclass(frozen=True)
class Said:
    """A rule, and what the data says to it."""

    rule: Rule
    answer: Answer
    words: str


def rules_for(scene: Scene, product: str) -> list[Rule]:
    """Those of that scene: for the GPU by name where the document has one, and for any."""
    named = product.replace("-", " ").split()
    return [rule for rule in RULES if rule.scene == scene and (not rule.gpu or rule.gpu in named)]


def judged(
    rule: Rule,
    plan: Plan,
    product: str,
    by_standing: Mapping[Standing, Sequence[Candidate]],
    objective: Objective,
) -> Said:
    """Of all candidates; of those that satisfy, the first is recommended."""
    if plan.device_kind != "cuda":
        return Said(rule, "does_not_apply", f"it speaks of GPUs, and this was measured on {plan.device}")
    if reason := _impossible(rule, plan, product):
        return Said(rule, "impossible", reason)
    like_it = {standing: [c for c in found if rule.means(c)] for standing, found in by_standing.items()}
    if not any(like_it.values()):
        return Said(rule, "cannot_say", "no configuration like it was measured")
    if not by_standing["satisfies"]:
        return Said(rule, "cannot_say", "nothing measured satisfies the need, so there is nothing to set against it")
    best = by_standing["satisfies"][0]
    if rule.means(best):
        return Said(rule, "agrees", f"{best.name} is laid out so{_apart(rule, best)}")
    if not like_it["satisfies"]:
        if like_it["open"]:
            names = ", ".join(candidate.name for candidate in like_it["open"][:4])
            return Said(rule, "cannot_say", f"laid out so, and not known whether it satisfies the need: {names}")
        names = ", ".join(candidate.name for candidate in like_it["fails"][:4])
        return Said(rule, "disagrees", f"laid out so and failing the need: {names}; {best.name} satisfies it")
    nearest = like_it["satisfies"][0]
    found = advantage(best, nearest, objective, pairs_level(len(by_standing["satisfies"])))
    if found is None or found.low is None or found.low <= 1:
        return Said(rule, "cannot_say", f"{best.name} and {nearest.name}, which is laid out so, cannot be told apart")
    words = f"{nearest.name}, the best that is laid out so, is behind {best.name} in {objective}: {found}"
    return Said(rule, "disagrees", words)


def _impossible(rule: Rule, plan: Plan, product: str) -> str:
    """By what is known of the GPU that the rule names, or by what planning found on this one."""
    if "mig" not in rule.divisions:
        return ""
    if "V100" in product:
        return NO_MIG_BELOW_AMPERE
    if rule.tenants == 7 and "A30" in product.replace("-", " ").split():
        return FOUR_INSTANCES
    option = {7: "mig_1of7", 3: "mig_1of3"}.get(rule.tenants or 0, "mig")
    unsuited = [
        item for item in plan.infeasible if option in (item.partition, item.division) and item.optimization == "*"
    ]
    cannot = next((item.reason for item in unsuited if "cannot exist" in item.reason or "no MIG" in item.reason), "")
    return f"not on this GPU: {cannot[:300]}" if cannot else ""


def _apart(rule: Rule, best: Candidate) -> str:
    return ", in plain processes instead of containers" if rule.in_containers and best.isolation == PROCESS else ""
