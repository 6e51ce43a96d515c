"""The host's voice in processes that serve nobody, and inside the host's own transactions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session

from chatapp import ChatServer
from chatapp.cluster.envelopes import EntryNews, EventNews
from chatapp.errors import HostingError, InvalidText, NoSuchUser
from chatapp.log.log import Log
from chatapp.log.opening import open_log_at_once
from chatapp.settings import App, Settings, Storage
from chatapp.wire import Wire


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(app=App(data_dir=tmp_path / "data"))


@pytest.fixture
def rung() -> list[EntryNews | EventNews]:
    """What those who serve were told."""
    return []


@pytest.fixture
def chat(
    settings: Settings, rung: list[EntryNews | EventNews], monkeypatch: pytest.MonkeyPatch
) -> Iterator[ChatServer]:
    chat = ChatServer(settings)
    monkeypatch.setattr(chat._voice, "_ring", rung.append)
    yield chat
    chat.close()


@pytest.fixture
def log(settings: Settings) -> Iterator[Log]:
    log = open_log_at_once(settings)
    yield log
    log.close()


@pytest.fixture
def engine(settings: Settings, chat: ChatServer) -> Iterator[Engine]:
    """The host's own way to the chat's database, in which it has a table."""
    chat.post("lobby", "the first word")
    engine = sqlalchemy.create_engine(settings.storage_url or "", poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE orders (id INTEGER PRIMARY KEY)"))
    yield engine
    engine.dispose()


def said(log: Log, room: str = "lobby") -> list[str]:
    known = log.find_room(room)
    assert known is not None
    return [item.text for item in log.history(known.id, None, None, 50).items]  # type: ignore[union-attr]


def orders(connection: Connection) -> int:
    return int(connection.execute(text("SELECT count(*) FROM orders")).scalar_one())


def test_what_is_posted_is_in_the_log_at_once_and_told(
    chat: ChatServer, log: Log, rung: list[EntryNews | EventNews]
) -> None:
    receipt = chat.post("lobby", "hello", sender="Shop", client_id="c1")
    assert receipt["seq"] == 1 and said(log) == ["hello"]
    assert chat.post("lobby", "hello", sender="Shop", client_id="c1") == receipt
    (news,) = rung  # the second one was there already
    assert isinstance(news, EntryNews) and news.seq == 1 and not news.is_bell
    assert news.parts[0].data["message"] == "hello" and news.parts[0].data["username"] == "Shop"


def test_threads_may_post_at_the_same_time(chat: ChatServer, log: Log) -> None:
    receipts: list[Wire] = []

    def post(name: str) -> None:
        receipts.extend(chat.post("lobby", f"{name} {number}", sender=name) for number in range(20))

    threads = [threading.Thread(target=post, args=(f"thread{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(receipt["seq"] for receipt in receipts) == list(range(1, 81))


def test_a_private_message_and_a_refusal(
    chat: ChatServer, log: Log, rung: list[EntryNews | EventNews]
) -> None:
    with pytest.raises(NoSuchUser):
        chat.send_private("shop", "psst")
    chat.post("lobby", "hello", sender="shop")
    assert chat.send_private("shop", "psst")["room"] == "@shop"
    news = rung[-1]
    assert {part.kind for part in news.parts} == {"u"} and len(news.parts) == 2
    with pytest.raises(InvalidText):
        chat.post("lobby", " ")


def test_what_is_not_stored_is_told_as_well(chat: ChatServer, rung: list[EntryNews | EventNews]) -> None:
    chat.post("lobby", "hello", sender="shop")
    chat.distribute_message("lobby", "closing soon")
    chat.send_message("shop", "look here")
    (notice,), (message,) = (news.parts for news in rung[1:])
    assert (notice.kind, notice.data["message"]) == ("r", "closing soon")
    assert (message.kind, message.data) == ("u", {"code": "message", "message": "look here"})


@pytest.mark.parametrize("speaks_first", [True, False])
def test_what_is_posted_in_a_transaction_is_said_when_that_is_committed(
    chat: ChatServer, log: Log, rung: list[EntryNews | EventNews], engine: Engine, speaks_first: bool
) -> None:
    rung.clear()
    with engine.begin() as connection:
        if not speaks_first:
            connection.execute(text("INSERT INTO orders VALUES (1)"))
        receipt = chat.post("lobby", "an order", connection=connection)
        private = chat.send_private("system", "an order", connection=connection)
        if speaks_first:
            connection.execute(text("INSERT INTO orders VALUES (1)"))
        assert rung == [] and said(log) == ["the first word"]
    assert (receipt["seq"], private["seq"]) == (2, 1)
    assert said(log) == ["the first word", "an order"]
    assert [news.is_bell for news in rung if isinstance(news, EntryNews)] == [True, True]
    assert [part.kind for news in rung for part in news.parts] == ["r", "u"]
    with engine.connect() as connection:
        assert orders(connection) == 1


def test_what_is_posted_in_a_transaction_that_is_rolled_back_was_never_said(
    chat: ChatServer, log: Log, rung: list[EntryNews | EventNews], engine: Engine
) -> None:
    rung.clear()
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO orders VALUES (1)"))
        assert chat.post("lobby", "an order", connection=connection, client_id="c1")["seq"] == 2
        connection.rollback()
        assert orders(connection) == 0
    assert said(log) == ["the first word"] and rung == []
    assert chat.post("lobby", "another", client_id="c1")["seq"] == 2
    assert said(log) == ["the first word", "another"]


def test_a_session_of_the_orm_has_such_a_connection(chat: ChatServer, log: Log, engine: Engine) -> None:
    with Session(engine) as session:
        session.execute(text("INSERT INTO orders VALUES (1)"))
        chat.post("lobby", "an order", connection=session.connection())
        session.commit()
        chat.post("lobby", "not so", connection=session.connection())
        session.rollback()
    assert said(log) == ["the first word", "an order"]


def test_a_connection_to_another_database_is_refused(chat: ChatServer) -> None:
    elsewhere = sqlalchemy.create_engine("sqlite://")
    with elsewhere.connect() as connection, pytest.raises(HostingError, match="holds no chat"):
        chat.post("lobby", "hello", connection=connection)
    elsewhere.dispose()


def test_where_nothing_is_stored_only_the_serving_process_speaks() -> None:
    chat = ChatServer(Settings(storage=Storage(url="none")))
    with pytest.raises(HostingError, match="nothing is stored"):
        chat.post("lobby", "hello")
    chat.close()
