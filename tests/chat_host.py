"""A program that has a chat server of its own: its hooks note what they get, and HTTP says what it does."""

from gevent import monkey

monkey.patch_all()

from typing import Any  # noqa: E402

import flask  # noqa: E402
import gevent  # noqa: E402

from chatapp import ChatError, ChatServer, PendingJoin, PendingMessage, Refusal  # noqa: E402

app = flask.Flask("host")
chat = ChatServer()

#: What the callbacks got, as ``[name, arguments…]``.
told: list[Any] = []


class MembersOnly(Refusal):
    """This room is for members."""

    code = "members_only"


@chat.on_join
def note_join(user: Any, room: str) -> None:
    told.append(["join", str(user.id), user.name, room])


@chat.on_leave
def note_leave(user: Any, room: str) -> None:
    told.append(["leave", str(user.id), user.name, room])


@chat.on_message
def fail_after_message(message: Any) -> None:
    if message["message"] == "let a callback fail":
        raise RuntimeError("a fault of the host's callback")


@chat.on_message
def note_message(message: Any) -> None:
    told.append(["message", message])


@chat.on_private_message
def note_private_message(message: Any) -> None:
    told.append(["private", message])


@chat.before_join
def check_join(pending: PendingJoin) -> None:
    told.append(["before join", pending.room, str(pending.user.id), pending.user.name])
    if pending.room.startswith("closed"):
        raise MembersOnly()
    if pending.room.startswith("faulty"):
        raise RuntimeError("a fault of the host's hook")
    pending.room = pending.room.replace("old", "new")


@chat.before_message
def check_message(pending: PendingMessage) -> None:
    told.append(["before message", pending.room, pending.user.name, pending.text, pending.is_edit])
    if pending.text == "let a hook fail":
        raise RuntimeError("a fault of the host's hook")
    if pending.text == "let it be refused":
        raise Refusal("Not in this house.", retry_after=7)
    if pending.text == "let it be empty":
        pending.text = " "
    pending.text = pending.text.replace("darn", "****")


@chat.before_message
def note_second_hook(pending: PendingMessage) -> None:
    told.append(["second hook", pending.text])


@chat.sio.on("add")
def add(sid: str, numbers: list[int]) -> int:
    """An event of the host's own, beside the chat's."""
    return sum(numbers)


@app.get("/told")
def get_told() -> Any:
    return flask.jsonify(told)


@app.post("/do/<verb>")
def do(verb: str) -> Any:
    """Call a method of the server; answer what it returns or what it raises."""
    asked = flask.request.get_json()
    try:
        return flask.jsonify(returned=getattr(chat, verb)(*asked["args"], **asked["options"]))
    except ChatError as error:
        return flask.jsonify(raised=[type(error).__name__, error.message])


@app.post("/sio/<verb>")
def do_with_socketio(verb: str) -> Any:
    """Call a method of python-socketio's server; answer what it returns."""
    asked = flask.request.get_json()
    return flask.jsonify(returned=getattr(chat.sio, verb)(*asked["args"], **asked["options"]))


@app.post("/stop")
def stop() -> str:
    gevent.spawn_later(0, chat.stop)
    return "soon"


if __name__ == "__main__":
    chat.init_app(app)
    chat.start(lambda host, port: print(f"Listening on http://{host}:{port}"))
    print("start has returned")
