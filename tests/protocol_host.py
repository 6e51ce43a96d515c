"""A program for tests of the protocols: events and a namespace of its own, what was called, and the log.

It runs by itself and as ``protocol_host:app`` under gunicorn. What chatapp logs is printed with its logger
and level, so that tests can count it.
"""

from gevent import monkey

monkey.patch_all()

import logging  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from typing import Any  # noqa: E402

import flask  # noqa: E402
import gevent  # noqa: E402

from chatapp import ChatServer  # noqa: E402
from chatapp.settings.values import RESERVED_EVENTS  # noqa: E402
from faults.watched_server import Watch  # noqa: E402

logging.basicConfig(
    level=logging.WARNING, format="LOG %(levelname)s %(name)s: %(message)s", stream=sys.stdout
)
logging.getLogger("chatapp").setLevel(logging.DEBUG)

app = flask.Flask("protocol host")
chat = ChatServer()
watch = Watch()

#: The handlers and hooks that were called, each with what it got of plain data.
called: list[Any] = []


def note(name: str, *details: Any) -> None:
    called.append([name, *details])


chat.on_join(lambda user, room: note("on_join", room))
chat.on_message(lambda message: note("on_message"))
chat.before_join(lambda pending: note("before_join", pending.room))
chat.before_message(lambda pending: note("before_message"))

for _name in RESERVED_EVENTS - {"connect", "disconnect", "*", "__disconnect_final"}:
    chat.sio.on(_name, lambda sid, *args, name=_name: note(name))


def back(args: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """What python-socketio's `emit` takes for these arguments."""
    return args or None


@chat.sio.on("message")
def answer_message(sid: str, *args: Any) -> None:
    note("message")
    chat.sio.emit("message-back", back(args), to=sid)


@chat.sio.on("message-with-ack")
def acknowledge_message(sid: str, *args: Any) -> Any:
    note("message-with-ack")
    return args


@chat.sio.on("echo")
def echo(sid: str, *args: Any) -> Any:
    note("echo")
    return args


@chat.sio.on("size")
def size(sid: str, data: Any) -> int:
    """Answer how long a text or an attachment is."""
    return len(data)


@chat.sio.on("ask me")
def ask(sid: str, question: Any, times: int = 1) -> None:
    """Ask the client, with a callback that notes what it answers."""
    for _ in range(times):
        chat.sio.emit("question", question, to=sid, callback=lambda *answer: note("answer", *told(answer)))


def told(values: tuple[Any, ...]) -> list[Any]:
    return [value.hex() if isinstance(value, bytes) else value for value in values]


@chat.sio.on("send me")
def send(sid: str, count: int, size: int) -> None:
    """Send so many events of so many characters."""
    for number in range(count):
        chat.sio.emit("sent", [number, "*" * size], to=sid)


@chat.sio.on("let me go")
def let_go(sid: str) -> None:
    chat.sio.disconnect(sid)


@chat.sio.on("connect", namespace="/custom")
def connect_custom(sid: str, environ: dict[str, Any], auth: Any = None) -> bool | None:
    note("connect", auth)
    if isinstance(auth, dict) and auth.get("token") == "wrong":
        return False
    # Later, for at once it would be sent before the connection has been answered.
    gevent.spawn(chat.sio.emit, "auth", auth or {}, to=sid, namespace="/custom")
    return None


@chat.sio.on("disconnect", namespace="/custom")
def disconnect_custom(sid: str, reason: str) -> None:
    note("disconnect")


@chat.sio.on("message", namespace="/custom")
def answer_custom(sid: str, *args: Any) -> None:
    note("custom message")
    chat.sio.emit("message-back", back(args), to=sid, namespace="/custom")


@chat.sio.on("message-with-ack", namespace="/custom")
def acknowledge_custom(sid: str, *args: Any) -> Any:
    return args


@chat.sio.on("ask me", namespace="/custom")
def ask_custom(sid: str, question: Any) -> None:
    chat.sio.emit(
        "question",
        question,
        to=sid,
        namespace="/custom",
        callback=lambda *answer: note("custom answer", *told(answer)),
    )


@app.get("/called")
def get_called() -> Any:
    return flask.jsonify(called)


@app.get("/mark/<word>")
def mark(word: str) -> str:
    """Print a line that parts what was logged before from what will be; answer how many calls there were."""
    print(f"MARK {word}", flush=True)
    return str(len(called))


@app.get("/sessions")
def get_sessions() -> str:
    """Return how many sessions there are."""
    return str(len(chat.sio.eio.sockets))


@app.get("/pid")
def get_pid() -> str:
    return str(os.getpid())


@app.get("/retire")
def get_retire() -> str:
    """Let nobody in any more; the site goes on."""
    chat.retire()
    return ""


@app.get("/stall")
def get_stall() -> str:
    """Seconds that the loop stood still since this was asked last; the watch begins with the first."""
    if not called_watch:
        called_watch.append(gevent.spawn(watch.run))
    return watch.take()


called_watch: list[Any] = []

chat.init_app(app)

if __name__ == "__main__":
    chat.start(lambda host, port: print(f"Listening on http://{host}:{port}", flush=True))
