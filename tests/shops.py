"""Pages of sites with the chat on them, and somebody who looks at one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect

from clients import wait_until
from people import hear
from servers import PATIENCE_SECONDS, ROOT

JQUERY_1 = ROOT / "tests" / "node" / "node_modules" / "jquery-1" / "dist" / "jquery.min.js"

PLAIN = """<!doctype html>
<html lang="en"><head><title>Shop</title></head>
<body><main><h1>Shop</h1><p id="text">Seeds</p>LINE</main></body></html>
"""

#: A page that says something of every element, has names of its own for what others would call so, and
#: adds to what all objects have.
HOSTILE = """<!doctype html>
<html lang="en" style="font-size: 62.5%"><head><title>Shop</title><style>
  * { all: unset !important; display: none !important; color: red !important; font: 40px serif !important }
  html, body, main, h1, p { display: block !important; position: static !important }
  script + *, body > *, chatapp-widget { opacity: 0 !important; transform: rotate(9deg) !important }
  div, button, svg, section, form, textarea { width: 3px !important; visibility: hidden !important }
  body { direction: rtl; text-align: right; letter-spacing: 1em; text-transform: uppercase }
</style></head>
<body><main><h1>Shop</h1><p id="text">Seeds</p></main>
<script src="/jquery-1.js"></script>
<script>
  window.heard = [];
  window.io = window.Chatapp = "the page's own";
  window.define = function () { heard.push("define"); };
  window.define.amd = {};
  Array.prototype.ours = function () { heard.push("called"); };
  Object.prototype.theirs = function () { heard.push("called"); };
  jQuery(document).on("keydown keypress keyup", function (event) { heard.push(event.type); });
  window.before = Object.keys(window);
</script>
LINE</body></html>
"""


class Shop:
    """Somebody at a page of a site, which is at `address`, and holds `html` if that is not what is there.
    `faults` are the errors that were seen, `said` is all that the console shows."""

    def __init__(
        self, browser: Browser, address: str, html: str = "", headers: Any = None, **options: Any
    ) -> None:
        self.faults: list[str] = []
        self.said: list[str] = []
        self.context = browser.new_context(**{"locale": "en-US", "reduced_motion": "reduce", **options})
        self.context.set_default_timeout(PATIENCE_SECONDS * 1000)
        self.page: Page = self.context.new_page()
        hear(self.page, self.faults)
        self.page.on("console", self._note)
        self.page.route("**/jquery-1.js", lambda route: route.fulfill(path=JQUERY_1))
        if html:
            answer = {"body": html, "content_type": "text/html; charset=utf-8", "headers": headers or {}}
            self.page.route(address, lambda route: route.fulfill(**answer))
        self.page.goto(address)

    def _note(self, message: ConsoleMessage) -> None:
        self.said.append(message.text)

    def close(self) -> None:
        """Close the browser's context."""
        self.context.close()

    # What is seen

    @property
    def button(self) -> Locator:
        """What opens and closes the chat."""
        return self.page.locator(".launcher")

    @property
    def window(self) -> Locator:
        """The chat."""
        return self.page.locator(".widget .window")

    @property
    def box(self) -> Locator:
        """Where one writes."""
        return self.page.locator(".composer textarea")

    def texts(self) -> list[str]:
        """Return the texts of the messages."""
        return self.window.locator(".row:not(.is-notice) .text").all_text_contents()

    def wait_for_texts(self, *texts: str) -> None:
        """Wait until exactly these are seen, in this order."""
        wait_until(lambda: self.texts() == list(texts), f"{texts} in the widget", every_seconds=0.05)

    def wait_for_said(self, text: str) -> None:
        """Wait until the console shows it, which is no fault then."""

        def is_said() -> bool:
            self.page.evaluate("0")  # or nothing of the browser arrives
            return any(text in said for said in self.said)

        wait_until(is_said, f"{text!r} in {self.said}", every_seconds=0.05)
        self.faults.clear()

    # What is done

    def name(self, name: str) -> None:
        """Come in under a name."""
        self.page.locator("#welcome-name").fill(name)
        self.page.keyboard.press("Enter")
        expect(self.window.locator(".state")).to_contain_text("here")

    def say(self, text: str) -> None:
        """Write a message and send it."""
        self.box.fill(text)
        self.box.press("Enter")


class OtherSite(ThreadingHTTPServer):
    """A site of another origin; each of its pages is `html`."""

    daemon_threads = True
    html = PLAIN

    @property
    def url(self) -> str:
        """Its origin."""
        return f"http://127.0.0.1:{self.server_port}"

    @contextlib.contextmanager
    def visited(self, browser: Browser, line: str) -> Iterator[Shop]:
        """Open a page of it with `line` in it."""
        self.html = PLAIN.replace("LINE", line)
        shop = Shop(browser, f"{self.url}/shop")
        try:
            yield shop
        finally:
            shop.close()


class _Handler(BaseHTTPRequestHandler):
    server: OtherSite

    def do_GET(self) -> None:
        body = self.server.html.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Requests are nobody's business."""


@contextlib.contextmanager
def serving() -> Iterator[OtherSite]:
    """Run a site of another origin."""
    with OtherSite(("127.0.0.1", 0), _Handler) as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield site
        finally:
            site.shutdown()
            thread.join()
