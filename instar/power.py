"""What a number of pairs can show, before anything is measured."""

from __future__ import annotations

import math
from statistics import NormalDist

__all__ = ["detectable"]


def detectable(n: int, discordant: float, level: float = 0.95, power: float = 0.8) -> float | None:
    """The smallest difference of paired success rates that a McNemar test on n pairs finds.

    Solves Connor's formula (1987) for the difference: n d^2 = (z_a sqrt(p) + z_b sqrt(p - d^2))^2,
    with p the share of pairs that differ.

    Args:
        n: Pairs.
        discordant: Share of pairs of which one half succeeds and the other does not.
        level: One minus the two-sided error of the first kind.
        power: Chance of finding it.

    Returns:
        None where n pairs cannot find any difference that such a share allows.
    """
    from scipy.optimize import brentq

    normal = NormalDist()
    alpha, beta = normal.inv_cdf((1 + level) / 2), normal.inv_cdf(power)

    def missing(d: float) -> float:
        spread = alpha * math.sqrt(discordant) + beta * math.sqrt(max(0.0, discordant - d * d))
        return spread - d * math.sqrt(n)

    if n < 1 or discordant <= 0 or missing(discordant) > 0:
        return None
    return float(brentq(missing, 0.0, discordant))
