"""Why a verdict is what it is, in words for the person who has to act on it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from bench.claims import Claim
from bench.judge.decisions import Judged
from bench.judge.loss import FEWEST_ITEMS, Loss
from bench.judge.speedup import SpeedUp
from bench.judge.statistics import MOST_PAIRS, ratio
from bench.judge.untold import source
from bench.records import Imported, Plan


def band(claim: Claim) -> str:
    """The ratios of a claim that names some, e.g. "2-4x"."""
    if claim.reading == "at_least":
        return f"at least {claim.low:g}x"
    if claim.reading == "up_to":
        return f"up to {claim.high:g}x"
    return f"{claim.low:g}-{claim.high:g}x"


def decided(word: str, claim: Claim, speedup: SpeedUp | None, loss: Loss | None) -> str:
    """What carries a verdict that stands."""
    said = f"{speedup or 'no speed measured'} against the claimed {band(claim)}"
    if claim.quality_loss_below is None:
        return said
    if loss is None:
        return f"{said}; quality unknown"
    margin = claim.quality_loss_below
    if word == "refuted" and loss.loss > margin and loss.p_beyond(margin) < 0.05:
        return f"{said}; quality lost {points(loss.loss)}, and less than {points(margin)} is claimed"
    return f"{said}; quality {quality(loss)}"


def undecided(
    claim: Claim, speedup: SpeedUp | None, judged: Judged | None, loss: Loss | None, more_blocks: int | None
) -> str:
    """What keeps a verdict open."""
    if speedup is None or speedup.low is None or judged is None:
        return "fewer than two blocks in which both are valid"
    if more_blocks is None:  # the speed is clear
        return f"{speedup} against the claimed {band(claim)}, but {_unsettled(claim, loss)}"
    low, high = claim.band
    crossed = " and ".join(f"{bound:g}x" for bound in (low, high) if judged.low <= bound <= judged.high)
    endless = more_blocks >= MOST_PAIRS - speedup.pairs
    needs = "more blocks than anybody measures" if endless else f"about {more_blocks} more blocks"
    return (
        f"the interval that it is judged by, [{judged.low:.2f}, {judged.high:.2f}], holds {crossed or 'a bound'}; "
        f"at this spread it needs {needs}"
    )


def _unsettled(claim: Claim, loss: Loss | None) -> str:
    margin = claim.quality_loss_below or 0.0
    if loss is None:
        return "there is no quality evidence"
    if loss.metric == "agreement":
        return (
            f"{points(loss.loss)} of the answers changed on {loss.items} items without labels, which does not show "
            f"a loss below {points(margin)}"
        )
    if loss.items < FEWEST_ITEMS:
        return f"{loss.items} items cannot show a loss below {points(margin)}: {FEWEST_ITEMS} are needed"
    return (
        f"the {quality(loss)} at 95 % is not settled against "
        f"{points(margin)} at the stricter level that many verdicts need"
    )


def lost(whys: Sequence[str], blocks: int) -> str:
    """Too many blocks were lost: how many, and what did it most often."""
    kind = Counter(without_numbers(why) for why in whys).most_common(1)[0][0]
    example = next(why for why in whys if without_numbers(why) == kind)
    return f"{len(whys)} of {blocks} blocks lost; most often {example}"


def below_floor(width: float, floor: float) -> str:
    """A claim that this machine cannot resolve."""
    return (
        f"declined: the claim is {_percent(width)} wide and the noise floor here is {_percent(floor)} (the baseline "
        "against itself); it needs a quieter machine or more blocks"
    )


def within_floor(difference: float, floor: float) -> str:
    """A difference that this machine shows where there is none."""
    return (
        f"a difference of {_percent(abs(difference))}, and the noise floor here is {_percent(floor)} (the baseline "
        "against itself)"
    )


def no_look(plan: Plan, blocks: int) -> str:
    """Why a run has no verdicts at all."""
    if plan.look_level is None or not plan.looks:
        return f"planned to draw no verdicts (protocol {plan.protocol}); measure with protocol=standard or publish"
    return f"{blocks} blocks, and the first look is at {plan.looks[0]}: finish the run with bench run --resume"


def imported(told: Imported, claim: Claim, loss: Loss | None) -> str:
    """Why nothing is decided from what another tool measured: what it does not tell of this claim."""
    missing = []
    if claim.quality_loss_below is not None and loss is None:
        missing.append("no quality evidence")
    if "blocks" in told.missing:
        missing.append("no interleaved blocks")
    if "proof" in told.missing:
        missing.append("no proof of the precision that ran")
    lacks = f"{', '.join(missing)}: " if missing else ""
    return f"{lacks}imported from {source(told)}, from which nothing is decided; bench run measures what is missing"


def quality(loss: Loss) -> str:
    """One-sided: how much may have been lost."""
    most = f" (at most {points(loss.upper)})" if loss.upper is not None else ""
    kind = f"{points(loss.loss)} of answers changed" if loss.metric == "agreement" else f"loss of {points(loss.loss)}"
    return kind + most


def points(share: float) -> str:
    """A share as percentage points."""
    return f"{100 * share:.2f} %"


def without_numbers(reason: str) -> str:
    """A reason as a kind: reasons that differ only in their numbers are one."""
    return re.sub(r"[-+]?[0-9][0-9.,e]*%?", "#", reason)


def _percent(logarithm: float) -> str:
    return f"{100 * (ratio(logarithm) - 1):.1f} %"
