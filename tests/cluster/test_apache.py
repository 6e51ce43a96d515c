"""The same behind Apache as the shipped configuration has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from apache import apache
from cluster.swarm import TRANSPORTS
from cluster.talk import talk
from cluster.workers import WORKERS, await_workers, worker_of
from servers import PATIENCE_SECONDS, ServerProcess, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    settings = {"LIMITS_ENABLED": "no", "APP_TRUSTED_PROXIES": "127.0.0.1"}
    with running("conf", tmp_path_factory.mktemp("server"), workers=max(WORKERS), **settings) as server:
        await_workers(server, max(WORKERS))
        yield server


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("proxy") / "apache"


@pytest.fixture(scope="module")
def url(server: ServerProcess, directory: Path) -> Iterator[str]:
    with apache(directory, f"127.0.0.1:{server.port}") as url:
        yield url


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_all_clients_get_everything_behind_apache(url: str, transport: str, tmp_path: Path) -> None:
    records = talk([url], transport, tmp_path, keep_alive=False)
    if max(WORKERS) > 1:
        assert len({worker_of(sid) for sid in records.sids()}) > 1


def test_pages_and_origins_are_those_of_apache_and_the_figures_stay_inside(url: str) -> None:
    for path, status in (("/chat/", 200), ("/chat/health", 200), ("/chat/metrics", 403)):
        assert requests.get(url + path, timeout=PATIENCE_SECONDS).status_code == status
    for origin, status in ((url, 200), ("http://elsewhere.example", 400)):
        answer = requests.get(
            f"{url}/socket.io/?EIO=4&transport=polling",
            headers={"Origin": origin},
            timeout=PATIENCE_SECONDS,
        )
        assert answer.status_code == status


def test_its_access_log_holds_no_session_id(url: str, directory: Path) -> None:
    answer = requests.get(
        f"{url}/socket.io/?EIO=4&transport=polling&sid=secret&token=secret", timeout=PATIENCE_SECONDS
    )
    assert answer.status_code == 400
    log = (directory / "access.log").read_text("utf-8")
    assert '"GET /socket.io/ HTTP/1.1" 400' in log
    assert "secret" not in log and "EIO" not in log
    assert "secret" not in (directory / "error.log").read_text("utf-8")
