"""What storing adds to the message of somebody who is alone with the server."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator

from benchmarks.bounds.trial import Figure, Trial
from benchmarks.crowd import Crowd
from benchmarks.loads import Load
from benchmarks.measure import keep_up, rehearse

LOAD = Load("alone", "1 sender, 1 message under way", 1, 1, senders=1)
MOST_US = 150.0


def figures(trial: Trial) -> Iterator[Figure]:
    """Yield the CPU of a message that is not stored, of one that is, and the difference."""
    turns = [(_send(trial, stores=False), _send(trial, stores=True)) for _ in range(trial.rounds)]
    plain, stored = (statistics.median(costs) for costs in zip(*turns, strict=True))
    yield Figure(f"{LOAD.title}, not stored", plain, "µs of CPU each")
    yield Figure(f"{LOAD.title}, stored", stored, "µs of CPU each")
    yield Figure(f"{LOAD.title}, more if stored", stored - plain, "µs of CPU each", at_most=MOST_US)


def _send(trial: Trial, *, stores: bool) -> float:
    running = trial.chatapp.running(trial.cores, stores=stores)
    with running as (server, _), contextlib.closing(Crowd()) as crowd:
        rehearse(server)
        crowd.join_all(server.port, LOAD.rooms_of_all(), "user")
        tally, cpu_seconds = keep_up(LOAD, crowd, server, trial.course)
        return cpu_seconds / tally.acks * 1e6
