"""What is counted, for Prometheus: ``/chat/metrics`` when ``[web] metrics = yes``."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """One registry per chat server, apart from the host site's own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.entries = Counter(
            "chatapp_entries", "Entries committed to the logs", ["kind"], registry=self.registry
        )
        self.refusals = Counter(
            "chatapp_refusals", "Requests refused, by code", ["code"], registry=self.registry
        )
        self.ends = Counter(
            "chatapp_ends",
            "Connections that ended or were not let in, by reason",
            ["why"],
            registry=self.registry,
        )
        self.batch_size = Histogram(
            "chatapp_commit_jobs",
            "Jobs in one transaction",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
            registry=self.registry,
        )
        self.commit_seconds = Histogram(
            "chatapp_commit_seconds",
            "Seconds that one transaction took",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5),
            registry=self.registry,
        )
        self.trimmed = Counter(
            "chatapp_trimmed_entries", "Entries deleted by the retention", registry=self.registry
        )

    def count_end(self, why: str) -> None:
        """Count a connection that ended, or was not let in."""
        self.ends.labels(why).inc()

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a value that is read when it is asked for."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def observe_commit(self, jobs: int, seconds: float) -> None:
        """Count one transaction."""
        self.batch_size.observe(jobs)
        self.commit_seconds.observe(seconds)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)
