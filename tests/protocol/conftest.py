"""The program with events of its own, once a module in each hosting."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clients import wait_until
from packet_cases import SECRET
from protocol_peer import check_output, hosted, mark
from servers import HOSTINGS, ServerProcess


@pytest.fixture(scope="module", params=HOSTINGS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """The program in each hosting, with the usual limits and a heartbeat that no test waits for."""
    with hosted(request.param, tmp_path_factory.mktemp("protocol")) as server:
        yield server
    check_output(server)


@pytest.fixture
def quiet(server: ServerProcess) -> Iterator[ServerProcess]:
    """The server, which prints one line for the fault that a test commits and calls nobody for it."""
    start, calls = mark(server)
    server.secrets = [SECRET]
    server.allowed_calls = 0
    yield server
    wait_until(lambda: lines_since(server, start), "a line of the log")
    end, calls_after = mark(server)
    lines = lines_since(server, start)
    assert len(lines) == 1, lines
    assert "ERROR" not in lines[0]
    told = [line for line in server.output[start:end] if any(secret in line for secret in server.secrets)]
    assert told == []
    assert calls_after - calls == server.allowed_calls


def lines_since(server: ServerProcess, start: int) -> list[str]:
    """Return what was printed since `start`, without the line on a client that connected."""
    others = ("MARK ", "a client connected")
    return [line for line in server.output[start:] if not any(other in line for other in others)]
