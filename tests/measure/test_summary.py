"""From stamps to a trial's numbers."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from bench.measure import summary

MS = 1_000_000


def stamps(*milliseconds: float) -> np.ndarray:
    """Requests that follow each other without a gap, from the instants at which they touch."""
    return touching(np.array([round(ms * MS) for ms in milliseconds], dtype=np.int64))


def touching(instants: np.ndarray) -> np.ndarray:
    return np.column_stack((instants[:-1], instants[1:]))


def test_one_tenant_has_its_own_window() -> None:
    window = summary.common_window([stamps(0, 10, 20, 30)], from_ns=0)
    assert (window.start_ns, window.end_ns) == (0, 30 * MS)
    assert window.requests == (3,)
    assert summary.throughput_per_s(window, batch_size=1) == (pytest.approx(100.0),)


def test_only_the_time_in_which_all_tenants_ran_counts() -> None:
    early, late = stamps(0, 10, 20, 30, 40), stamps(15, 25, 35, 45, 55)
    window = summary.common_window([early, late], from_ns=0)
    assert (window.start_ns, window.end_ns) == (15 * MS, 40 * MS)
    assert window.requests == (2, 2)


def test_what_was_before_the_window_opened_does_not_count() -> None:
    window = summary.common_window([stamps(0, 10, 20, 30), stamps(0, 12, 24, 36)], from_ns=11 * MS)
    assert window.start_ns == 20 * MS
    assert window.requests == (1, 0)


def test_tenants_that_never_ran_together_have_an_empty_window() -> None:
    window = summary.common_window([stamps(0, 10, 20), stamps(30, 40, 50)], from_ns=0)
    assert window.requests == (0, 0)
    assert window.seconds == 0
    assert summary.throughput_per_s(window, 8) == (0.0, 0.0)
    assert summary.latency(window) is None


def test_throughput_is_items_over_the_time_that_requests_took() -> None:
    # Two whole requests of 10 ms lie within a window of 25 ms that cuts a third.
    window = summary.common_window([stamps(0, 10, 20, 30), stamps(0, 5, 10, 15, 20, 25)], from_ns=0)
    assert window.end_ns == 25 * MS
    assert summary.throughput_per_s(window, batch_size=4) == (pytest.approx(400.0), pytest.approx(800.0))


def test_latency_pools_all_tenants() -> None:
    window = summary.common_window([stamps(0, 10, 20), stamps(0, 20)], from_ns=0)
    found = summary.latency(window)
    assert found is not None
    assert found.p50 == pytest.approx(10.0)
    assert found.mean == pytest.approx(40 / 3)


@given(
    st.lists(st.lists(st.integers(1, 50 * MS), min_size=1, max_size=40), min_size=1, max_size=4),
    st.lists(st.integers(0, 100 * MS), min_size=4, max_size=4),
    st.integers(0, 200 * MS),
)
def test_counted_samples_are_the_requests_inside_the_window(
    durations: list[list[int]], starts: list[int], from_ns: int
) -> None:
    tenants = [touching(np.cumsum([start, *some])) for start, some in zip(starts, durations, strict=False)]
    window = summary.common_window(tenants, from_ns)
    columns = summary.samples_columns(tenants, window)
    assert len(columns["end_ns"]) == sum(len(some) for some in durations)
    counted = columns["counted"]
    assert counted.sum() == sum(window.requests)
    begin = columns["end_ns"] - columns["latency_ns"]
    assert (begin[counted] >= from_ns).all()
    assert (begin[counted] >= window.start_ns).all()
    assert (columns["end_ns"][counted] <= window.end_ns).all()
    for index, tenant in enumerate(tenants):
        assert ((columns["tenant"] == index) & counted).sum() == window.requests[index]
        # No request that ran while all others ran is left out.
        inside = (tenant[:, 0] >= window.start_ns) & (tenant[:, 1] <= window.end_ns)
        assert inside.sum() == window.requests[index]


def test_telemetry_columns_leave_out_what_was_absent() -> None:
    report = {
        "t_ns": [1, 2, 3],
        "columns": [
            {"subject": "host", "metric": "busy_s", "values": [1.0, 2.0, 4.5]},
            {"subject": "tenant0", "metric": "cpu_s", "values": [None, 7.0, None]},
        ],
    }
    columns = summary.telemetry_columns(report)
    assert columns["t_ns"] == [1, 2, 3, 2]
    assert columns["subject"] == ["host"] * 3 + ["tenant0"]
    assert summary.increase(report, "host", "busy_s") == 3.5
    assert math.isnan(summary.increase(report, "tenant0", "cpu_s"))
    assert math.isnan(summary.increase(report, "host", "steal_s"))


def test_neighbours_are_not_counted_but_must_run_all_the_time() -> None:
    window = summary.common_window([stamps(0, 10, 20, 30, 40)], from_ns=0, neighbours=[stamps(8, 33)])
    assert (window.start_ns, window.end_ns) == (8 * MS, 33 * MS)
    assert window.requests == (2,)


def test_a_neighbour_in_the_middle_of_a_long_request_delays_nothing() -> None:
    window = summary.common_window([stamps(0, 10, 20, 30, 40)], from_ns=5 * MS, neighbours=[stamps(0, 60)])
    assert (window.start_ns, window.end_ns) == (10 * MS, 40 * MS)
