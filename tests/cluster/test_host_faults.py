"""Two hosts that lose the bus or the database for a while: members hear later, and nothing is lost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.hosts import hosts
from cluster.load import BACK_SECONDS, now_ms, rounds, steady_load
from cluster.records import find_late, find_silent, report
from cluster.shared import Shared, shared
from cluster.workers import WORKERS
from servers import ServerProcess
from tcp_proxy import TcpProxy

#: How long a fault goes on.
SECONDS = [5, pytest.param(60, marks=pytest.mark.soak)]

#: How long the connections to the bus are bad: each way is a test of its own.
BAD_SECONDS = [2, pytest.param(30, marks=pytest.mark.soak)]

#: How long an acknowledgement may take while there is no bus, and which share has to keep to it: on a busy
#: machine a few take longer with the bus as well.
ACKNOWLEDGED_MS = 1000
SHARE = 0.95


#: So seldom does each client say something, that it is not the processor that keeps it waiting.
SELDOM_MS = 500


@pytest.fixture(scope="module")
def common() -> Iterator[Shared]:
    with shared() as common:
        yield common


@pytest.fixture(scope="module")
def bus(common: Shared) -> Iterator[TcpProxy]:
    """What the hosts take for Valkey."""
    with TcpProxy(common.valkey.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def servers(
    common: Shared, bus: TcpProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[ServerProcess]]:
    settings = common.settings | {"CLUSTER_BUS": bus.url.replace("http:", "redis:") + "/0"}
    with hosts(2, tmp_path_factory.mktemp("hosts"), settings, workers=max(WORKERS)) as servers:
        yield servers


@pytest.fixture(scope="module")
def urls(servers: list[ServerProcess]) -> list[str]:
    return [server.url for server in servers]


@contextlib.contextmanager
def without_bus(urls: list[str], directory: Path) -> Iterator[None]:
    """Have a fault of the bus, and then demand that no client noticed more than late news: everything is
    acknowledged at once meanwhile, and with everybody soon after."""
    with steady_load(urls, directory, is_steady=True, every_ms=SELDOM_MS) as load:
        began = now_ms()
        yield
        ended = now_ms()
    took = sorted(ack["took_ms"] for ack in load.records.acks() if began <= ack["at"] < ended)
    usual = took[int(SHARE * len(took))]
    print(
        f"{len(took)} acknowledgements in {ended - began} ms without the bus, {SHARE:.0%} within {usual} ms,"
        f" all within {took[-1]} ms"
    )
    assert usual <= ACKNOWLEDGED_MS
    report(find_silent(load.records, began, ended))
    report(find_late(load.records, ended, ended + BACK_SECONDS * 1000))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seconds", SECONDS)
def test_valkey_may_be_killed_and_come_back(
    common: Shared, urls: list[str], seconds: int, tmp_path: Path
) -> None:
    with without_bus(urls, tmp_path):
        common.valkey.kill()
        time.sleep(seconds)
        common.valkey.start()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seconds", SECONDS)
def test_valkey_may_stand_still(common: Shared, urls: list[str], seconds: int, tmp_path: Path) -> None:
    with without_bus(urls, tmp_path):
        common.valkey.pause()
        time.sleep(seconds)
        common.valkey.go_on()


def _cut(bus: TcpProxy, seconds: float) -> None:
    for _ in rounds(seconds, 0.5):
        bus.cut()


def _delay(bus: TcpProxy, seconds: float) -> None:
    bus.delay(0.5)
    time.sleep(seconds)
    bus.delay(0)


def _stall(bus: TcpProxy, seconds: float) -> None:
    bus.stall()
    time.sleep(seconds)
    bus.go_on()


def _swallow(bus: TcpProxy, seconds: float) -> None:
    bus.swallow()
    time.sleep(seconds)
    bus.cut()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seconds", BAD_SECONDS)
@pytest.mark.parametrize("fault", [_cut, _delay, _stall, _swallow], ids=lambda fault: fault.__name__[1:])
def test_the_connections_to_the_bus_may_be_bad(
    bus: TcpProxy, urls: list[str], fault: Callable[[TcpProxy, float], None], seconds: int, tmp_path: Path
) -> None:
    with without_bus(urls, tmp_path):
        fault(bus, seconds)


@pytest.mark.timeout(180)
def test_the_database_may_be_restarted(common: Shared, urls: list[str], tmp_path: Path) -> None:
    """Nothing is acknowledged without a row; the service is back soon after the database."""
    with steady_load(urls, tmp_path, every_ms=SELDOM_MS) as load:
        common.postgres.kill()
        time.sleep(2)
        common.postgres.start()
        back = now_ms()
        time.sleep(BACK_SECONDS)  # in which everybody has to be served again
    report(find_silent(load.records, back, back + BACK_SECONDS * 1000))


@pytest.mark.timeout(180)
def test_one_host_may_be_killed_and_come_back(servers: list[ServerProcess], tmp_path: Path) -> None:
    """No client of the other host loses its connection. Its own may come back too late for their leases."""
    urls = [server.url for server in servers]
    with steady_load(urls, tmp_path, nobody_leaves=False, every_ms=SELDOM_MS) as load:
        servers[1].kill()
        servers[1].restart()
    here = {record["client"] for record in load.records.all("connect") if record["url"] == urls[0]}
    cut_off = {record["client"] for record in load.records.all("disconnect")}
    assert cut_off and not here & cut_off
