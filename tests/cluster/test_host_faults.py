"""Two hosts that lose the bus or the database for a while: members hear later, and nothing is lost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
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

#: How long an acknowledgement may take while there is no bus.
ACKNOWLEDGED_MS = 1000


@pytest.fixture
def common() -> Iterator[Shared]:
    with shared() as common:
        yield common


@pytest.fixture
def bus(common: Shared) -> Iterator[TcpProxy]:
    """What the hosts take for Valkey."""
    with TcpProxy(common.valkey.port) as proxy:
        yield proxy


@pytest.fixture
def urls(common: Shared, bus: TcpProxy, tmp_path: Path) -> Iterator[list[str]]:
    settings = common.settings | {"CLUSTER_BUS": bus.url.replace("http:", "redis:") + "/0"}
    with hosts(2, tmp_path, settings, workers=max(WORKERS)) as servers:
        yield [server.url for server in servers]


@contextlib.contextmanager
def without_bus(urls: list[str], directory: Path) -> Iterator[None]:
    """Have a fault of the bus, and then demand that no client noticed more than late news: everything is
    acknowledged at once meanwhile, and with everybody soon after."""
    with steady_load(urls, directory, is_steady=True) as load:
        began = now_ms()
        yield
        ended = now_ms()
    meanwhile = [ack for ack in load.records.acks() if began <= ack["at"] < ended]
    longest = max(ack["took_ms"] for ack in meanwhile)
    print(f"{len(meanwhile)} acknowledgements in {ended - began} ms without the bus, within {longest} ms")
    assert longest <= ACKNOWLEDGED_MS
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
    with steady_load(urls, tmp_path) as load:
        common.postgres.kill()
        time.sleep(2)
        common.postgres.start()
        back = now_ms()
        time.sleep(BACK_SECONDS)  # in which everybody has to be served again
    report(find_silent(load.records, back, back + BACK_SECONDS * 1000))


@pytest.mark.timeout(180)
def test_one_host_may_be_killed_and_come_back(common: Shared, bus: TcpProxy, tmp_path: Path) -> None:
    """Clients of the other host see nothing of it but that messages of its clients do not come."""
    with ExitStack() as stack:
        servers: list[ServerProcess] = stack.enter_context(
            hosts(2, tmp_path, common.settings, workers=max(WORKERS))
        )
        with steady_load([server.url for server in servers], tmp_path) as load:
            servers[1].kill()
            servers[1].restart()
    own = {record["client"] for record in load.records.all("connect") if record["url"] == servers[0].url}
    cut_off = {record["client"] for record in load.records.all("disconnect")}
    assert cut_off and not own & cut_off
