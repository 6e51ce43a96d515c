"""A swarm that speaks slowly and steadily while something goes wrong, and what it has seen in the end."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cluster.records import Records, Room, check
from cluster.swarm import MIXED, Swarm

CLIENTS = 60
#: Each client says five things a second.
EVERY_MS = 200

#: How long all clients may take to come back, for which new workers may have to start, on a machine that
#: has other tests to run.
COMING_BACK_SECONDS = 60

#: Within so many seconds after the end of a fault everything is as before.
BACK_SECONDS = 5

#: Each load has a room and users of its own, so that servers may see several.
_numbers = itertools.count(1)


class Load:
    """`swarm` is at work; `records` and `room` are there at the end."""

    def __init__(self, swarm: Swarm) -> None:
        self.swarm = swarm
        self.records: Records
        self.room: Room

    def await_all(self) -> None:
        """Wait until all clients are in the room."""
        deadline = time.monotonic() + self.swarm.patience_seconds
        while (status := self.swarm.status())["joined"] < self.swarm.clients:
            assert time.monotonic() < deadline, f"not all clients have come back: {status}"
            time.sleep(0.05)


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
    number = next(_numbers)
    options = {"clients": CLIENTS, "every_ms": EVERY_MS, "transports": MIXED, "messages": 0, **options}
    options |= {"room": f"load-{number}", "name": f"bee{number}"}
    with Swarm(urls, directory / "records", answer_ms=5000, **options) as swarm:
        swarm.patience_seconds = COMING_BACK_SECONDS
        swarm.wait_for("joined")
        swarm.send()
        swarm.wait_for_acknowledged(swarm.clients)
        load = Load(swarm)
        yield load
        load.await_all()
        swarm.wait_for_acknowledged(swarm.clients)
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
