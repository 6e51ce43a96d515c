"""A message goes out until the server has said yes or no to it."""

from __future__ import annotations

from chatapp.client import news
from chatapp.client.dialogue import Dialogue
from chatapp.client.outbox import LOSSES
from unit.client_line import Line, item, joined


def standing(line: Line) -> Dialogue:
    talk = Dialogue(line.means, name="bob", room="lobby", follow=False)
    talk.opened()
    line.answer("join room", **joined(0))
    return talk


def receipt(seq: int, room: str = "lobby") -> dict[str, object]:
    return {"room": room, "seq": seq, "id": f"e1-{seq}", "epoch": "e1", "sent_at": "2026-01-31T12:00:00.000Z"}


def test_an_acknowledged_message_is_shown_at_its_place() -> None:
    line = Line()
    client_id = standing(line).say("lobby", "hello")
    assert line.asked("new message") == [{"room": "lobby", "message": "hello", "client_id": client_id}]
    line.answer("new message", **receipt(1))
    assert line.shown() == ["hello"]
    assert line.of(news.Delivered) == [news.Delivered(client_id, "lobby", 1)]


def test_a_private_message_goes_to_the_person() -> None:
    line = Line()
    client_id = standing(line).say("@ann lee", "psst")
    assert line.asked("new pm") == [{"to": "ann lee", "message": "psst", "client_id": client_id}]
    line.answer("new pm", **receipt(1, "@ann lee"))
    (told,) = line.of(news.Arrived)
    assert (told.item.type, told.item.target) == ("private", "ann lee")


def test_what_was_not_acknowledged_goes_out_again_in_order_under_its_id() -> None:
    line = Line()
    talk = standing(line)
    ids = [talk.say("lobby", text) for text in ("one", "two")]
    talk.lost()
    line.calls.clear()
    talk.say("lobby", "three")
    assert line.asked("new message") == []
    talk.opened()
    assert line.asked("new message") == []
    line.answer("join room", **joined(1, messages=[item(1, "one", username="bob")], more=False))
    assert line.asked("new message") == [{"room": "lobby", "message": "one", "client_id": ids[0]}]
    line.answer("new message", **receipt(1))
    assert line.asked("new message") == [{"room": "lobby", "message": "two", "client_id": ids[1]}]
    line.answer("new message", **receipt(2))
    line.answer("new message", **receipt(3))
    assert line.shown() == ["one", "two", "three"]


def test_a_message_the_server_has_no_time_for_is_sent_again_before_the_next() -> None:
    line = Line()
    talk = standing(line)
    talk.say("lobby", "one")
    talk.say("lobby", "two")
    line.refuse("new message", "rate_limited", "Too fast.", retry_after=2)
    assert [told.wait_seconds for told in line.of(news.Delayed)] == [2.0]
    assert talk.wake() == 102.0
    assert line.asked("new message") == []
    line.now = 102.0
    talk.wake()
    assert [payload["message"] for payload in line.asked("new message")] == ["one"]


def test_a_refused_message_is_told_and_the_next_one_sent() -> None:
    line = Line()
    talk = standing(line)
    client_id = talk.say("lobby", "too long")
    talk.say("lobby", "short")
    line.refuse("new message", "invalid_text", "Too long.")
    assert line.of(news.Undelivered) == [news.Undelivered(client_id, "too long", "Too long.")]
    assert [payload["message"] for payload in line.asked("new message")] == ["short"]


def test_a_message_that_ends_every_connection_is_given_up() -> None:
    line = Line()
    talk = standing(line)
    client_id = talk.say("lobby", "enormous")
    talk.say("lobby", "small")
    for _ in range(LOSSES):
        talk.lost()
        line.calls.clear()
        talk.opened()
        line.answer("join room", **joined(0, messages=[], more=False))
    assert [told.client_id for told in line.of(news.Undelivered)] == [client_id]
    assert [payload["message"] for payload in line.asked("new message")] == ["small"]


def test_messages_for_a_room_wait_until_it_is_joined() -> None:
    line = Line()
    talk = standing(line)
    talk.join("den")
    talk.say("den", "hello")
    assert line.asked("new message") == []
    line.answer("join room", **joined(0, room="den"))
    assert [payload["room"] for payload in line.asked("new message")] == ["den"]
