"""What is counted, in Prometheus' text format."""

from __future__ import annotations

import re

from prometheus_client import REGISTRY

from chatapp.metrics import Metrics


def lines(metrics: Metrics) -> list[str]:
    return metrics.text().decode("utf-8").splitlines()


def test_what_happened_is_counted_by_kind_and_code() -> None:
    metrics = Metrics()
    for kind in ("message", "message", "edit"):
        metrics.entries.count(kind)
    metrics.refusals.count("not_in_room")
    metrics.ends.count("ping timeout")
    metrics.handovers.count("sent")
    metrics.trimmed.inc(7)
    assert {
        'chatapp_entries_total{kind="message"} 2.0',
        'chatapp_entries_total{kind="edit"} 1.0',
        'chatapp_refusals_total{code="not_in_room"} 1.0',
        'chatapp_ends_total{why="ping timeout"} 1.0',
        'chatapp_handed_over_total{outcome="sent"} 1.0',
        "chatapp_trimmed_entries_total 7.0",
    } <= set(lines(metrics))


def test_a_commit_counts_its_jobs_and_its_seconds() -> None:
    metrics = Metrics()
    metrics.observe_commit(3, 0.004)
    metrics.observe_commit(200, 0.2)
    assert {
        "chatapp_commit_jobs_sum 203.0",
        "chatapp_commit_jobs_count 2.0",
        'chatapp_commit_jobs_bucket{le="5.0"} 1.0',
        'chatapp_commit_jobs_bucket{le="200.0"} 2.0',
        "chatapp_commit_seconds_count 2.0",
        'chatapp_commit_seconds_bucket{le="0.005"} 1.0',
        'chatapp_commit_seconds_bucket{le="0.5"} 2.0',
    } <= set(lines(metrics))


def test_a_gauge_is_read_when_it_is_asked_for() -> None:
    metrics, waiting = Metrics(), [1, 2, 3]
    metrics.gauge("chatapp_waiting", "What waits", lambda: len(waiting))
    assert "chatapp_waiting 3.0" in lines(metrics)
    waiting.pop()
    assert "chatapp_waiting 2.0" in lines(metrics)
    assert "# HELP chatapp_waiting What waits" in lines(metrics)


def test_a_worker_says_whose_figures_these_are() -> None:
    metrics = Metrics()
    metrics.name_worker("0123abcd", 42)
    assert 'chatapp_worker_info{pid="42",worker="0123abcd"} 1.0' in lines(metrics)


def test_what_the_bus_carries_is_counted() -> None:
    metrics = Metrics()
    metrics.bus.published, metrics.bus.received, metrics.bus.links = 3, 5, 2
    metrics.bus.dropped["overflow"] += 1
    assert {
        "chatapp_bus_published_total 3.0",
        "chatapp_bus_received_total 5.0",
        'chatapp_bus_dropped_total{why="overflow"} 1.0',
        "chatapp_bus_links 2.0",
    } <= set(lines(metrics))


def test_each_server_has_metrics_of_its_own_and_none_in_the_hosts_registry() -> None:
    first, second = Metrics(), Metrics()
    first.trimmed.inc()
    assert "chatapp_trimmed_entries_total 0.0" in lines(second)
    assert not [family.name for family in REGISTRY.collect() if family.name.startswith("chatapp")]


def test_every_figure_says_what_it_is() -> None:
    metrics = Metrics()
    metrics.gauge("chatapp_connections", "Clients connected", lambda: 0)
    named = {match[1] for line in lines(metrics) if (match := re.match(r"# TYPE (\S+)", line))}
    explained = {match[1] for line in lines(metrics) if (match := re.match(r"# HELP (\S+) \S", line))}
    assert named == explained
    assert "chatapp_connections" in named
