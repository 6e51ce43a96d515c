"""Flask-SocketIO on gevent's WSGI server with gevent-websocket, which is what it runs itself.

Run by ``python -m gevent.monkey``, which patches before anything is imported.
"""

from __future__ import annotations

import socket

import flask
from flask_socketio import SocketIO, emit, join_room
from gevent.pywsgi import WSGIServer
from geventwebsocket.handler import WebSocketHandler

from benchmarks.peers.rooms import Rooms, Wire, receipt


def serve() -> None:
    """Serve until killed."""
    app = flask.Flask(__name__)
    sio, rooms = SocketIO(app, async_mode="gevent"), Rooms()

    @sio.on("join room")
    def join(data: Wire) -> Wire:
        join_room(data["roomname"])
        return rooms.join(flask.request.sid, data)

    @sio.on("new message")
    def say(data: Wire) -> Wire:
        message = rooms.message(flask.request.sid, data)
        emit("new message", message, to=message["room"], include_self=False)
        return receipt(message)

    @sio.on("disconnect")
    def disconnect(reason: str) -> None:
        rooms.leave(flask.request.sid)

    server = WSGIServer(("127.0.0.1", 0), app, handler_class=WebSocketHandler, log=None)
    server.start()
    # Accepted sockets inherit it. Without it small frames wait up to 40 ms for one another.
    server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"Listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve()
