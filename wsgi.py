"""The chat as a WSGI application: ``gunicorn -k gevent wsgi:app``."""

from gevent import monkey

monkey.patch_all()

from chatapp import create_app  # noqa: E402  (everything else is imported after patching)

app = create_app()
