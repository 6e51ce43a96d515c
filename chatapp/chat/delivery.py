"""How what is said reaches the clients of this worker."""

from __future__ import annotations

from typing import Any, Protocol


class Delivery(Protocol):
    """Sends events to connections; nothing here blocks."""

    def to_room(self, room_id: int, event: str, data: Any, skip_sid: str | None = None) -> None:
        """Send to all connections in the room."""

    def to_user(self, user_id: int, event: str, data: Any, skip_sid: str | None = None) -> None:
        """Send to all connections of the user."""

    def to_connection(self, sid: str, event: str, data: Any) -> None:
        """Send to one connection."""

    def to_all(self, event: str, data: Any) -> None:
        """Send to all connections."""

    def add_to_room(self, sid: str, room_id: int) -> None:
        """Let a connection hear the room from now on."""

    def remove_from_room(self, sid: str, room_id: int) -> None:
        """Let it hear the room no more."""

    def add_to_user(self, sid: str, user_id: int) -> None:
        """Let a connection hear what goes to this user."""
