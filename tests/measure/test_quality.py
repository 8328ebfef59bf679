"""Quality against the baseline and against labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.measure import artifacts, quality

LOGITS = np.random.default_rng(3).standard_normal((50, 7))
LABELS = LOGITS.argmax(axis=1)


def test_a_model_agrees_with_itself() -> None:
    found = quality.judge(LOGITS, LOGITS, None, "fp32")
    assert found.metric == "agreement"
    assert (found.items, found.baseline) == (50, "fp32")
    assert (found.top1_agreement, found.mean_kl_nats) == (1.0, 0.0)
    assert found.cosine == pytest.approx(1.0)
    assert found.accuracy is None


def test_gained_and_lost_are_counted_against_the_labels() -> None:
    # The baseline is wrong on items 0 and 1; the other model is right on 0 and wrong on 2, 3 and 4.
    baseline, other = LOGITS.copy(), LOGITS.copy()
    for logits, wrong in ((baseline, (0, 1)), (other, (1, 2, 3, 4))):
        for item in wrong:
            logits[item] = -logits[item]
    found = quality.judge(other, baseline, LABELS, "fp32")
    assert found.metric == "accuracy"
    assert (found.accuracy, found.baseline_accuracy) == (pytest.approx(46 / 50), pytest.approx(48 / 50))
    assert (found.gained, found.lost) == (1, 3)
    assert found.top1_agreement == pytest.approx(46 / 50)


def test_divergence_is_that_of_the_definition_and_ignores_an_offset() -> None:
    p, q = np.array([[0.7, 0.2, 0.1]]), np.array([[0.5, 0.25, 0.25]])
    found = quality.judge(np.log(q) + 5.0, np.log(p), None, "fp32")
    assert found.mean_kl_nats == pytest.approx(float((p * np.log(p / q)).sum()))


def test_huge_logits_do_not_overflow() -> None:
    found = quality.judge(LOGITS * 1e4, LOGITS * 1e4, LABELS, "fp32")
    assert found.accuracy == 1.0
    assert found.mean_kl_nats == 0.0


def test_outputs_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        quality.judge(LOGITS[:, :3], LOGITS, None, "fp32")


def test_artifacts_are_compared_by_their_files(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "baseline"]
    for folder in folders:
        folder.mkdir()
    assert quality.compare(*folders, "fp32") is None  # outputs without meaning are not stored
    np.save(folders[0] / artifacts.OUTPUTS, LOGITS.astype(np.float32))
    np.save(folders[1] / artifacts.OUTPUTS, LOGITS.astype(np.float32))
    np.save(folders[0] / artifacts.LABELS, LABELS)
    found = quality.compare(*folders, "fp32")
    assert found is not None
    assert found.accuracy == 1.0


def test_one_column_is_no_choice_so_no_agreement_is_claimed() -> None:
    reference = np.arange(1.0, 9.0).reshape(8, 1)
    found = quality.judge(-reference, reference, None, "fp32")
    assert (found.top1_agreement, found.mean_kl_nats) == (None, None)
    assert found.relative_error == pytest.approx(2.0)


def test_a_choice_at_every_position_is_judged_by_position() -> None:
    reference = np.random.default_rng(0).standard_normal((4, 6, 10))
    changed = reference.copy()
    changed[0, 0] = -changed[0, 0]
    found = quality.judge(changed, reference, None, "fp32")
    assert found.top1_agreement == pytest.approx(1 - 1 / 24)
    assert found.items == 4
