"""A small chat server for the client's tests: the contract's events on a real python-socketio server.

It also does on demand what a good server does rarely: it loses acknowledgements and pushes, reorders,
refuses, cuts connections, and comes back with another log.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import socketio
from werkzeug.serving import WSGIRequestHandler, make_server

from servers import PATIENCE_SECONDS

Wire = dict[str, Any]


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Say nothing about requests."""


class Room:
    """A log: its entries are message objects, those of changes with ``change``."""

    def __init__(self, name: str, epoch: str) -> None:
        self.name = name
        self.epoch = epoch
        self.first_kept = 1
        self.entries: list[Wire] = []
        self.readers: dict[str, int] = {}

    @property
    def last_seq(self) -> int:
        return len(self.entries)

    def after(self, seq: int) -> list[Wire]:
        return self.entries[max(seq, self.first_kept - 1) :]


class ChatDouble:
    """The server; `faults` are set by tests and used up as they happen."""

    def __init__(self, *, catch_up: int = 1000, page: int = 50) -> None:
        self.catch_up, self.page = catch_up, page
        self.rooms: dict[frozenset[str] | str, Room] = {}
        self.epochs = (f"epoch-{number}" for number in itertools.count(1))
        self.calls: list[tuple[str, Any]] = []
        self.cookies: list[str] = []
        self.user_agents: list[str] = []
        self.refuses_connections = False
        #: How often the next acknowledgements of an event are not sent, though it is carried out.
        self.unanswered: Counter[str] = Counter()
        #: Refusals for the next of an event, first in, first out.
        self.refusals: dict[str, list[Wire]] = {}
        #: How many of the next pushes of messages get lost.
        self.lost_pushes = 0
        self._held_pushes: list[Wire] | None = None
        self._names: dict[str, str] = {}
        self._acknowledged: dict[tuple[str, str], Wire] = {}
        self._server: Any = None
        self._thread: threading.Thread | None = None
        self.port = 0
        self._lock = threading.RLock()

    # Starting, stopping, failing.

    def start(self) -> None:
        self.sio = socketio.Server(
            async_mode="threading",
            async_handlers=False,
            ping_interval=5,
            ping_timeout=5,
            logger=_silent,
            engineio_logger=_silent,
        )
        self.sio.on("connect", self._connected)
        for event, handle in self._table().items():
            self.sio.on(event, self._handler(event, handle))
        self._server = make_server(
            "127.0.0.1", self.port, socketio.WSGIApp(self.sio), threaded=True, request_handler=_Quiet
        )
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def stop(self) -> None:
        """End the server and its connections; the rooms are kept."""
        self.cut()
        self._server.shutdown()
        self._server.server_close()
        assert self._thread is not None
        self._thread.join(PATIENCE_SECONDS)
        self.sio.shutdown()

    def cut(self) -> None:
        """End all connections without a word at Socket.IO's level."""
        for engine_socket in list(self.sio.eio.sockets.values()):
            engine_socket.close(wait=False)
        self._names.clear()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def forget_everything(self) -> None:
        """Begin all logs anew."""
        self.rooms.clear()

    @contextmanager
    def reversed_pushes(self) -> Iterator[None]:
        """Send what is pushed meanwhile at the end, the last first."""
        with self._lock:
            self._held_pushes = []
        yield
        with self._lock:
            held, self._held_pushes = self._held_pushes, None
            for item in reversed(held):
                self._push(item)

    # What others do.

    def say(self, room: str, username: str, text: str) -> Wire:
        """Have somebody who is not connected say something."""
        with self._lock:
            item = self._append(self.room(room), username, text, None)
            self._push(item)
            return item

    def whisper(self, sender: str, to: str, text: str) -> Wire:
        with self._lock:
            item = self._append(self.conversation(sender, to), sender, text, None)
            self._push(item)
            return item

    def change(self, room: str, seq: int, kind: str, username: str, **fields: Any) -> Wire:
        """Append a change of the message at `seq` and push it."""
        with self._lock:
            log = self.room(room)
            log.entries[seq - 1] |= fields
            change = {"seq": log.last_seq + 1, "kind": kind, "username": username, "sent_at": _now()}
            item = log.entries[seq - 1] | {"change": change | {"user_id": f"id-{username}"}}
            log.entries.append(item)
            self._push(item, "message changed")
            return item

    def notice(self, code: str, message: str, room: str) -> None:
        self.sio.emit("server notice", {"code": code, "message": message, "room": room})

    def room(self, name: str) -> Room:
        return self.rooms.setdefault(name, Room(name, next(self.epochs)))

    def conversation(self, one: str, other: str) -> Room:
        key = frozenset((one, other))
        return self.rooms.setdefault(key, Room("@", next(self.epochs)))

    def texts(self, room: str) -> list[str]:
        """What was said in the room, in the log's order."""
        return [item["message"] for item in self.room(room).entries]

    def called(self, event: str) -> list[Any]:
        """The payloads with which `event` was called."""
        return [payload for name, payload in list(self.calls) if name == event]

    # The contract.

    def _table(self) -> dict[str, Callable[[str, Any], Wire]]:
        return {
            "join room": self._join,
            "leave room": self._leave,
            "new message": self._message,
            "new pm": self._private,
            "members": self._members,
            "history": self._history,
            "rooms": self._rooms,
            "read": self._read,
        }

    def _handler(self, event: str, handle: Callable[[str, Any], Wire]) -> Callable[..., Any]:
        def handled(sid: str, payload: Any = None) -> Any:
            with self._lock:
                self.calls.append((event, payload))
                if self.refusals.get(event):
                    return {"ok": False, "error": self.refusals[event].pop(0)}
                try:
                    answer = {"ok": True, **handle(sid, payload)}
                except LookupError:
                    return {
                        "ok": False,
                        "error": {"code": "not_in_room", "message": "You're not part of a room yet"},
                    }
                if self.unanswered[event]:
                    self.unanswered[event] -= 1
                    return self.sio.not_handled
                return answer

        return handled

    def _connected(self, sid: str, environ: Wire, auth: Any = None) -> None:
        self.cookies.append(environ.get("HTTP_COOKIE", ""))
        self.user_agents.append(environ.get("HTTP_USER_AGENT", ""))
        if self.refuses_connections:
            raise socketio.exceptions.ConnectionRefusedError("Log in first.", {"code": "unauthorized"})

    def _join(self, sid: str, payload: Wire) -> Wire:
        name = payload.get("username", "from-cookie")
        self._names[sid] = name
        room = self.room(payload["roomname"].lower())
        self.sio.enter_room(sid, room.name)
        self.sio.enter_room(sid, f"user {name}")
        answer = {
            "room": room.name,
            "user": {"id": f"id-{name}", "name": name},
            "token": f"token of {name}",
            "members": self._in(room.name),
            "online": len(self._in(room.name)),
            "epoch": room.epoch,
            "last_seq": room.last_seq,
            "read_seq": room.readers.get(name, 0),
        }
        return answer | (self._missed(room, payload["since"]) if "since" in payload else {})

    def _missed(self, room: Room, since: Wire) -> Wire:
        is_whole = since["epoch"] == room.epoch and since["seq"] >= room.first_kept - 1
        if not is_whole or since["seq"] > room.last_seq:
            return {"messages": room.entries[-self.page :], "gap": True}
        missed = room.after(since["seq"])
        return {"messages": missed[: self.catch_up], "more": len(missed) > self.catch_up}

    def _leave(self, sid: str, payload: Wire) -> Wire:
        self.sio.leave_room(sid, payload["roomname"])
        return {"room": payload["roomname"]}

    def _message(self, sid: str, payload: Wire) -> Wire:
        if payload["room"] not in self.sio.rooms(sid):
            raise LookupError
        return self._store(sid, self.room(payload["room"]), payload)

    def _private(self, sid: str, payload: Wire) -> Wire:
        room = self.conversation(self._names[sid], payload["to"])
        to = {"to": {"id": f"id-{payload['to']}", "name": payload["to"]}}
        return self._store(sid, room, payload) | {"room": f"@{payload['to']}"} | to

    def _store(self, sid: str, room: Room, payload: Wire) -> Wire:
        key = (self._names[sid], payload["client_id"])
        if key not in self._acknowledged:
            item = self._append(room, key[0], payload["message"], key[1])
            self._push(item, skip_sid=sid)
            receipt = {name: item[name] for name in ("room", "seq", "id", "sent_at")}
            self._acknowledged[key] = receipt | {"epoch": room.epoch}
        return self._acknowledged[key]

    def _append(self, room: Room, username: str, text: str, client_id: str | None) -> Wire:
        seq = room.last_seq + 1
        item = {
            "room": room.name,
            "seq": seq,
            "id": f"{room.epoch}-{seq}",
            "type": "generic",
            "username": username,
            "user_id": f"id-{username}",
            "message": text,
            "sent_at": _now(),
            "client_id": client_id,
        }
        pair = next((key for key, known in self.rooms.items() if known is room), "")
        if isinstance(pair, frozenset):
            (target,) = pair - {username}
            item |= {"type": "private", "target": target}
        room.entries.append(item)
        return item

    def _push(self, item: Wire, event: str = "new message", skip_sid: str | None = None) -> None:
        if self._held_pushes is not None:
            self._held_pushes.append(item)
        elif self.lost_pushes:
            self.lost_pushes -= 1
        elif item["type"] == "private":
            for_target = item | {"room": f"@{item['username']}"}
            self.sio.emit(event, for_target, room=f"user {item['target']}", skip_sid=skip_sid)
        else:
            self.sio.emit(event, item, room=item["room"], skip_sid=skip_sid)

    def _members(self, sid: str, payload: Wire) -> Wire:
        here = self._in(payload["room"])
        return {"room": payload["room"], "members": here, "online": len(here), "more": False}

    def _in(self, room: str) -> list[Wire]:
        sids = [sid for sid in self._names if room in self.sio.rooms(sid)]
        names = sorted({self._names[sid] for sid in sids})
        return [{"user_id": f"id-{name}", "username": name} for name in names]

    def _find(self, sid: str, name: str) -> Room:
        return self.conversation(self._names[sid], name[1:]) if name.startswith("@") else self.room(name)

    def _history(self, sid: str, payload: Wire) -> Wire:
        room = self._find(sid, payload["room"])
        limit = payload.get("limit", self.page)
        if "after" in payload:
            found = room.after(payload["after"])
            items, more = found[:limit], len(found) > limit
        else:
            messages = [item for item in room.entries if "change" not in item]
            items, more = messages[-limit:], len(messages) > limit
        answer: Wire = {"room": payload["room"], "messages": items, "more": more}
        if payload.get("after", room.first_kept) < room.first_kept - 1:
            answer["gap"] = True
        return answer | {"messages": [item | {"room": payload["room"]} for item in items]}

    def _rooms(self, sid: str, payload: Wire) -> Wire:
        name = self._names[sid]
        rooms = []
        for key, room in self.rooms.items():
            if isinstance(key, str) or name in key:
                address = key if isinstance(key, str) else f"@{next(iter(key - {name}))}"
                read = room.readers.get(name, 0)
                entry = {"room": address, "epoch": room.epoch, "last_seq": room.last_seq, "read_seq": read}
                rooms.append(entry | {"unread": room.last_seq - read})
        return {"rooms": rooms}

    def _read(self, sid: str, payload: Wire) -> Wire:
        self._find(sid, payload["room"]).readers[self._names[sid]] = payload["seq"]
        return {"room": payload["room"], "read_seq": payload["seq"]}


_silent = logging.Logger("silent", logging.CRITICAL + 1)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())


@contextmanager
def running_double(**options: int) -> Iterator[ChatDouble]:
    """Run a double on a free port, and end it whatever happens."""
    double = ChatDouble(**options)
    double.start()
    try:
        yield double
    finally:
        double.stop()
