"""python-socketio on gevent's WSGI server with gevent-websocket, as its documentation shows it.

Run by ``python -m gevent.monkey``, which patches before anything is imported.
"""

from __future__ import annotations

import socket

import socketio
from gevent.pywsgi import WSGIServer
from geventwebsocket.handler import WebSocketHandler

from benchmarks.peers.rooms import Rooms, Wire, receipt


def serve() -> None:
    """Serve until killed."""
    sio, rooms = socketio.Server(async_mode="gevent"), Rooms()

    @sio.on("join room")
    def join(sid: str, data: Wire) -> Wire:
        sio.enter_room(sid, data["roomname"])
        return rooms.join(sid, data)

    @sio.on("new message")
    def say(sid: str, data: Wire) -> Wire:
        message = rooms.message(sid, data)
        sio.emit("new message", message, room=message["room"], skip_sid=sid)
        return receipt(message)

    @sio.event
    def disconnect(sid: str, reason: str) -> None:
        rooms.leave(sid)

    server = WSGIServer(("127.0.0.1", 0), socketio.WSGIApp(sio), handler_class=WebSocketHandler, log=None)
    server.start()
    # Accepted sockets inherit it. Without it small frames wait up to 40 ms for one another.
    server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"Listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve()
