"""What a reader that never reads does to the others in its room."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator

from benchmarks.bounds.trial import Figure, Trial, core_share
from benchmarks.crowd import Crowd
from benchmarks.loads import Load
from benchmarks.measure import Use, rehearse
from benchmarks.processes import Server
from benchmarks.traffic import Paced

#: Long texts, so that what a reader may leave unread is there in some 5 seconds: 2.8 MB in the kernel, as
#: measured on Linux with its default buffers, and 1 MiB in the server.
LOAD = Load("busy", "1 room of 100", 100, 100, senders=10, characters=3500)
MESSAGES_PER_SECOND = 200
#: How long there is such a reader, and how long there is none, in each round.
SECONDS = 10.0
ROUNDS = 5
#: The least that the kernel takes for what a client has not read.
RECEIVE_BYTES = 4096
#: How long after each turn the reader may take to be gone.
CUT_SECONDS = 10.0
MOST_P99_TIMES = 1.2


def figures(trial: Trial) -> Iterator[Figure]:
    """Yield how many readers were cut, what they left behind, and what the others' latency came to."""
    rounds = 1 if trial.quick else ROUNDS
    running = trial.chatapp.running(trial.cores, stores=False)
    with running as (server, _), contextlib.closing(Crowd()) as crowd:
        rehearse(server)
        crowd.join_all(server.port, LOAD.rooms_of_all(), "user")
        (room,) = LOAD.seat(crowd.connections)
        busy = Paced(LOAD, crowd, [room], per_second=MESSAGES_PER_SECOND)
        busy.run(SECONDS / 2)
        before = Use.of(server, crowd, LOAD.room_size)
        files = server.open_files()
        without, beside, cut = [], [], 0
        for turn in range(rounds):
            without.append(busy.run(SECONDS))
            with contextlib.closing(Crowd()) as slow:
                slow.join_all(server.port, [room[0]], f"slow{turn}-", RECEIVE_BYTES)
                beside.append(busy.run(SECONDS))
                cut += _falls_to(server, files, crowd)
        after = Use.of(server, crowd, LOAD.room_size)
    load = f"{MESSAGES_PER_SECOND} messages a second of {LOAD.characters:,} characters to {LOAD.title}"
    yield Figure(f"{load}, readers that never read", cut, f"of {rounds} cut", at_least=rounds)
    yield Figure("memory afterwards", after.memory_kb - before.memory_kb, "KB more than before")
    p99, p99_beside = (
        statistics.median(tally.latency_ms(99) for tally in tallies) for tallies in (without, beside)
    )
    yield Figure(f"{load}, p99", p99, "ms")
    yield Figure(f"{load}, p99 beside such a reader", p99_beside, "ms")
    title = f"{load}, p99 beside such a reader to p99"
    yield Figure(title, p99_beside / p99, "times", at_most=MOST_P99_TIMES)
    yield core_share(*without, *beside)


def _falls_to(server: Server, files: int, crowd: Crowd) -> bool:
    """Tell whether the server comes to hold no more open files than these, in good time."""
    deadline = time.monotonic() + CUT_SECONDS
    while server.open_files() > files:
        if time.monotonic() > deadline:
            return False
        crowd.read_on(0.05)
    return True
