"""python-socketio's asyncio server under uvicorn, with uvloop, httptools and websockets."""

from __future__ import annotations

import socket

import socketio
import uvicorn

from benchmarks.peers.rooms import Rooms, Wire, receipt


def serve() -> None:
    """Serve until killed."""
    sio, rooms = socketio.AsyncServer(async_mode="asgi"), Rooms()

    @sio.on("join room")
    async def join(sid: str, data: Wire) -> Wire:
        await sio.enter_room(sid, data["roomname"])
        return rooms.join(sid, data)

    @sio.on("new message")
    async def say(sid: str, data: Wire) -> Wire:
        message = rooms.message(sid, data)
        await sio.emit("new message", message, room=message["room"], skip_sid=sid)
        return receipt(message)

    @sio.event
    async def disconnect(sid: str, reason: str) -> None:
        rooms.leave(sid)

    config = uvicorn.Config(
        socketio.ASGIApp(sio),
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_ping_interval=None,  # Engine.IO pings already, like all the others
        log_level="warning",
    )
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"Listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    serve()
