"""A TCP proxy on a free port that does to connections what networks do to them."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

from raw_polling import reset

#: Asked about each piece that comes from the server, with what the client has sent last: how many of
#: its bytes go through before both ends get RST; None for all of them, and no RST.
Cut = Callable[[bytes, bytes], int | None]


class _Link:
    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.ends = (client, server)
        self.asked = b""

    def other(self, end: socket.socket) -> socket.socket:
        return self.ends[end is self.ends[0]]


class TcpProxy:
    """Passes connections on to a port of `host`, an address of this machine, on which it listens too.
    `url` is where."""

    def __init__(self, port: int, cut: Cut | None = None, *, host: str = "127.0.0.1") -> None:
        self._server = (host, port)
        self._cut = cut
        self._listener = socket.create_server((host, 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://{host}:{self.port}"
        self._links: set[_Link] = set()
        self._lock = threading.RLock()
        self._swallowed: frozenset[int] = frozenset()  # of which ends: 0 the client's, 1 the server's
        self._is_stalled = False
        self._delay_seconds = 0.0
        #: What is on its way with a delay: when it is due, and what `_send` needs.
        self._late: deque[tuple[float, _Link, socket.socket, bytes]] = deque()
        self._is_blocking = False
        self._ended = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> TcpProxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._ended = True
        self._wake.send(b"!")
        self._thread.join()
        self.cut()
        for end in (self._listener, self._wake, self._woken):
            end.close()
        self._selector.close()

    def swallow(self, *, only_answers: bool = False) -> None:
        """From now on pass nothing on, to either side or to clients, and keep all connections open."""
        with self._lock:
            self._swallowed = frozenset({1} if only_answers else {0, 1})

    def pass_on(self) -> None:
        """Let what comes from now on through again, after `swallow`."""
        with self._lock:
            self._swallowed = frozenset()

    def cut(self) -> None:
        """End all connections with RST on both sides. Those that come later are passed on."""
        with self._lock:
            self._swallowed = frozenset()
            self._late.clear()
            for link in list(self._links):
                self._end(link, gently=False)

    def stall(self) -> None:
        """Leave all that comes where it is, and lose nothing, until `go_on`."""
        with self._lock:
            self._is_stalled = True
            for link in self._links:
                self._ignore(link)

    def go_on(self) -> None:
        """Pass on what has come during a stall."""
        with self._lock:
            self._is_stalled = False
            for link in self._links:
                self._heed(link)
        self._wake.send(b"!")

    def delay(self, seconds: float) -> None:
        """From now on pass everything on so much later."""
        with self._lock:
            self._delay_seconds = seconds

    def block(self) -> None:
        """End all connections with RST, and any new one until `unblock`."""
        with self._lock:
            self._is_blocking = True
            self.cut()

    def unblock(self) -> None:
        """Let connections through again."""
        with self._lock:
            self._is_blocking = False

    def _run(self) -> None:
        while True:
            due = self._late[0][0] if self._late else None
            ready = self._selector.select(None if due is None else max(0, due - time.monotonic()))
            with self._lock:
                if self._ended:
                    return
                while self._late and self._late[0][0] <= time.monotonic():
                    self._send(*self._late.popleft()[1:])
                for key, _ in ready:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj is self._woken:
                        self._woken.recv(64)
                    elif key.data in self._links and not self._is_stalled:
                        self._pass(key.data, key.fileobj)  # type: ignore[arg-type]

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        if self._is_blocking:
            reset(client)
            return
        try:
            server = socket.create_connection(self._server)
        except OSError:
            reset(client)
            return
        link = _Link(client, server)
        self._links.add(link)
        for end in link.ends:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._is_stalled:
            self._heed(link)

    def _pass(self, link: _Link, end: socket.socket) -> None:
        try:
            piece = end.recv(65536)
        except OSError:
            piece = b""
        if end is link.ends[0]:
            link.asked = piece
        if link.ends.index(end) in self._swallowed:
            if not piece:
                self._selector.unregister(end)
        elif self._delay_seconds or self._late:
            if not piece:
                self._selector.unregister(end)
            due = time.monotonic() + self._delay_seconds
            self._late.append((max(due, self._late[-1][0] if self._late else 0), link, end, piece))
        else:
            self._send(link, end, piece)

    def _send(self, link: _Link, end: socket.socket, piece: bytes) -> None:
        """Pass on what came from an end, nothing for its end."""
        if link not in self._links:
            return
        if not piece:
            self._end(link, gently=True)
            return
        limit = None
        if self._cut is not None and end is link.ends[1]:
            limit = self._cut(link.asked, piece)
        with contextlib.suppress(OSError):  # then the other end is gone, and says so
            link.other(end).sendall(piece[:limit])
        if limit is not None:
            self._end(link, gently=False)

    def _heed(self, link: _Link) -> None:
        for end in link.ends:
            with contextlib.suppress(KeyError):
                self._selector.register(end, selectors.EVENT_READ, link)

    def _ignore(self, link: _Link) -> None:
        for end in link.ends:
            with contextlib.suppress(KeyError):
                self._selector.unregister(end)

    def _end(self, link: _Link, *, gently: bool) -> None:
        self._links.remove(link)
        self._ignore(link)
        for end in link.ends:
            if gently:
                end.close()
            else:
                reset(end)
