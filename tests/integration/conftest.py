"""The servers that tests of the events share, and each test's own guests on them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from party import QUICK, Party
from servers import running

#: Where limits are soon reached, and times are the usual ones.
STRICT = {
    "HISTORY_CATCH_UP": "5",
    "HISTORY_PAGE": "2",
    "HISTORY_PAGE_LIMIT": "3",
    "LIMITS_ANNOUNCE_MEMBERS": "3",
    "LIMITS_JOINS": "10/minute",
    "LIMITS_MEMBERS_PAGE": "2",
    "LIMITS_MESSAGES": "10/minute",
    "LIMITS_MESSAGE_BYTES": "30",
    "LIMITS_MESSAGE_CHARACTERS": "20",
    "LIMITS_REACTIONS_PER_MESSAGE": "2",
    "LIMITS_READS": "10/minute",
    "LIMITS_ROOM_CHARACTERS": "12",
    "LIMITS_ROOMS_PER_CONNECTION": "2",
    "LIMITS_SIGNALS": "10/minute",
    "LIMITS_USERNAME_CHARACTERS": "10",
}


@pytest.fixture(scope="session")
def quick_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the server with the settings `QUICK`."""
    with running("serve", tmp_path_factory.mktemp("quick"), **QUICK) as server:
        yield server.url


@pytest.fixture(scope="session")
def strict_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the server with the settings `STRICT`."""
    with running("serve", tmp_path_factory.mktemp("strict"), **STRICT) as server:
        yield server.url


@pytest.fixture
def party(quick_url: str) -> Iterator[Party]:
    """A test's own guests, on the server with the settings `QUICK`."""
    party = Party(quick_url)
    yield party
    party.close()


@pytest.fixture
def strict_party(strict_url: str) -> Iterator[Party]:
    """A test's own guests, on the server with the settings `STRICT`."""
    party = Party(strict_url)
    yield party
    party.close()
