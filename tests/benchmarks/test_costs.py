"""What the harness costs: start-up, overhead per trial, CPU time beside the tenants. All through the command line."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

CALIBRATION = ("workload=calibration", "optimizations=[native]", "protocol=smoke")


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = Path(sys.executable).parent / "bench"
    done = subprocess.run([script, *arguments], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done


def trials(run: dict[str, Any]) -> list[dict[str, Any]]:
    lines = (Path(run["run"]) / "trials.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_help_under_0_15_s(benchmark: Any) -> None:
    benchmark.pedantic(bench, args=("--help",), rounds=20, warmup_rounds=2)
    assert benchmark.stats.stats.median < 0.15


def test_list_under_0_7_s(benchmark: Any) -> None:
    benchmark.pedantic(bench, args=("list",), rounds=10, warmup_rounds=1)
    assert benchmark.stats.stats.median < 0.7


def test_overhead_per_trial_at_most_150_ms(benchmark: Any, tmp_path: Path) -> None:
    """Everything of a run of 50 trials that is not tenant start, load, warm-up or window, the conductor's own start-up
    included, per trial."""
    found: dict[str, float] = {}

    def run() -> None:
        start = perf_counter()
        done = bench("run", "--json", *CALIBRATION, "protocol.blocks=50", f"results_dir={tmp_path}")
        wall_s = perf_counter() - start
        records = trials(json.loads(done.stdout)[0])
        parts = [sum(r["timing_s"][name] for name in ("start", "load", "warmup", "window")) for r in records]
        found["per_trial_s"] = (wall_s - sum(parts)) / len(records)
        found["inside_s"] = statistics.median(r["timing_s"]["overhead"] for r in records)

    benchmark.pedantic(run, rounds=1)
    benchmark.extra_info.update(found)
    assert found["per_trial_s"] <= 0.150


def test_conductor_and_telemetry_use_less_than_1_percent_of_a_core(benchmark: Any, tmp_path: Path) -> None:
    """Two tenants on all cores for 10 s windows, telemetry every 100 ms."""
    found: dict[str, float] = {}

    def run() -> None:
        done = bench(
            "run", "--json", *CALIBRATION, "partitions=[cpuset]", "protocol.blocks=3", "protocol.window_s=10",
            "protocol.window_limit_s=10", f"results_dir={tmp_path}",
        )  # fmt: skip
        telemetry = [record["telemetry"] for record in trials(json.loads(done.stdout)[0])]
        found["conductor_share"] = statistics.median(t["conductor_cpu_share"] for t in telemetry)
        found["sampler_share"] = statistics.median(t["sampler_cpu_share"] for t in telemetry)
        found["interval_s"] = statistics.median(t["interval_s"] for t in telemetry)

    benchmark.pedantic(run, rounds=1)
    benchmark.extra_info.update(found)
    assert found["interval_s"] == 0.1
    assert found["conductor_share"] + found["sampler_share"] < 0.01
