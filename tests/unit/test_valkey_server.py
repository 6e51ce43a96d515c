"""The tests' Valkey server goes and comes back at one address."""

from __future__ import annotations

from valkey_server import valkey


def test_it_is_killed_and_paused_and_comes_back_at_its_address() -> None:
    with valkey() as server:
        url = server.url
        server.kill()
        assert not server.answers()
        server.start()
        assert server.answers() and server.url == url
        server.pause()
        assert not server.answers(0.1)
        server.go_on()
        assert server.answers()
    assert not server.answers()
