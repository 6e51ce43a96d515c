"""Engine.IO 3 and Socket.IO's protocol 4, as socket.io-client 1.x and 2.x speak them: the whole of it.

Rooms, log and handlers are everybody's: what differs is how a session opens, says that it lives, and
writes its packets down. Nothing outside imports this package, but where ``[app] socketio2`` asks for it.
"""
