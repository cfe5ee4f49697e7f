"""Success over repeated attempts at one task: once in k, and every time of k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb
from statistics import fmean

__all__ = ["attempts_figures", "pass_all_k", "pass_at_k"]


def pass_at_k(n: int, successes: int, k: int) -> float:
    """Chance that at least one of k attempts succeeds, estimated without bias from n (Chen et al. 2021).

    Raises:
        ValueError: k is not between 1 and n.
    """
    _check(n, successes, k)
    return 1 - comb(n - successes, k) / comb(n, k)


def pass_all_k(n: int, successes: int, k: int) -> float:
    """Chance that all of k attempts succeed, written pass^k, estimated from n (Yao et al. 2024).

    Raises:
        ValueError: k is not between 1 and n.
    """
    _check(n, successes, k)
    return comb(successes, k) / comb(n, k)


def _check(n: int, successes: int, k: int) -> None:
    if not 1 <= k <= n or not 0 <= successes <= n:
        raise ValueError(f"no estimate for k={k} from {successes} successes in {n} attempts")


def attempts_figures(by_task: Mapping[str, Sequence[bool]]) -> dict[str, dict[str, float]]:
    """Means over tasks of both estimates, for every k that all tasks have attempts for.

    Args:
        by_task: Whether each known attempt at a task succeeded.

    Returns:
        ``pass_at`` and ``pass_all`` by k as text; empty where no task has two attempts.
    """
    most = min((len(v) for v in by_task.values()), default=0)
    if most < 2:
        return {}
    counts = [(len(v), sum(v)) for v in by_task.values()]
    ks = range(1, most + 1)
    return {
        "pass_at": {str(k): fmean(pass_at_k(n, c, k) for n, c in counts) for k in ks},
        "pass_all": {str(k): fmean(pass_all_k(n, c, k) for n, c in counts) for k in ks},
    }
