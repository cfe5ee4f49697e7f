"""Do the intervals that we print hold what they promise, at the sizes that we really use?

2,000 simulated experiments each. Wilson's interval of an arm, Newcombe's of a paired difference,
clusters of repeated attempts, and the t interval over a handful of whole runs.
"""

import random

import pytest

from instar.stats import mean_interval, paired, wilson

RUNS = 2_000
pytestmark = pytest.mark.soak


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("n", [60, 100])
def test_an_arm(n, rate):
    rng = random.Random(f"{n} {rate}")
    covered = 0
    for _ in range(RUNS):
        low, high = wilson(sum(rng.random() < rate for _ in range(n)), n)
        covered += low <= rate <= high
    assert 0.93 <= covered / RUNS <= 0.98


@pytest.mark.parametrize(("gain", "loss"), [(0.05, 0.05), (0.4, 0.02), (0.1, 0.0)])
@pytest.mark.parametrize("n", [60, 100])
def test_a_paired_difference(n, gain, loss):
    rng = random.Random(f"{n} {gain} {loss}")
    covered = 0
    for _ in range(RUNS):
        kinds = rng.choices(
            ((0, 1), (1, 0), (0, 0), (1, 1)), (gain, loss, 0.5, 0.5 - gain - loss), k=n
        )
        found = paired([a for a, _ in kinds], [b for _, b in kinds])
        covered += found.interval.low <= gain - loss <= found.interval.high
    assert 0.93 <= covered / RUNS <= 0.995


@pytest.mark.parametrize(("tasks", "attempts"), [(20, 3), (60, 3), (100, 2)])
def test_repeated_attempts_at_tasks(tasks, attempts):
    rng = random.Random(f"{tasks} {attempts}")
    covered = 0
    for run in range(RUNS):
        values, labels = [], []
        for task in range(tasks):
            rate = rng.betavariate(0.6, 0.6)
            values += [float(rng.random() < rate) for _ in range(attempts)]
            labels += [task] * attempts
        found = mean_interval(values, labels, seed=run)
        covered += found.low <= 0.5 <= found.high
    assert 0.92 <= covered / RUNS <= 0.98


@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_whole_runs_paired_by_seed(seeds):
    rng = random.Random(seeds)
    covered = 0
    for _ in range(RUNS):
        houses = [rng.gauss(0.5, 0.15) for _ in range(seeds)]
        a = [h + rng.gauss(0, 0.05) for h in houses]
        b = [h + 0.1 + rng.gauss(0, 0.05) for h in houses]
        found = paired(a, b, clusters=range(seeds))
        covered += found.interval.low <= 0.1 <= found.interval.high
    assert 0.93 <= covered / RUNS <= 0.97
