"""``chatapp serve`` that trims its logs several times a second, rather than each minute."""

from gevent import monkey

monkey.patch_all()

from chatapp import ChatServer, housekeeping  # noqa: E402

housekeeping.ROUND_SECONDS = 0.2
ChatServer().start(lambda host, port: print(f"Listening on http://{host}:{port}", flush=True))
