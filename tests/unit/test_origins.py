"""Origins: one's own, those that are allowed, and whose word about them is believed."""

from __future__ import annotations

from typing import Any

import pytest

from chatapp.engine.origins import Origins, normal_origin
from chatapp.settings import App

PEER = "203.0.113.9"


def is_allowed(
    origin: str | None,
    *,
    host: str = "chat.example",
    scheme: str = "http",
    peer: str | None = PEER,
    proto: str | None = None,
    forwarded_host: str | None = None,
    **settings: Any,
) -> bool:
    environ = {
        "HTTP_HOST": host,
        "wsgi.url_scheme": scheme,
        "REMOTE_ADDR": peer,
        "HTTP_X_FORWARDED_PROTO": proto,
        "HTTP_X_FORWARDED_HOST": forwarded_host,
    }
    given = {name: value for name, value in environ.items() if value is not None}
    return Origins(App(**settings))(origin, given)


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("http://chat.example", "chat.example", "http"),
        ("https://chat.example", "chat.example", "https"),
        ("http://chat.example", "chat.example:80", "http"),
        ("https://chat.example", "chat.example:443", "https"),
        ("https://chat.example:443", "chat.example", "https"),
        ("https://chat.example:8443", "chat.example:8443", "https"),
        ("https://chat.example:80", "chat.example:80", "https"),
        ("http://chat.example:443", "chat.example:443", "http"),
        ("HTTP://Chat.Example", "cHAT.eXAMPLE", "http"),
        ("http://[::1]:8000", "[::1]:8000", "http"),
        ("http://[::1]", "[::1]:80", "http"),
        # How some servers call the scheme of a request that becomes a WebSocket.
        ("http://chat.example", "chat.example", "ws"),
        ("https://chat.example", "chat.example:443", "wss"),
    ],
)
def test_pages_of_the_servers_own_origin_are_allowed(origin: str, host: str, scheme: str) -> None:
    assert is_allowed(origin, host=host, scheme=scheme)


@pytest.mark.parametrize(
    "origin",
    [
        "https://chat.example",
        "http://chat.example:8000",
        "http://chat.example:443",
        "http://www.chat.example",
        "http://chat.example.evil.example",
        "http://evilchat.example",
        "http://chat.example@evil.example",
        "http://chat.example/",
        "//chat.example",
        "chat.example",
        "null",
        "NULL",
        "",
        "*",
        "file://",
        None,
    ],
)
def test_all_others_are_not(origin: str | None) -> None:
    assert not is_allowed(origin)
    assert not is_allowed(origin, allowed_origins="https://partner.example")


@pytest.mark.parametrize("origin", ["http://", "http://chat.example", "null"])
def test_a_request_without_a_host_has_no_origin_of_its_own(origin: str) -> None:
    assert not Origins(App())(origin, {"wsgi.url_scheme": "http", "REMOTE_ADDR": PEER})


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://partner.example", True),
        ("https://PARTNER.example", True),
        ("https://partner.example:443", True),
        ("https://other.example:8443", True),
        ("http://chat.example", True),
        ("http://partner.example", False),
        ("https://partner.example:8443", False),
        ("https://other.example", False),
        ("https://sub.partner.example", False),
        ("null", False),
    ],
)
def test_a_list_adds_to_the_own_origin(origin: str, allowed: bool) -> None:
    listed = "https://Partner.example:443/, https://other.example:8443"
    assert is_allowed(origin, allowed_origins=listed) is allowed


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "file://", "http://chat.example"])
def test_a_star_allows_any_page(origin: str) -> None:
    assert is_allowed(origin, allowed_origins="*")
    assert is_allowed(origin, allowed_origins="https://partner.example, *")


@pytest.mark.parametrize(
    ("proxies", "peer"),
    [
        ("203.0.113.9", PEER),
        ("198.51.100.1, 203.0.113.0/24", PEER),
        ("2001:db8::/32", "2001:db8::7"),
        ("203.0.113.9", "::ffff:203.0.113.9"),
        ("unix", ""),
        ("unix", None),
        ("unix, 203.0.113.9", PEER),
    ],
)
def test_a_trusted_proxy_says_what_the_origin_is(proxies: str, peer: str | None) -> None:
    def allowed(origin: str, **headers: str) -> bool:
        return is_allowed(origin, host="127.0.0.1:8000", peer=peer, trusted_proxies=proxies, **headers)

    forwarded = {"proto": "https", "forwarded_host": "chat.example"}
    assert allowed("https://chat.example", **forwarded)
    assert allowed("https://chat.example", proto="https", forwarded_host="Chat.Example:443")
    assert allowed("https://chat.example", proto="https, http", forwarded_host="chat.example, 127.0.0.1")
    assert allowed("https://127.0.0.1:8000", proto="https")
    assert allowed("http://chat.example", forwarded_host="chat.example")
    assert allowed("http://127.0.0.1:8000")
    assert not allowed("http://127.0.0.1:8000", **forwarded)
    assert not allowed("http://chat.example", **forwarded)
    assert not allowed("https://evil.example", **forwarded)


@pytest.mark.parametrize(
    ("proxies", "peer"),
    [
        ("", PEER),
        ("", "127.0.0.1"),
        ("198.51.100.1, 198.51.100.0/24", PEER),
        ("2001:db8::/32", PEER),
        ("203.0.113.9", "2001:db8::7"),
        ("203.0.113.9", "::ffff:203.0.113.8"),
        ("unix", PEER),
        ("203.0.113.9", ""),
        ("203.0.113.9", None),
        ("203.0.113.9", "not an address"),
    ],
)
def test_what_others_claim_is_not_believed(proxies: str, peer: str | None) -> None:
    claim = {"proto": "https", "forwarded_host": "evil.example"}
    for origin in ("https://evil.example", "https://chat.example", "http://evil.example"):
        assert not is_allowed(origin, peer=peer, trusted_proxies=proxies, **claim)
    assert is_allowed("http://chat.example", peer=peer, trusted_proxies=proxies, **claim)


def test_an_origin_has_one_spelling() -> None:
    assert normal_origin(" HTTPS://Chat.Example:443 ") == "https://chat.example"
    assert normal_origin("http://chat.example:8080") == "http://chat.example:8080"
    assert normal_origin("capacitor://localhost") == "capacitor://localhost"


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("9.9.9.9", "", "9.9.9.9"),
        ("9.9.9.9", "8.8.8.8", "9.9.9.9"),  # it is no proxy of ours
        ("2001:4860:4860::8888", "", "2001:4860:4860::8888"),
        ("::ffff:9.9.9.9", "", "9.9.9.9"),
        ("192.168.7.7", "8.8.8.8", ""),  # maybe a proxy that nobody has named
        ("127.0.0.1", "", ""),
        ("", "8.8.8.8", ""),
        ("10.0.0.1", "8.8.8.8", "8.8.8.8"),
        ("10.0.0.1", "1.1.1.1, 8.8.8.8, 10.0.0.2", "8.8.8.8"),  # what comes before is the client's word
        ("10.0.0.1", "192.168.7.7", "192.168.7.7"),
        ("10.0.0.1", "nonsense", ""),
        ("10.0.0.1", "", ""),
    ],
)
def test_an_address_is_one_clients_or_none(peer: str, forwarded: str, address: str) -> None:
    origins = Origins(App(trusted_proxies="10.0.0.0/8"))
    assert origins.client_address({"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}) == address
