"""Several servers of one chat on one host, each with a port of its own for tests to choose from."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import requests

from raw_polling import RawPolling
from servers import HOSTINGS, PATIENCE_SECONDS, ServerProcess, running


@contextlib.contextmanager
def siblings(
    directory: Path,
    hosting: str = "serve",
    count: int = 2,
    command: Sequence[str] | None = None,
    **settings: str,
) -> Iterator[list[ServerProcess]]:
    """Run servers that have one worker each, and one data directory."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                running(
                    directory=directory,
                    command=command or HOSTINGS[hosting],
                    WEB_METRICS="yes",
                    LIMITS_ENABLED="no",
                    **settings,
                )
            )
            for _ in range(count)
        ]


def session_of(owner: ServerProcess, by: ServerProcess) -> RawPolling:
    """Return a fresh session of one worker whose further requests go to another."""
    session = RawPolling(owner.url)
    session.url = by.url
    return session


def handed_over(server: ServerProcess) -> dict[str, int]:
    """Return how many requests changed workers, by outcome, as the server's one worker counts them."""
    answer = requests.get(f"{server.url}/chat/metrics", timeout=PATIENCE_SECONDS)
    answer.raise_for_status()
    found = re.findall(r'^chatapp_handed_over_total\{outcome="(\w+)"\} (\d+)', answer.text, re.MULTILINE)
    return {outcome: int(count) for outcome, count in found}


def sockets(directory: Path) -> set[str]:
    """Return the ids of the workers that can be handed requests."""
    return {path.stem for path in (directory / "run").iterdir() if path.suffix == ".hand"}


def worker_id(session: RawPolling) -> str:
    return session.sid[:8]
