"""A chat server for Flask sites: rooms and private messages over Socket.IO, and nothing lost."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatapp.chat.hooks import PendingJoin, PendingMessage
    from chatapp.errors import ChatError, Refusal
    from chatapp.server import ChatServer, create_app
    from chatapp.settings import Settings, load_settings

__version__ = "0.1.0"

__all__ = [
    "ChatError",
    "ChatServer",
    "PendingJoin",
    "PendingMessage",
    "Refusal",
    "Settings",
    "create_app",
    "load_settings",
]

_HOMES = {
    "ChatError": "chatapp.errors",
    "ChatServer": "chatapp.server",
    "PendingJoin": "chatapp.chat.hooks",
    "PendingMessage": "chatapp.chat.hooks",
    "Refusal": "chatapp.errors",
    "Settings": "chatapp.settings",
    "create_app": "chatapp.server",
    "load_settings": "chatapp.settings",
}


def __getattr__(name: str) -> Any:
    # Names are loaded when they are first used (PEP 562): `chatapp serve` has to patch the process
    # before anything that opens sockets is imported, and `chatapp check` needs none of it.
    if name not in _HOMES:
        raise AttributeError(f"module 'chatapp' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
