"""What chat means: values in, values out; no Flask, no Socket.IO, no gevent, no SQL."""
