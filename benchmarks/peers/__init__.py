"""Servers that do chatapp's basic work on other engines: join, broadcast, acknowledge."""
