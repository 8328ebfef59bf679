"""The gate's physical limit: above it a trial is impossible, below it nothing is said, and what is not known is not
held against it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness import SHORT, UNWATCHED, lines, run_bench, run_folders
from hypothesis import given
from hypothesis import strategies as st
from test_gate import GOOD

from bench.contract import Slot
from bench.measure import gate, gate_ceiling
from bench.measure.ceilings import Ceilings
from bench.measure.gate_ceiling import CPU_LIMIT, GPU_LIMIT, Reached, reached
from bench.measure.work import Work

CPU_SLOT = Slot(index=0, threads=2)
GPU_SLOT = Slot(index=0, threads=2, executes_on="cuda", gpu="GPU-1")
CEILINGS = Ceilings({"fp32": 2e13, "bf16": 3e14, "int8": 6e14}, bytes_per_s=2e12, l2_bytes=4e7)
WORK = Work(flops_per_item=8e9, least_flops_per_item=6e9, weights=2.5e7, values_per_item=1.5e5)
rates_per_s = st.floats(1e-3, 1e9)


def proof(precision: str = "fp32", *others: str) -> dict[str, Any]:
    return {"precision": precision, "operators": dict.fromkeys((precision, *others), 3)}


def tenant(items_per_s: float, slot: Slot = GPU_SLOT, **changed: Any) -> Reached:
    of: dict[str, Any] = {"work": WORK, "ceilings": CEILINGS, "proof": proof(), "batch_size": 8, **changed}
    return reached(of["work"], of["ceilings"], slot, of["proof"], items_per_s, of["batch_size"])


@given(items_per_s=rates_per_s, on_gpu=st.booleans())
def test_above_its_limit_and_only_there_a_trial_is_impossible(items_per_s: float, on_gpu: bool) -> None:
    slot, ceiling = (GPU_SLOT, 2e13) if on_gpu else (CPU_SLOT, 2 * 2e13)
    found = gate_ceiling.reasons([tenant(items_per_s, slot, ceilings=replace(CEILINGS, bytes_per_s=math.nan))])
    limit = (GPU_LIMIT if on_gpu else CPU_LIMIT) * ceiling
    assert bool(found) == (6e9 * items_per_s > limit)


@given(items_per_s=rates_per_s, weights=st.floats(0, 1e10), batch_size=st.integers(1, 512))
def test_a_gpu_reads_no_faster_than_its_memory_what_does_not_fit_its_cache(
    items_per_s: float, weights: float, batch_size: int
) -> None:
    work = replace(WORK, weights=weights, least_flops_per_item=math.nan)
    found = gate_ceiling.reasons([tenant(items_per_s, work=work, batch_size=batch_size)])
    beyond_bytes = max(0.0, 4 * (weights + batch_size * WORK.values_per_item) - 4e7)
    assert bool(found) == (beyond_bytes * items_per_s / batch_size > GPU_LIMIT * 2e12)


def test_it_says_how_fast_and_what_is_possible() -> None:
    (reason,) = gate_ceiling.reasons([tenant(1000.0), tenant(5000.0)])
    assert reason == (
        "30 TFLOP/s, above the 20 TFLOP/s that this device was measured to reach: not all of the work was done, or not "
        "when it was timed"
    )
    work = replace(WORK, weights=7e10, least_flops_per_item=1.0)
    (reason,) = gate_ceiling.reasons([tenant(100.0, work=work)])
    assert reason.startswith("3.5 Tbyte/s from memory, above the 2 Tbyte/s that this device was measured to reach")


def test_a_trial_is_held_to_the_fastest_precision_that_any_of_its_operators_ran_in() -> None:
    assert not gate_ceiling.reasons([tenant(5000.0, proof=proof("fp32", "bf16"))])
    assert gate_ceiling.reasons([tenant(5000.0, proof=proof("fp32"))])


def flop_reasons(items_per_s: float, slot: Slot, *precisions: str) -> list[str]:
    of = {"proof": proof(*precisions), "ceilings": replace(CEILINGS, bytes_per_s=math.nan)}
    return gate_ceiling.reasons([tenant(items_per_s, slot, **of)])


@given(untold=st.sampled_from(["unknown", "native", "none"]), items_per_s=rates_per_s, on_gpu=st.booleans())
def test_a_precision_that_is_not_told_is_bounded_by_the_fastest(untold: str, items_per_s: float, on_gpu: bool) -> None:
    slot = GPU_SLOT if on_gpu else CPU_SLOT
    limit = GPU_LIMIT * 6e14 if on_gpu else CPU_LIMIT * 2 * 6e14
    assert bool(flop_reasons(items_per_s, slot, "fp32", untold)) == (6e9 * items_per_s > limit)


def test_a_precision_that_is_not_told_is_of_the_narrowest_values() -> None:
    work = replace(WORK, weights=1e10, least_flops_per_item=math.nan)
    told, untold = (tenant(1.0, work=work, proof=proof("fp32", *more)) for more in ((), ("unknown",)))
    assert told.bytes_per_s > 7 * untold.bytes_per_s > 0


@given(st.text(max_size=100).filter(lambda name: not gate_ceiling._named(name)))
def test_a_precision_that_bench_has_no_name_for_is_a_reason_and_switches_no_ceiling_off(name: str) -> None:
    (reason,) = flop_reasons(1.0, CPU_SLOT, "fp32", name)
    assert reason.startswith("operators ran in what bench knows no precision by the name of: ")
    assert len(reason) < 1000
    assert len(flop_reasons(1e9, CPU_SLOT, "fp32", name)) == 2


def test_where_work_is_not_known_a_model_may_compute_in_whatever_it_says() -> None:
    assert not gate_ceiling.reasons([tenant(1.0, work=Work(unknown="not counted"), proof=proof("fixed-point"))])


@pytest.mark.parametrize("precision", ["fp64", "int64", "int32"])
def test_what_no_processor_multiplies_faster_than_fp32_is_bounded_by_it(precision: str) -> None:
    assert tenant(1.0, proof=proof(precision)).flop_bound == 2e13
    assert not flop_reasons(3000.0, GPU_SLOT, precision)
    assert flop_reasons(5000.0, GPU_SLOT, precision)


def test_a_named_precision_that_nothing_measured_bounds_is_not_judged() -> None:
    assert flop_reasons(1e9, CPU_SLOT, "fp32", "fp8") == []


UNKNOWN: dict[str, dict[str, Any]] = {
    "work": {"work": Work(unknown="not counted")},
    "ceilings": {"ceilings": Ceilings(unknown="torch is not installed")},
    "this precision": {"proof": proof("fp8"), "ceilings": replace(CEILINGS, bytes_per_s=math.nan)},
    "a callable": {"proof": proof("native"), "work": Work(unknown="not counted")},
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_is_not_known_is_not_held_against_a_trial(what: str) -> None:
    unknown = tenant(1e15, **UNKNOWN[what])
    assert gate_ceiling.reasons([unknown]) == []
    assert math.isnan(gate_ceiling.numbers([unknown])["ceiling_share"])
    assert gate_ceiling.reasons([unknown, tenant(5000.0)])  # and hides no neighbour


def test_on_a_cpu_bytes_are_not_judged() -> None:
    ceilings = replace(CEILINGS, bytes_per_s=math.nan, l2_bytes=math.nan)
    assert gate_ceiling.reasons([tenant(1.0, CPU_SLOT, ceilings=ceilings, work=replace(WORK, weights=1e15))]) == []


@given(st.lists(rates_per_s, min_size=1, max_size=7))
def test_the_share_is_the_mean_over_tenants_and_the_rate_their_sum(items_per_s: list[float]) -> None:
    found = gate_ceiling.numbers([tenant(rate) for rate in items_per_s])
    assert found["achieved_flop_per_s"] == pytest.approx(8e9 * sum(items_per_s))
    assert found["ceiling_flop_per_s"] == pytest.approx(2e13)
    assert found["ceiling_share"] == pytest.approx(8e9 * sum(items_per_s) / len(items_per_s) / 2e13)


def test_the_gate_asks_it() -> None:
    good = gate.judge(replace(GOOD, reached=[tenant(100.0)]))
    assert good.valid
    assert good.checks["flop_bound_share"] == pytest.approx(6e11 / 2e13)
    assert not gate.judge(replace(GOOD, reached=[tenant(100.0), tenant(5000.0)])).valid


CHEAT = '''
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contract import Loaded, Recipe, Slot, plugin
from bench.runtimes.torch_eager import TorchEager


@dataclass(frozen=True)
class Remembered(Loaded):
    honest: Loaded

    def bind(self, inputs):
        result = self.honest.bind(inputs)()
        return lambda: result

    def outputs(self, result):
        return self.honest.outputs(result)

    def prove(self, inputs):
        return self.honest.prove(inputs)


@plugin
class Cheat(TorchEager):
    """Computes while its inputs are bound; its calls return at once what they have."""

    @contextmanager
    def load(self, recipe: Recipe, folder: Path, slot: Slot) -> Iterator[Loaded]:
        with TorchEager.load(self, recipe, folder, slot) as honest:
            yield Remembered(honest)
'''
MODEL = """
def model():
    import torch
    return torch.nn.Sequential(torch.nn.Linear(1024, 1024), torch.nn.ReLU(), torch.nn.Linear(1024, 1024))
"""


@pytest.mark.slow
def test_a_runtime_that_claims_to_run_and_returns_at_once_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "mine" / "optimizations").mkdir(parents=True)
    (tmp_path / "mine" / "cheat.py").write_text(CHEAT)
    (tmp_path / "mine" / "big_model.py").write_text(MODEL)
    (tmp_path / "mine" / "optimizations" / "cheat.yaml").write_text(
        "cheat:\n  _target_: bench.contract.Optimization\n  expects: fp32\n  runtime: {_target_: cheat.Cheat}\n"
    )
    result = run_bench(
        "run", "workload=python", "workload.factory=big_model:model", "workload.inputs={input: {shape: [1024]}}",
        "scenario=offline", "scenario.batch_size=256", "optimizations=[fp32,cheat]", *SHORT, *UNWATCHED,
        "protocol.blocks=1", "--config-dir", str(tmp_path / "mine"), cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    (folder,) = run_folders(tmp_path / "results")
    trials = {trial["optimization"]: trial for trial in lines(folder)}
    for trial in trials.values():
        assert trial["telemetry"]["flops_per_item"] == 2 * 2 * 1024**2
        assert trial["proof"]["precision"] == "fp32"  # neither this nor its outputs tell them apart
        assert trial["gate"]["checks"]["probe_distance"] < 1e-3
    cheat, honest = trials["cheat"], trials["fp32"]
    assert cheat["status"] == "invalid"
    assert "that this device was measured to reach: not all of the work was done" in cheat["reason"]
    assert cheat["telemetry"]["ceiling_share"] > CPU_LIMIT
    assert "was measured to reach" not in (honest["reason"] or "")
    assert 0 < honest["telemetry"]["ceiling_share"] < CPU_LIMIT
