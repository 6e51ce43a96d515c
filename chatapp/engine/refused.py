"""Requests that are answered with an error."""

from __future__ import annotations


class Refused(Exception):
    """The request is answered with this status and sentence, and nothing more is read if it `ends` its
    connection."""

    def __init__(self, status: str, reason: str, *headers: tuple[str, str], ends: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers
        self.ends = ends


def bad(reason: str) -> Refused:
    """Return the answer to a request that breaks the protocol."""
    return Refused("400 Bad Request", reason)
