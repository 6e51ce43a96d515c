"""What the clients of a swarm wrote down, and whether it is as the chat promises."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: How many faults a failure shows.
SHOWN = 10

#: A line of ``swarm.js``: ``{client, at, what, …}``.
Record = dict[str, Any]


@dataclass
class Room:
    """A room as a client finds it that comes last: the items of its log, the names of its members, what the
    join says of its last place, and the client's own name."""

    log: list[Any]
    members: set[str]
    last_seq: int
    observer: str


class Records:
    """The records of all clients, each client's in its order."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.by_client: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            self.by_client[record["client"]].append(record)

    def all(self, what: str) -> Iterator[Record]:
        """Yield all records of a kind."""
        for records in self.by_client.values():
            yield from (record for record in records if record["what"] == what)

    def acks(self) -> Iterator[Record]:
        """Yield the acknowledgements: ``{client_id, seq, id, tries, took_ms}``."""
        return self.all("ack")

    def users(self) -> list[str]:
        """Return the names of those who are connected at the end and have joined."""
        users = []
        for records in self.by_client.values():
            joins = [record["user"] for record in records if record["what"] == "join"]
            if joins and records[-1]["what"] == "end" and records[-1]["connected"]:
                users.append(joins[-1])
        return users

    def sids(self) -> list[str]:
        """Return the Engine.IO ids of all connections there were."""
        return [record["sid"] for record in self.all("connect")]


def read_records(path: Path) -> Records:
    """Read a file of records."""
    with path.open(encoding="utf-8") as lines:
        return Records(map(json.loads, lines))


def check(records: Records, room: Room, *, is_steady: bool = True, nobody_leaves: bool = True) -> None:
    """Fail if a promise was not kept, and say which, and to whom.

    ``is_steady``: no connection ends, and nothing is refused. ``nobody_leaves``: nobody hears that anybody
    left, whatever becomes of connections and workers.
    """
    report(find_faults(records, room, is_steady=is_steady, nobody_leaves=nobody_leaves))


def report(found: Iterable[str]) -> None:
    """Fail if there are faults, and show the first of them."""
    faults = list(found)
    more = [f"… and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
    assert not faults, "\n".join(["the swarm saw:", *faults[:SHOWN], *more])


def find_faults(
    records: Records, room: Room, *, is_steady: bool = True, nobody_leaves: bool = True
) -> Iterator[str]:
    """Yield what is not as promised, a sentence each: see `check`."""
    yield from _faults_of_log(room)
    yield from _faults_of_acknowledgements(records, room)
    for client, own in records.by_client.items():
        faults = [
            *_faults_of_connections(own, is_steady),
            *_faults_of_stream(own, room),
            *_faults_of_announcements(own, is_steady, nobody_leaves),
        ]
        yield from (f"{client}: {fault}" for fault in faults)
    yield from _faults_of_presence(records, room)


def find_late(records: Records, said_before_ms: int, there_by_ms: int) -> Iterator[str]:
    """Yield who got what too late: all that was acknowledged before a moment has to be with everybody by
    another. Times are Unix times in milliseconds."""
    seqs = {ack["seq"] for ack in records.acks() if ack["at"] < said_before_ms}
    for client, own in records.by_client.items():
        arrived: dict[int, int] = {}
        for record in own:
            if record["what"] in ("message", "ack"):
                arrived.setdefault(record["seq"], record["at"])
        late = {seq: arrived[seq] - there_by_ms for seq in seqs if arrived.get(seq, 0) > there_by_ms}
        if late:
            yield f"{client}: {_listed(sorted(late))} came up to {max(late.values())} ms too late"


def find_silent(records: Records, since_ms: int, until_ms: int) -> Iterator[str]:
    """Yield who had nothing acknowledged between two moments."""
    for client, own in records.by_client.items():
        if not any(record["what"] == "ack" and since_ms <= record["at"] < until_ms for record in own):
            yield f"{client}: nothing was acknowledged for {until_ms - since_ms} ms"


def _seq(item: Any) -> int:
    return int(item["change"]["seq"] if "change" in item else item["seq"])


def _faults_of_log(room: Room) -> Iterator[str]:
    expected = 1
    for item in room.log:
        if _seq(item) != expected:
            yield f"the log goes on with {_seq(item)} where {expected} should be"
        expected = _seq(item) + 1
    if room.last_seq >= expected:
        yield f"the log ends at {expected - 1}, and the join said {room.last_seq}"
    seqs = defaultdict(list)
    for item in room.log:
        if item.get("client_id") is not None and "change" not in item:
            seqs[item["client_id"]].append(item["seq"])
    for client_id, places in seqs.items():
        if len(places) > 1:
            yield f"{client_id} is in the log at {_listed(places)}"


def _faults_of_acknowledgements(records: Records, room: Room) -> Iterator[str]:
    log = {_seq(item): item for item in room.log}
    for ack in records.acks():
        client_id, seq = ack["client_id"], ack["seq"]
        item = log.get(seq)
        if item is None:
            yield f"{client_id} was acknowledged as {seq}, which is not in the log"
        elif (item.get("client_id"), item["id"]) != (client_id, ack["id"]):
            yield f"{client_id} was acknowledged as {seq}, which is {item.get('client_id')} in the log"


def _faults_of_connections(own: list[Record], is_steady: bool) -> Iterator[str]:
    for record in own:
        what = record["what"]
        if what == "refusal" and (is_steady or record.get("retry_after") is None):
            yield f"its {record.get('event', 'request')} was refused: {record['code']}"
        elif is_steady and what in ("disconnect", "connect_error", "unanswered"):
            told = record.get("reason") or record.get("message") or record.get("event")
            yield f"{what}: {told}"
    if own[-1]["what"] != "end" or not own[-1]["connected"]:
        yield "it is not connected at the end"
    elif own[-1]["pending"] is not None:
        yield f"{own[-1]['pending']} is not acknowledged at the end"


class _Stream:
    """What one client has of a room's log. `live` is the place of what came last on this connection."""

    def __init__(self, log: dict[int, Any]) -> None:
        self.seen: set[int] = set()
        self.first: int | None = None
        self._log = log
        self._live = 0
        self._on_connection: set[int] = set()
        self._acknowledged: dict[str, int] = {}
        self._repeated: set[int] = set()
        self._page = 0

    def join(self, record: Record) -> Iterator[str]:
        """A connection has come into the room."""
        self._live = record["last_seq"]
        self._on_connection, self._repeated = set(), set()
        if self.first is None:
            self.first = record["last_seq"] + 1
        if record.get("gap"):
            yield f"it was told of a gap after {record['since']}"
        self._page = record["last_seq"] if record["since"] is None else record["since"]

    def caught_up(self, record: Record) -> Iterator[str]:
        """Something came with the join, or in a page that was asked for."""
        seq = record["seq"]
        if seq != self._page + 1:
            yield f"a catch-up brought {seq} after {self._page}"
        self._page = seq
        yield from self._see(record)

    def live(self, record: Record) -> Iterator[str]:
        """Something came by itself."""
        seq = record["seq"]
        if seq in self._repeated:  # it was said once more, and is somebody's own
            self._repeated.remove(seq)
            self._on_connection.add(seq)
        elif seq in self._on_connection:
            yield f"{seq} came twice on one connection"
        else:
            yield from self._go_on(seq, f"{seq} came")
        yield from self._see(record)

    def acknowledged(self, record: Record) -> Iterator[str]:
        """The client's own message has its place, which is the acknowledgement's place in the stream."""
        seq, client_id = record["seq"], record["client_id"]
        before = self._acknowledged.setdefault(client_id, seq)
        if before != seq:
            yield f"{client_id} was acknowledged as {before} and as {seq}"
        if record["tries"] == 1:
            yield from self._go_on(seq, f"{client_id} was acknowledged as {seq}")
        elif seq > self._live:
            # It may have been stored by an earlier try; then it comes live as well, or has done so.
            self._repeated.add(seq)
            if seq == self._live + 1:
                self._live = seq
        self.seen.add(seq)

    def _go_on(self, seq: int, what: str) -> Iterator[str]:
        if seq != self._live + 1:
            yield f"{what} {'late, ' if seq <= self._live else ''}after {self._live}"
        self._live = max(seq, self._live)
        self._on_connection.add(seq)

    def _see(self, record: Record) -> Iterator[str]:
        seq = record["seq"]
        self.seen.add(seq)
        item = self._log.get(seq)
        if item is None:
            yield f"{seq} came, which is not in the log"
        elif (item["id"], item.get("client_id")) != (record["id"], record.get("client_id")):
            yield f"{seq} came as {record.get('client_id')}, and is {item.get('client_id')} in the log"


def _faults_of_stream(own: list[Record], room: Room) -> Iterator[str]:
    stream = _Stream({_seq(item): item for item in room.log})
    for record in own:
        if record["what"] == "join":
            yield from stream.join(record)
        elif record["what"] == "ack":
            yield from stream.acknowledged(record)
        elif record["what"] == "message":
            yield from stream.live(record) if record["via"] == "live" else stream.caught_up(record)
        elif record["what"] == "page" and record.get("gap"):
            yield f"it was told of a gap after {record['after']}"
    if stream.first is None:
        yield "it never joined"
        return
    missing = [seq for seq in range(stream.first, room.last_seq + 1) if seq not in stream.seen]
    if missing:
        yield f"it never got {_listed(missing)}"


def _faults_of_announcements(own: list[Record], is_steady: bool, nobody_leaves: bool) -> Iterator[str]:
    """Whoever is announced was not announced before, unless this connection is a new one; where some may
    leave, who left and came back at once is announced as here."""
    announced: set[str] = set()
    for record in own:
        if record["what"] == "join":
            announced = set()
        elif record["what"] == "presence":
            for name in record["joined"]:
                if name in announced and nobody_leaves:
                    yield f"{name} joined twice"
                announced.add(name)
            for name in record["left"]:
                if nobody_leaves:
                    yield f"{name} left"
                announced.discard(name)
    if is_steady:
        joined = sum(len(record["joined"]) for record in own if record["what"] == "presence")
        told = sum(_arrived(record["text"]) for record in own if record["what"] == "notice")
        if told != joined:
            yield f"notices told of {told} who joined, presence of {joined}"


def _arrived(notice: str) -> int:
    """Return of how many arrivals a notice tells: ``ann, bob, cid and 7 others joined``."""
    names, _, verb = notice.rpartition(" ")
    others = re.search(r" and (\d+) others?$", names)
    named = names[: others.start()] if others else names
    return len(re.split(r", | and ", named)) + int(others[1] if others else 0) if verb == "joined" else 0


def _faults_of_presence(records: Records, room: Room) -> Iterator[str]:
    users = records.users()
    yield from (f"{count} clients are {name}" for name, count in Counter(users).items() if count > 1)
    present = {*users, room.observer}
    if room.members != present:
        yield f"the list of members {_difference(room.members, present)}"
    for client, own in records.by_client.items():
        view: set[str] = set()
        for record in own:
            if record["what"] == "join":
                view = set(record["members"])
            elif record["what"] == "presence":
                view = (view | set(record["joined"])) - set(record["left"])
        if view != present:
            yield f"{client}: its view of the members {_difference(view, present)}"


def _difference(view: set[str], actual: set[str]) -> str:
    lacks, has = sorted(actual - view), sorted(view - actual)
    parts = [f"lacks {_listed(lacks)}"] if lacks else []
    return " and ".join([*parts, *([f"has {_listed(has)}, who is gone"] if has else [])])


def _listed(items: list[Any]) -> str:
    shown = ", ".join(map(str, items[:5]))
    return shown + (f" and {len(items) - 5} more" if len(items) > 5 else "")
