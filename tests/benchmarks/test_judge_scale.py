"""What judging and reporting cost, on synthetic runs of 1,000 and 10,000 trials with 1,000 requests each.

The runs are made up: their figures mean nothing. The limits are those of the project, on any machine of today.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from made_up_runs import accuracy, plan, run, write

from bench.records import PlannedTrial

BLOCKS = 40
OPTIMIZATIONS = (
    "fp32", "fp32_again", "ort_fp32", "int8_ort", "int8_torchao", "int8_a", "int8_b", "bf16", "amp_bf16", "torchscript",
    "torch_compile", "pruned_structured", "pruned_structured_ort", "pruned_unstructured", "distilled", "distilled_ort",
    "ort_a", "ort_b", "channels_last", "amp_a", "torch_compile_a", "int8_c", "int8_d", "int8_e", "other",
)  # fmt: skip
VERIFY_S, REPORT_S, REPORT_BYTES = 5.0, 10.0, 1e9
LINEAR = 15.0
"""Ten times the trials may take fifteen times as long, over and above what starting takes."""


def synthetic(folder: Path, partitions: int) -> Path:
    """A run of 40 blocks over 25 optimizations on each partition, a thousand trials each."""
    names = ["full", *(f"slice{number}" for number in range(1, partitions))]
    same = {name: "ort_fp32" for name in OPTIMIZATIONS if name.startswith(("int8", "ort_a", "ort_b"))}
    made = plan(dict.fromkeys(names, OPTIMIZATIONS), blocks=BLOCKS, tenants=2, again="fp32_again", same_runtime=same)
    quality = accuracy(10_000, 60, 20)

    def measured(planned: PlannedTrial) -> Mapping[str, Any]:
        speed = 1 + OPTIMIZATIONS.index(planned.optimization) / 8
        wobble = 1 + 0.02 * ((planned.block * 7 + planned.position * 3) % 11 - 5) / 5
        return {"throughput_per_s": 100 * speed * wobble, "quality": quality}

    return write(run(made, measured), folder, samples=True)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("synthetic")
    return {1000 * partitions: synthetic(folder / f"run{partitions}", partitions) for partitions in (1, 10)}


def call(*arguments: str) -> tuple[float, float]:
    """Seconds and peak bytes of `bench <arguments>`, in a process of its own."""
    script = Path(sys.executable).parent / "bench"
    begin = perf_counter()
    process = subprocess.Popen([script, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, said
    return perf_counter() - begin, 1024.0 * used.ru_maxrss


def test_verify_in_5_s_and_in_linear_time(benchmark: Any, runs: dict[int, Path]) -> None:
    nothing_s = min(call("list")[0] for _ in range(3))  # what starting and composing takes
    small_s = min(call("verify", str(runs[1000]))[0] for _ in range(3))
    benchmark.pedantic(call, args=("verify", str(runs[10_000])), rounds=3)
    large_s = benchmark.stats.stats.min
    benchmark.extra_info.update(start_s=nothing_s, small_s=small_s)
    assert large_s <= VERIFY_S
    assert large_s - nothing_s <= LINEAR * max(small_s - nothing_s, 0.05)


def test_report_in_10_s_and_1_gb_and_in_linear_time(benchmark: Any, runs: dict[int, Path], tmp_path: Path) -> None:
    nothing_s = min(call("list")[0] for _ in range(3))
    small_s = min(call("report", str(runs[1000]), "--output", str(tmp_path / "small"))[0] for _ in range(2))
    peaks: list[float] = []

    def report() -> None:
        peaks.append(call("report", str(runs[10_000]), "--output", str(tmp_path / "large"))[1])

    benchmark.pedantic(report, rounds=2)
    large_s = benchmark.stats.stats.min
    benchmark.extra_info.update(start_s=nothing_s, small_s=small_s, peak_bytes=max(peaks))
    assert large_s <= REPORT_S
    assert max(peaks) <= REPORT_BYTES
    assert large_s - nothing_s <= LINEAR * max(small_s - nothing_s, 0.05)
