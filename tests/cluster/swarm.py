"""Many real clients at once: ``tests/node/swarm.js``, and what they write down."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from clients import Chatter, wait_until
from cluster.records import Records, Room, read_records
from servers import PATIENCE_SECONDS

_SCRIPT = Path(__file__).parents[1] / "node" / "swarm.js"

#: What clients ask for, in turn. None is what they do unless told otherwise, polling and then an upgrade.
TRANSPORTS: dict[str, list[list[str] | None]] = {
    "default": [None],
    "polling": [["polling"]],
    "websocket": [["websocket"]],
}
MIXED = [choice for choices in TRANSPORTS.values() for choice in choices]


class Swarm:
    """Clients in one room, spread over `urls`. They come as the context begins, and are gone at its end.

    ``messages``, ``every_ms``, ``transports`` and so on are the options of the script.
    """

    def __init__(self, urls: Sequence[str], records: Path, *, room: str = "swarm", **options: Any) -> None:
        node = shutil.which("node")
        assert node, "there is no Node.js: `make test` brings one"
        self.room = room
        #: How long anything may take that happens at all.
        self.patience_seconds: float = PATIENCE_SECONDS
        self.clients = options.get("clients", 60)
        self._urls = urls
        self._records = records
        options |= {"urls": list(urls), "records": str(records), "room": room}
        self._process = subprocess.Popen(
            [node, str(_SCRIPT), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._events: queue.Queue[Any] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Swarm:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._reader.join()
        self._process.communicate()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._events.put(json.loads(line))
        self._events.put(None)

    def wait_for(self, event: str) -> Any:
        """Return the event, once the swarm tells it. What else it tells before that is dropped."""
        deadline = time.monotonic() + self.patience_seconds
        while True:
            try:
                told = self._events.get(timeout=max(0.001, deadline - time.monotonic()))
            except queue.Empty:
                state = "" if event == "status" else f": {self.status()}"
                raise AssertionError(f"the swarm has not {event} in time{state}") from None
            assert told is not None, f"the swarm ended before it had {event}"
            if told["event"] == event:
                return told

    def _say(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()

    def send(self) -> None:
        """Have the clients send."""
        self._say("send")

    def stop(self) -> None:
        """Have them send nothing new, and wait until all that was sent is acknowledged."""
        self._say("stop")
        self.wait_for("sent")

    def status(self) -> Any:
        """Return ``{joined, acknowledged, last, faults}``: how many clients are in the room now, how many
        messages were acknowledged, the place up to which everybody has everything, and how often what went
        wrong so far."""
        self._say("status")
        return self.wait_for("status")

    def wait_for_acknowledged(self, count: int) -> None:
        """Wait until so many more messages are acknowledged."""
        enough = self.status()["acknowledged"] + count
        wait_until(
            lambda: self.status()["acknowledged"] >= enough, f"{count} acknowledgements", every_seconds=0.05
        )

    def await_all(self, condition: str, count: int) -> None:
        """Wait until each client has everything up to a place (``settle``), or knows of so many members
        (``meet``). Goes on after a while if one does not, for the records say better what it lacks."""
        self._say(f"{condition} {count}")
        try:
            self.wait_for({"settle": "settled", "meet": "met"}[condition])
        except AssertionError as fault:
            print(fault)

    def report(self) -> Records:
        """Return what the clients have written down."""
        self._say("report")
        self.wait_for("reported")
        return read_records(self._records)

    def finish(self) -> tuple[Records, Room]:
        """Stop, let everybody get all there is, and return what the clients have written down, and the room
        as somebody finds it who comes last."""
        self.stop()
        with Chatter(self._urls[0]) as observer:
            room = look_around(observer, self.room)
            self.await_all("settle", room.last_seq)
            self.await_all("meet", self.clients + 1)
            deadline = time.monotonic() + self.patience_seconds
            while len(room.members) != self.clients + 1 and time.monotonic() < deadline:
                time.sleep(0.05)
                room.members = members_of(observer, self.room)
            return self.report(), room


def look_around(observer: Chatter, name: str) -> Room:
    """Join a room and return it as it is found then: its whole log and its members."""
    joined = observer.join(name, f"observer of {name}")
    log: list[Any] = []
    after, more = 0, True
    while more:
        page = observer.call("history", {"room": name, "after": after, "limit": 200})
        assert page["ok"] and not page.get("gap"), page
        log += page["messages"]
        after, more = page["after"], page["more"]
    return Room(log, members_of(observer, name), joined["last_seq"], joined["user"]["name"])


def members_of(observer: Chatter, name: str) -> set[str]:
    """Return the names of all who are in a room, as its pages list them."""
    members: list[str] = []
    more = True
    while more:
        request = {"room": name} | ({"after": members[-1]} if members else {})
        page = observer.call("members", request)
        assert page["ok"], page
        members += [member["username"] for member in page["members"]]
        more = page["more"]
    assert len(set(members)) == len(members), members
    return set(members)
