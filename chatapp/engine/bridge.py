"""The host's own events on their way between workers, over the bus."""

from __future__ import annotations

from typing import Any

from chatapp.cluster.bus import EVERYONE, Bus
from chatapp.engine.manager import Manager
from chatapp.engine.packets import HostPacket

#: What payloads of this kind begin with.
MARK = b"S"


class BusBridge:
    """A `Bridge` over a bus. Whoever gets the bus's payloads hands those with the MARK to `take`."""

    def __init__(self, bus: Bus, manager: Manager) -> None:
        self._bus = bus
        self._manager = manager

    @property
    def is_alone(self) -> bool:
        """See `Bridge`."""
        return self._bus.is_alone

    def publish(self, data: dict[str, Any]) -> None:
        """See `Bridge`."""
        self._bus.publish([EVERYONE], MARK + HostPacket.json.dumps(data).encode())

    def take(self, payload: bytes) -> None:
        """Have done what another worker published. Does not block."""
        self._manager.take_json(payload[len(MARK) :])
