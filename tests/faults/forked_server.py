"""Runs ``chatapp serve`` for each line on stdin, a port: a fork of a process that has everything imported,
which takes a moment where a fresh interpreter takes a second."""

from __future__ import annotations

import os
import sys


def main() -> None:
    fork, waitpid = os.fork, os.waitpid  # as they are before gevent patches them
    from gevent import monkey

    monkey.patch_all()
    import chatapp.server
    from chatapp import cli

    assert chatapp.server
    for port in sys.stdin:
        pid = fork()
        if pid == 0:
            os.environ["PORT"] = port.strip()
            cli.main(["serve"])
        print(f"Started {pid}")
        waitpid(pid, 0)
        print("Ended")


if __name__ == "__main__":
    main()
