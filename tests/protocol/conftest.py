"""The program with events of its own, once a module in each hosting."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from protocol_peer import check_output, hosted
from servers import HOSTINGS, ServerProcess


@pytest.fixture(scope="module", params=HOSTINGS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """The program in each hosting, with the usual limits and a heartbeat that no test waits for."""
    with hosted(request.param, tmp_path_factory.mktemp("protocol")) as server:
        yield server
    check_output(server)
