"""What goes wrong with Redis: killed, paused, cut, delayed, silent; behind Sentinel and TLS."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bus_process import BusProcess
from clients import wait_until
from servers import ROOT
from tcp_proxy import TcpProxy
from tls_front import tls_before
from valkey_server import ValkeyServer, free_port, valkey

#: How soon all has to be well again.
BACK_SECONDS = 5.0
NO_BLOCK_SECONDS = 0.5

Make = Callable[[str], BusProcess]


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with valkey() as running:
        yield running


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Start a worker with its bus at this URL."""
    with contextlib.ExitStack() as stack:

        def make(url: str) -> BusProcess:
            worker = stack.enter_context(BusProcess(url, tmp_path / "workers"))
            worker.start()
            return worker

        yield make


def news_until_it_comes(one: BusProcess, two: BusProcess, topic: str = "r1") -> float:
    """Publish now and then until one of it is heard; return the seconds that took."""
    began = time.monotonic()
    heard = len(two.got)
    wait_until(lambda: (one.ask("publish", [topic], "news"), len(two.got) > heard)[1], every_seconds=0.05)
    return time.monotonic() - began


def test_a_server_that_is_killed_and_started_again_is_found_and_makes_all_doubt(
    server: ValkeyServer, make: Make
) -> None:
    one, two = make(server.url), make(server.url)
    two.ask("listen", "r1")
    wait_until(lambda: one.ask("counts")["links"] == 2)
    server.kill()
    wait_until(lambda: one.ask("counts")["links"] == 0)
    assert one.ask("flood", ["r1"], 1000, 100, 10, 0.001) < NO_BLOCK_SECONDS
    assert two.ask("listen", "r2") < 2  # a new one cannot be confirmed: doubt
    doubts = two.doubts
    assert doubts >= 1
    time.sleep(2)  # it stays away for a while: the pauses between attempts have grown
    server.start()
    assert news_until_it_comes(one, two) < BACK_SECONDS
    assert two.doubts > doubts
    news_until_it_comes(one, two, "r2")
    wait_until(lambda: one.ask("counts")["links"] == 2)


def test_a_server_that_pauses_is_noticed_on_both_sides_and_makes_all_doubt(
    server: ValkeyServer, make: Make
) -> None:
    one, two = make(server.url), make(server.url)
    two.ask("listen", "r1")
    wait_until(lambda: two.ask("counts")["links"] == 2)
    doubts = two.doubts
    server.pause()
    try:
        assert one.ask("flood", ["r1"], 100, 100, 10, 0.001) < NO_BLOCK_SECONDS
        # Nothing is published by this one: it is its subscription that notices.
        wait_until(lambda: two.ask("counts")["links"] == 1)
        assert two.doubts == doubts
        time.sleep(3)
    finally:
        server.go_on()
    assert news_until_it_comes(one, two) < BACK_SECONDS
    wait_until(lambda: two.doubts > doubts)


def test_memory_is_bounded_while_the_server_is_away(server: ValkeyServer, make: Make) -> None:
    one = make(server.url)
    memory = one.ask("memory")
    server.kill()
    assert one.ask("flood", ["r1"], 20_000, 2500, 100, 0.001) < NO_BLOCK_SECONDS
    assert one.ask("memory") - memory < 40_000
    assert sum(one.ask("counts")["dropped"].values()) > 10_000


def test_what_was_lost_while_only_the_publisher_was_cut_off_makes_the_others_doubt(
    server: ValkeyServer, make: Make
) -> None:
    with TcpProxy(server.port) as proxy:
        one, two = make(f"redis://127.0.0.1:{proxy.url.rpartition(':')[2]}"), make(server.url)
        two.ask("listen", "r1")
        news_until_it_comes(one, two)
        doubts, dropped = two.doubts, one.ask("counts")["dropped"].get("away", 0)
        proxy.swallow()
        one.ask("publish", ["r1"], "lost")
        wait_until(lambda: one.ask("counts")["dropped"].get("away", 0) > dropped)
        proxy.pass_on()
        wait_until(lambda: two.doubts > doubts)
        assert "lost" not in two.got
        news_until_it_comes(one, two)


def test_connections_that_are_cut_are_made_anew_at_once(server: ValkeyServer, make: Make) -> None:
    with TcpProxy(server.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.url.rpartition(':')[2]}"
        one, two = make(url), make(url)
        two.ask("listen", "r1")
        for _ in range(5):
            doubts = two.doubts
            proxy.cut()
            wait_until(lambda doubts=doubts: two.doubts > doubts)  # type: ignore[misc]
            assert news_until_it_comes(one, two) < BACK_SECONDS


def test_a_slow_network_only_takes_longer(server: ValkeyServer, make: Make) -> None:
    with TcpProxy(server.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.url.rpartition(':')[2]}"
        one, two = make(url), make(url)
        two.ask("listen", "r1")
        doubts = two.doubts
        proxy.delay(0.05)
        assert two.ask("listen", "r2") < 1.0
        texts = [str(number) for number in range(20)]
        one.ask("publish", ["r2"], *texts)
        wait_until(lambda: two.got == texts)
        assert two.doubts == doubts


def test_a_network_that_swallows_everything_holds_up_nobody_for_more_than_a_second(
    server: ValkeyServer, make: Make
) -> None:
    with TcpProxy(server.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.url.rpartition(':')[2]}"
        one, two = make(url), make(url)
        two.ask("listen", "r1")
        doubts = two.doubts
        proxy.swallow()
        assert one.ask("flood", ["r1"], 100, 100, 10, 0.001) < NO_BLOCK_SECONDS
        assert two.ask("listen", "r2") < 1.5
        assert two.doubts == doubts + 1
        wait_until(lambda: two.ask("counts")["links"] < 2)
        proxy.pass_on()
        assert news_until_it_comes(one, two) < BACK_SECONDS
        assert news_until_it_comes(one, two, "r2") < BACK_SECONDS
        wait_until(lambda: two.doubts > doubts + 1)


def test_a_server_that_comes_later_is_found(make: Make, tmp_path: Path) -> None:
    port = free_port()
    one, two = make(f"redis://127.0.0.1:{port}"), make(f"redis://127.0.0.1:{port}")
    assert two.ask("listen", "r1") < 1.5
    with valkey(port=port):
        assert news_until_it_comes(one, two) < BACK_SECONDS


def test_what_strangers_publish_on_our_channels_is_dropped_with_one_line(
    server: ValkeyServer, make: Make
) -> None:
    one, two = make(server.url), make(server.url)
    two.ask("listen", "r1")
    code = (
        "import redis, sys\nserver = redis.Redis.from_url(sys.argv[1])\n"
        "for text in (b'', b'x', b'{}', b'chatapp1' + bytes(300)): server.publish('chatapp:r1', text)"
    )
    subprocess.run([sys.executable, "-c", code, server.url], check=True, timeout=20)
    news_until_it_comes(one, two)
    assert set(two.got) == {"news"}
    assert two.ask("counts")["dropped"] == {"garbage": 4}
    assert len([line for line in two.log if "no worker" in line]) == 1


def test_a_script_publishes_once(server: ValkeyServer, make: Make) -> None:
    one, two = make(server.url), make(server.url)
    two.ask("listen", "r1")
    code = (
        "import sys\nfrom chatapp.cluster.redis import publish_once\n"
        "print(publish_once(sys.argv[1], ['r1', '*'], b'news'))"
    )
    command = [sys.executable, "-c", code, server.url]

    def publish() -> tuple[str, float]:
        began = time.monotonic()
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=20)
        return run.stdout, time.monotonic() - began

    assert publish()[0] == "2\n"
    wait_until(lambda: one.got == two.got == ["news"])
    server.pause()
    try:
        reached, seconds = publish()
    finally:
        server.go_on()
    assert reached == "0\n" and seconds < 3  # the start of Python included


def test_a_password_and_a_database_are_used_and_a_wrong_one_is_not_shown(tmp_path: Path, make: Make) -> None:
    with valkey("--requirepass", "a-secret") as server:
        url = f"valkey://:a-secret@127.0.0.1:{server.port}/3"
        one, two = make(url), make(url)
        two.ask("listen", "r1")
        news_until_it_comes(one, two)
        three = make(f"redis://:another-secret@127.0.0.1:{server.port}")
        three.ask("listen", "r1")
        assert three.ask("counts")["links"] == 0
        assert "another-secret" not in "".join(three.log)


def test_a_unix_socket_does_as_well(tmp_path: Path, make: Make) -> None:
    path = tmp_path / "valkey.sock"
    with valkey("--unixsocket", str(path)):
        one, two = make(f"unix://{path}?db=1"), make(f"unix://{path}?db=1")
        two.ask("listen", "r1")
        news_until_it_comes(one, two)


def test_tls_does_as_well_and_the_certificate_is_checked(
    server: ValkeyServer, tmp_path: Path, make: Make
) -> None:
    with tls_before(server.port, tmp_path) as (port, certificate):
        one = make(f"rediss://localhost:{port}/0?ssl_ca_certs={certificate}")
        two = make(f"valkeys://localhost:{port}/0?ssl_ca_certs={certificate}")
        two.ask("listen", "r1")
        news_until_it_comes(one, two)
        three = make(f"rediss://localhost:{port}/0")
        assert three.ask("counts")["links"] == 0


def test_sentinels_are_asked_which_server_it_is_and_again_once_that_has_changed(
    tmp_path: Path, make: Make
) -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(valkey())
        second = stack.enter_context(valkey("--replicaof", "127.0.0.1", str(first.port)))
        port = free_port()
        conf = tmp_path / "sentinel.conf"
        conf.write_text(
            f"port {port}\nbind 127.0.0.1\nsentinel monitor mine 127.0.0.1 {first.port} 1\n"
            "sentinel down-after-milliseconds mine 500\nsentinel failover-timeout mine 5000\n"
        )
        stack.enter_context(valkey(str(conf), "--sentinel", port=port, directory=tmp_path))
        url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{port}/0/mine"
        one, two = make(url), make(url)
        two.ask("listen", "r1")
        news_until_it_comes(one, two)
        doubts = two.doubts
        first.kill()
        wait_until(lambda: two.doubts > doubts and two.ask("counts")["links"] == 2, every_seconds=0.1)
        news_until_it_comes(one, two)
        assert second.port != first.port
