"""What idle connections cost: memory, and the latency of a room that is busy beside them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from benchmarks.bounds.trial import Figure, Trial, core_share
from benchmarks.crowd import Crowd
from benchmarks.loads import Load
from benchmarks.measure import Use, rehearse
from benchmarks.traffic import Paced

#: In --quick a third of them.
IDLE = Load("idle", "rooms of 100", 15_000, 100, senders=1)
FEWER = Load("idle", "rooms of 100", 5_000, 100, senders=1)
BUSY = Load("busy", "1 room of 500", 500, 500, senders=50)
CLIENTS = IDLE.clients + BUSY.clients

MESSAGES_PER_SECOND = 20
#: More than the interval between two pings, so that all connections are pinged meanwhile.
SECONDS = 30.0
MOST_KB = 8.0
MOST_P99_MS = 50.0


def figures(trial: Trial) -> Iterator[Figure]:
    """Yield the memory of an idle connection, and the latency beside all of them."""
    load = FEWER if trial.quick else IDLE
    running = trial.chatapp.running(trial.cores, stores=True)
    with running as (server, _), contextlib.closing(Crowd()) as crowd:
        rehearse(server)
        before = Use.of(server)
        crowd.join_all(server.port, load.rooms_of_all(), "user")
        kb = (Use.of(server, crowd, load.room_size).memory_kb - before.memory_kb) / load.clients
        title = f"a connection that has joined and is idle, {load.clients:,} in {load.title}"
        yield Figure(title, kb, "KB", at_most=MOST_KB)

        crowd.join_all(server.port, BUSY.rooms_of_all(), "user")
        Use.of(server, crowd, BUSY.room_size)
        (room,) = BUSY.seat(crowd.connections[load.clients :])
        busy = Paced(BUSY, crowd, [room], per_second=MESSAGES_PER_SECOND)
        busy.run(1)
        cpu_before = server.cpu_seconds()
        tally = busy.run(SECONDS)
        cpu = (server.cpu_seconds() - cpu_before) / tally.seconds
        title = f"beside {load.clients:,} idle, {MESSAGES_PER_SECOND} messages/s, stored, to {BUSY.title}"
        yield Figure(f"{title}, p99", tally.latency_ms(99), "ms", at_most=MOST_P99_MS)
        yield Figure(f"{title}, the slowest", max(tally.latencies_seconds) * 1e3, "ms")
        yield Figure(f"{title}, all of it and the pings", 100 * cpu, "% of a core")
        yield core_share(tally)
