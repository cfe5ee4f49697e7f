"""How sure the next promotion has to be, so that of all promotions of a workspace few are false.

Gates are asked one after the other, for as long as a workspace lives, and nobody knows how many will
come. LORD++ (Ramdas, Yang, Wainwright and Jordan, "Online control of the false discovery rate with
decaying memory", 2017) spends a budget on them: a little less on each, and anew after each promotion.
So the expected share of false ones among all promotions stays at most the rate asked for, provided
that each test is fair given those before it. Tasks that are fresh each turn see to that; the gates
of one turn share tasks, and what that does to the rate is simulated in `benchmarks.studies.gate`.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["allowance"]

_CAP = 0.05
"""No single promotion may be less sure than this, however rich the budget is."""


def allowance(promoted: Sequence[bool], rate: float, cap: float = _CAP) -> float:
    """The highest chance of a false promotion that the next gate may take.

    Args:
        promoted: What each gate so far decided, oldest first.
        rate: Expected share of false promotions that is tolerated.
        cap: What it never exceeds.
    """
    number, start = len(promoted) + 1, rate / 2
    successes = [i for i, yes in enumerate(promoted, 1) if yes]
    budget = start * _share(number)
    for place, at in enumerate(successes):
        budget += (rate - start if place == 0 else rate) * _share(number - at)
    return min(cap, budget)


def _share(place: int) -> float:
    """Shares of the budget, which add up to one."""
    return 1 / (place * (place + 1))
