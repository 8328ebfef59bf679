"""Quality loss against the baseline, and how sure it is: non-inferiority, one-sided.

With labels, the loss is (lost - gained) / items, over the same items. Its bound is a normal one on paired counts, with
one added to each count and two to the items: without that it accepts too easily when nothing was gained
(docs/method.md). Without labels there is only agreement: an answer that stayed the same cannot have got worse, so the
share of changed answers bounds the loss from above (exactly, by the binomial distribution) and never shows that there
is one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import bdtr, betaincinv, ndtr, ndtri

from bench.records import Quality

MOST_ITEMS = 2**53
"""Beyond that counts are no longer exact, and nobody has counted."""
FEWEST_ITEMS = 3000
"""Labelled items below which a bound of some per cent is not trusted to keep its level."""
ONE_SIDED = 0.05
NORMAL = float(ndtri(1 - ONE_SIDED))


@dataclass(frozen=True)
class Loss:
    """`loss` and `upper` are shares (0.01: one percentage point); `upper` is the one-sided 95 % bound, None where a
    published figure has none.

    changed: answers that differ, where the metric is agreement. error: standard error of the smoothed loss, where it is
    accuracy."""

    metric: str
    items: int
    loss: float
    upper: float | None
    changed: int = 0
    error: float = 0.0

    def p_within(self, margin: float) -> float:
        """p-value of "the loss is `margin` or more": small means that it is less."""
        if self.metric == "agreement":
            return float(bdtr(self.changed, self.items, margin))
        if self.items < FEWEST_ITEMS:
            return 1.0
        return float(ndtr((self.loss_smoothed - margin) / self.error))

    def p_beyond(self, margin: float) -> float:
        """p-value of "the loss is `margin` or less": small means that it is more. Agreement never shows that."""
        if self.metric == "agreement":
            return 1.0
        return float(ndtr((margin - self.loss_smoothed) / self.error))

    @property
    def loss_smoothed(self) -> float:
        return self.loss * self.items / (self.items + 2)


def loss_of(quality: Quality | None) -> Loss | None:
    """None where nothing was judged: no outputs with a meaning, or counts that cannot be."""
    if quality is None or quality.items > MOST_ITEMS:
        return None
    items = quality.items
    if quality.metric == "accuracy" and quality.lost is not None and quality.gained is not None:
        lost, gained = quality.lost, quality.gained
        if lost + gained > items:
            return None
        n, b, c = items + 2, lost + 1, gained + 1
        error = math.sqrt(b + c - (b - c) ** 2 / n) / n
        return Loss("accuracy", items, (lost - gained) / items, (b - c) / n + NORMAL * error, error=error)
    if quality.metric == "agreement" and quality.top1_agreement is not None:
        changed = math.ceil((1 - quality.top1_agreement) * items - 1e-6)
        upper = 1.0 if changed >= items else float(betaincinv(changed + 1, items - changed, 1 - ONE_SIDED))
        return Loss("agreement", items, changed / items, upper, changed=changed)
    return None
