"""A site with a chat in it that says what its process holds: ``GET /census``.

Runs alone, as a program, and under gunicorn, as ``census_site:app``.
"""

from gevent import monkey

monkey.patch_all()

import contextlib  # noqa: E402
import gc  # noqa: E402
import os  # noqa: E402
from typing import Any  # noqa: E402

import flask  # noqa: E402
import greenlet  # noqa: E402

from chatapp import ChatServer  # noqa: E402

app = flask.Flask("census")
chat = ChatServer()
chat.init_app(app)


@app.get("/")
def home() -> str:
    return "the site"


def descriptors() -> list[str]:
    """Return what the process has open, but for files: the database opens one more when it has to."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one of the listing itself
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return [target for target in found if not target.startswith("/")]


@app.get("/census")
def census() -> Any:
    """Count after a collection, so that what is counted is held by somebody."""
    gc.collect()
    held = gc.get_objects()
    with open("/proc/self/statm") as statm:
        resident_pages = int(statm.read().split()[1])
    return flask.jsonify(
        pid=os.getpid(),
        descriptors=len(descriptors()),
        greenlets=sum(isinstance(one, greenlet.greenlet) and not one.dead for one in held),
        objects=len(held),
        resident_bytes=resident_pages * os.sysconf("SC_PAGE_SIZE"),
    )


if __name__ == "__main__":
    chat.start(lambda host, port: print(f"Listening on http://{host}:{port}", flush=True))
