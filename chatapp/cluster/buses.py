"""Which bus the settings name."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Collection

from chatapp.cluster import once
from chatapp.cluster.bus import Bus
from chatapp.cluster.directory import Directory
from chatapp.cluster.siblings import SiblingBus
from chatapp.errors import HostingError
from chatapp.metrics import BusCounts
from chatapp.settings import Settings

_AUTO = "auto"
#: Where python-socketio's RedisManager publishes, unless it is told otherwise.
EMITS_CHANNEL = "socketio"


def missing_package(settings: Settings) -> str | None:
    """Return a sentence if what the bus needs is not installed."""
    if settings.cluster.bus == _AUTO or importlib.util.find_spec("redis") is not None:
        return None
    return "[cluster] bus: a URL needs the redis package: pip install 'chatapp[redis]'"


def open_bus(
    settings: Settings,
    directory: Directory,
    soon: Callable[[Callable[[], None]], object] | None = None,
    counts: BusCounts | None = None,
    take_emits: Callable[[bytes], None] | None = None,
) -> Bus:
    """Return the bus of ``[cluster] bus``, not started: that of the host's workers, or Redis for these and
    those of other hosts. ``soon(call)`` calls at the end of the loop's round; ``take_emits`` gets what
    python-socketio's ``RedisManager`` publishes in other processes, where the bus is Redis.

    Raises HostingError if the ``redis`` package is missing.
    """
    if settings.cluster.bus == _AUTO:
        return SiblingBus(directory, soon, counts)
    if sentence := missing_package(settings):
        raise HostingError(sentence)
    from chatapp.cluster.redis import RedisBus  # the package is an extra

    bus = RedisBus(settings.cluster.bus, counts)
    if take_emits is not None:
        bus.hear_channel(EMITS_CHANNEL, take_emits)
    return bus


def publish_once(settings: Settings, directory: Directory, topics: Collection[str], payload: bytes) -> int:
    """Publish a payload from a process that is no worker, such as a job or a script; return how many
    workers were reached. Takes a second at most, and never raises."""
    if settings.cluster.bus == _AUTO:
        return once.publish_once(directory.path, topics, payload)
    if missing_package(settings):
        return 0
    from chatapp.cluster import redis

    return redis.publish_once(settings.cluster.bus, topics, payload)
