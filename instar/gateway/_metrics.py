"""The counts of a gateway, for Prometheus."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from instar.gateway.counts import Counts

__all__ = ["Exposed"]


class Exposed(Collector):
    """Counts as one family, read when it is asked for; their names are its only label."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """The family."""
        family = CounterMetricFamily(
            "instar_gateway_events",
            "What became of the requests to the gateway, as GET /v1/gateway counts it.",
            labels=["event"],
        )
        for name, value in dataclasses.asdict(self._counts).items():
            if isinstance(value, int):
                family.add_metric([name], value)
        yield family
