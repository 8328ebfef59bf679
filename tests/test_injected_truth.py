"""Truths that were put in on purpose come out again: a slow-down of 5 %, and one damaged weight in a hundred."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from harness import UNWATCHED, run_bench

INJECTED = Path(__file__).parents[1] / "scripts" / "injected"


def verify(cwd: Path, claim: str, *options: str) -> list[dict[str, Any]]:
    result = run_bench("verify", "--json", "--config-dir", str(INJECTED), f"claims=[{claim}]", *options, cwd=cwd)
    assert result.returncode == 0, result.stderr
    rows: list[dict[str, Any]] = json.loads(result.stdout)
    return rows


def test_a_slow_down_is_confirmed(tmp_path: Path) -> None:
    """Half more time, so that it shows on a busy machine as well; 5 % is measured by hand (docs/injected-truth.md)."""
    band = ("claims.injected-slowdown.low=0.4", "claims.injected-slowdown.high=0.9")
    result = run_bench(
        "run", "--config-dir", str(INJECTED), "workload=calibration", "optimizations=[native,slowed]",
        "optimizations.slowed.runtime.slowdown=0.5", "claims=[injected-slowdown]", *band,
        "protocol.warmup_min_s=0.05", "protocol.window_s=0.1", *UNWATCHED, cwd=tmp_path, limit_s=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    (row,) = verify(tmp_path, "injected-slowdown", *band)
    assert row["verdict"] == "confirmed", row


@pytest.mark.slow
def test_a_damaged_model_fails_its_quality_bound(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    result = run_bench(
        "run", "--config-dir", str(INJECTED), "optimizations=[fp32,int8_ort,int8_damaged]", "protocol.doublings=0",
        "claims=[quantization-int8]", "protocol.blocks=3", "protocol.noise_floor=false", "protocol.window_s=0.2",
        *UNWATCHED, cwd=tmp_path, limit_s=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    rows = {row["optimization"]: row for row in verify(tmp_path, "quantization-int8") if row["optimization"]}
    damaged, sound = rows["int8_damaged"], rows["int8_ort"]
    assert damaged["quality"]["loss"] > 0.01 and damaged["verdict"] == "refuted", damaged
    assert "quality lost" in damaged["reason"]
    assert sound["quality"]["upper"] < 0.01, sound
