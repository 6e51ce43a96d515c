"""What the cluster's tests share: servers with several workers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cluster.workers import HOSTINGS, WORKERS, await_workers
from servers import ServerProcess, running


@pytest.fixture(scope="module", params=WORKERS, ids=lambda count: f"{count}-workers")
def workers(request: pytest.FixtureRequest) -> int:
    """How many workers the server has."""
    return int(request.param)


@pytest.fixture(scope="module", params=HOSTINGS)
def server(
    request: pytest.FixtureRequest, workers: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server of gunicorn's, without limits of rates."""
    directory = tmp_path_factory.mktemp("workers")
    with running(request.param, directory, workers=workers, LIMITS_ENABLED="no") as server:
        await_workers(server, workers)
        yield server
