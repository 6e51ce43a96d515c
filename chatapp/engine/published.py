"""What the managers of python-socketio publish to each other, checked: it comes from other processes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from chatapp.engine.faults import Malformed

#: What one message may hold, and how deep it may be nested.
MAX_BYTES = 8 * 2**20
MAX_DEPTH = 200


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return type(value) is int


def _is_namespace(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("/")


def _is_room(value: Any) -> bool:
    return isinstance(value, str) or type(value) is int


def _is_target(value: Any) -> bool:
    """Return whether it names one room, several, or all clients."""
    if isinstance(value, list):
        return bool(value) and all(map(_is_room, value))
    return value is None or _is_room(value)


def _is_skipped(value: Any) -> bool:
    return value is None or isinstance(value, str) or (isinstance(value, list) and all(map(_is_text, value)))


def _is_place(value: Any) -> bool:
    """Return whether it says where an acknowledgement belongs: room, namespace, number."""
    if not isinstance(value, list) or len(value) != 3:
        return value is None
    return _is_target(value[0]) and _is_namespace(value[1]) and _is_number(value[2])


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_switch(value: Any) -> bool:
    return value is None or isinstance(value, bool)


#: By method, what each of its fields has to be. Those that are left out count as None.
_FIELDS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "emit": {
        "event": _is_text,
        "data": _is_list,
        "binary": _is_switch,
        "namespace": _is_namespace,
        "room": _is_target,
        "skip_sid": _is_skipped,
        "callback": _is_place,
        "host_id": _is_text,
    },
    "callback": {"host_id": _is_text, "id": _is_number, "args": _is_list},
    "disconnect": {"sid": _is_text, "namespace": _is_namespace},
    "enter_room": {"sid": _is_text, "room": _is_room, "namespace": _is_namespace},
    "leave_room": {"sid": _is_text, "room": _is_room, "namespace": _is_namespace},
    "close_room": {"room": _is_room, "namespace": _is_namespace},
}


def check_published(data: Any) -> None:
    """Raise Malformed unless this is a message of python-socketio's `PubSubManager`."""
    method = data.get("method") if isinstance(data, dict) else None
    fields = _FIELDS.get(method) if isinstance(method, str) else None
    if fields is None or not all(is_right(data.get(field)) for field, is_right in fields.items()):
        raise Malformed("a message of no manager")
    if method == "emit" and data.get("binary"):
        _check_attachments(data["data"])


def _check_attachments(data: list[Any]) -> None:
    """The first is a list of arguments with placeholders, the others are what belongs there."""
    if not data or not isinstance(data[0], list) or not all(map(_is_text, data[1:])):
        raise Malformed("a message whose attachments are none")
    try:
        for attachment in data[1:]:
            base64.b64decode(attachment, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("a message whose attachments are none") from None
