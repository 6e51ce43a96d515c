"""What several workers cost more than one, for the same deliveries."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.bounds.trial import Figure, Trial
from benchmarks.contenders import chatapp
from benchmarks.crowd import Crowd
from benchmarks.loads import LOADS, Load
from benchmarks.measure import rehearse
from benchmarks.processes import BenchmarkError, Server
from benchmarks.traffic import Paced

#: Together they do what is measured on one core, so that both have the same.
WORKERS = (1, 2)
MOST_TIMES = 1.25


@dataclass(frozen=True)
class _Pace:
    """A load in an open loop: both have the same to do. One worker is busy for less than half of the time."""

    load: Load
    per_second: int
    at_most: float | None


PACES = (
    _Pace(LOADS["hundreds"], 1000, MOST_TIMES),
    _Pace(LOADS["hall"], 200, MOST_TIMES),
    # In small rooms what a message costs once weighs more, and each worker pays it: no bound is held.
    _Pace(LOADS["fives"], 2000, None),
)


def figures(trial: Trial) -> Iterator[Figure]:
    """Yield the CPU of a delivery with one worker and with two, and how many times it is."""
    for pace in PACES:
        title = f"{pace.load.title}, {pace.per_second:,} messages a second, each committed"
        turns = [[_deliver(trial, pace, workers) for workers in WORKERS] for _ in range(trial.rounds)]
        one, two = (statistics.median(costs) for costs in zip(*turns, strict=True))
        yield Figure(f"{title}, one worker", one, "µs of CPU a delivery")
        yield Figure(f"{title}, two workers", two, "µs of CPU a delivery")
        yield Figure(f"{title}, two workers", two / one, "times", at_most=pace.at_most)


def _check_spread(server: Server, clients: int, workers: int) -> None:
    """Raise BenchmarkError unless each worker has a fair part of the clients."""
    least = server.open_files_of_each()[workers - 1]
    if least < clients / workers / 2:
        raise BenchmarkError(f"one of {workers} workers has {least} files open, of {clients} clients")


def _deliver(trial: Trial, pace: _Pace, workers: int) -> float:
    running = chatapp(f"{workers} workers", trial.tree, workers=workers).running(trial.cores, stores=True)
    with running as (server, _), contextlib.closing(Crowd()) as crowd:
        rehearse(server)
        crowd.join_all(server.port, pace.load.rooms_of_all(), "user")
        _check_spread(server, pace.load.clients, workers)
        rooms = pace.load.seat(crowd.connections)
        traffic = Paced(pace.load, crowd, rooms, per_second=pace.per_second)
        traffic.run(trial.course.warm_up_seconds)
        before = server.cpu_seconds()
        tally = traffic.run(trial.course.seconds)
        return (server.cpu_seconds() - before) / tally.deliveries * 1e6
