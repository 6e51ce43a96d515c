"""A swarm that speaks slowly and steadily while something goes wrong, and what it has seen in the end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from clients import wait_until
from cluster.records import Records, Room, check
from cluster.swarm import MIXED, Swarm

CLIENTS = 60
#: Each client says five things a second.
EVERY_MS = 200

#: Within so many seconds after the end of a fault everything is as before.
BACK_SECONDS = 5


class Load:
    """`swarm` is at work; `records` and `room` are there at the end."""

    def __init__(self, swarm: Swarm) -> None:
        self.swarm = swarm
        self.records: Records
        self.room: Room

    def wait_for_all(self) -> None:
        """Wait until all clients are in the room, and something more of theirs is acknowledged."""
        clients = self.swarm.clients
        wait_until(lambda: self.swarm.status()["joined"] == clients, "all clients", every_seconds=0.05)
        self.swarm.wait_for_acknowledged(clients)


@contextlib.contextmanager
def steady_load(
    urls: Sequence[str],
    directory: Path,
    *,
    is_steady: bool = False,
    nobody_leaves: bool = True,
    **options: Any,
) -> Iterator[Load]:
    """Have a swarm say something all the time; at the end let it get everything and check what it saw.

    `options` are those of `Swarm`; for ``is_steady`` and ``nobody_leaves`` see `check`.
    """
    options = {"clients": CLIENTS, "every_ms": EVERY_MS, "transports": MIXED, "messages": 0, **options}
    with Swarm(urls, directory / "records", answer_ms=5000, **options) as swarm:
        swarm.wait_for("joined")
        swarm.send()
        swarm.wait_for_acknowledged(swarm.clients)
        load = Load(swarm)
        yield load
        load.wait_for_all()
        load.records, load.room = swarm.finish()
    tell(load)
    check(load.records, load.room, is_steady=is_steady, nobody_leaves=nobody_leaves)


def tell(load: Load) -> None:
    """Print how much was said, and how much had to be said again."""
    records, clients = load.records, load.swarm.clients
    again = sum(ack["tries"] > 1 for ack in records.acks())
    longest = max(ack["took_ms"] for ack in records.acks())
    reconnects = len(records.sids()) - clients
    print(
        f"{load.room.last_seq} messages, {again} of them said more than once, the longest wait for an"
        f" acknowledgement {longest} ms, {reconnects} reconnects of {clients} clients"
    )


def rounds(seconds: float, every_seconds: float) -> Iterator[int]:
    """Yield numbers, one at a time, as often as that, for so long."""
    began = time.monotonic()
    for number in range(int(seconds / every_seconds)):
        yield number
        time.sleep(max(0, began + (number + 1) * every_seconds - time.monotonic()))


def now_ms() -> int:
    """Return the Unix time in milliseconds, as the records have it."""
    return int(time.time() * 1000)
