"""What is for the older protocol stands in one folder: without it, all else goes on."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from clients import TRANSPORTS, Chatter
from protocol_peer import ask
from servers import PATIENCE_SECONDS, ROOT, running

FOLDER = Path("chatapp") / "engine" / "protocol3"

#: Runs the package that is in the working directory, for that comes first.
PROGRAM = "import runpy; runpy.run_module('chatapp', run_name='__main__', alter_sys=True)"


def test_protocol_4_goes_on_without_the_folder_of_the_older_one(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "chatapp", tmp_path / "chatapp", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(tmp_path / FOLDER)
    gone = [sys.executable, "-c", "import chatapp.engine.http, chatapp.engine.protocol3"]
    run = subprocess.run(
        gone, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert "No module named 'chatapp.engine.protocol3'" in run.stderr

    command = [sys.executable, "-c", PROGRAM, "serve"]
    with running(directory=tmp_path / "data", command=command, cwd=tmp_path, APP_SOCKETIO2="no") as server:
        for query in ("EIO=3&transport=polling", "transport=polling", "EIO=3&transport=polling&j=0"):
            answer = ask(server.url, query=query)
            assert answer.status == 400
            assert "version 4 is spoken here" in answer.text
        for transport in TRANSPORTS:
            with Chatter(server.url, transport) as ann:
                ann.join(transport, f"ann {transport}")
                assert ann.say("é")["seq"] == 1
