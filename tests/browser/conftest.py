"""A real browser for the tests of the page: Debian's chromium under Playwright, and people in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from party import QUICK, Party
from people import Person
from servers import running

#: Who uses the page twice in a minute in ten tests is too fast for the usual limits.
UNLIMITED = {**QUICK, "LIMITS_ENABLED": "no"}


def _chromium() -> str | None:
    return os.environ.get("CHATAPP_TEST_CHROMIUM") or shutil.which("chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser that the tests of a module share; each person in it has a context of their own. It runs an
    event loop in this thread, which is nothing for the tests of other modules."""
    path = _chromium()
    if path is None:
        pytest.skip("there is no chromium: apt-get install chromium, or name one by CHATAPP_TEST_CHROMIUM")
    with sync_playwright() as playwright:
        # As root, which it is in containers, it starts only without its own sandbox.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server on which nobody is too fast."""
    with running("serve", tmp_path_factory.mktemp("pages"), **UNLIMITED) as server:
        yield server.url


@pytest.fixture
def party(url: str) -> Iterator[Party]:
    """A test's own guests, who are no browsers."""
    party = Party(url)
    yield party
    party.close()


@pytest.fixture
def person(browser: Browser, url: str) -> Iterator[Callable[..., Person]]:
    """Makes people with a browser each, who have seen no fault of the page when the test is over."""
    made: list[Person] = []

    def make(name: str, room: str, *, base: str = url, **options: Any) -> Person:
        made.append(Person(browser, base, name, room, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()
    for each in made:
        assert each.faults == [], each.faults
