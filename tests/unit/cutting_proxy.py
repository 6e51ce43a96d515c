"""A proxy before a database's Unix socket that can break the connections that commit."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from pathlib import Path

from sqlalchemy import make_url

#: Not READ COMMITTED, with which PostgreSQL's transactions begin.
_COMMIT = re.compile(rb"COMMIT(?!TED)")


class CuttingProxy:
    """Passes all on, but for the next transaction's COMMIT, once `cut` says so. `url` is the database's URL
    through it."""

    def __init__(self, url: str, directory: Path) -> None:
        parts = make_url(url)
        if parts.get_backend_name() == "postgresql":
            name = ".s.PGSQL.5432"
            self._target = f"{parts.query['host']}/{name}"
            query = {"host": str(directory)}
        else:
            name = "socket"
            self._target = str(parts.query["unix_socket"])
            query = {"unix_socket": f"{directory}/{name}"}
        self.url = parts.update_query_dict(query).render_as_string(hide_password=False)
        self._cut: str | None = None
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.fspath(directory / name))
        self._listener.listen()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def cut(self, when: str) -> None:
        """Break the connection of the next COMMIT: ``"before"`` the server gets it, or ``"after"`` it has
        done it, so that its answer is lost."""
        self._cut = when

    def close(self) -> None:
        """End, once the connections have ended."""
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _start(self, run: object, *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(self._target)
            answering = threading.Thread(target=self._pass_on, args=(server, client))
            answering.start()
            with contextlib.suppress(OSError):
                while data := client.recv(65536):
                    if self._cut is not None and _COMMIT.search(data):
                        when, self._cut = self._cut, None
                        if when == "after":
                            client.shutdown(socket.SHUT_RDWR)  # no answer gets there any more
                            server.sendall(data)
                        break
                    server.sendall(data)
            if answering.is_alive():
                with contextlib.suppress(OSError):
                    server.shutdown(socket.SHUT_WR)
                    client.shutdown(socket.SHUT_RDWR)
            answering.join()

    @staticmethod
    def _pass_on(server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                with contextlib.suppress(OSError):
                    client.sendall(data)
