"""The page while networks and servers fail: nothing is missing, doubled or out of order afterwards."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from clients import Chatter, wait_until
from party import Party
from people import Person
from servers import running
from tcp_proxy import TcpProxy

People = Callable[..., Person]


def test_who_was_offline_misses_nothing(person: People, party: Party, url: str) -> None:
    (guest,) = party.guests("guest")
    with TcpProxy(int(url.rpartition(":")[2])) as proxy:
        ann = person(party.named("ann"), party.room, base=proxy.url)
        guest.say("before")
        ann.say("mine before")
        ann.wait_for_texts("before", "mine before")
        proxy.block()
        ann.wait_for_state("offline")
        expect(ann.page.locator(".banner-text")).to_contain_text("No connection")
        for number in range(70):
            guest.say(f"m{number}")
        ann.say("mine one")
        ann.say("mine two")
        expect(ann.row("mine two").locator(".delivery-state")).to_have_text("Being sent")
        proxy.unblock()
        ann.try_now()
        missed = [f"m{number}" for number in range(70)]
        ann.wait_for_texts("before", "mine before", *missed, "mine one", "mine two")
        expect(ann.page.locator("#banner")).to_be_hidden()
        expect(ann.page.locator(".delivery.is-sending")).to_have_count(0)
    assert [text for text in guest.texts() if text.startswith("mine")] == [
        "mine before",
        "mine one",
        "mine two",
    ]


def test_what_was_not_sent_is_still_there_after_a_reload(person: People, party: Party, url: str) -> None:
    with TcpProxy(int(url.rpartition(":")[2])) as proxy:
        ann = person(party.named("ann"), party.room, base=proxy.url)
        # The page comes, its connection does not.
        ann.page.route("**/socket.io/**", lambda route: route.abort())
        proxy.cut()
        ann.wait_for_state("offline")
        ann.say("later")
        ann.page.reload()
        expect(ann.row("later").locator(".delivery-state")).to_have_text("Being sent")
        ann.page.unroute("**/socket.io/**")
        ann.page.reload()
        ann.wait_for_texts("later")
        expect(ann.row("later").locator(".delivery-state")).to_have_text("Sent")


def test_a_server_that_restarts_under_the_page_loses_nothing(person: People, tmp_path: Path) -> None:
    with running("serve", tmp_path, LIMITS_ENABLED="no") as server:
        ann, bob = (person(name, "lobby", base=server.url) for name in ("ann", "bob"))
        ann.say("one")
        bob.say("two")
        ann.wait_for_texts("one", "two")
        server.kill()
        ann.wait_for_state("offline")
        ann.say("three")
        server.restart()
        for each in (ann, bob):
            each.wait_for_state("online")
            each.wait_for_texts("one", "two", "three")
        bob.say("four")
        ann.wait_for_texts("one", "two", "three", "four")


def test_it_works_by_long_polling_alone(person: People, party: Party) -> None:
    (guest,) = party.guests("guest")
    ann = person("", party.room)
    ann.page.route_web_socket("**/*", lambda socket: socket.close())
    ann.page.locator("#welcome-name").fill(party.named("ann"))
    ann.page.keyboard.press("Enter")
    ann.wait_for_state("online")
    for number in range(3):
        ann.say(f"a{number}")
        wait_until(lambda number=number: f"a{number}" in guest.texts())
        guest.say(f"g{number}")
    ann.wait_for_texts("a0", "g0", "a1", "g1", "a2", "g2")


def test_what_is_refused_can_be_tried_again(person: People, tmp_path: Path) -> None:
    with running("serve", tmp_path, LIMITS_MESSAGE_CHARACTERS="10") as server:
        ann = person("ann", "lobby", base=server.url)
        ann.say("far too long for this server")
        expect(ann.rows.locator(".delivery-state")).to_have_text("Not sent")
        ann.say("short")
        expect(ann.rows.first.locator(".delivery-state")).to_have_text("Sent")
        ann.wait_for_texts("short", "far too long for this server")
        ann.row("far").get_by_role("button", name="Try again").click()
        expect(ann.rows.locator(".delivery.is-failed")).to_have_count(1)
        ann.row("far").get_by_role("button", name="Discard").click()
        ann.wait_for_texts("short")
        expect(ann.page.locator("#text")).to_be_focused()


def test_five_thousand_messages_are_scrolled_through(person: People, party: Party, url: str) -> None:
    count = 5000
    (guest,) = party.guests("guest")
    last = {}
    for number in range(1, count + 1):
        text = f"m{number}" + " and some more words" * (number % 7)
        guest.sio.emit("new message", {"message": text}, callback=lambda answer: last.update(answer))
        if number % 50 == 0:
            wait_until(lambda number=number: last.get("seq") == number, every_seconds=0.002)
    ann = person(party.named("ann"), party.room)
    expect(ann.row(f"m{count}")).to_be_visible()
    ann.page.evaluate(
        """() => {
            window.took = []; window.rows = 0;
            new PerformanceObserver(list => list.getEntries().forEach(
                entry => { window.took.push(entry.duration); }
            )).observe({entryTypes: ["longtask"]});
            const list = document.querySelector(".view:not([hidden]) .rows");
            new MutationObserver(() => {
                window.rows = Math.max(window.rows, list.children.length);
            }).observe(list, {childList: true});
        }"""
    )
    first_seen = "() => document.querySelector('.view:not([hidden]) .row .text').textContent.split(' ')[0]"
    for _ in itertools.count():
        ann.scroll(-4000)
        if ann.page.evaluate(first_seen) == "m1":
            break
    seen = ann.page.evaluate(
        """() => Array.from(
            document.querySelectorAll('.view:not([hidden]) .text'), text => text.textContent.split(' ')[0]
        )"""
    )
    assert seen == [f"m{number}" for number in range(1, len(seen) + 1)]
    assert ann.page.evaluate("window.rows") <= 310
    ann.scroll(-100000)
    expect(ann.page.locator(".beginning")).to_be_visible()
    place = ann.row("m30 ").first
    place.scroll_into_view_if_needed()
    before = place.bounding_box()
    assert before is not None
    guest.say("meanwhile")
    expect(ann.page.locator(".to-newest")).to_have_text("1")
    now = place.bounding_box()
    assert now is not None and abs(now["y"] - before["y"]) < 1
    ann.page.locator(".to-newest").click()
    expect(ann.row("meanwhile")).to_be_in_viewport()
    # What takes longer than 50 ms is a long task; of a page of rows none should come near 200. There are a
    # hundred pages: ten may have met something else that the machine does.
    took = sorted(ann.page.evaluate("window.took"), reverse=True)
    assert [milliseconds for milliseconds in took[10:] if milliseconds >= 200] == [], took


def test_what_one_looks_at_stays_in_its_place_while_history_comes(person: People, party: Party) -> None:
    (guest,) = party.guests("guest")
    for number in range(150):
        guest.say(f"m{number:03}" + "\nline" * (number % 5))
    ann = person(party.named("ann"), party.room)
    expect(ann.row("m149")).to_be_visible()
    ann.scroll(-800)
    place = ann.row("m105")
    place.scroll_into_view_if_needed()
    top = place.bounding_box()
    wait_until(lambda: len(ann.texts()) >= 100, every_seconds=0.05)
    now = place.bounding_box()
    assert now is not None and abs(now["y"] - top["y"]) < 1
    assert top is not None
    with Chatter(party.url) as bob:
        bob.join(party.room, party.named("bob"))
        bob.say("below")
        guest.call(
            "edit message", {"room": party.room, "seq": 101, "message": "m100\nis\nhigher\nnow\nthan\nbefore"}
        )
        guest.call("react", {"room": party.room, "seq": 102, "emoji": "👍", "on": True})
        expect(ann.page.locator(".reaction")).to_have_count(1)
    now = place.bounding_box()
    assert now is not None and abs(now["y"] - top["y"]) < 1
