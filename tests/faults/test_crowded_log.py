"""SQLAlchemy in native threads, in a process whose locks are gevent's: nothing hangs, and all is in order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from servers import PATIENCE_SECONDS, ROOT

#: A hang shows in the first moments of a process, and not in each: several run, at the same time.
PROCESSES = 3
SECONDS = 1


def test_two_hundred_greenlets_append_while_others_read_and_nothing_hangs(tmp_path: Path) -> None:
    crowds = []
    for number in range(PROCESSES):
        directory = tmp_path / str(number)
        directory.mkdir()
        script = Path(__file__).with_name("crowded_log.py")
        crowds.append(
            subprocess.Popen(
                [sys.executable, str(script), str(directory), str(SECONDS)],
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        outputs = [crowd.communicate(timeout=3 * PATIENCE_SECONDS) for crowd in crowds]
    finally:
        for crowd in crowds:
            crowd.kill()
            crowd.communicate()
    for output, faults in outputs:
        assert faults == ""
        assert re.fullmatch(r"\d{3,} messages, \d+ reads\n", output)
