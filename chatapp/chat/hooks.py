"""The host site's say: hooks that may change or refuse, and callbacks that are told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import gevent

from chatapp.domain.messages import User
from chatapp.errors import Internal, Refusal

logger = logging.getLogger("chatapp.hooks")

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class PendingJoin:
    """A join that has not happened yet. A ``before_join`` hook may set `room` or raise a `Refusal`."""

    room: str
    user: User


@dataclass(slots=True)
class PendingMessage:
    """A message or an edit that is not stored yet. A ``before_message`` hook may set `text` or raise
    a `Refusal`. `room` is ``@name`` for a private message."""

    room: str
    user: User
    text: str
    is_edit: bool = False


class Hooks:
    """Functions of the host site, by what they wait for, called in the order they were added."""

    def __init__(self) -> None:
        self._functions: dict[str, list[Callable[..., Any]]] = {}

    def add(self, moment: str, function: F) -> F:
        """Add a function; usable as a decorator's body."""
        self._functions.setdefault(moment, []).append(function)
        return function

    def ask(self, moment: str, pending: PendingJoin | PendingMessage) -> None:
        """Let the hooks change `pending`. Raises their Refusal; any other exception refuses too."""
        for function in self._functions.get(moment, ()):
            try:
                function(pending)
            except Refusal:
                raise
            except Exception:
                logger.exception("a %s hook failed", moment)
                raise Internal() from None

    def listens(self, moment: str) -> bool:
        """Return whether there is a function for this moment."""
        return moment in self._functions

    def tell_soon(self, moment: str, *args: Any) -> None:
        """Call the callbacks, which may block, in a greenlet of their own; those of one moment begin in the
        order of the calls."""
        gevent.spawn(self.tell, moment, *args)

    def tell(self, moment: str, *args: Any) -> None:
        """Call the callbacks; what they raise is logged and changes nothing."""
        for function in self._functions.get(moment, ()):
            try:
                function(*args)
            except Exception:
                logger.exception("an %s callback failed", moment)
