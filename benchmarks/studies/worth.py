"""What the worth of memories can tell, on planted ones: errors, power, coverage.

    python -m benchmarks.studies.worth [--runs 100] [--seed 0]

Planted memories live under the rules of `memory._life` for 400 recalls each; then intervals are
looked at after every one of 1,000 observations, and a bank that gives 10 points is watched until it
is known to help. Figures of units are shares with Wilson's interval, others with a bootstrap over runs.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.studies._planted import (
    DRIFTER,
    HALVES,
    HARMFUL,
    HELPFUL,
    PAIR,
    RIVALS,
    USELESS,
    Lived,
    by_unit,
    live,
)
from instar.sequences import difference, interval, log_wealth, needed
from instar.stats import Interval, mean_interval, wilson
from memory._life import Rules
from memory.worth import shrink

__all__ = ["Figure", "bank", "coverage", "main", "planted"]

_RECALLS, _EVERY, _THEN = 400, 10, 200
_LOOKS, _SHORT = 1_000, 200
_CELLS = [(p, b, e) for p in (0.5, 0.85, 0.9) for b, e in ((0.4, 0.0), (0.4, 0.3), (0.7, -0.3))]


class Figure(NamedTuple):
    """One row of a table.

    Attributes:
        target: What it must be, at least or at most; None where nothing was promised.
    """

    name: str
    value: float
    interval: Interval
    target: float | None = None
    at_least: bool = True

    @property
    def met(self) -> bool | None:
        """Whether the value is what it must be; None where nothing was promised."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target


def planted(runs: int, rng: np.random.Generator) -> list[Figure]:
    """Live with planted memories."""
    lived = live(runs, _RECALLS, _EVERY, rng, Rules())
    early = lived.retired & (lived.recalls <= _THEN)
    left, alone = (~lived.retired[:, -1, pair].all(axis=-1) for pair in (PAIR, RIVALS))
    parted = alone & lived.kept_out[:, -1, RIVALS].any(axis=-1)
    halves = lived.retired[:, -1, HALVES].any(axis=-1)
    scores = _areas(lived)
    area = mean_interval(scores) or Interval(0.0, 1.0)
    return [
        Figure("area under the curve at 200 recalls", float(np.mean(scores)), area, 0.95),
        _share("helpful: ever retired as harmful", lived.as_harmful[:, -1, HELPFUL], 0.05),
        _share("useless: ever retired as harmful", lived.as_harmful[:, -1, USELESS], 0.05),
        _share(
            "harmful: retired by 200 recalls",
            np.asarray(early[..., HARMFUL].any(axis=1)),
            0.9,
            True,
        ),
        _share("two that teach one rule: one at least is left", np.asarray(left)),
        _share("two that contradict each other: one at least is left", np.asarray(alone)),
        _share("two that contradict each other: parted in the end", np.asarray(parted)),
        _share("two halves of one rule: one of them ever retired", np.asarray(halves)),
        _share("helpful: kept out of serving, of all sweeps", lived.kept_out[:, :, HELPFUL]),
        *_drift(lived),
    ]


def _areas(lived: Lived) -> list[float]:
    """Area under the curve of helpful against useless and harmful units, one a run."""
    episodes = lived.episodes
    sample = by_unit(episodes, episodes.eligible, _THEN)
    runs = len(episodes.success)
    means = sample.mean.reshape(runs, -1)
    variances = (sample.variance / np.maximum(sample.n, 1)).reshape(runs, -1)
    areas = []
    for mean, variance in zip(means, variances, strict=True):
        worth, _ = shrink(mean, variance)
        others = np.concatenate([worth[USELESS], worth[HARMFUL]])
        ahead = worth[HELPFUL][:, None] - others
        areas.append(float((ahead > 0).mean() + (ahead == 0).mean() / 2))
    return areas


def _drift(lived: Lived) -> list[Figure]:
    """How soon a unit that turned harmful in the middle is kept out of serving."""
    middle = lived.recalls.shape[1] // 2
    since = lived.recalls[:, middle:, DRIFTER] - lived.recalls[:, middle - 1, None, DRIFTER]
    out = lived.kept_out[:, middle:, DRIFTER] & (since <= _THEN)
    caught = np.asarray(out.any(axis=1))
    recalls = np.where(caught, since[np.arange(len(out)), out.argmax(axis=1)], np.inf)
    return [
        _share("turned harmful: kept out 200 recalls later", caught),
        _quantile("turned harmful: recalls until kept out, median", recalls, 0.5),
    ]


def _share(
    name: str, happened: NDArray[np.bool_], target: float | None = None, at_least: bool = False
) -> Figure:
    count, n = int(happened.sum()), happened.size
    return Figure(name, count / n, wilson(count, n), target, at_least)


def _quantile(name: str, values: NDArray[np.float64], share: float) -> Figure:
    """A quantile with the order statistics that bound it; infinite where it was never reached."""
    ordered, n = np.sort(values), len(values)
    spread = 1.96 * math.sqrt(n * share * (1 - share))
    places = [math.ceil(n * share), math.floor(n * share - spread), math.ceil(n * share + spread)]
    value, low, high = (float(ordered[min(max(p, 1), n) - 1]) for p in places)
    return Figure(name, value, Interval(low, high))


def _binary(
    runs: int, n: int, propensity: float, base: float, effect: float, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    shown = rng.random((runs, n)) < propensity
    return shown, (rng.random((runs, n)) < base + effect * shown).astype(np.float64)


def coverage(runs: int, rng: np.random.Generator) -> list[Figure]:
    """How often an interval misses the effect at any of 1,000 looks; and how wide it is at 200."""
    figures = []
    for propensity, base, effect in _CELLS:
        shown, success = _binary(runs, _LOOKS, propensity, base, effect, rng)
        sample = difference(shown, propensity, success)
        enough = math.log(2 / 0.05)
        above = log_wealth(sample, effect).max(axis=1) >= enough
        below = log_wealth(sample.mirrored, -effect).max(axis=1) >= enough
        name = f"shown {propensity:.2f}, base {base:.1f}, effect {effect:+.1f}"
        figures.append(_share(f"{name}: ever missed", above | below, 0.05))
        few = zip(shown[:20, :_SHORT], success[:20, :_SHORT], strict=True)
        ends = [interval(difference(a, propensity, y)) for a, y in few]
        widths = [high - low for low, high in ends]
        spread = mean_interval(widths) or Interval(0.0, 2.0)
        figures.append(Figure(f"{name}: width at 200", float(np.mean(widths)), spread))
    return figures


def bank(runs: int, rng: np.random.Generator, most: int = 6_000) -> list[Figure]:
    """Episodes after which a bank that gives 10 points, withheld in .15 of them, is known to help."""
    shown, success = _binary(runs, most, 0.85, 0.4, 0.1, rng)
    sample = difference(shown, 0.85, success)
    known = log_wealth(sample) >= math.log(2 / 0.05)
    first = np.where(known.any(axis=1), known.argmax(axis=1) + 1.0, np.inf)
    half = [needed(difference(a[:300], 0.85, y[:300])) for a, y in zip(shown, success, strict=True)]
    return [
        _quantile("episodes for 50 % power", first, 0.5),
        _quantile("episodes for 80 % power", first, 0.8),
        _quantile("'needs about N more' after 300 episodes, median", np.array(half, float), 0.5),
    ]


def _table(title: str, figures: Sequence[Figure]) -> str:
    lines = [title]
    for figure in figures:
        low, high = figure.interval
        digits = 0 if figure.value > 2 else 3
        told = f"{figure.value:9.{digits}f}  [{low:.{digits}f}, {high:.{digits}f}]"
        if figure.target is not None:
            sign = ">=" if figure.at_least else "<="
            told += f"  must be {sign} {figure.target:g}: {'met' if figure.met else 'MISSED'}"
        lines.append(f"  {figure.name:<56}{told}")
    return "\n".join(lines)


def main() -> None:
    """Print the tables; the exit status is 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=100, help="of planted memories; times 4 else")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    parts = {
        f"Planted memories, {given.runs} runs of 16 units": planted(given.runs, rng),
        f"Intervals at level .95, {4 * given.runs} runs": coverage(4 * given.runs, rng),
        f"A bank that gives 10 points, {4 * given.runs} runs": bank(4 * given.runs, rng),
    }
    print("\n\n".join(_table(title, figures) for title, figures in parts.items()))
    sys.exit(any(f.met is False for figures in parts.values() for f in figures))


if __name__ == "__main__":
    main()
