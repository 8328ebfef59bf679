"""The operating system as a telemetry source."""

from __future__ import annotations

import os
from pathlib import Path

from bench.contract import Watched
from bench.telemetry.host import Host, RaplCounter


def test_a_tenant_is_read_and_what_the_machine_does_not_offer_is_absent() -> None:
    reader = Host().open({"tenant0": Watched(os.getpid())}, None)
    found = {(subject, metric): value for subject, metric, value in reader.read()}
    assert found["tenant0", "rss_bytes"] > 1e6
    assert found["host", "busy_s"] > 0
    assert not [value for value in found.values() if value != value]


def test_a_tenant_that_is_gone_is_left_out() -> None:
    subjects = {subject for subject, _, _ in Host().open({"tenant0": Watched(2**22 + 1)}, None).read()}
    assert "tenant0" not in subjects


def test_an_energy_counter_that_wraps_goes_on(tmp_path: Path) -> None:
    (tmp_path / "max_energy_range_uj").write_text("1000000")
    counted = tmp_path / "energy_uj"
    counted.write_text("900000")
    counter = RaplCounter(counted)
    counted.write_text("950000")
    assert counter.total_j() == 0.05
    counted.write_text("150000")
    assert counter.total_j() == 0.25
