"""Any client finds any number of workers as one, without a sticky proxy."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.swarm import TRANSPORTS
from cluster.talk import talk
from cluster.workers import worker_of
from servers import ServerProcess


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_all_clients_get_everything_that_each_of_them_says_in_one_order(
    server: ServerProcess, workers: int, transport: str, tmp_path: Path
) -> None:
    records = talk([server.url], transport, tmp_path)
    if workers > 1:
        assert len({worker_of(sid) for sid in records.sids()}) > 1
