"""The site in `census_site` in each hosting, and whether what it holds comes back to what it was."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from clients import wait_until
from servers import HOSTINGS, PATIENCE_SECONDS, ServerProcess, running

HERE = Path(__file__).parent

#: As `servers.HOSTINGS`, with the site around the chat.
COMMANDS: Mapping[str, Sequence[str]] = {
    name: [sys.executable, "census_site.py"] if name == "serve" else [*command[:-1], "census_site:app"]
    for name, command in HOSTINGS.items()
}

#: How long a server may take to let go.
RELEASE_SECONDS = 10

#: How many descriptors and greenlets there may be beyond those before: those of pools that grow at need.
SPARE = 4

#: What memory may have grown by after it all: the allocator's own, and what is not yet back.
SPARE_BYTES = 4 * 1024 * 1024


@contextlib.contextmanager
def running_census(
    hosting: str, directory: Path, *arguments: str, **settings: str
) -> Iterator[ServerProcess]:
    """Run the site; `arguments` are gunicorn's."""
    *start, app = COMMANDS[hosting]
    with running(directory=directory, command=[*start, *arguments, app], cwd=HERE, **settings) as server:
        yield server


def take(server: ServerProcess) -> dict[str, int]:
    """Count now."""
    answer = requests.get(f"{server.url}/census", timeout=PATIENCE_SECONDS, headers={"Connection": "close"})
    answer.raise_for_status()
    counts: dict[str, int] = answer.json()
    return counts


def settled(server: ServerProcess) -> dict[str, int]:
    """Count when two counts in a row are the same, which is when nothing is on its way."""
    last: list[Any] = [take(server)]

    def same() -> dict[str, int] | None:
        before, now = last[0], take(server)
        last[0] = now
        exact = ("descriptors", "greenlets")
        return now if [before[name] for name in exact] == [now[name] for name in exact] else None

    found: dict[str, int] = wait_until(same, "the server to come to rest", every_seconds=0.2)
    return found


def check_released(
    server: ServerProcess,
    base: dict[str, int],
    *,
    spare_objects: int,
    spare_bytes: int = SPARE_BYTES,
    seconds: float = RELEASE_SECONDS,
) -> dict[str, int]:
    """Check that the server comes back to `base` in time; return the last count."""
    deadline = time.monotonic() + seconds
    allowed = {
        "descriptors": base["descriptors"] + SPARE,
        "greenlets": base["greenlets"] + SPARE,
        "objects": base["objects"] + spare_objects,
        "resident_bytes": base["resident_bytes"] + spare_bytes,
    }
    while True:
        now = take(server)
        over = {name: (now[name], most) for name, most in allowed.items() if now[name] > most}
        if not over:
            return now
        assert time.monotonic() < deadline, f"not released, as (now, allowed): {over}"
        time.sleep(0.2)
