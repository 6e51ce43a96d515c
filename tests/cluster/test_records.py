"""The checker of the swarm's records: good ones pass, and each broken promise is found and named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cluster.records import Records, Room, check, find_faults, find_late, find_silent

CLIENTS = ("ann", "bob", "cid")
OBSERVER = "observer"
#: Who says the messages of the good records, one after the other.
SPEAKERS = ("ann", "bob", "ann", "cid", "bob", "bob")


class Story:
    """What three clients saw: they come, six messages are said, and somebody comes to look. A test changes
    something in it."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        counts = dict.fromkeys(CLIENTS, 0)
        self.log: list[Any] = []
        for seq, speaker in enumerate(SPEAKERS, 1):
            counts[speaker] += 1
            self.log.append({"seq": seq, "id": f"e-{seq}", "client_id": f"{speaker}.{counts[speaker]}"})
        self.room = Room(self.log, {*CLIENTS, OBSERVER}, len(self.log), OBSERVER)
        for client in CLIENTS:
            self._say(client, "connect", sid=f"s-{client}")
            self.join(client, None, 0)
            self.announce(client, ["bob", "cid"] if client == "ann" else ["cid"])
        for item, speaker in zip(self.log, SPEAKERS, strict=True):
            for client in CLIENTS:
                if client == speaker:
                    self.acknowledge(client, item["seq"])
                else:
                    self.bring(client, "live", item["seq"])
        for client in CLIENTS:
            self.announce(client, [OBSERVER])
            self._say(client, "end", connected=True, pending=None)

    def _say(self, client: str, what: str, **fields: Any) -> dict[str, Any]:
        record = {"client": client, "at": len(self.records), "what": what, **fields}
        self.records.append(record)
        return record

    def join(self, client: str, since: int | None, last_seq: int) -> Any:
        members = ["ann"] if client == "ann" and since is None else ["ann", "bob"]
        members = list(CLIENTS) if since is not None else members
        fields = {"user": client, "since": since, "last_seq": last_seq, "members": members}
        return self._say(client, "join", **fields)

    def announce(self, client: str, joined: list[str]) -> None:
        self._say(client, "notice", text=f"{' and '.join(joined)} joined")
        self._say(client, "presence", joined=joined, left=[], online=0)

    def bring(self, client: str, via: str, seq: int) -> Any:
        item = self.log[seq - 1]
        return self._say(client, "message", via=via, **item)

    def acknowledge(self, client: str, seq: int, tries: int = 1) -> Any:
        item = self.log[seq - 1]
        return self._say(client, "ack", tries=tries, took_ms=1, **item)

    def of(self, client: str, what: str) -> list[dict[str, Any]]:
        return [record for record in self.records if (record["client"], record["what"]) == (client, what)]

    def come_back(self, client: str, since: int, tries: int = 1) -> None:
        """Have the client's connection end before the end, and let it come back with what followed."""
        end = self.of(client, "end")[0]
        own = [record for record in self.records if record["client"] == client]
        after = [record for record in own if record["what"] in ("message", "ack") and record["seq"] > since]
        announced = [record for record in own if record["what"] in ("notice", "presence")][-2:]
        for record in [*after, *announced, end]:
            self.records.remove(record)
        self._say(client, "disconnect", reason="transport close")
        self._say(client, "connect", sid=f"s-{client}-2")
        self.join(client, since, len(self.log))
        for seq in range(since + 1, len(self.log) + 1):
            self.bring(client, "join", seq)
        for record in after:
            if record["what"] == "ack":
                self.acknowledge(client, record["seq"], tries)
        self.announce(client, [OBSERVER])
        self.records.append(end)

    def faults(self, **options: bool) -> list[str]:
        return list(find_faults(Records(self.records), self.room, **options))


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_story_as_it_should_be_passes(story: Story) -> None:
    check(Records(story.records), story.room)


def test_so_does_one_with_a_reconnect_where_that_may_be(story: Story) -> None:
    story.come_back("bob", 3, tries=2)
    assert story.faults(is_steady=False) == []
    assert story.faults() == ["bob: disconnect: transport close"]


def test_a_message_that_was_said_again_and_stored_by_then_may_come_before_or_after_its_acknowledgement(
    story: Story,
) -> None:
    """It is the connection's own, and was said on another one, so that it comes as others' messages do."""
    bob_first, bob_last = story.of("bob", "ack")[0], story.of("bob", "ack")[2]
    for ack in (bob_first, bob_last):
        ack["tries"] = 2
    place = story.records.index(bob_first)
    story.records.insert(place, story.records.pop(story.records.index(story.bring("bob", "live", 2))))
    place = story.records.index(bob_last)
    story.records.insert(place + 1, story.records.pop(story.records.index(story.bring("bob", "live", 6))))
    assert story.faults() == []


def _drop(story: Story) -> None:
    story.records.remove(story.of("cid", "message")[1])


def _drop_the_last(story: Story) -> None:
    story.records.remove(story.of("cid", "message")[-1])


def _double(story: Story) -> None:
    record = story.of("cid", "message")[1]
    story.records.insert(story.records.index(record) + 1, record.copy())


def _swap(story: Story) -> None:
    first, second = story.of("cid", "message")[:2]
    places = story.records.index(first), story.records.index(second)
    for place, record in zip(places, (second, first), strict=True):
        story.records[place] = record


def _swap_in_the_log(story: Story) -> None:
    """Two messages have changed places in what one client was told, numbers aside."""
    first, second = story.of("cid", "message")[:2]
    for key in ("id", "client_id"):
        first[key], second[key] = second[key], first[key]


def _lose_an_acknowledged_one(story: Story) -> None:
    story.log.pop()
    story.room.last_seq = 5


def _lose_one_in_the_middle(story: Story) -> None:
    del story.log[2]


def _store_twice(story: Story) -> None:
    story.log.append({"seq": 7, "id": "e-7", "client_id": "ann.1"})
    story.room.last_seq = 7
    for client in CLIENTS:
        end = story.of(client, "end")[0]
        story.records.remove(end)
        story.bring(client, "live", 7)
        story.records.append(end)


def _acknowledge_another_place(story: Story) -> None:
    story.of("bob", "ack")[0]["seq"] = 1


def _acknowledge_what_is_nowhere(story: Story) -> None:
    story.of("bob", "ack")[2]["seq"] = 7


def _acknowledge_too_early(story: Story) -> None:
    ack = story.of("cid", "ack")[0]
    story.records.remove(ack)
    story.records.insert(story.records.index(story.of("cid", "message")[2]), ack)


def _acknowledge_twice_and_differently(story: Story) -> None:
    story.acknowledge("bob", 2, tries=2)["client_id"] = "bob.2"


def _show_what_is_not_in_the_log(story: Story) -> None:
    record = story.bring("ann", "live", 6)
    record |= {"seq": 7, "id": "e-7"}


def _leave_somebody_out(story: Story) -> None:
    story.room.members.remove("bob")


def _keep_somebody(story: Story) -> None:
    story.room.members.add("dan")


def _announce_to_all_but_one(story: Story) -> None:
    story.of("ann", "presence")[0]["joined"].remove("cid")


def _announce_twice(story: Story) -> None:
    story.announce("bob", ["cid"])


def _announce_who_leaves(story: Story) -> None:
    story._say("bob", "presence", joined=[], left=["cid"], online=2)


def _tell_of_a_notice_too_few(story: Story) -> None:
    story.records.remove(story.of("bob", "notice")[0])


def _let_two_have_one_name(story: Story) -> None:
    story.of("cid", "join")[0]["user"] = "bob"


def _refuse(story: Story) -> None:
    story._say("bob", "refusal", event="new message", code="internal_error")


def _end_without_an_acknowledgement(story: Story) -> None:
    story.of("bob", "end")[0]["pending"] = "bob.4"


def _end_without_a_connection(story: Story) -> None:
    story.of("bob", "end")[0]["connected"] = False


def _catch_up_with_a_hole(story: Story) -> None:
    story.come_back("bob", 3, tries=2)
    story.records.remove(next(record for record in story.of("bob", "message") if record["seq"] == 4))


def _catch_up_too_late(story: Story) -> None:
    story.come_back("bob", 3, tries=2)
    story.of("bob", "join")[1]["since"] = 2


def _catch_up_with_a_gap(story: Story) -> None:
    story.come_back("bob", 3, tries=2)
    story.of("bob", "join")[1]["gap"] = True


def _forget_the_members(story: Story) -> None:
    story.come_back("bob", 3, tries=2)
    story.of("bob", "join")[1]["members"] = ["bob"]


@pytest.mark.parametrize(
    ("break_it", "fault"),
    [
        (_drop, "cid: 3 came after 1"),
        (_drop_the_last, "cid: it never got 6"),
        (_double, "cid: 2 came twice on one connection"),
        (_swap, "cid: 1 came late, after 2"),
        (_swap_in_the_log, "cid: 1 came as bob.1, and is ann.1 in the log"),
        (_lose_an_acknowledged_one, "bob.3 was acknowledged as 6, which is not in the log"),
        (_lose_one_in_the_middle, "the log goes on with 4 where 3 should be"),
        (_store_twice, "ann.1 is in the log at 1, 7"),
        (_acknowledge_another_place, "bob.1 was acknowledged as 1, which is ann.1 in the log"),
        (_acknowledge_what_is_nowhere, "bob.3 was acknowledged as 7, which is not in the log"),
        (_acknowledge_too_early, "cid: cid.1 was acknowledged as 4 after 2"),
        (_acknowledge_twice_and_differently, "bob: bob.2 was acknowledged as 5 and as 2"),
        (_show_what_is_not_in_the_log, "ann: 7 came, which is not in the log"),
        (_leave_somebody_out, "the list of members lacks bob"),
        (_keep_somebody, "the list of members has dan, who is gone"),
        (_announce_to_all_but_one, "ann: its view of the members lacks cid"),
        (_announce_twice, "bob: cid joined twice"),
        (_announce_who_leaves, "bob: cid left"),
        (_tell_of_a_notice_too_few, "bob: notices told of 1 who joined, presence of 2"),
        (_let_two_have_one_name, "2 clients are bob"),
        (_refuse, "bob: its new message was refused: internal_error"),
        (_end_without_an_acknowledgement, "bob: bob.4 is not acknowledged at the end"),
        (_end_without_a_connection, "bob: it is not connected at the end"),
        (_catch_up_with_a_hole, "bob: a catch-up brought 5 after 3"),
        (_catch_up_too_late, "bob: a catch-up brought 4 after 2"),
        (_catch_up_with_a_gap, "bob: it was told of a gap after 3"),
        (_forget_the_members, "bob: its view of the members lacks ann, cid"),
    ],
)
def test_a_broken_promise_is_found(story: Story, break_it: Callable[[Story], None], fault: str) -> None:
    break_it(story)
    assert fault in story.faults()
    assert fault in story.faults(is_steady=False) or "notices" in fault


def test_a_failure_shows_the_first_faults_and_counts_the_others(story: Story) -> None:
    story.room.log.clear()
    with pytest.raises(AssertionError) as failure:
        check(Records(story.records), story.room)
    lines = str(failure.value).splitlines()
    assert "ann.1 was acknowledged as 1, which is not in the log" in lines
    assert len(lines) == 12 and lines[-1].endswith(" more")


def test_what_comes_too_late_after_a_fault_is_found(story: Story) -> None:
    records, said = Records(story.records), story.of("bob", "ack")[0]["at"] + 1
    got = {client: story.of(client, "message") for client in ("ann", "cid")}
    assert list(find_late(records, said, got["cid"][1]["at"])) == []
    assert list(find_late(records, said, got["cid"][1]["at"] - 1)) == ["cid: 2 came up to 1 ms too late"]


def test_who_is_not_served_again_soon_enough_is_found(story: Story) -> None:
    records, ack = Records(story.records), story.of("cid", "ack")[0]
    assert list(find_silent(records, 0, 100)) == []
    expected = [f"cid: nothing was acknowledged for {ack['at']} ms"]
    assert list(find_silent(records, 0, ack["at"])) == expected
