"""How often the gate is right: promotions and rejections of candidates whose worth is known.

    python -m benchmarks.studies.gate [--runs 100] [--seed 2000] [--test spending]

Pairs of episodes are drawn, and `finetune.gate` decides on them, as it does in a workspace, with each of
the ways to look at them that `finetune.stopping` has. In the first table each line is a candidate and
a size. In the second, workspaces of 30 turns meet three candidates a turn, of which some are better,
some the same and some worse; the gates of a turn share tasks and the active side, as they really do.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import NamedTuple

from finetune.gate import GateConfig, Pair, Test, Verdict, weigh
from finetune.lifetime import allowance
from finetune.stopping import at_look, enough, looks
from instar.stats import wilson

__all__ = ["CANDIDATES", "Candidate", "Rates", "life", "main", "measure", "pairs"]

_BASE, _AGREE, _GROUPS = 0.5, 0.6, 10
_TESTS: dict[Test, int] = {"once": 1, "spending": 4, "betting": 12}
"""How often each looks."""
_SIZES, _ENOUGH, _LIVED = (60, 320), (320,), 120
_MOULTED = (60, 180)
"""Pairs of any candidate with the usual settings, and of one that sheds memories."""
_TURNS, _SPREAD = 30, (0.2, 0.0, 0.0, -0.1)


class Candidate(NamedTuple):
    """What is true of a candidate.

    Attributes:
        gain: Of clean success.
        saving: Share of tokens and steps that it saves.
        lost: Whether it fails in all of one of ten groups, beside its gain.
        agree: Share of tasks in which both halves go by the same draw.
        sizes: Pairs at most that it is tried with.
    """

    name: str
    gain: float = 0.0
    saving: float = 0.0
    lost: bool = False
    agree: float = _AGREE
    sizes: tuple[int, ...] = _SIZES


CANDIDATES = (
    Candidate("10 points better", 0.1),
    Candidate("30 points better", 0.3),
    Candidate("the same", 0.0),
    Candidate("the same, 10 % fewer tokens and steps", 0.0, 0.1, sizes=_ENOUGH),
    Candidate("the same but in 1 of 20 tasks, 25 % fewer", 0.0, 0.25, agree=0.9, sizes=_MOULTED),
    Candidate("5 points worse, else as that", -0.05, 0.25, agree=0.9, sizes=_MOULTED),
    Candidate("5 points worse", -0.05),
    Candidate("5 points worse, 30 % fewer tokens and steps", -0.05, 0.3, sizes=_ENOUGH),
    Candidate("10 points worse", -0.1),
    Candidate("30 points better, one group of ten lost", 0.3, 0.0, True),
)


class Rates(NamedTuple):
    """How a kind of candidate fared at the gate."""

    runs: int
    promoted: int
    rejected: int
    pairs: float


def pairs(candidate: Candidate, n: int, rng: random.Random) -> list[Pair]:
    """So many pairs of a candidate and an active generation that succeeds in half of the tasks.

    In six of ten tasks, if the candidate says nothing else, both halves go by the same draw, so that
    they differ only by what is true.
    """
    return [_pair(candidate, str(i), i % _GROUPS, _Draw.of(rng), rng) for i in range(n)]


class _Draw(NamedTuple):
    """What a task is like for the active generation."""

    luck: float
    shared: float
    size: float
    steps: float

    @classmethod
    def of(cls, rng: random.Random) -> _Draw:
        return cls(rng.random(), rng.random(), rng.gauss(1.0, 0.2), rng.gauss(6.0, 1.5))


def _pair(candidate: Candidate, task: str, group: int, draw: _Draw, rng: random.Random) -> Pair:
    luck = draw.luck if draw.shared < candidate.agree else rng.random()
    rate = 0.0 if candidate.lost and group == 0 else _BASE + candidate.gain
    left, noise = 1 - candidate.saving, rng.gauss(1.0, 0.15)
    tokens = 1000 * max(0.1, draw.size)
    steps = max(1, round(draw.steps)), max(1, round(draw.steps * left * noise))
    found = Pair(task, f"g{group}", float(draw.luck < _BASE), float(luck < rate))
    if not candidate.saving:
        return found  # what saves nothing is decided by its success alone, and much sooner
    return found._replace(tokens=(tokens, max(50.0, tokens * left * noise)), steps=steps)


def _decided(drawn: Sequence[Pair], config: GateConfig) -> tuple[Verdict, int]:
    """The verdict where measuring stopped, and after how many pairs."""
    total, before = len(drawn), 0
    for now in looks(total, _TESTS[config.test]):
        if enough(drawn[:now], before, total, config):
            return weigh(drawn[:now], at_look(config, before, now, total)), now
        before = now
    raise AssertionError("the last look is enough")


def measure(candidate: Candidate, n: int, config: GateConfig, runs: int, seed: int) -> Rates:
    """Let a candidate come to the gate many times.

    Args:
        candidate: What is true of it.
        n: Pairs at most.
        config: Of the gate.
        runs: How often.
        seed: Of the first run; each has the next one.
    """
    counts: Counter[str] = Counter()
    used = []
    for run in range(runs):
        verdict, spent = _decided(pairs(candidate, n, random.Random(seed + run)), config)
        counts[verdict.decision] += 1
        used.append(spent)
    return Rates(runs, counts["promote"], counts["reject"], fmean(used))


def life(turns: int, n: int, config: GateConfig, rate: float, rng: random.Random) -> list[bool]:
    """The promotions of one workspace, true ones as True; a false one is no better than what it replaced.

    The candidate is measured against the better of what came before in its turn, on the same tasks,
    and the episodes of that one are not run again.
    """
    decided: list[bool] = []
    found = []
    for _ in range(turns):
        draws = [_Draw.of(rng) for _ in range(n)]
        winner, gained = [float(d.luck < _BASE) for d in draws], 0.0
        for _ in range(3):
            gain = rng.choice(_SPREAD)
            drawn = [
                _pair(Candidate("", gained + gain), str(i), 0, d, rng)._replace(active=before)
                for i, (d, before) in enumerate(zip(draws, winner, strict=True))
            ]
            alpha = allowance(decided, rate)
            verdict, _ = _decided(drawn, config.model_copy(update={"alpha": alpha}))
            decided.append(verdict.decision == "promote")
            if decided[-1]:
                found.append(gain > 0)
                # It is the next one's yardstick, as lucky as it was.
                winner, gained = [p.candidate or 0.0 for p in drawn], gained + gain
    return found


def _rows(runs: int, seed: int, tests: Sequence[Test]) -> Iterator[str]:
    for n in sorted({n for candidate in CANDIDATES for n in candidate.sizes}):
        for test in tests:
            config = GateConfig(test=test)
            for candidate in (one for one in CANDIDATES if n in one.sizes):
                found = measure(candidate, n, config, runs, seed)
                yield (
                    f"| {candidate.name} | {n} | {test} | {_share(found.promoted, runs)} "
                    f"| {_share(found.rejected, runs)} | {found.pairs:.0f} |"
                )


def _share(count: int, n: int) -> str:
    low, high = wilson(count, n)
    return f"{100 * count / n:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"


def _lives(runs: int, seed: int, rate: float, tests: Sequence[Test]) -> Iterator[str]:
    for test in tests:
        config = GateConfig(test=test)
        lives = [
            life(_TURNS, _LIVED, config, rate, random.Random(seed + run)) for run in range(runs)
        ]  # fmt: skip
        false = fmean([found.count(False) / len(found) if found else 0.0 for found in lives])
        mean = fmean([len(found) for found in lives])
        yield f"| {test} | {runs} | {mean:.1f} | {100 * false:.1f} % |"


def main(args: Sequence[str] | None = None) -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--lives", type=int, default=20)
    parser.add_argument("--seed", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--test", choices=_TESTS, action="append", help="only this one")
    given = parser.parse_args(args)
    tests: list[Test] = given.test or list(_TESTS)
    if min(given.runs, given.lives) < 1:
        parser.error("at least 1 run and 1 life")
    print("| truly | pairs at most | test | promoted | rejected | pairs used |")
    print("|---|---|---|---|---|---|")
    for row in _rows(given.runs, given.seed, tests):
        print(row, flush=True)
    print("\n| test | workspaces | promotions in 30 turns | of these false |\n|---|---|---|---|")
    for row in _lives(given.lives, given.seed, given.rate, tests):
        print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
