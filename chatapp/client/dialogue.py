"""What is asked of the server, and what its answers and pushes mean; no sockets and no threads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from chatapp.client import news
from chatapp.client.catchup import CatchUp
from chatapp.client.delivery import Delivery
from chatapp.client.means import Means, retry_seconds
from chatapp.client.roomlog import without_repeated_changes
from chatapp.client.wire import Answer, parse_item

#: Announcements after which one is no longer in the room they name.
OUT_OF_ROOM_CODES = frozenset({"kicked", "banned"})
#: Refusals of a token that was kept from an earlier time.
TOKEN_CODES = frozenset({"unauthorized", "name_mismatch"})


class Dialogue:
    """One user's talk with the server, over as many connections as it takes. All calls on one thread.

    With `follow` it shows what was missed before and in between, and tells the server what was read; without,
    it does what a script needs that only sends. `name` is None where the site says who this is.
    """

    def __init__(self, means: Means, *, name: str | None, room: str, follow: bool) -> None:
        self._means = means
        self._session = means.session
        self._name = name
        self._follow = follow
        #: Rooms to be in: as the server calls them, or as asked for until it has answered.
        self._wanted = [room]
        # The rest is about the present connection: whether it stands, whether the server knows who this is,
        # which rooms are joined, and when to ask again to join those it would not let in just now.
        self._is_open = False
        self._is_known = False
        self._joined: set[str] = set()
        self._join_at: dict[str, float] = {}
        self._delivery = Delivery(means, self._joined)
        self._catch_up = CatchUp(means, follow=follow)

    @property
    def is_known(self) -> bool:
        """Whether the server knows who this is on the present connection."""
        return self._is_known

    # The connection and the time.

    def opened(self) -> None:
        """The connection stands: come in again."""
        self._is_open = True
        for room in self._wanted:
            self._join(room)

    def lost(self) -> None:
        """The connection is gone."""
        self._is_open = self._is_known = False
        self._joined.clear()
        self._join_at.clear()
        for outgoing in self._session.link_lost():
            why = "The connection was lost each time; whether it arrived is not known."
            self._means.tell(news.Undelivered(outgoing.client_id, outgoing.text, why))

    def wake(self) -> float | None:
        """Do what is due, and return the time at which to be woken next."""
        now = self._means.clock()
        for room in [room for room, when in self._join_at.items() if when <= now]:
            del self._join_at[room]
            self._join(room)
        times = list(self._join_at.values())
        if self._is_known:
            self._delivery.send_ready()
            self._catch_up.wake()
            more = (self._session.outbox.next_time(), self._catch_up.next_time())
            times += [when for when in more if when is not None]
        return min(times, default=None)

    # What the person wants.

    def join(self, room: str) -> None:
        """Enter `room` too."""
        if room not in self._wanted:
            self._wanted.append(room)
        if self._is_open:
            self._join(room)
        else:
            self._means.tell(news.Trouble(f"Not connected; joining {room} as soon as possible."))

    def leave(self, room: str) -> None:
        """Leave `room`."""
        if room not in self._wanted:
            self._means.tell(news.Trouble(f"You are not in {room}."))
        else:
            self._ask(self._means.events.leaveroom, {"roomname": room}, partial(self._answered_leave, room))

    def say(self, room: str, text: str) -> str:
        """Send `text` to `room` (``@name``: to that person alone) and return the client id it is known by."""
        outgoing = self._session.say(room, text)
        if self._is_known:
            self._delivery.send_ready()
        return outgoing.client_id

    def ask_members(self, room: str) -> None:
        """Tell who is in `room`."""
        self._ask(self._means.events.members, {"room": room}, partial(self._answered_members, room))

    def ask_history(self, room: str, limit: int) -> None:
        """Show the last `limit` messages of `room` once more."""
        self._ask(self._means.events.history, {"room": room, "limit": limit}, self._answered_history)

    def ask_rooms(self) -> None:
        """Tell the user's rooms and conversations."""
        self._ask(self._means.events.rooms, {}, self._answered_rooms)

    def _ask(self, event: str, payload: object, on_answer: Callable[[Answer], None]) -> None:
        """Put a question to the server; a refusal is told as it is."""
        if self._is_known:
            self._means.call(event, payload, partial(self._answered, on_answer))
        else:
            self._means.tell(news.Trouble("Not connected."))

    def _answered(self, on_answer: Callable[[Answer], None], answer: Answer) -> None:
        if answer.ok:
            on_answer(answer)
        else:
            self._means.tell(news.Trouble(answer.message))

    # What the server pushes.

    def received(self, event: str, payload: object) -> None:
        """Take in a push. One of an unknown name or a wrong shape is passed over."""
        events = self._means.events
        if event in (events.newmsg, events.changed):
            item = parse_item(payload)
            if item is not None:
                for shown in self._session.receive(item, self._means.clock()):
                    self._means.tell(news.Arrived(shown))
        elif event == events.notice and isinstance(payload, dict):
            self._announced(*(str(payload.get(key) or "") for key in ("code", "message", "room")))

    def _announced(self, code: str, message: str, room: str) -> None:
        self._means.tell(news.Announcement(code, message, room))
        if code in OUT_OF_ROOM_CODES and room in self._wanted:
            self._out_of(room, f"You are no longer in {room}: {message}")

    # Joining and leaving.

    def _join(self, room: str) -> None:
        payload: dict[str, object] = {"roomname": room}
        if self._name is not None:
            payload["username"] = self._name
        if self._session.token is not None:
            payload["token"] = self._session.token
        since = self._session.since(room)
        if since is not None:
            payload["since"] = since
        self._means.call(
            self._means.events.joinroom, payload, partial(self._answered_join, room, "token" in payload)
        )

    def _answered_join(self, asked: str, had_token: bool, answer: Answer) -> None:
        if answer.ok:
            self._entered(asked, answer)
        elif answer.is_passing:
            wait_seconds = retry_seconds(answer)
            self._join_at[asked] = self._means.clock() + wait_seconds
            self._means.tell(
                news.Trouble(f"Joining {asked} has to wait {wait_seconds:.0f} s: {answer.message}")
            )
        elif answer.code in TOKEN_CODES and had_token and not self._session.username:
            self._means.tell(
                news.Trouble("The server does not take the kept token any more; joining without it.")
            )
            self._session.token = None
            self._join(asked)
        else:
            self._out_of(asked, f"You cannot join {asked}: {answer.message}")

    def _entered(self, asked: str, answer: Answer) -> None:
        old_token, is_first = self._session.token, not self._is_known
        entered = self._session.entered(answer, context=self._follow)
        self._wanted = list(dict.fromkeys(entered.room if room == asked else room for room in self._wanted))
        self._joined.add(entered.room)
        self._is_known = True
        if self._session.token is not None and self._session.token != old_token:
            self._means.tell(news.TokenIssued(self._session.token))
        online, names = answer.number("online"), answer.member_names()
        self._means.tell(news.Joined(entered.room, self._session.username, online, names, entered.again))
        if entered.gap:
            self._means.tell(news.Gap(entered.room))
        for item in without_repeated_changes(entered.items):
            self._means.tell(news.Arrived(item, past=True))
        if is_first:
            self._catch_up.identified()
        self._delivery.send_ready()

    def _answered_leave(self, room: str, answer: Answer) -> None:
        self._out_of(room, f"You left {room}.")

    def _out_of(self, room: str, why: str) -> None:
        """Be in `room` no more."""
        if room in self._wanted:
            self._wanted.remove(room)
        self._joined.discard(room)
        for outgoing in self._session.forget(room):
            self._means.tell(news.Undelivered(outgoing.client_id, outgoing.text, why))
        self._means.tell(news.Left(room, why))

    # Answers to questions.

    def _answered_members(self, room: str, answer: Answer) -> None:
        self._means.tell(news.Members(room, answer.member_names(), answer.number("online")))

    def _answered_history(self, answer: Answer) -> None:
        for item in answer.items():
            self._means.tell(news.Arrived(item, past=True))

    def _answered_rooms(self, answer: Answer) -> None:
        rooms = (
            news.RoomSummary(room.name, room.unread, room.name in self._joined) for room in answer.rooms()
        )
        self._means.tell(news.Rooms(tuple(rooms)))
