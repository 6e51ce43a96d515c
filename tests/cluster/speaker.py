"""Speaks in the chat from a process of another kind, as JSON on standard input says; prints the receipts.

Each request is ``[verb, args, options]``, or ``["transaction", is_committed, requests]`` for what is said in
a transaction of the host's.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import sqlalchemy

from chatapp import ChatServer


def main() -> None:
    chat = ChatServer()

    def speak(verb: str, args: list[Any], options: dict[str, Any]) -> Any:
        return getattr(chat, verb)(*args, **options)

    for verb, *rest in json.load(sys.stdin):
        if verb != "transaction":
            print(json.dumps(speak(verb, *rest)))
            continue
        is_committed, requests = rest
        engine = sqlalchemy.create_engine(chat.settings.storage_url or "")
        with engine.connect() as connection:
            for inner, args, options in requests:
                print(json.dumps(speak(inner, args, {**options, "connection": connection})))
            if is_committed:
                connection.commit()
            else:
                connection.rollback()
        engine.dispose()
    chat.close()


if __name__ == "__main__":
    main()
