"""A chat server whose database takes 0 to 20 ms for each write, as dice fall."""

from __future__ import annotations


def main() -> None:
    from gevent import monkey

    monkey.patch_all()
    import random
    from typing import Any

    import chatapp.log.log
    from chatapp.log.sql import SqlStore
    from chatapp.server import ChatServer

    sleep, dice = monkey.get_original("time", "sleep"), random.Random(4)

    class SlowStore(SqlStore):
        def append(self, *args: Any) -> Any:
            sleep(dice.uniform(0, 0.02))
            return super().append(*args)

    chatapp.log.log.SqlStore = SlowStore  # type: ignore[misc]
    ChatServer().start(lambda host, port: print(f"Listening on http://{host}:{port}", flush=True))


if __name__ == "__main__":
    main()
