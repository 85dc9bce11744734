"""Prometheus metrics that every service has, each service on its own registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from queen import __version__
from queen.serving.edge.calls import WHYS
from queen.serving.logging import dropped_lines

BUCKETS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075),
    *(0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
"""Buckets in seconds: those of OpenTelemetry's rpc.server.call.duration, and two smaller ones."""
STAGE_BUCKETS = (0.00005, 0.0001, 0.00025, 0.0005, *BUCKETS[:12])
"""Buckets in seconds: a stage is a part of a call, so its buckets start lower."""

disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """A registry with the usual gRPC metrics, on which a service makes its own metrics, too."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        labels = ("grpc_service", "grpc_method")
        self.calls = self.counter(
            "grpc_server_handled_total", "Calls that ended, by code.", (*labels, "grpc_code")
        )
        self.call_seconds = self.histogram(
            "grpc_server_handling_seconds", "Time from a call's arrival to its answer.", labels
        )
        self._loads = self.counter(
            "config_load_total", "Loads of a followed file, by outcome.", ("file", "result")
        )
        self._ages = self.gauge(
            "queen_config_age_seconds",
            "Time since the content in force was last seen in its file.",
            ("file",),
        )
        self._contents = self.gauge(
            "queen_config_info", "Always 1; says which content is in force.", ("file", "sha256")
        )
        self.registry.register(_DroppedLines())
        self.dropped = self.labeled(
            "queen_calls_dropped_total", "Calls that the edge refused or dropped.", "reason", WHYS
        )
        self.calls_in_work = self.gauge(
            "queen_calls_in_work", "Calls that are read, worked on or answered, of all ports."
        )
        self.bytes_in_flight = self.gauge(
            "queen_bytes_in_flight", "Bytes of messages in work and of unread answers."
        )
        self.unknown_methods = self.counter(
            "queen_unknown_methods_total", "Calls of methods that do not exist."
        )
        build = self.gauge("queen_build_info", "Always 1; says which build.", ("version",))
        build.labels(__version__).set(1)

    def config_followed(self, file: str, age_seconds: Callable[[], float]) -> None:
        """Publish a followed file: its loads, made in advance, and the age of its content."""
        for result in ("success", "failure"):
            self._loads.labels(file, result)
        self._ages.labels(file).set_function(age_seconds)

    def config_loaded(self, file: str, *, ok: bool) -> None:
        """Count a load of a followed file."""
        self._loads.labels(file, "success" if ok else "failure").inc()

    def config_in_force(self, file: str, sha256: str, before: str) -> None:
        """Publish the digest of the content in force in place of the one `before`, if any."""
        if before:
            self._contents.remove(file, before)
        self._contents.labels(file, sha256).set(1)

    def counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        """A counter on this registry."""
        return Counter(name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        """A gauge on this registry."""
        return Gauge(name, text, labels, registry=self.registry)

    def histogram(
        self,
        name: str,
        text: str,
        labels: tuple[str, ...] = (),
        buckets: tuple[float, ...] = BUCKETS,
    ) -> Histogram:
        """A histogram on this registry."""
        return Histogram(name, text, labels, registry=self.registry, buckets=buckets)

    def stages(self, *names: str) -> dict[str, Histogram]:
        """`queen_stage_seconds{stage}`, its series made in advance, by stage."""
        family = self.histogram(
            "queen_stage_seconds", "Time in a stage.", ("stage",), STAGE_BUCKETS
        )
        return {name: family.labels(name) for name in names}

    def labeled(
        self, name: str, text: str, label: str, values: tuple[str, ...]
    ) -> dict[str, Counter]:
        """A counter with a label, as its series by label value, all made in advance."""
        family = self.counter(name, text, (label,))
        return {value: family.labels(value) for value in values}


class _DroppedLines(Collector):
    """Log lines that were not written: the logs are the process's, not the registry's."""

    def collect(self) -> Iterable[CounterMetricFamily]:
        """`queen_log_lines_dropped_total{reason}`."""
        family = CounterMetricFamily(
            "queen_log_lines_dropped_total", "Log lines that were not written.", labels=("reason",)
        )
        for reason, count in dropped_lines().items():
            family.add_metric((reason,), count)
        yield family
