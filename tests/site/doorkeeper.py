"""A site that says by a function who is who: alone (``python doorkeeper.py``) or under gunicorn.

The page that connects says with ``?as=`` which of the ways of `WAYS` the function takes.
"""

from __future__ import annotations

from gevent import monkey

if __name__ == "__main__":
    monkey.patch_all()

import os
from collections.abc import Callable
from typing import Any

import flask

from chatapp import ChatServer, Refusal
from chatapp.errors import Unauthorized

app = flask.Flask(__name__)
app.secret_key = "the secret key of the doorkeeper"
chat = ChatServer()
chat.init_app(app)


def raise_(error: Exception) -> None:
    raise error


WAYS: dict[str, Callable[[flask.Request], Any]] = {
    "argument": lambda request: request.args["name"],
    "cookie": lambda request: request.cookies["name"],
    "header": lambda request: request.headers["X-Forwarded-User"],
    "session": lambda request: (flask.session["id"], flask.session["name"]),
    "pair": lambda request: (request.args["id"], request.args["name"]),
    "nobody": lambda request: None,
    "no id": lambda request: (None, "ann"),
    "refusal": lambda request: raise_(Refusal("Closed on Sundays.")),
    "unauthorized": lambda request: raise_(Unauthorized("Pay first.")),
    "fault": lambda request: raise_(ZeroDivisionError("the fault's own words")),
    "no identity": lambda request: object(),
    "invisible": lambda request: "\u200b",
}

if os.environ.get("DOORKEEPER") != "nobody":

    @chat.identify
    def identify(request: flask.Request) -> Any:
        return WAYS[request.args["as"]](request)


@app.post("/enter")
def enter() -> str:
    flask.session.update(flask.request.form)
    return "welcome"


def announce(host: str, port: int) -> None:
    print(f"Listening on http://{host}:{port}")


if __name__ == "__main__":
    chat.start(announce)
