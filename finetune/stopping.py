"""When the gate may stop measuring, and how sure each of its looks has to be.

``once`` looks when all pairs are there. ``spending`` looks at a few places that are fixed beforehand and
spends the chance of error over them, next to nothing at first and most at the end, by the function of
Lan and DeMets ("Discrete sequential boundaries for clinical trials", 1983) that is like O'Brien and
Fleming's; each look takes its own part, so that nothing has to be known of how looks depend on each
other. ``betting`` may look without end (see `instar.sequences`) and pays for it with pairs.

All stop too where the rest could hardly decide anything. That promotes nobody, so it costs no
certainty, only a little power.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from finetune._figures import Values, differences, evidence
from finetune.gate import SUCCESS, THRIFT, GateConfig, Pair, shown, values_of

__all__ = ["at_look", "enough", "looks"]

_NORMAL = NormalDist()
_OPTIMISM = 2.0
"""Standard errors by which the truth may be better than what was seen."""
_TINY = 1e-9


def looks(total: int, times: int) -> list[int]:
    """After how many pairs to look, the last time at the end."""
    return sorted({math.ceil(total * k / times) for k in range(1, times + 1)})


def at_look(config: GateConfig, before: int, now: int, total: int) -> GateConfig:
    """What it takes at one look; with ``spending``, by the part of the chances that it may take.

    Args:
        config: For all looks together.
        before: Pairs at the look before, 0 at the first.
        now: Pairs at this one.
        total: Pairs at the last.
    """
    if config.test != "spending":
        return config
    alpha, harm = (
        max(_TINY, _spent(chance, now / total) - _spent(chance, before / total))
        for chance in (config.alpha, config.harm)
    )
    level = 1 - (1 - config.level) * alpha / config.alpha
    # Groups are looked at once, in the verdict: their level is not shared out.
    changes = {"alpha": alpha, "harm": harm, "level": level}
    return config.model_copy(update=changes)


def _spent(chance: float, share: float) -> float:
    if share <= 0:
        return 0.0
    return 2 * (1 - _NORMAL.cdf(_NORMAL.inv_cdf(1 - chance / 2) / math.sqrt(min(1.0, share))))


def enough(pairs: Sequence[Pair], before: int, total: int, config: GateConfig) -> bool:
    """Whether measuring can stop after these pairs.

    Args:
        pairs: So far, in order.
        before: Pairs at the look before, 0 at the first.
        total: Pairs at the last look.
        config: For all looks together.
    """
    now = len(pairs)
    if now >= total or config.test == "once":
        return now >= total
    values = values_of(pairs)
    found = shown(values, at_look(config, before, now, total))
    return found.worse or (found.no_worse and found.gain) or _hopeless(values, now, total, config)


def _hopeless(values: Mapping[str, Values], now: int, total: int, config: GateConfig) -> bool:
    """Whether nothing would come of the rest if the truth were as much better as it well may be."""
    success, scale = values["success"], total / now

    def could(part: Values, chance: float, above: float = 0.0, turned: bool = False) -> bool:
        if config.test == "betting":
            return _could_win(part, above, turned, part is not success, chance, scale)
        return _could_show(part, above, turned, chance, scale)

    saving = THRIFT * config.alpha
    gain = could(success, SUCCESS * config.alpha) or any(
        could(values[name], saving, turned=True) for name in ("tokens", "steps")
    )
    floor = could(success, config.alpha, -config.margin)
    harm = could(values["best_case"], config.harm, turned=True)
    return not (floor and gain) and not harm


def _could_show(values: Values, above: float, turned: bool, chance: float, scale: float) -> bool:
    """Whether a mean over all pairs could yet lie so many standard errors above a bound."""
    found = differences(values) * (-1 if turned else 1) - above
    if len(found) < 2:
        return True
    mean, error = float(found.mean()), _error(found)
    best = mean + _OPTIMISM * error * (1 - 1 / scale)
    return best >= _NORMAL.inv_cdf(1 - chance) * error / math.sqrt(scale)


def _could_win(
    values: Values, above: float, turned: bool, signs: bool, chance: float, scale: float
) -> bool:
    """Whether bets could yet win enough; the best wins half of the squared mean over the mean square."""
    won = evidence(values, above, turned, signs)
    n = len(won)
    if n < 2:
        return True
    found = differences(values, signs) * (-1 if turned else 1) - above
    error = _error(found)
    best = max(0.0, float(found.mean()) + _OPTIMISM * error)
    growth = best**2 / (2 * (best**2 + n * error**2))
    return math.log(1 / chance) - float(won.max()) <= (scale - 1) * n * growth


def _error(found: NDArray[np.float64]) -> float:
    """Standard error of the mean, as if one more had gone each way: no agreement is a proof."""
    n, size = len(found), float(np.abs(found).max())
    square = float(((found - found.mean()) ** 2).sum()) + 2 * size**2
    return max(_TINY, math.sqrt(square / (n + 2) / n))
