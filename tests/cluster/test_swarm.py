"""The swarm sees what a server does badly: without that, a test that ends well with it says nothing."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from cluster.broken_server import FAULTS
from cluster.records import find_faults
from cluster.swarm import TRANSPORTS, Swarm
from servers import running

SCRIPT = Path(__file__).with_name("broken_server.py")

CLIENTS = 12

#: What the swarm says of each fault.
SEEN = {
    "lose": r"bee-\d+: it never got 7\b",
    "double": r"bee-\d+: 7 came twice on one connection",
    "swap": r"bee-\d+: 7 came late, after 8",
    "be silent": r"bee-\d+: its view of the members lacks",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_server_does_badly_is_seen_by_its_clients(fault: str, tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), fault]
    with running(directory=tmp_path, command=command, LIMITS_ENABLED="no") as server:
        options = {"clients": CLIENTS, "messages": 5, "transports": TRANSPORTS["websocket"]}
        with Swarm([server.url], tmp_path / "records", **options) as swarm:
            swarm.wait_for("joined")
            swarm.send()
            swarm.wait_for("sent")
            swarm.patience_seconds = 1
            records, room = swarm.finish()
    faults = list(find_faults(records, room))
    assert any(re.match(SEEN[fault], line) for line in faults), "\n".join(faults)
    assert room.last_seq == CLIENTS * 5
