"""Sixty clients who all say something to all, and have to find everything as it was promised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.records import Records, check
from cluster.swarm import TRANSPORTS, Swarm
from servers import PATIENCE_SECONDS

CLIENTS = 60
MESSAGES = 20


def talk(urls: Sequence[str], transport: str, directory: Path, **options: Any) -> Records:
    """Have the clients connect to `urls` by a transport, one of TRANSPORTS, talk, and check what they saw.

    `options` are those of `Swarm`. Returns the records.
    """
    options = {"clients": CLIENTS, "messages": MESSAGES, "keep_alive": True, **options}
    options |= {"name": transport, "room": transport, "transports": TRANSPORTS[transport]}
    clients, messages = options["clients"], options["messages"]
    with Swarm(urls, directory / "records", **options) as swarm:
        swarm.patience_seconds = 3 * PATIENCE_SECONDS  # for many rounds of all of them
        swarm.wait_for("joined")
        swarm.send()
        swarm.wait_for("sent")
        records, room = swarm.finish()
    check(records, room)
    assert room.last_seq == clients * messages
    said = Counter(ack["client"] for ack in records.acks())
    assert said == {f"{transport}-{number}": messages for number in range(clients)}
    at_the_end = {record["transport"] for record in records.all("end")}
    assert at_the_end == {"polling" if transport == "polling" else "websocket"}
    assert len(list(records.all("upgrade"))) == (clients if transport == "default" else 0)
    return records
