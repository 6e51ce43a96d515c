"""What several workers cost more than one, for the same deliveries."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator

from benchmarks.bounds.trial import Figure, Trial
from benchmarks.contenders import chatapp
from benchmarks.crowd import Crowd
from benchmarks.loads import LOADS
from benchmarks.measure import keep_up, rehearse

#: Together they do what is measured on one core, so that both have the same.
WORKERS = (1, 2)
MOST_TIMES = 1.25
#: In small rooms what a message costs once weighs more, and each worker pays it: no bound is held there.
BOUND = ("hundreds", "hall")
NO_BOUND = ("fives",)


def figures(trial: Trial) -> Iterator[Figure]:
    """Yield the CPU of a delivery with one worker and with two, and how many times it is."""
    for name in (*BOUND, *NO_BOUND):
        title = f"{LOADS[name].title}, each message committed"
        turns = [[_deliver(trial, name, workers) for workers in WORKERS] for _ in range(trial.rounds)]
        one, two = (statistics.median(costs) for costs in zip(*turns, strict=True))
        yield Figure(f"{title}, one worker", one, "µs of CPU a delivery")
        yield Figure(f"{title}, two workers", two, "µs of CPU a delivery")
        yield Figure(
            f"{title}, two workers", two / one, "times", at_most=MOST_TIMES if name in BOUND else None
        )


def _deliver(trial: Trial, name: str, workers: int) -> float:
    load = LOADS[name]
    running = chatapp(f"{workers} workers", trial.tree, workers=workers).running(trial.cores, stores=True)
    with running as (server, _), contextlib.closing(Crowd()) as crowd:
        rehearse(server)
        crowd.join_all(server.port, load.rooms_of_all(), "user")
        tally, cpu_seconds = keep_up(load, crowd, server, trial.course)
        return cpu_seconds / tally.deliveries * 1e6
