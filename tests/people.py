"""People at the chat page: each has a browser context, and does and sees what people do and see."""

from __future__ import annotations

import contextlib
import re
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Browser, Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from clients import wait_until
from servers import PATIENCE_SECONDS

expect.set_options(timeout=PATIENCE_SECONDS * 1000)

#: What a browser says by itself where a connection breaks, which is no fault of the page.
_NETWORK = re.compile(r"WebSocket connection to|Failed to load resource|net::ERR|ERR_CONNECTION")


def hear(page: Page, faults: list[str]) -> None:
    """Add to `faults` the errors and breaches of a policy that the page meets from now on."""
    page.on("pageerror", lambda error: faults.append(str(error)))

    def note(kind: str, text: str) -> None:
        if kind in ("error", "warning") and not _NETWORK.search(text):
            faults.append(text)

    page.on("console", lambda message: note(message.type, message.text))


def seconds_until_seen(page: Page, locator: Locator, bound: float) -> float:
    """Load the page anew, and return how long it takes until this is seen, by the page's own clock: the
    first that is below the `bound`, or the last of five, as what else the machine does only adds to it."""
    for _ in range(5):
        page.reload()
        expect(locator).to_be_visible()
        seconds: float = page.evaluate("performance.now()") / 1000
        if seconds < bound:
            break
    return seconds


class Person:
    """Somebody at the page, in `room`. `faults` are the errors and breaches of the policy that were seen."""

    def __init__(self, browser: Browser, url: str, name: str, room: str, **options: Any) -> None:
        self.name = name
        self.url = url
        self.faults: list[str] = []
        self.context = browser.new_context(**{"locale": "en-US", **options})
        self.context.set_default_timeout(PATIENCE_SECONDS * 1000)
        self.page: Page = self.context.new_page()
        hear(self.page, self.faults)
        self.page.goto(f"{url}/chat/#{quote(room)}")
        if name:
            self.page.locator("#welcome-name").fill(name)
            self.page.keyboard.press("Enter")
            self.wait_for_state("online")

    def close(self) -> None:
        """Close the browser's context."""
        self.context.close()

    def try_now(self) -> None:
        """Have the page come back now, unless it has done so by itself."""
        with contextlib.suppress(PlaywrightTimeoutError):
            self.page.get_by_role("button", name="Try now").click(timeout=1000)

    # What is seen

    @property
    def rows(self) -> Locator:
        """The rows of the list that is at the front, notices left out."""
        return self.page.locator(".view:not([hidden]) .row:not(.is-notice)")

    def texts(self) -> list[str]:
        """Return the texts of these rows."""
        return self.rows.locator(".text").all_text_contents()

    def row(self, text: str) -> Locator:
        """Return the row with this text in it."""
        return self.rows.filter(has=self.page.locator(".text", has_text=text))

    def tab(self, name: str) -> Locator:
        """Return the tab of a room, or of the conversation with somebody."""
        names = self.page.locator(".tab-name").get_by_text(name, exact=True)
        return self.page.get_by_role("tab").filter(has=names)

    def wait_for_texts(self, *texts: str) -> None:
        """Wait until exactly these are the texts that are seen, in this order."""
        wait_until(lambda: self.texts() == list(texts), f"{texts} at {self.name}", every_seconds=0.05)

    def wait_for_state(self, state: str) -> None:
        """Wait for a state of the connection: ``online``, ``offline``."""
        expect(self.page.locator("#my-state")).to_have_class(f"is-{state}")

    # What is done

    def say(self, text: str) -> None:
        """Write a message and send it."""
        self.page.locator("#text").fill(text)
        self.page.locator("#text").press("Enter")

    def choose(self, text: str, tool: str) -> None:
        """Use one of the tools of a message: ``Edit``, ``Delete``, ``React``."""
        self.row(text).hover()
        self.row(text).get_by_role("button", name=tool, exact=True).click()

    def scroll(self, pixels: int) -> None:
        """Turn the wheel over the list."""
        self.page.locator(".view:not([hidden]) .scroller").hover(position={"x": 20, "y": 100})
        self.page.mouse.wheel(0, pixels)
