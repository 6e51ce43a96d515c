"""What the workers of several hosts share: a database, a bus and a secret."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from valkey_server import ValkeyServer, valkey


class Shared:
    """`postgres` and `valkey` are the servers, `settings` what a host needs to use them."""

    def __init__(self, postgres: Any, valkey: ValkeyServer, database_url: str) -> None:
        self.postgres = postgres
        self.valkey = valkey
        self.settings = {
            "STORAGE_URL": database_url,
            "CLUSTER_BUS": valkey.url,
            "APP_SECRET_KEY": "known to both hosts",
            "LIMITS_ENABLED": "no",
            "LOG_LEVEL": "error",
        }


@contextlib.contextmanager
def shared(host: str = "127.0.0.1") -> Iterator[Shared]:
    """Run the servers that several hosts share; Valkey listens at `host`."""
    from databases import new_database, start_postgres

    postgres = start_postgres()
    try:
        with new_database("postgresql", postgres) as url, valkey(host=host) as bus:
            yield Shared(postgres, bus, url)
    finally:
        postgres.close()
