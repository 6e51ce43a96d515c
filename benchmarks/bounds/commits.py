"""How many messages a second are committed and acknowledged."""

from __future__ import annotations

import contextlib
import sqlite3
import statistics
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bounds.trial import Figure, Trial, core_share
from benchmarks.crowd import Crowd
from benchmarks.loads import Load
from benchmarks.measure import keep_up, rehearse
from benchmarks.processes import BenchmarkError
from benchmarks.traffic import Tally

#: In rooms of one, so that nothing is delivered: the log is what is measured.
LOAD = Load("own", "500 senders in rooms of one", 500, 1, senders=1, under_way=4)
LEAST_PER_SECOND = 15_000


def figures(trial: Trial) -> Iterator[Figure]:
    """Yield the rate, and what it takes."""
    turns = [_commit(trial) for _ in range(trial.rounds)]
    tallies = [tally for tally, _ in turns]
    title = f"{LOAD.title}, {LOAD.under_way} messages under way each, SQLite"
    per_second = statistics.median(tally.acks / tally.seconds for tally in tallies)
    yield Figure(title, per_second, "acknowledged a second", at_least=LEAST_PER_SECOND)
    cpu = statistics.median(cpu_seconds / tally.acks for tally, cpu_seconds in turns)
    yield Figure(f"{title}, the server", cpu * 1e6, "µs of CPU each")
    p99_ms = statistics.median(tally.latency_ms(99) for tally in tallies)
    yield Figure(f"{title}, p99", p99_ms, "ms")
    generator_load = statistics.median(tally.generator_load for tally in tallies)
    yield Figure(f"{title}, the load generator was busy", 100 * generator_load, "% of the time")
    yield core_share(*tallies)


def _commit(trial: Trial) -> tuple[Tally, float]:
    running = trial.chatapp.running(trial.cores, stores=True)
    with running as (server, directory), contextlib.closing(Crowd()) as crowd:
        rehearse(server)
        crowd.join_all(server.port, LOAD.rooms_of_all(), "user")
        entries = _entries(directory)
        tally, cpu_seconds = keep_up(LOAD, crowd, server, trial.course)
        if (entries := _entries(directory) - entries) < tally.acks:
            raise BenchmarkError(f"{tally.acks} were acknowledged, and {entries} are in the database")
        return tally, cpu_seconds


def _entries(directory: Path) -> int:
    """Return how many entries another process sees in the database."""
    with contextlib.closing(sqlite3.connect(directory / "chatapp.db", timeout=30)) as database:
        (count,) = database.execute("SELECT count(*) FROM entries").fetchone()
        return int(count)
