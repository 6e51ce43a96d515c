"""The directory in which the workers of one host find each other: Unix sockets, named after their workers."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import socket
import stat
from pathlib import Path

from chatapp.errors import HostingError

#: Hexadecimal digits of a worker's id.
WORKER_ID_LENGTH = 8
#: How many connections may wait for their worker.
_BACKLOG = 512

_WORKER_ID = re.compile(f"[0-9a-f]{{{WORKER_ID_LENGTH}}}")


def new_worker_id() -> str:
    """Return a worker's id: random, so that what it leaves behind is never taken for another's."""
    return secrets.token_hex(WORKER_ID_LENGTH // 2)


def is_worker_id(text: str) -> bool:
    """Return whether this may be a worker's id; what is not never becomes part of a path."""
    return _WORKER_ID.fullmatch(text) is not None


class Directory:
    """Holds sockets ``<worker id>.<purpose>``, for nobody but this user (0700).

    A socket that was left by a killed worker refuses connections; whoever notices removes it. Addresses go
    through ``/proc/self/fd``, for a socket's path may have 107 bytes and a site's data directory more.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def open(self) -> None:
        """Make it if there is none. Raises HostingError if it cannot be made, or belongs to somebody else."""
        if self._fd is not None:
            return
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise self._unusable(error) from None
        found = os.fstat(fd)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            os.close(fd)
            raise HostingError(
                f"{self.path} is open to other users of this machine: it must belong to the user that runs"
                " the chat, with mode 0700."
            )
        self._fd = fd

    def close(self) -> None:
        """Let go of it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def listen(self, worker_id: str, purpose: str) -> socket.socket:
        """Return a listening socket of this name. Raises HostingError."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        name = f"{worker_id}.{purpose}"
        try:
            # It has its name only once it listens: until then it refuses, as those of the dead do.
            listener.bind(self._address(f"{name}.new"))
            listener.listen(_BACKLOG)
            os.rename(f"{name}.new", name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except OSError as error:
            listener.close()
            raise self._unusable(error) from None
        return listener

    def connect(self, worker_id: str, purpose: str) -> socket.socket | None:
        """Return a connection to a worker; None if it is gone, whose socket is removed then.

        Does not block. Raises BlockingIOError if too many others wait for that worker, and OSError if
        there is no descriptor left.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.connect(self._address(f"{worker_id}.{purpose}"))
            connection.setblocking(True)
        except OSError as error:
            connection.close()
            if error.errno == errno.ECONNREFUSED:
                self.remove(worker_id, purpose)
            if error.errno in (errno.ECONNREFUSED, errno.ENOENT):
                return None
            raise
        return connection

    def clear(self, purpose: str) -> None:
        """Remove the sockets of this purpose whose workers are gone."""
        for worker_id in self.workers(purpose):
            with contextlib.suppress(OSError):  # one that has too much to do is not gone
                if (connection := self.connect(worker_id, purpose)) is not None:
                    connection.close()

    def remove(self, worker_id: str, purpose: str) -> None:
        """Remove a socket; no-op if there is none."""
        if self._fd is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{worker_id}.{purpose}", dir_fd=self._fd)

    def workers(self, purpose: str) -> list[str]:
        """Return the ids of all workers that have such a socket, those included that were killed."""
        assert self._fd is not None
        suffix = f".{purpose}"
        names = [name.removesuffix(suffix) for name in os.listdir(self._fd) if name.endswith(suffix)]
        return [name for name in names if is_worker_id(name)]

    def _address(self, name: str) -> str:
        assert self._fd is not None, "open it first"
        return f"/proc/self/fd/{self._fd}/{name}"

    def _unusable(self, error: OSError) -> HostingError:
        return HostingError(
            f"The workers cannot find each other in {self.path} ({error.strerror}): set data_dir in [app]"
            " to a directory of this user's."
        )
