"""How many cores there are to divide."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.devices import host


@pytest.mark.parametrize(("text", "quota"), [("max 100000", None), ("200000 100000", 2.0), ("50000 100000", 0.5)])
def test_a_quota_of_cgroup_v2(text: str, quota: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpu.max").write_text(text + "\n")
    monkeypatch.setattr(host, "CGROUP_V2", tmp_path / "cpu.max")
    assert host.cpu_quota() == quota


def test_a_quota_of_cgroup_v1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpu.cfs_quota_us").write_text("150000\n")
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")
    monkeypatch.setattr(host, "CGROUP_V2", tmp_path / "none")
    monkeypatch.setattr(host, "CGROUP_V1", tmp_path)
    assert host.cpu_quota() == 1.5


def test_a_quota_of_half_a_core_leaves_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000")
    monkeypatch.setattr(host, "CGROUP_V2", tmp_path / "cpu.max")
    assert host.usable_cpus() == (min(os.sched_getaffinity(0)),)
