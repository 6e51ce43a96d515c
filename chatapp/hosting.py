"""Where we run: whether the chat can work in this process, and one sentence on what to run if not."""

from __future__ import annotations

import gc
import sys
from types import FrameType
from typing import Any, NoReturn

import gevent
from gevent import monkey

from chatapp.errors import ChatError, HostingError

#: How soon it is noticed that gunicorn wants a worker to end.
LOOK_SECONDS = 0.1

RUN_INSTEAD = "run `chatapp serve`, or `gunicorn -k gevent -w 4 wsgi:app`"


def check_gunicorn(*, is_stored: bool) -> None:
    """Raise HostingError if gunicorn is loading us with settings under which the chat cannot work;
    `is_stored`: there is a database for several workers to share."""
    config = _gunicorn_config()
    if config is None:
        return
    from gunicorn.workers.ggevent import GeventWorker

    if not issubclass(config.worker_class, GeventWorker):
        raise HostingError(
            f"chatapp needs gunicorn's gevent worker, not {config.worker_class.__name__}: start gunicorn"
            " with `-k gevent`, or keep this worker and run the chat beside it with `chatapp serve`"
            " and `init_app(app, realtime=False)`."
        )
    if not is_stored:
        check_alone(config.workers)
    if config.is_ssl and config.workers > 1:
        raise HostingError(
            "chatapp cannot pass connections from worker to worker where TLS ends in gunicorn: let the proxy"
            " before it do that, and start gunicorn without certfile and keyfile, or with `-w 1`."
        )


def check_alone(workers: int) -> None:
    """Raise HostingError if there are several workers, for a chat that is kept in one."""
    if workers > 1:
        raise HostingError(
            f"With `[storage] url = none` a chat lives in one process, and gunicorn was told to start"
            f" {workers}: start it with `-w 1`, or let the workers share a database."
        )


def check_serving() -> None:
    """Raise HostingError if this process, which has a request for us, does not run under gevent."""
    if not monkey.is_module_patched("socket"):
        raise HostingError(
            "chatapp runs on gevent, and this process does not (`flask run`, threads and sync workers"
            f" cannot hold chat connections): {RUN_INSTEAD}."
        )


def collect_less_garbage() -> None:
    """Let Python look for cycles after 10,000 new objects rather than 700. For a process of ours.

    Messages on their way are that many objects, and each look at all connections takes longer the more
    there are: 500 senders cost a third more, and 99 % of their messages 87 ms rather than 18.
    """
    gc.set_threshold(10_000, *gc.get_threshold()[1:])


def end_start(error: ChatError) -> NoReturn:
    """End a start that cannot succeed, with the error's sentence and no traceback."""
    config = _gunicorn_config()
    if config is not None and not config.preload_app:  # a worker's start, which gunicorn ends by this
        from gunicorn.errors import AppImportError

        raise AppImportError(error.message) from None
    raise SystemExit(error.message) from None


def serving_worker() -> Any:
    """Return gunicorn's worker, which waits in the main greenlet while others answer requests; None under
    another server."""
    main = gevent.get_hub().parent
    return _gunicorn_owner(getattr(main, "gr_frame", None), "alive")


def worker_count() -> int:
    """Return how many workers gunicorn had been told to run when it started this one; 1 under another
    server."""
    main = gevent.get_hub().parent
    arbiter = _gunicorn_owner(getattr(main, "gr_frame", None), "num_workers")
    return 1 if arbiter is None else int(arbiter.num_workers)


def wait_for_end(worker: Any) -> None:
    """Return when gunicorn has told its worker to end, which may have other requests to finish first."""
    while worker.alive:
        gevent.sleep(LOOK_SECONDS)


def _gunicorn_config() -> Any:
    owner = _gunicorn_owner(sys._getframe(), "cfg")
    return None if owner is None else owner.cfg


def _gunicorn_owner(frame: FrameType | None, attribute: str) -> Any:
    """Return gunicorn's arbiter or worker, whichever has this attribute. It hands neither to an
    application: they are found on a call stack, the arbiter as it was when it forked."""
    if "gunicorn" not in sys.modules:
        return None
    while frame is not None:
        owner: Any = frame.f_locals.get("self")
        if hasattr(getattr(owner, "cfg", None), "worker_class") and hasattr(owner, attribute):
            return owner
        frame = frame.f_back
    return None
