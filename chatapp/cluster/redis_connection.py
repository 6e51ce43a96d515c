"""Connections to Redis or Valkey by their URL, also through Sentinel."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from redis import ConnectionPool, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

#: What a server may take to answer anything, connecting included, until it counts as gone.
TIMEOUT_SECONDS = 1.0
#: What comes before the topic in the name of a channel.
CHANNEL_PREFIX = "chatapp:"

#: What the connections raise; UnicodeError where a host's name can be none.
Failure = (RedisError, OSError, UnicodeError)

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
_SENTINEL_PORT = 26379


def open_pool(url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> ConnectionPool:
    """Return what makes connections; makes none yet. Raises ValueError for a URL that is none.

    ``redis``, ``rediss`` (TLS), ``valkey``, ``valkeys`` and ``unix`` are redis-py's URLs; Sentinel's is
    python-socketio's: ``redis+sentinel://[user:password@]host:port,host:port/database/service``.
    """
    options: dict[str, Any] = {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "protocol": 2,  # what is published comes as an answer, not beside the answers
    }
    scheme, _, rest = url.partition("://")
    if not scheme.endswith("+sentinel"):
        return ConnectionPool.from_url(f"{scheme.replace('valkey', 'redis')}://{rest}", **options)
    sentinels, service, own = parse_sentinel_url(url)
    retry = Retry(NoBackoff(), 0)
    sentinel: Any = Sentinel  # which has no types
    guards = sentinel(sentinels, sentinel_kwargs={**options, "retry": retry}, **options, **own)
    pool: ConnectionPool = guards.master_for(service, retry=retry).connection_pool
    return pool


def parse_sentinel_url(url: str) -> tuple[list[tuple[str, int]], str, dict[str, Any]]:
    """Return the Sentinels, the service's name, and how to sign in at the server that they name.

    Raises ValueError.
    """
    parts = urlsplit(url)
    sentinels = []
    for place in parts.netloc.rpartition("@")[2].split(","):
        host, _, port = place.rpartition(":") if ":" in place else (place, "", str(_SENTINEL_PORT))
        sentinels.append((host, int(port)))
    own: dict[str, Any] = {}
    if parts.username:
        own["username"] = unquote(parts.username)
    if parts.password:
        own["password"] = unquote(parts.password)
    database, _, service = parts.path.strip("/").rpartition("/")
    if database:
        own["db"] = int(database)
    return sentinels, service, own


def pauses() -> Iterator[float]:
    """Yield the seconds before each attempt to connect again: growing, and never the same for two."""
    for attempt in itertools.count():
        longest = min(_FIRST_PAUSE_SECONDS * 2 ** min(attempt, 10), _LONGEST_PAUSE_SECONDS)
        yield longest * random.uniform(0.5, 1)
