"""The chat as a WSGI application: ``gunicorn -k gevent wsgi:app``."""

import warnings

from gevent import monkey

# The worker patches the rest. In gunicorn itself, where --preload brings us, that would take the signal away
# which tells of a worker's end.
warnings.filterwarnings("ignore", "Patching more than once", monkey.MonkeyPatchWarning)
monkey.patch_all(os=False, signal=False)

from chatapp import create_app  # noqa: E402  (everything else is imported after patching)

app = create_app()
