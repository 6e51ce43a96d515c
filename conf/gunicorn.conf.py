"""gunicorn for a chat: ``gunicorn -c conf/gunicorn.conf.py wsgi:app``."""

bind = "127.0.0.1:8000"
worker_class = "chatapp.worker.ChatWorker"
# The chat works in one process so far; it refuses to start in more.
workers = 1
# Connections at a time, chats included. Each takes a greenlet and a file descriptor: see ulimit -n.
worker_connections = 10000
# WebSockets do not end by themselves: this is how long a stop waits for them.
graceful_timeout = 5
# A request line holds the session id of its client, so the query string stays out of the log.
access_log_format = '%(h)s %(l)s %(u)s %(t)s "%(m)s %(U)s %(H)s" %(s)s %(b)s "%(a)s"'
# Nobody needs to steer this gunicorn from outside.
control_socket_disable = True
