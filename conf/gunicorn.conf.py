"""gunicorn for a chat: ``gunicorn -c conf/gunicorn.conf.py wsgi:app``."""

import os

bind = "127.0.0.1:8000"
worker_class = "chatapp.worker.ChatWorker"
# One for each processor. They need no sticky sessions: a request that comes to a worker whose session
# it is not is handed over, with its connection. WEB_CONCURRENCY or -w says otherwise.
workers = int(os.environ.get("WEB_CONCURRENCY") or min(4, os.cpu_count() or 1))
# Requests at a time. Chat connections are not among them: [limits] connections bounds those.
worker_connections = 10000
# How long a stop waits for requests of the site; the chat's clients are told at once.
graceful_timeout = 30
# A request line holds the session id of its client, so the query string stays out of the log.
access_log_format = '%(h)s %(l)s %(u)s %(t)s "%(m)s %(U)s %(H)s" %(s)s %(b)s "%(a)s"'
# Nobody needs to steer this gunicorn from outside.
control_socket_disable = True
