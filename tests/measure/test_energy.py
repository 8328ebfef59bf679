"""Energy is read from a counter that really moved, counted once per board, and split only as an estimate."""

from __future__ import annotations

import math

import pytest
from made_up_ticks import WINDOW, once, report, window

from bench.measure import energy, gpu_numbers
from bench.measure.series import series

ONE = ([50.0], [None])
"""One tenant that does 50 items per second, on the whole GPU."""


def test_energy_is_what_the_counter_grew_between_the_windows_edges() -> None:
    """300 W, and another power before and after: only what lies in the window counts."""
    ticks = report(gpu__energy_j=lambda t: 1e6 + (30 * t if t < 0.3 else 9 + 300 * (t - 0.3)))
    found = energy.numbers(ticks, window(0.3, 2.3), *ONE)
    assert found["energy_j_gpu"] == pytest.approx(600)
    assert found["energy_updates"] == 21
    assert found["energy_per_item_j"] == pytest.approx(600 / (50 * 2.0)), "300 W over 50 items per second"


def test_edges_between_two_ticks_are_interpolated() -> None:
    found = energy.numbers(report(gpu__energy_j=lambda t: 300 * t), WINDOW, *ONE)
    assert found["energy_j_gpu"] == pytest.approx(600)


def test_the_items_of_all_tenants_share_the_boards_energy_once() -> None:
    ticks = report(gpu__energy_j=lambda t: 300 * t)
    alone = energy.numbers(ticks, WINDOW, [50.0], [None])
    together = energy.numbers(ticks, WINDOW, [25.0, 15.0, 10.0], [3, 4, 5])
    assert together["energy_j_gpu"] == alone["energy_j_gpu"]
    assert together["energy_per_item_j"] == pytest.approx(alone["energy_per_item_j"])


@pytest.mark.parametrize(
    ("counter", "updates"),
    [
        (lambda t: 100.0 * math.floor(t / 0.25), 8),
        (lambda t: 500.0, 1),
    ],
    ids=["too few updates", "stuck"],
)
def test_a_counter_that_hardly_moves_gives_no_energy(counter: object, updates: int) -> None:
    found = energy.numbers(report(gpu__energy_j=counter, gpu__power_average_w=300.0), WINDOW, *ONE)  # type: ignore[arg-type]
    assert found == {"energy_updates": updates}


def test_ten_updates_are_enough_and_nine_are_not() -> None:
    ticks = report(gpu__energy_j=lambda t: 300 * t)
    assert "energy_j_gpu" in energy.numbers(ticks, window(0.05, 1.04), *ONE)
    assert "energy_j_gpu" not in energy.numbers(ticks, window(0.05, 0.94), *ONE)


def test_without_a_counter_nothing_is_said() -> None:
    assert energy.numbers(report(gpu__power_average_w=300.0), WINDOW, *ONE) == {}


def test_a_window_that_ticks_do_not_enclose_has_no_energy() -> None:
    found = energy.numbers(report(gpu__energy_j=lambda t: 300 * t), window(1.0, 2.5), *ONE)
    assert "energy_j_gpu" not in found


def test_no_items_no_energy_per_item() -> None:
    found = energy.numbers(report(gpu__energy_j=lambda t: 300 * t), WINDOW, [0.0], [None])
    assert math.isnan(found["energy_per_item_j"])


def test_counter_and_power_are_compared() -> None:
    agree = report(gpu__energy_j=lambda t: 300 * t, gpu__power_average_w=300.0)
    assert energy.numbers(agree, WINDOW, *ONE)["energy_to_power_ratio"] == pytest.approx(1)
    rising = report(gpu__energy_j=lambda t: 50 * t * t, gpu__power_average_w=lambda t: 100 * t)
    assert energy.numbers(rising, WINDOW, *ONE)["energy_to_power_ratio"] == pytest.approx(1, rel=1e-3)
    apart = report(gpu__energy_j=lambda t: 300 * t, gpu__power_average_w=150.0)
    assert energy.numbers(apart, WINDOW, *ONE)["energy_to_power_ratio"] == pytest.approx(2)


def test_readings_that_are_missing_in_some_ticks_are_skipped() -> None:
    ticks = report(gpu__energy_j=lambda t: None if 1 < t < 1.25 else 300 * t)
    assert energy.numbers(ticks, WINDOW, *ONE)["energy_j_gpu"] == pytest.approx(600)


# --- the estimate ---


def busy(first: float, second: float) -> dict[str, object]:
    return {
        "gpu__energy_j": lambda t: 300 * t,
        "gi3__graphics_active_share": first,
        "gi5__graphics_active_share": second,
    }


def test_a_single_tenant_needs_no_estimate() -> None:
    assert not [name for name in energy.numbers(report(gpu__energy_j=lambda t: t), WINDOW, *ONE) if "estimate" in name]


def test_the_estimate_names_its_model_and_splits_all_of_the_energy() -> None:
    """Busy 60 % of the time on 60 multiprocessors, 30 % on 30: 36 to 9, where sizes alone say 60 to 30."""
    sizes = {"gi3__multiprocessors": once(60.0), "gi5__multiprocessors": once(30.0)}
    found = energy.numbers(report(**busy(0.6, 0.3), **sizes), WINDOW, [50.0, 50.0], [3, 5])  # type: ignore[arg-type]
    assert found["energy_estimate_by_activity_j_tenant0"] == pytest.approx(600 * 0.8)
    assert found["energy_estimate_by_activity_j_tenant1"] == pytest.approx(600 * 0.2)
    assert found["energy_estimate_by_activity_error_share"] == pytest.approx(0.4), "0.2 instead of 1/3"


def test_without_sizes_the_error_is_against_equal_shares() -> None:
    found = energy.numbers(report(**busy(0.9, 0.3)), WINDOW, [50.0, 50.0], [3, 5])  # type: ignore[arg-type]
    assert found["energy_estimate_by_activity_j_tenant0"] == pytest.approx(450)
    assert found["energy_estimate_by_activity_error_share"] == pytest.approx(0.5)


def test_without_activity_the_estimate_is_by_throughput_and_says_so() -> None:
    found = energy.numbers(report(gpu__energy_j=lambda t: 300 * t), WINDOW, [30.0, 10.0], [None, None])
    assert found["energy_estimate_by_throughput_j_tenant0"] == pytest.approx(450)
    assert found["energy_estimate_by_throughput_error_share"] == pytest.approx(0.5)


def test_tenants_of_one_instance_are_not_told_apart_by_its_activity() -> None:
    found = energy.numbers(report(**busy(0.9, 0.3)), WINDOW, [30.0, 10.0], [3, 3])  # type: ignore[arg-type]
    assert "energy_estimate_by_throughput_j_tenant0" in found
    assert not [name for name in found if "activity" in name]


def test_an_instance_that_does_not_tell_leaves_no_split_by_activity() -> None:
    found = energy.numbers(report(**busy(0.9, 0.3)), WINDOW, [30.0, 10.0], [3, 6])  # type: ignore[arg-type]
    assert not [name for name in found if "activity" in name]


def test_idle_tenants_get_no_estimate() -> None:
    found = energy.numbers(report(gpu__energy_j=lambda t: 300 * t), WINDOW, [0.0, 0.0], [None, None])
    assert not [name for name in found if "estimate" in name]


# --- the other numbers of a trial's line ---


def test_a_cpu_has_no_gpu_numbers() -> None:
    assert gpu_numbers.numbers(report(host__busy_s=1.0), WINDOW, *ONE) == {}
    assert gpu_numbers.numbers({}, WINDOW, *ONE) == {}


def test_medians_are_of_the_window_and_maxima_of_the_trial() -> None:
    found = gpu_numbers.numbers(
        report(
            gpu__power_instant_w=lambda t: 300.0 if 0.25 < t < 2.25 else 70.0,
            gpu__sm_clock_hz=1.5e9,
            gpu__temperature_c=[60.0, *[None] * 9, 65.0, *[None] * 14],
            gpu__memory_used_bytes=once(1e9),
            nvml__nvmlDeviceGetFieldValues_s=2e-4,
            nvml__nvmlDeviceGetClockInfo_s=1e-5,
        ),
        WINDOW,
        *ONE,
    )
    assert found["gpu_power_instant_w"] == 300
    assert found["gpu_sm_clock_hz"] == 1.5e9
    assert found["gpu_temperature_max_c"] == 65
    assert found["gpu_memory_peak_bytes"] == 1e9
    assert found["nvml_slowest_call_s"] == 2e-4
    assert math.isnan(found["gpu_power_average_w"]), "not told"


def test_an_absent_column_is_an_empty_series() -> None:
    assert not len(series(report(), "gpu", "energy_j").values)
    assert math.isnan(series(report(), "gpu", "energy_j").increase(WINDOW))
