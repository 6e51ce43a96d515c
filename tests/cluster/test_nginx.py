"""The same behind nginx as the shipped configuration has it: kept connections, and no stickiness."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from clients import Chatter
from cluster.swarm import TRANSPORTS
from cluster.talk import talk
from cluster.workers import WORKERS, worker_of
from nginx import nginx
from servers import PATIENCE_SECONDS, ServerProcess


@pytest.fixture(scope="module", params=[max(WORKERS)], ids=lambda count: f"{count}-workers")
def workers(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def url(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("proxy") / "nginx"
    with nginx(directory, f"127.0.0.1:{server.port}") as url:
        yield url


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_all_clients_get_everything_behind_nginx(
    url: str, workers: int, transport: str, tmp_path: Path
) -> None:
    records = talk([url], transport, tmp_path, keep_alive=False)
    if workers > 1:
        assert len({worker_of(sid) for sid in records.sids()}) > 1


def test_pages_and_origins_are_those_of_nginx_and_the_figures_stay_inside(url: str) -> None:
    for path, status in (("/chat/", 200), ("/chat/health", 200), ("/chat/metrics", 403)):
        assert requests.get(url + path, timeout=PATIENCE_SECONDS).status_code == status
    for origin, status in ((url, 200), ("http://elsewhere.example", 400)):
        answer = requests.get(
            f"{url}/socket.io/?EIO=4&transport=polling",
            headers={"Origin": origin},
            timeout=PATIENCE_SECONDS,
        )
        assert answer.status_code == status
    with Chatter(url, "upgrade") as ann:  # its WebSocket has an Origin, as a page's does
        assert ann.sio.transport() == "websocket"


def test_no_log_of_nginx_holds_a_token_even_if_the_chat_is_down(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    with nginx(tmp_path / "nginx", address) as url:
        older = f"{url}/socket.io/?EIO=3&transport=polling&token=secret"
        assert requests.get(older, timeout=PATIENCE_SECONDS).status_code == 502
        assert requests.get(f"{url}/chat/", timeout=PATIENCE_SECONDS).status_code == 502
        errors = (tmp_path / "nginx" / "error.log").read_text("utf-8")
        assert "/chat/" in errors and "secret" not in errors
        assert "secret" not in (tmp_path / "nginx" / "access.log").read_text("utf-8")
