"""Quality loss: bounds that keep their level, and counts that prove nothing."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from made_up_runs import accuracy, agreement
from scipy import stats

from bench.judge.loss import FEWEST_ITEMS, Loss, loss_of
from bench.records import Quality

MARGIN = 0.01


def loss(quality: Quality) -> Loss:
    found = loss_of(quality)
    assert found is not None
    return found


@given(st.integers(FEWEST_ITEMS, 100_000), st.data())
def test_the_bound_and_the_p_value_are_two_sides_of_one_thing(items: int, data: st.DataObject) -> None:
    lost = data.draw(st.integers(0, items // 20))
    gained = data.draw(st.integers(0, items // 20))
    found = loss(accuracy(items, lost, gained))
    assert found.loss == pytest.approx((lost - gained) / items)
    assert found.upper > found.loss_smoothed
    if abs(found.upper - MARGIN) > 1e-9:
        assert (found.upper < MARGIN) == (found.p_within(MARGIN) < 0.05)
    assert found.p_within(MARGIN) + found.p_beyond(MARGIN) == pytest.approx(1.0)


@given(st.integers(1, 20_000), st.data())
def test_agreement_is_bounded_exactly(items: int, data: st.DataObject) -> None:
    changed = data.draw(st.integers(0, items))
    found = loss(agreement(items, changed))
    assert found.changed == changed
    exact = stats.binomtest(changed, items, MARGIN, alternative="less")
    assert found.p_within(MARGIN) == pytest.approx(exact.pvalue, rel=1e-6, abs=1e-12)
    interval = stats.binomtest(changed, items, alternative="less").proportion_ci(0.95)
    assert found.upper == pytest.approx(interval.high, rel=1e-6, abs=1e-9)
    assert found.p_beyond(MARGIN) == 1.0  # an answer that changed need not have got worse


@pytest.mark.parametrize(
    ("items", "discordant"), [(FEWEST_ITEMS, 0.012), (FEWEST_ITEMS, 0.05), (10_000, 0.02), (10_000, 0.1)]
)
def test_a_loss_at_the_margin_is_seldom_accepted(items: int, discordant: float) -> None:
    """Discordant items of which 1 % more are lost than gained: the truth stands at the margin. At the nominal level of
    5 %, in at most 7 % of 20,000 draws: counts are discrete. Without the smoothing it would be 9 to 12 %."""
    rng = np.random.default_rng(7)
    chances = [(discordant + MARGIN) / 2, (discordant - MARGIN) / 2]
    draws = rng.multinomial(items, [*chances, 1 - sum(chances)], 20_000)
    counted = np.unique(draws[:, :2], axis=0, return_counts=True)
    accepted = sum(
        int(times)
        for (lost, gained), times in zip(*counted, strict=True)
        if loss(accuracy(items, int(lost), int(gained))).p_within(MARGIN) <= 0.05
    )
    assert 0.01 < accepted / 20_000 < 0.07


def test_an_unsmoothed_bound_would_accept_too_often() -> None:
    """Why one is added to each count: with no gains at all, 500 items, and a loss at the margin."""
    lost = np.arange(0, 30)
    chance = stats.binom.pmf(lost, 500, MARGIN)
    plain = lost / 500 + 1.645 * np.sqrt(lost - lost**2 / 500) / 500
    ours = np.array([loss(accuracy(500, int(count), 0)).upper for count in lost])
    assert chance[plain < MARGIN].sum() > 0.10
    assert chance[ours < MARGIN].sum() < 0.05


def test_few_labelled_items_show_no_small_loss() -> None:
    assert loss(accuracy(FEWEST_ITEMS - 1, 0, 0)).p_within(MARGIN) == 1.0
    assert loss(accuracy(FEWEST_ITEMS, 0, 0)).p_within(MARGIN) < 0.001
    assert loss(accuracy(500, 50, 0)).p_beyond(MARGIN) < 0.001  # but a great one shows


def test_nothing_changed_and_everything_changed() -> None:
    assert loss(agreement(1000, 0)).upper == pytest.approx(1 - 0.05 ** (1 / 1000))
    assert loss(agreement(1000, 1000)).upper == 1.0


def test_counts_that_cannot_be_are_no_evidence() -> None:
    assert loss_of(None) is None
    assert loss_of(accuracy(100, 5, 5).model_copy(update={"lost": 80, "gained": 30})) is None
    assert loss_of(accuracy(100, 5, 5).model_copy(update={"lost": None})) is None
    assert loss_of(agreement(100, 5).model_copy(update={"top1_agreement": None})) is None
    assert loss_of(agreement(100, 5).model_copy(update={"items": 10**400})) is None
