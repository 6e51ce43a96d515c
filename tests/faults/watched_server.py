"""A chat server that says how long its event loop stood still: ``GET /stall``, seconds since last asked."""

from __future__ import annotations

import time
from pathlib import Path

#: How often the loop is looked at.
INTERVAL_SECONDS = 0.005


class Watch:
    """Notes the longest time in which the loop did not come round though it could have: what the machine
    gave to other processes instead of this one's threads does not count."""

    def __init__(self) -> None:
        self._worst_seconds = 0.0

    def run(self) -> None:
        import gevent

        while True:
            began, kept_waiting = time.monotonic(), run_queue_seconds()
            gevent.sleep(INTERVAL_SECONDS)
            took = time.monotonic() - began - (run_queue_seconds() - kept_waiting)
            self._worst_seconds = max(self._worst_seconds, took - INTERVAL_SECONDS)

    def take(self) -> str:
        worst, self._worst_seconds = self._worst_seconds, 0.0
        return str(worst)


def run_queue_seconds() -> float:
    """Return how long this process's threads were ready to run and had no processor: proc(5), schedstat."""
    fields = [path.read_text().split() for path in Path("/proc/self/task").glob("*/schedstat")]
    return sum(int(waited) for _ran, waited, _slices in fields) / 1e9


def main() -> None:
    from gevent import monkey

    monkey.patch_all()
    import flask
    import gevent

    from chatapp.server import ChatServer

    app, chat, watch = flask.Flask("watched"), ChatServer(), Watch()
    app.add_url_rule("/stall", view_func=watch.take)
    chat.init_app(app)
    gevent.spawn(watch.run)
    chat.start(lambda host, port: print(f"Listening on http://{host}:{port}", flush=True))


if __name__ == "__main__":
    main()
