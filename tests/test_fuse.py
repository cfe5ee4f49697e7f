"""Rank fusion and diversity."""

from __future__ import annotations

import numpy as np
import pytest

from memory._fuse import diverse, fuse


def test_a_row_gets_from_each_ranking_what_its_place_is_worth() -> None:
    fused = fuse([(7, 0.9), (3, 0.8)], [(3, 0.4), (5, 0.2)])
    assert [row for row, _ in fused] == [3, 7, 5]
    assert dict(fused) == pytest.approx({3: 1 / 62 + 1 / 61, 7: 1 / 61, 5: 1 / 62})
    assert dict(fuse([(1, 0.9)], [(1, 0.1)], k=0)) == {1: 2.0}


def test_only_the_order_counts_and_of_equals_the_dense_comes_first() -> None:
    assert fuse([(1, 0.9), (2, 0.1)], []) == fuse([(1, 5.0), (2, 4.0)], [])
    assert [row for row, _ in fuse([(9, 0.1)], [(2, 99.0)])] == [9, 2]
    assert fuse([], []) == []
    assert [row for row, _ in fuse([], [(4, 1.0), (1, 0.5)])] == [4, 1]


def test_a_row_named_twice_counts_once() -> None:
    assert fuse([(1, 0.9), (1, 0.8), (2, 0.7)], []) == fuse([(1, 0.9), (2, 0.7)], [])


def unit(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_what_was_said_already_comes_after_something_else() -> None:
    hits = [(10, 0.9), (11, 0.89), (12, 0.6)]
    vectors = unit(0, 2, 80)
    assert [row for row, _ in diverse(hits, vectors, 2, lam=0.5)] == [10, 12]
    assert [row for row, _ in diverse(hits, vectors, 2, lam=1.0)] == [10, 11]
    assert diverse(hits, vectors, 9, lam=0.5) == [(10, 0.9), (12, 0.6), (11, 0.89)]


def test_small_scores_weigh_as_much_as_great_ones() -> None:
    vectors = unit(0, 5, 40, 90)
    scores = [0.9, 0.85, 0.6, 0.3]
    for factor in (1.0, 1 / 50):
        hits = [(row, s * factor) for row, s in enumerate(scores)]
        assert [row for row, _ in diverse(hits, vectors, 3, lam=0.5)] == [0, 3, 1]


def test_of_equals_the_first_is_taken() -> None:
    hits = [(row, 0.5) for row in (4, 2, 8)]
    assert [row for row, _ in diverse(hits, unit(30, 30, 30), 3)] == [4, 2, 8]


def test_its_choice_is_that_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((30, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = np.sort(rng.random(30))[::-1] / 2
    taken: list[int] = []
    while len(taken) < 10:
        rest = [i for i in range(30) if i not in taken]

        def worth(i: int) -> float:
            like = max((float(vectors[i] @ vectors[j]) for j in taken), default=0.0)
            return 0.6 * float(scores[i] / scores[0]) - 0.4 * like

        taken.append(max(rest, key=worth))
    hits = [(row, float(score)) for row, score in enumerate(scores)]
    assert [row for row, _ in diverse(hits, vectors, 10, lam=0.6)] == taken


def test_nothing_gives_nothing_and_wrong_input_is_refused() -> None:
    assert diverse([], np.zeros((0, 2), dtype=np.float32), 3) == []
    assert diverse([(1, 0.5)], unit(0), 0) == []
    assert diverse([(1, 0.0)], unit(0), 1) == [(1, 0.0)]
    with pytest.raises(ValueError, match="between 0 and 1"):
        diverse([(1, 0.5)], unit(0), 1, lam=1.5)
    with pytest.raises(ValueError, match="1 hits have 2 vectors"):
        diverse([(1, 0.5)], unit(0, 1), 1)
