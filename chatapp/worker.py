"""gunicorn's worker for the chat: ``worker_class = "chatapp.worker.ChatWorker"``."""

from __future__ import annotations

import logging
from typing import Any

from gunicorn.workers.ggevent import GeventWorker

from chatapp.errors import HostingError
from chatapp.hosting import collect_less_garbage, end_start


class ChatWorker(GeventWorker):
    """gunicorn's own gevent worker, so that its parser reads the requests and its settings hold.

    The chat's log lines go to gunicorn's error log; where TLS would end in the worker, whose
    connections cannot be taken over, the start says so.
    """

    def load_wsgi(self) -> None:
        """Load the application."""
        if self.cfg.is_ssl:
            end_start(
                HostingError(
                    "chatapp cannot hold its connections where TLS ends in gunicorn: let the proxy before it"
                    " do that, and start gunicorn without certfile and keyfile."
                )
            )
        collect_less_garbage()
        _log_to(self.log)
        super().load_wsgi()


def _log_to(log: Any) -> None:
    ours = logging.getLogger("chatapp")
    if not ours.hasHandlers():  # or the site has set up logging itself
        ours.handlers = list(log.error_log.handlers)
        ours.setLevel(log.error_log.level)
        ours.propagate = False
