"""What a client has to know of the settings before it can speak: names, limits, who names users."""

from __future__ import annotations

from typing import Any

from chatapp.domain.text import CLIENT_ID_CHARACTERS
from chatapp.settings import Settings

#: The limits that a client heeds by itself.
_LIMITS = (
    "announce_members",
    "members_page",
    "message_bytes",
    "message_characters",
    "reactions_per_message",
    "room_characters",
    "rooms_per_connection",
    "username_characters",
)


def vocabulary(settings: Settings, root: str = "") -> dict[str, Any]:
    """Return ``{socketio_path, events, message_types, auth, limits}``, with nothing secret in it.

    `root` is the path below which the site itself lies (WSGI's ``SCRIPT_NAME``); the names of events and
    types are by their keys in lower case.
    """
    limits = {name: getattr(settings.limits, name) for name in _LIMITS}
    limits |= {"history_page": settings.history.page, "history_page_limit": settings.history.page_limit}
    return {
        "socketio_path": root + settings.app.socketio_path,
        "events": settings.events.model_dump(),
        "message_types": settings.message_types.model_dump(),
        "auth": {"mode": settings.auth.mode, "guests": settings.auth.mode == "guest"},
        "limits": limits | {"client_id_characters": CLIENT_ID_CHARACTERS},
    }
