"""A chat server that delivers badly: ``python broken_server.py FAULT``, one of `FAULTS`."""

from __future__ import annotations

import sys
from typing import Any

#: What becomes of every EVERY-th message that goes to a room; or nobody hears who comes.
FAULTS = ("lose", "double", "swap", "be silent")
EVERY = 7


def main() -> None:
    from gevent import monkey

    monkey.patch_all()
    import chatapp.server
    from chatapp.engine.server import SocketDelivery

    [fault] = sys.argv[1:]
    assert fault in FAULTS
    counted, held = 0, []

    class BadDelivery(SocketDelivery):
        def to_room(self, room_id: int, event: str, data: Any, *args: Any, **options: Any) -> None:
            nonlocal counted
            request = (room_id, event, data, *args)
            counted += "seq" in data
            is_ours = "seq" in data and counted % EVERY == 0
            if fault == "be silent" and event == "presence":
                return
            if is_ours and fault in ("lose", "swap"):
                held.extend([request] * (fault == "swap"))
                return
            for _ in range(1 + (is_ours and fault == "double")):
                super().to_room(*request, **options)
            while held:
                super().to_room(*held.pop(), **options)

    chatapp.server.SocketDelivery = BadDelivery  # type: ignore[misc]
    chatapp.server.ChatServer().start(
        lambda host, port: print(f"Listening on http://{host}:{port}", flush=True)
    )


if __name__ == "__main__":
    main()
