"""Any client finds any number of workers as one, without a sticky proxy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.records import check
from cluster.swarm import TRANSPORTS, Swarm
from cluster.workers import HOSTINGS, WORKERS, worker_of
from servers import ServerProcess, running

CLIENTS = 60
MESSAGES = 20


@pytest.fixture(scope="module", params=WORKERS, ids=lambda count: f"{count} workers")
def workers(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module", params=HOSTINGS)
def server(
    request: pytest.FixtureRequest, workers: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("workers")
    with running(request.param, directory, workers=workers, LIMITS_ENABLED="no") as server:
        yield server


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_all_clients_get_everything_that_each_of_them_says_in_one_order(
    server: ServerProcess, workers: int, transport: str, tmp_path: Path
) -> None:
    options = {"clients": CLIENTS, "messages": MESSAGES, "transports": TRANSPORTS[transport]}
    with Swarm(
        [server.url], tmp_path / "records", room=transport, name=transport, keep_alive=True, **options
    ) as swarm:
        swarm.wait_for("joined")
        swarm.send()
        swarm.wait_for("sent")
        records, room = swarm.finish()
    check(records, room)
    assert room.last_seq == CLIENTS * MESSAGES
    assert Counter(ack["client"] for ack in records.acks()) == {
        f"{transport}-{number}": MESSAGES for number in range(CLIENTS)
    }
    at_the_end = {record["transport"] for record in records.all("end")}
    assert at_the_end == {"polling" if transport == "polling" else "websocket"}
    assert len(list(records.all("upgrade"))) == (CLIENTS if transport == "default" else 0)
    if workers > 1:
        assert len({worker_of(sid) for sid in records.sids()}) > 1
