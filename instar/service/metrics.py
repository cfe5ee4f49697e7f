"""What the service counts, for Prometheus.

Labels are of few values: routes, not addresses; never a session, an agent or a subject.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.registry import Collector

__all__ = ["Metrics"]

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 10)
_ITEMS = (0, 1, 2, 4, 8, 16)


class Metrics:
    """Counters of one service; each has its own, so that two in a process do not mix."""

    def __init__(self) -> None:
        own = CollectorRegistry()
        ProcessCollector(registry=own)
        PlatformCollector(registry=own)
        GCCollector(registry=own)
        self._registry = own
        self._requests = Counter(
            "instar_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=own,
        )
        self._seconds = Histogram(
            "instar_request_seconds",
            "From the head of a request to the end of its answer.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=own,
        )
        self._recall = Histogram(
            "instar_recall_seconds",
            "What choosing memories takes.",
            buckets=_SECONDS,
            registry=own,
        )
        self._items = Histogram(
            "instar_recalled_items",
            "Memories that a recall finds; those of le=0 were empty.",
            ["shadow"],
            buckets=_ITEMS,
            registry=own,
        )
        self._sessions = Counter("instar_sessions", "Sessions begun.", ["shadow"], registry=own)
        self._tokens = Counter(
            "instar_reported_tokens", "Tokens that agents reported.", ["kind"], registry=own
        )
        self._outcomes = Counter(
            "instar_outcomes",
            "Outcomes taken down; one that corrects another counts again.",
            ["status", "source"],
            registry=own,
        )

    def add(self, collector: Collector) -> None:
        """Tell these counts too."""
        self._registry.register(collector)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """An answered request.

        Args:
            route: As it is declared, with its parameters unfilled.
        """
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)

    def began(self, shadow: bool) -> None:
        """A session."""
        self._sessions.labels(_yes(shadow)).inc()

    @contextmanager
    def recalling(self) -> Iterator[None]:
        """A recall, while it lasts."""
        with self._recall.time():
            yield

    def recalled(self, number: int, shadow: bool) -> None:
        """How many memories it found."""
        self._items.labels(_yes(shadow)).observe(number)

    def reported(self, prompt: int, completion: int) -> None:
        """Tokens that an agent says it used."""
        self._tokens.labels("prompt").inc(prompt)
        self._tokens.labels("completion").inc(completion)

    def outcome(self, status: str, source: str) -> None:
        """How a session went."""
        self._outcomes.labels(status, source).inc()

    def text(self) -> str:
        """All of it as Prometheus reads it."""
        return generate_latest(self._registry).decode()


def _yes(flag: bool) -> str:
    return str(flag).lower()
