"""Engine.IO and Socket.IO under gevent: python-socketio's protocol, in our hands where it matters."""
