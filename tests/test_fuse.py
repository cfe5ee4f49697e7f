"""Rank fusion."""

from __future__ import annotations

import pytest

from memory._fuse import fuse


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
