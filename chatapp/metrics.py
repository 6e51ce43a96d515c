"""What is counted, for Prometheus: ``/chat/metrics`` when ``[web] metrics = yes``."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector


class Tally(Collector):
    """Counts what happens in the event loop, by one label. prometheus-client's own counter takes a lock,
    and 2 µs, for each."""

    def __init__(self, name: str, text: str, label: str) -> None:
        self._name, self._text, self._label = name, text, label
        self._counts: collections.Counter[str] = collections.Counter()

    def count(self, value: str) -> None:
        """Count one."""
        self._counts[value] += 1

    def collect(self) -> Iterable[Metric]:
        """See prometheus-client."""
        family = CounterMetricFamily(self._name, self._text, labels=[self._label])
        for value, count in list(self._counts.items()):
            family.add_metric([value], count)
        yield family


class BusCounts(Collector):
    """What a bus between workers counts, as plain numbers."""

    def __init__(self) -> None:
        #: Payloads that this worker gave to the bus, and those that others' buses gave to it.
        self.published = 0
        self.received = 0
        #: What was thrown away, by reason: payloads, or links with all that waited for them.
        self.dropped: collections.Counter[str] = collections.Counter()
        #: Workers of this host that hear this one; with Redis: connections to it, two if all is well.
        self.links = 0

    def count_malformed(self) -> None:
        """Count a message that is none of those it should be."""
        self.dropped["malformed"] += 1

    def collect(self) -> Iterable[Metric]:
        """See prometheus-client."""
        yield CounterMetricFamily("chatapp_bus_published", "Payloads given to the bus", self.published)
        yield CounterMetricFamily("chatapp_bus_received", "Payloads that came by the bus", self.received)
        dropped = CounterMetricFamily("chatapp_bus_dropped", "What the bus dropped", labels=["why"])
        for why, count in list(self.dropped.items()):
            dropped.add_metric([why], count)
        yield dropped
        yield GaugeMetricFamily("chatapp_bus_links", "Links of the bus that stand", self.links)


class Metrics:
    """One registry per chat server, apart from the host site's own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.entries = self._tally("chatapp_entries", "Entries committed to the logs", "kind")
        self.refusals = self._tally("chatapp_refusals", "Requests refused, by code", "code")
        self.sessions = self._tally(
            "chatapp_sessions", "Sessions opened, by the version of Engine.IO's protocol", "protocol"
        )
        self.ends = self._tally("chatapp_ends", "Connections that ended or were not let in, by reason", "why")
        self.handovers = self._tally(
            "chatapp_handed_over",
            "Requests of sessions that another worker has: handed to it, received, or not to be had (dead)",
            "outcome",
        )
        self._worker = Info("chatapp_worker", "The process that answers", registry=self.registry)
        self.bus = BusCounts()
        self.registry.register(self.bus)
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

    def _tally(self, name: str, text: str, label: str) -> Tally:
        tally = Tally(name, text, label)
        self.registry.register(tally)
        return tally

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a value that is read when it is asked for."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def name_worker(self, worker_id: str, pid: int) -> None:
        """Say whose figures these are: each worker has its own."""
        self._worker.info({"worker": worker_id, "pid": str(pid)})

    def observe_commit(self, jobs: int, seconds: float) -> None:
        """Count one transaction."""
        self.batch_size.observe(jobs)
        self.commit_seconds.observe(seconds)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)
