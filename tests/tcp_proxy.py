"""A TCP proxy on a free port that does to connections what networks do to them."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
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
    """Passes connections on to a port of this host. `url` is where."""

    def __init__(self, port: int, cut: Cut | None = None) -> None:
        self._port = port
        self._cut = cut
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._links: set[_Link] = set()
        self._lock = threading.RLock()
        self._is_swallowing = False
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

    def swallow(self) -> None:
        """From now on pass nothing on, to either side, and keep all connections open."""
        with self._lock:
            self._is_swallowing = True

    def cut(self) -> None:
        """End all connections with RST on both sides."""
        with self._lock:
            for link in list(self._links):
                self._end(link, gently=False)

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
            ready = self._selector.select()
            with self._lock:
                if self._ended:
                    return
                for key, _ in ready:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.data in self._links:
                        self._pass(key.data, key.fileobj)  # type: ignore[arg-type]

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        if self._is_blocking:
            reset(client)
            return
        try:
            server = socket.create_connection(("127.0.0.1", self._port))
        except OSError:
            reset(client)
            return
        link = _Link(client, server)
        self._links.add(link)
        for end in link.ends:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(end, selectors.EVENT_READ, link)

    def _pass(self, link: _Link, end: socket.socket) -> None:
        try:
            piece = end.recv(65536)
        except OSError:
            piece = b""
        if self._is_swallowing:
            if not piece:
                self._selector.unregister(end)
            return
        if not piece:
            self._end(link, gently=True)
            return
        limit = None
        if end is link.ends[0]:
            link.asked = piece
        elif self._cut is not None:
            limit = self._cut(link.asked, piece)
        with contextlib.suppress(OSError):  # then the other end is gone, and says so
            link.other(end).sendall(piece[:limit])
        if limit is not None:
            self._end(link, gently=False)

    def _end(self, link: _Link, *, gently: bool) -> None:
        self._links.remove(link)
        for end in link.ends:
            with contextlib.suppress(KeyError):
                self._selector.unregister(end)
            if gently:
                end.close()
            else:
                reset(end)
