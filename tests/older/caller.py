"""The same as ``node/caller.js``, on python-socketio 4: ``caller.py URL OPTIONS``."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import socketio

EVENTS = ("new message", "presence", "typing", "message changed", "server notice", "question", "auth")

_lock = threading.Lock()


def show(*line: Any) -> None:
    text = json.dumps(line, default=lambda data: {"hex": data.hex()})
    with _lock:
        print(text, flush=True)


def revived(fields: dict[str, Any]) -> Any:
    return bytes.fromhex(fields["hex"]) if "hex" in fields else fields


def main(url: str, options: str) -> None:
    given = json.loads(options)
    client = socketio.Client(reconnection_delay=0.1, reconnection_delay_max=0.2)
    client.on("connect", lambda: show("connect", client.eio.sid))
    client.on("disconnect", lambda: show("disconnect"))
    for event in EVENTS:
        client.on(event, lambda payload, event=event: show("event", event, payload) or payload)
    client.connect(url, transports=given.get("transports"))
    for line in sys.stdin:
        number, event, payload = json.loads(line, object_hook=revived)
        data = None if payload is None else payload
        client.emit(event, data, callback=lambda answer, number=number: show("answer", number, answer))
    client.disconnect()


if __name__ == "__main__":
    main(*sys.argv[1:])
