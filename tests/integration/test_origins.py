"""Which pages are let in, as a server sees them: on both transports, behind proxies, with CORS headers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import HOSTINGS, ServerProcess, running
from visitors import Answer, knock

PARTNER = "https://partner.example"
EVIL = "https://evil.example"


both_transports = pytest.mark.parametrize("transport", ["polling", "websocket"])
all_hostings = pytest.mark.parametrize("server", ["serve", "gevent"], indirect=True)


@pytest.fixture(scope="module")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server with one origin allowed besides its own, that trusts no proxy."""
    directory = tmp_path_factory.mktemp("server")
    with running(request.param, directory, APP_ALLOWED_ORIGINS=PARTNER) as server:
        yield server


@pytest.fixture(scope="module")
def behind_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running("serve", tmp_path_factory.mktemp("proxied"), APP_TRUSTED_PROXIES="127.0.0.0/8") as server:
        yield server


@pytest.fixture(scope="module")
def socket_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("socket") / "chat.sock"


@pytest.fixture(scope="module", params=["gevent", "geventwebsocket"])
def on_unix_socket(
    request: pytest.FixtureRequest, socket_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server that listens on a port and on a Unix socket, and trusts whom it hears through the latter."""
    command = [*HOSTINGS[request.param], "-b", f"unix:{socket_path}"]
    directory = tmp_path_factory.mktemp("unix")
    with running(directory=directory, command=command, APP_TRUSTED_PROXIES="unix") as server:
        server.url = server.url.partition(",")[0]
        yield server


def ask(
    server: ServerProcess,
    transport: str,
    origin: str | None,
    *,
    host: str = "chat.example",
    proto: str | None = None,
    forwarded_host: str | None = None,
    path: Path | None = None,
) -> Answer:
    headers = {
        "Host": host,
        "Origin": origin,
        "X-Forwarded-Proto": proto,
        "X-Forwarded-Host": forwarded_host,
    }
    address = str(path) if path else ("127.0.0.1", server.port)
    return knock(address, transport, {name: value for name, value in headers.items() if value is not None})


def assert_refused(answer: Answer) -> None:
    assert not answer.opened
    assert answer.status == 400
    assert b"sid" not in answer.body
    assert [name for name in answer.headers if name.startswith("Access-Control")] == []


@all_hostings
@both_transports
def test_who_is_no_page_has_no_origin_and_is_let_in(server: ServerProcess, transport: str) -> None:
    assert ask(server, transport, None).opened


@all_hostings
@both_transports
def test_the_servers_own_pages_are_let_in(server: ServerProcess, transport: str) -> None:
    assert ask(server, transport, "http://chat.example").opened
    assert ask(server, transport, "http://chat.example", host="CHAT.example:80").opened
    assert ask(server, transport, "http://chat.example:8000", host="chat.example:8000").opened
    assert ask(server, transport, f"http://127.0.0.1:{server.port}", host=f"127.0.0.1:{server.port}").opened


@all_hostings
@both_transports
@pytest.mark.parametrize(
    "origin", [EVIL, "null", "http://chat.example:81", "http://chat.example.evil.example"]
)
def test_pages_of_others_are_refused(server: ServerProcess, transport: str, origin: str) -> None:
    assert_refused(ask(server, transport, origin))


@all_hostings
@both_transports
def test_what_a_stranger_claims_to_forward_is_not_believed(server: ServerProcess, transport: str) -> None:
    assert_refused(ask(server, transport, EVIL, forwarded_host="evil.example"))
    assert_refused(ask(server, transport, "http://evil.example", forwarded_host="evil.example"))
    assert_refused(ask(server, transport, EVIL, proto="https", forwarded_host="evil.example"))
    assert ask(server, transport, "http://chat.example", forwarded_host="evil.example").opened


@pytest.mark.parametrize("server", ["serve"], indirect=True)
@both_transports
def test_the_scheme_too_is_believed_from_a_trusted_proxy_alone(
    server: ServerProcess, behind_proxy: ServerProcess, transport: str
) -> None:
    assert_refused(ask(server, transport, "https://chat.example", proto="https"))
    assert ask(behind_proxy, transport, "https://chat.example", proto="https").opened


@both_transports
def test_behind_a_proxy_that_ends_tls_the_origin_is_the_browsers(
    behind_proxy: ServerProcess, transport: str
) -> None:
    inside = {"host": f"127.0.0.1:{behind_proxy.port}", "proto": "https", "forwarded_host": "chat.example"}
    assert ask(behind_proxy, transport, "https://chat.example", **inside).opened
    assert_refused(ask(behind_proxy, transport, "http://chat.example", **inside))
    assert_refused(ask(behind_proxy, transport, EVIL, **inside))


@both_transports
def test_a_proxy_on_a_unix_socket_is_believed_and_one_on_a_port_is_not(
    on_unix_socket: ServerProcess, socket_path: Path, transport: str
) -> None:
    forwarded = {"host": "localhost", "proto": "https", "forwarded_host": "chat.example"}
    assert ask(on_unix_socket, transport, "https://chat.example", path=socket_path, **forwarded).opened
    for other in ({"origin": EVIL, "path": socket_path}, {"origin": "https://chat.example", "path": None}):
        answer = ask(on_unix_socket, transport, **other, **forwarded)
        assert not answer.opened


@all_hostings
def test_allowed_pages_of_others_get_the_headers_that_their_browser_asks_for(server: ServerProcess) -> None:
    answer = ask(server, "polling", PARTNER)
    assert answer.opened
    assert answer.headers["Access-Control-Allow-Origin"] == PARTNER
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert ask(server, "websocket", PARTNER).opened


@all_hostings
def test_a_browser_may_ask_first(server: ServerProcess) -> None:
    def preflight(origin: str) -> Answer:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        headers["Access-Control-Request-Headers"] = "content-type"
        return knock(("127.0.0.1", server.port), "polling", headers, method="OPTIONS")

    answer = preflight(PARTNER)
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == PARTNER
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == "content-type"
    assert_refused(preflight(EVIL))


def test_a_star_lets_any_page_in(tmp_path: Path) -> None:
    with running("serve", tmp_path, APP_ALLOWED_ORIGINS="*") as server:
        for origin in (EVIL, "null", "http://chat.example"):
            answer = ask(server, "polling", origin)
            assert answer.opened
            assert answer.headers["Access-Control-Allow-Origin"] == origin
            assert ask(server, "websocket", origin).opened
