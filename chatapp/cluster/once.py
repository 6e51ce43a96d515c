"""A payload to the workers of this host from a process that is none: a job, a script. Needs no event loop."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Collection
from pathlib import Path

from chatapp.cluster.directory import Directory
from chatapp.cluster.frames import (
    HELLO,
    HELLO_PREFIX,
    MAX_FRAME_BYTES,
    ONCE,
    ONCE_HEAD,
    ONLY_ONCE,
    PURPOSE,
    TAKEN,
    Garbage,
    frame,
    pack_topics,
    parse_frames,
)
from chatapp.errors import HostingError

#: How long it may take in all, whatever the workers do.
ONCE_SECONDS = 1.0
_READ_BYTES = 4096


def publish_once(path: Path, topics: Collection[str], payload: bytes) -> int:
    """Send a payload to the workers that hear one of these, and return how many workers have taken note.

    ``path`` is the workers' directory. Takes ONCE_SECONDS at most, whether or not gevent has patched the
    process, and never raises.
    """
    deadline = time.monotonic() + ONCE_SECONDS
    named = pack_topics(topics)
    body = ONCE_HEAD.pack(len(named)) + named + payload
    if len(body) > MAX_FRAME_BYTES or not path.is_dir():
        return 0
    directory = Directory(path)
    with contextlib.ExitStack() as stack:
        try:
            directory.open()
            stack.callback(directory.close)
            workers = directory.workers(PURPOSE)
        except (HostingError, OSError):
            return 0
        connections = []
        for worker in workers:
            with contextlib.suppress(OSError):  # it has no place for us
                connection = directory.connect(worker, PURPOSE)
                if connection is not None:
                    connections.append(stack.enter_context(connection))
        return _send(connections, frame(HELLO, HELLO_PREFIX + ONLY_ONCE) + frame(ONCE, body), deadline)


def _send(connections: list[socket.socket], letter: bytes, deadline: float) -> int:
    """Send the same to all, and return how many have answered before the deadline."""
    taken = 0
    unsent = {connection: memoryview(letter) for connection in connections}
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_WRITE)
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                connection = key.fileobj  # type: ignore[assignment]
                try:
                    if key.events == selectors.EVENT_WRITE:
                        unsent[connection] = unsent[connection][connection.send(unsent[connection]) :]
                        if not unsent[connection]:
                            selector.modify(connection, selectors.EVENT_READ)
                    else:
                        taken += _is_taken(connection.recv(_READ_BYTES))
                        selector.unregister(connection)
                except BlockingIOError:
                    continue
                except OSError:
                    selector.unregister(connection)
    return taken


def _is_taken(answer: bytes) -> bool:
    kinds: list[int] = []
    with contextlib.suppress(Garbage):
        parse_frames(answer, lambda kind, _: kinds.append(kind))
    return kinds == [TAKEN]
