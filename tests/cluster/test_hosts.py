"""Clients of several hosts find them as one: half of them connect to each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cluster.hosts import hosts, network
from cluster.shared import shared
from cluster.swarm import TRANSPORTS
from cluster.talk import talk
from cluster.workers import HOSTS, WORKERS, worker_of
from servers import ServerProcess


@pytest.fixture(scope="module", params=HOSTS, ids=lambda count: f"{count}-hosts")
def servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[ServerProcess]]:
    settings = {"LIMITS_ENABLED": "no"}
    with ExitStack() as stack:
        net = stack.enter_context(network())
        if request.param > 1:
            settings |= stack.enter_context(shared(net.gateway)).settings
        directory = tmp_path_factory.mktemp("hosts")
        yield stack.enter_context(
            hosts(request.param, directory, settings, network=net, workers=max(WORKERS))
        )


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_all_clients_get_everything_from_whatever_host(
    servers: list[ServerProcess], transport: str, tmp_path: Path
) -> None:
    urls = [server.url for server in servers]
    assert len(set(urls)) == len(urls)
    records = talk(urls, transport, tmp_path)
    by_url = [{worker_of(c["sid"]) for c in records.all("connect") if c["url"] == url} for url in urls]
    assert all(len(workers) > 1 for workers in by_url if max(WORKERS) > 1)
