"""What a join costs: thousands of clients into one room, against as many into small rooms."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator

from benchmarks.bounds.trial import Figure, Trial
from benchmarks.crowd import AT_A_TIME, Crowd
from benchmarks.loads import Load
from benchmarks.measure import Use, rehearse

CLIENTS = 5000
SMALL = Load("small", "rooms of 5", CLIENTS, 5, senders=1)
LARGE = Load("large", "1 room", CLIENTS, CLIENTS, senders=1)
MOST_TIMES = 2.0


def figures(trial: Trial) -> Iterator[Figure]:
    """Yield the CPU of a connection and its join, announcements included, and its ratio to small rooms."""
    for stores in (False, True):
        stored = "stored" if stores else "nothing stored"
        turns = [(_join(trial, SMALL, stores), _join(trial, LARGE, stores)) for _ in range(trial.rounds)]
        small, large = (statistics.median(costs) for costs in zip(*turns, strict=True))
        title = f"{CLIENTS:,} clients join, {AT_A_TIME} at a time, {stored}"
        yield Figure(f"{title}, {SMALL.title}", small, "µs of CPU each")
        yield Figure(f"{title}, {LARGE.title}", large, "µs of CPU each")
        yield Figure(f"{title}, {LARGE.title} to {SMALL.title}", large / small, "times", at_most=MOST_TIMES)


def _join(trial: Trial, load: Load, stores: bool) -> float:
    running = trial.chatapp.running(trial.cores, stores=stores)
    with running as (server, _), contextlib.closing(Crowd()) as crowd:
        rehearse(server)
        before = Use.of(server)
        crowd.join_all(server.port, load.rooms_of_all(), "user")
        # As long for both, so that what the server does anyway weighs the same.
        joined = Use.of(server, crowd, LARGE.room_size)
        return (joined.cpu_seconds - before.cpu_seconds) / load.clients * 1e6
