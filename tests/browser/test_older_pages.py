"""Pages with socket.io-client 1.7, 2.0 and 2.5 in a real browser: by XMLHttpRequest, JSONP and WebSocket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from older_clients import NEWEST, OLDER, Caller, node_caller
from people import hear
from protocol_peer import check_output, hosted
from servers import PATIENCE_SECONDS, ROOT, ServerProcess
from shops import OtherSite, serving

BUNDLES = ROOT / "tests" / "node" / "node_modules"

WAYS: dict[str, dict[str, Any]] = {
    "polling": {"transports": ["polling"]},
    "base64": {"transports": ["polling"], "forceBase64": True},
    "jsonp": {"transports": ["polling"], "forceJSONP": True},
    "websocket": {"transports": ["websocket"]},
    "upgrade": {"transports": ["polling", "websocket"]},
    "jsonp-upgrade": {"transports": ["polling", "websocket"], "forceJSONP": True},
}

TEXTS = ["plain", "Grüße", "日本語", "😀", "a\nb", "back\\slash \\n", '"quotes"', "</script>"]

START = """([url, options]) => new Promise((resolve, reject) => {
  window.heard = [];
  window.socket = io(url, options);
  socket.on("new message", (message) => heard.push(message.message));
  socket.on("connect_error", (error) => reject(String(error)));
  socket.on("connect", () => resolve(true));
})"""
CALL = "([event, payload]) => new Promise((resolve) => socket.emit(event, payload, resolve))"
ECHO = """(bytes) => new Promise((resolve) => socket.emit("echo", new Uint8Array(bytes).buffer,
  (answer) => resolve([answer instanceof ArrayBuffer, ...new Uint8Array(answer)])))"""


@pytest.fixture(scope="module")
def other() -> Iterator[OtherSite]:
    with serving() as site:
        yield site


@pytest.fixture(scope="module")
def server(other: OtherSite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("older-pages")
    with hosted(
        "serve", directory, STORAGE_URL="", APP_ALLOWED_ORIGINS=other.url, LIMITS_ENABLED="no"
    ) as server:
        yield server
    check_output(server)


@pytest.fixture(scope="module")
def newer(server: ServerProcess) -> Iterator[Caller]:
    with node_caller(NEWEST, server.url) as caller:
        caller.await_connections(1)
        yield caller


class OlderPage:
    """A page at `address` whose client is on this package."""

    def __init__(self, browser: Browser, address: str, package: str) -> None:
        self.faults: list[str] = []
        self.context = browser.new_context()
        self.context.set_default_timeout(PATIENCE_SECONDS * 1000)
        self.page = self.context.new_page()
        hear(self.page, self.faults)
        # A page that only Playwright knows would not be let in to this machine by the browser.
        self.page.goto(f"{address}/pid")
        self.page.add_script_tag(path=BUNDLES / package / "dist" / "socket.io.js")

    def connect(self, url: str, options: dict[str, Any]) -> None:
        self.page.evaluate(START, [url, {"reconnection": False, **options}])

    def call(self, event: str, payload: Any) -> Any:
        return self.page.evaluate(CALL, [event, payload])


@pytest.mark.parametrize("place", ["own", "other"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("package", OLDER)
def test_a_page_and_a_newer_client_hear_each_other(
    browser: Browser,
    server: ServerProcess,
    other: OtherSite,
    newer: Caller,
    package: str,
    way: str,
    place: str,
) -> None:
    room = f"{package} {way} {place}"
    old = OlderPage(browser, server.url if place == "own" else other.url, package)
    try:
        old.connect(server.url, WAYS[way])
        name = f"{package[17:]} {way} {place}"
        joined = old.call("join room", {"roomname": room, "username": name})
        assert joined["ok"], joined
        newer.join(room, f"newer {place}" if not newer.name else None)
        before = len(newer.texts())
        for text in TEXTS:
            answer = old.call("new message", {"message": text})
            assert answer["ok"], answer
            newer.call("new message", {"message": text, "room": room})
        old.page.wait_for_function(f"heard.length >= {len(TEXTS)}")
        assert old.page.evaluate("heard.filter((text) => !/joined/.test(text))") == TEXTS
        newer.wait_for_texts(*newer.texts()[:before], *TEXTS)
        assert old.page.evaluate(ECHO, [0, 1, 255]) == [True, 0, 1, 255]
        if "upgrade" in way:
            old.page.wait_for_function("socket.io.engine.transport.name === 'websocket'")
        assert old.page.evaluate("socket.io.engine.transport.name") == (
            "websocket" if way not in ("polling", "base64", "jsonp") else "polling"
        )
        assert old.faults == []
    finally:
        old.context.close()


def test_jsonp_is_not_for_the_pages_of_others(browser: Browser, server: ServerProcess) -> None:
    with serving() as stranger:
        page = OlderPage(browser, stranger.url, OLDER[-1])
        try:
            with pytest.raises(Exception, match="error"):
                page.connect(server.url, WAYS["jsonp"])
        finally:
            page.context.close()
