"""One server under one load: from its start to its figures."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.contenders import Contender
from benchmarks.crowd import Crowd
from benchmarks.loads import Load
from benchmarks.processes import Cores, Server
from benchmarks.traffic import Tally, Traffic

#: With fewer clients what one costs is lost in the clock's steps of 10 ms, and in the memory that a
#: server has at hand when it has started.
MIN_CLIENTS_FOR_CPU = 500
MIN_CLIENTS_FOR_MEMORY = 2000
#: Clients that come before those that are counted, so that all code is loaded by then.
FIRST_CLIENTS = 20

#: A server counts as idle when it has used no processor for so long; and for so much longer for each
#: member of a room: chatapp gathers the joins of a room of n for n ms before it announces them.
QUIET_SECONDS = 0.5
QUIET_SECONDS_PER_MEMBER = 0.0012


@dataclass(frozen=True)
class Figures:
    """What one run came to. The two of connections are None where too few connect."""

    cpu_us_per_delivery: float
    deliveries_per_second: float
    p50_ms: float
    p99_ms: float
    #: For what share of the time the load generator had something to do: near 1 it was the bottleneck.
    generator_load: float
    #: How much of its core the load generator got: below 1 something else ran there, and maybe beside the
    #: server too.
    core_share: float
    kb_per_connection: float | None = None
    cpu_us_per_connect: float | None = None


@dataclass(frozen=True)
class Course:
    """How long a load is kept up, and whether senders ask for acknowledgements."""

    warm_up_seconds: float
    seconds: float
    acks: bool = True


@dataclass(frozen=True)
class Use:
    """What a server has used once it is idle."""

    cpu_seconds: float
    memory_kb: int

    @classmethod
    def of(cls, server: Server, crowd: Crowd | None = None, room_size: int = 0) -> Use:
        """Wait until the server is idle, with a crowd that reads on, and return what it has used."""
        read_on: Callable[[], object] = crowd.read_on if crowd else lambda: None
        server.settle(QUIET_SECONDS + room_size * QUIET_SECONDS_PER_MEMBER, read_on)
        return cls(server.cpu_seconds(), server.memory_kb())


def measure(contender: Contender, load: Load, course: Course, cores: Cores, *, stores: bool) -> Figures:
    """Run a server under a load. Raises BenchmarkError or OSError if it does not bear it."""
    with contender.running(cores, stores=stores) as (server, _), contextlib.closing(Crowd()) as crowd:
        rehearse(server)
        before = Use.of(server)
        crowd.join_all(server.port, load.rooms_of_all(), "user")
        joined = Use.of(server, crowd, load.room_size)
        tally, cpu_seconds = keep_up(load, crowd, server, course)
    clients = load.clients
    kb = (joined.memory_kb - before.memory_kb) / clients
    cpu_us = (joined.cpu_seconds - before.cpu_seconds) / clients * 1e6
    return Figures(
        cpu_us_per_delivery=cpu_seconds / tally.deliveries * 1e6,
        deliveries_per_second=tally.deliveries / tally.seconds,
        p50_ms=tally.latency_ms(50),
        p99_ms=tally.latency_ms(99),
        generator_load=tally.generator_load,
        core_share=tally.core_share,
        kb_per_connection=kb if clients >= MIN_CLIENTS_FOR_MEMORY else None,
        cpu_us_per_connect=cpu_us if clients >= MIN_CLIENTS_FOR_CPU else None,
    )


def keep_up(load: Load, crowd: Crowd, server: Server, course: Course) -> tuple[Tally, float]:
    """Warm up, then measure: return the tally, and the server's CPU seconds meanwhile."""
    traffic = Traffic(load, crowd, load.seat(crowd.connections), acks=course.acks)
    traffic.run(course.warm_up_seconds)
    before = server.cpu_seconds()
    tally = traffic.run(course.seconds)
    return tally, server.cpu_seconds() - before


def rehearse(server: Server) -> None:
    """Let some clients join and talk, so that what happens once has happened."""
    load = Load("first", "first", FIRST_CLIENTS, FIRST_CLIENTS, senders=2)
    with contextlib.closing(Crowd()) as crowd:
        crowd.join_all(server.port, load.rooms_of_all(), "first")
        Traffic(load, crowd, load.seat(crowd.connections), acks=True).run(0.2)
