"""Joining and leaving, and who hears of it."""

from __future__ import annotations

from collections.abc import Iterable

from chatapp.chat.context import Ack, Context
from chatapp.chat.hooks import PendingJoin
from chatapp.chat.people import People
from chatapp.domain.arrivals import Arrivals, merge_seconds
from chatapp.domain.messages import Room, User
from chatapp.domain.names import RoomName, parse_room_name
from chatapp.domain.presence import Connection
from chatapp.errors import LimitReached, NotInRoom
from chatapp.log.log import Entered
from chatapp.log.pages import Since
from chatapp.payloads import Join, Leave, Members
from chatapp.wire import Wire, member


class Rooms:
    """Puts connections into rooms and announces who comes and goes, merged by `tick`."""

    def __init__(self, context: Context, people: People) -> None:
        self._context = context
        self._people = people
        self._arrivals: dict[int, Arrivals] = {}  # by room id
        self._rooms: dict[int, Room] = {}  # those with somebody in them, or a leave to announce
        self._members: dict[int, tuple[tuple[User, ...], list[Wire]]] = {}  # by room id: see `_some_members`

    def join(self, connection: Connection, request: Join, ack: Ack) -> None:
        """Put the connection into a room, and tell it what it missed since it says it left."""
        context = self._context
        context.check_rate("joins", connection)
        name = None
        if not request.roomname.startswith("@"):
            name = self._parse(request.roomname)  # first, so that no guest's name is claimed in vain
        user = self._people.user_for(connection, request)
        since = Since(request.since.epoch, request.since.seq) if request.since else None
        if name is None:
            self._join_conversation(connection, request.roomname, since, ack)
            return
        name = self._admit(connection, user, name)
        token = self._people.token(user)
        arrived: list[bool] = []

        def come_in(entered: Entered) -> None:
            if context.presence.connection(connection.sid) is connection:
                arrived.append(self._come_in(connection, user, token, entered, ack))

        entrance = context.distribution.entrance(connection.sid)
        try:
            entered = context.log.enter(
                name,
                user,
                since,
                then=lambda entered: entrance.arrive(entered, lambda: come_in(entered)),
                before=lambda room: entrance.open(room, lambda: context.look(room.id)),
            )
            entrance.wait()
        finally:
            entrance.close()
        if any(arrived):
            context.hooks.tell("on_join", user, entered.room.name)

    def _admit(self, connection: Connection, user: User, name: RoomName) -> RoomName:
        limits = self._context.settings.limits
        pending = PendingJoin(name.display, user)
        self._context.hooks.ask("before_join", pending)
        if pending.room != name.display:
            name = self._parse(pending.room)
        joined = {room.key for room in connection.rooms.values()}
        if name.key not in joined and len(joined) >= limits.rooms_per_connection:
            raise LimitReached(f"At most {limits.rooms_per_connection} rooms at a time.")
        return name

    def _parse(self, roomname: str) -> RoomName:
        return parse_room_name(roomname, self._context.settings.limits.room_characters)

    def _come_in(
        self, connection: Connection, user: User, token: str | None, entered: Entered, ack: Ack
    ) -> bool:
        """Run at the join's place in the log's order: from here on the room is heard."""
        context, room = self._context, entered.room
        arrived = context.presence.join(connection, room)
        context.attended()
        context.delivery.add_to_room(connection.sid, room.id)
        self._rooms[room.id] = room
        members = self._some_members(room.id)
        ack(self._join_ack(room, user, token, entered, members, context.presence.online(room.id)))
        if arrived:
            self._arrivals_of(room.id).join(user)
        return arrived

    def _join_conversation(self, connection: Connection, address: str, since: Since | None, ack: Ack) -> None:
        """Make a conversation the current room. Its messages reach its two users anyway."""
        context = self._context
        room = context.room_of(connection, address)
        user = context.user_of(connection)
        entered = context.log.revisit(room, user, since)
        connection.current = room
        assert room.pair is not None
        pair = list({person.id: person for person in room.pair}.values())
        online = len(context.online(pair))
        members = [member(person) for person in pair]
        ack(self._join_ack(room, user, self._people.token(user), entered, members, online))

    def _some_members(self, room_id: int) -> list[Wire]:
        """Return the members that a join is told of. In a large room they are the same for all that join."""
        users = self._context.presence.some_members(room_id, self._context.settings.limits.members_page)
        known = self._members.get(room_id)
        if known is None or known[0] is not users:
            known = self._members[room_id] = users, [member(user) for user in users]
        return known[1]

    def _join_ack(
        self,
        room: Room,
        user: User,
        token: str | None,
        entered: Entered,
        members: list[Wire],
        online: int,
    ) -> Wire:
        wire: Wire = {
            "room": room.name_for(user.id),
            "user": {"id": str(user.id), "name": user.name},
            "members": members,
            "online": online,
            "epoch": room.epoch,
            "last_seq": entered.last_seq,
            "read_seq": entered.read_seq,
        }
        if entered.their_read_seq is not None:
            wire["their_read_seq"] = entered.their_read_seq
        if token is not None:
            wire["token"] = token
        if entered.missed is not None:
            wire |= self._context.composer.page(room, entered.missed, user.id)
            if entered.missed.more:
                wire["after"] = entered.missed.reached
        return wire

    def leave(self, connection: Connection, request: Leave, ack: Ack) -> None:
        """Take the connection out of a room; its user leaves with the last one, and is no member then."""
        context = self._context
        user = context.user_of(connection)
        room = context.room_of(connection, request.roomname)
        if room.pair is not None:
            if connection.current is None or connection.current.id != room.id:
                raise NotInRoom()
            connection.current = next(reversed(connection.rooms.values()), None)
            ack({"room": room.name_for(user.id)})
            return
        if context.presence.is_last(connection, room):
            context.log.leave(room.id, user.id)
        gone = context.presence.leave(connection, room)
        context.attended()
        context.delivery.remove_from_room(connection.sid, room.id)
        if gone:
            self._has_left(room.id, user)
        ack({"room": room.name})

    def members(self, connection: Connection, request: Members, ack: Ack) -> None:
        """Acknowledge a page of who is in a room."""
        context = self._context
        context.check_rate("reads", connection)
        room = context.room_of(connection, request.room)
        most = context.settings.limits.members_page
        limit = context.page_size(request.limit, most, most)
        users, more = context.presence.members(room.id, request.after, limit)
        if room.pair is not None:
            users = context.online(room.pair)
        ack(
            {
                "room": room.name_for(context.user_of(connection).id),
                "members": [member(user) for user in users],
                "online": len(users) if room.pair else context.presence.online(room.id),
                "more": more,
            }
        )

    # Announcements

    def tick(self, now: float) -> float | None:
        """End graces that are over and send announcements that are due; return when to come again."""
        context = self._context
        for room_id, user in context.presence.expire(now):
            self._has_left(room_id, user)
        context.attended()
        for room_id, arrivals in list(self._arrivals.items()):
            if arrivals.due <= now:
                del self._arrivals[room_id]
                self._announce(self._rooms[room_id], arrivals)
                if not context.presence.online(room_id):
                    del self._rooms[room_id]
                    self._members.pop(room_id, None)
        due = [arrivals.due for arrivals in self._arrivals.values()]
        expiry = context.presence.next_expiry()
        return min([*due, *([] if expiry is None else [expiry])], default=None)

    def _has_left(self, room_id: int, user: User) -> None:
        self._arrivals_of(room_id).leave(user)
        self._context.hooks.tell("on_leave", user, self._rooms[room_id].name)

    # Other workers: whoever comes or goes there is announced to the clients of this one

    def has_arrived_elsewhere(self, room_id: int, user: User) -> None:
        """Announce a user who came into a room in another worker, and was not in it in any."""
        if room_id in self._rooms:
            self._arrivals_of(room_id).join(user)

    def has_left_elsewhere(self, room_id: int, user: User) -> None:
        """Announce a user who left a room in another worker, and is not in it in any."""
        if room_id in self._rooms:
            self._arrivals_of(room_id).leave(user)

    def has_died_elsewhere(self, room_id: int, user: User) -> None:
        """Announce a user whose worker is gone, and tell the host site, which that worker could not."""
        if room_id in self._rooms:
            self._has_left(room_id, user)

    def forget(self, room_ids: Iterable[int]) -> None:
        """Forget rooms in which nobody of this worker is any more."""
        for room_id in room_ids:
            self._arrivals.pop(room_id, None)
            self._rooms.pop(room_id, None)
            self._members.pop(room_id, None)

    def _arrivals_of(self, room_id: int) -> Arrivals:
        arrivals = self._arrivals.get(room_id)
        if arrivals is None:
            online = self._context.presence.online(room_id)
            due = self._context.clock() + merge_seconds(online)
            arrivals = self._arrivals[room_id] = Arrivals(due)
            self._context.wake()
        return arrivals

    def _announce(self, room: Room, arrivals: Arrivals) -> None:
        context, events = self._context, self._context.settings.events
        online = context.presence.online(room.id)
        counts_only = online > context.settings.limits.announce_members
        change: Wire = {"room": room.name, "joined": [], "left": [], "online": online}
        if not counts_only:
            change["joined"] = [member(user) for user in arrivals.joined.values()]
            change["left"] = [member(user) for user in arrivals.left.values()]
            for notice in arrivals.notices():
                told = context.composer.arrivals(room.name, notice, context.now_ms())
                context.delivery.to_room(room.id, events.newmsg, told)
        context.delivery.to_room(room.id, events.presence, change)
