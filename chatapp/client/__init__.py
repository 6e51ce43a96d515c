"""The command-line client: a terminal to chat in, and a way for scripts to send."""
