"""Whom the page reaches: it is checked by axe, heard by screen readers, and fits what the browser wishes."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from accessibility import faults_of, live_regions
from clients import wait_until
from party import Party
from people import Person
from tcp_proxy import TcpProxy

People = Callable[..., Person]

SIZES = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 780}}


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_no_serious_fault(person: People, party: Party, size: str, colours: str) -> None:
    (guest,) = party.guests("guest")
    guest.say("an address: https://a.example")
    guest.say("to be deleted")
    guest.call("delete message", {"room": party.room, "seq": 2})
    ann = person("", party.room, viewport=SIZES[size], color_scheme=colours, reduced_motion="reduce")
    assert faults_of(ann.page) == []  # the welcome
    ann.page.locator("#welcome-name").fill(party.named("ann"))
    ann.page.keyboard.press("Enter")
    ann.wait_for_state("online")
    ann.say(f"hello @{guest.name}")
    ann.say("x" * 5000)
    guest.say(f"hello @{ann.name or party.named('ann')}")
    guest.call("react", {"room": party.room, "seq": 1, "emoji": "👍", "on": True})
    guest.call("new pm", {"to": party.named("ann"), "message": "psst"})
    expect(ann.page.locator(".reaction")).to_be_visible()
    expect(ann.page.locator(".delivery.is-failed")).to_be_visible()
    guest.call("typing", {"room": party.room, "typing": True})
    expect(ann.page.locator("#typing")).not_to_be_empty()
    ann.row("an address").hover()
    assert faults_of(ann.page) == []
    ann.page.get_by_role("button", name="Who is here").click()
    assert faults_of(ann.page) == []
    ann.page.locator("#people-close").click()
    if size == "phone":
        ann.page.locator("#side-open").click()
    ann.page.get_by_role("button", name="Open a room").click()
    assert faults_of(ann.page) == []


def test_a_new_message_is_read_out_once_and_the_history_is_not(person: People, party: Party) -> None:
    (guest,) = party.guests("guest")
    guest.say("from before")
    ann = person(party.named("ann"), party.room)
    expect(ann.row("from before")).to_be_visible()
    guest.say("brand new")
    expect(ann.page.get_by_role("log")).to_have_text(f"{guest.name}: brand new")
    guest.call("edit message", {"room": party.room, "seq": 2, "message": "brand new, edited"})
    ann.say("mine")
    ann.wait_for_texts("from before", "brand new, edited edited", "mine")
    assert live_regions(ann.page) == [f"{guest.name}: brand new"]


def test_what_was_missed_is_not_read_out_and_what_follows_is(person: People, party: Party, url: str) -> None:
    (guest,) = party.guests("guest")
    with TcpProxy(int(url.rpartition(":")[2])) as proxy:
        ann = person(party.named("ann"), party.room, base=proxy.url)
        guest.say("live before")
        expect(ann.row("live before")).to_be_visible()
        # All that is ever put there: lines go again after a while.
        ann.page.evaluate(
            """() => {
                window.heard = [];
                new MutationObserver(records => records.forEach(record => record.addedNodes.forEach(node => {
                    window.heard.push(node.textContent);
                }))).observe(document.querySelector("[role=log]"), {childList: true, subtree: true});
            }"""
        )
        proxy.block()
        ann.wait_for_state("offline")
        missed = [f"m{number}" for number in range(70)]
        for text in missed:
            guest.say(text)
        proxy.unblock()
        ann.try_now()
        ann.wait_for_texts("live before", *missed)
        ann.wait_for_state("online")
        guest.say("live after")
        ann.wait_for_texts("live before", *missed, "live after")
        assert ann.page.evaluate("window.heard") == [f"{guest.name}: live after"]


@pytest.mark.parametrize(("locale", "words"), [("de-DE", "2 Personen hier"), ("ru-RU", "2 человека здесь")])
def test_it_speaks_the_language_of_the_browser(person: People, party: Party, locale: str, words: str) -> None:
    party.guests("guest")
    ann = person(party.named("ann"), party.room, locale=locale)
    expect(ann.page.locator("#place-state")).to_have_text(words)


@pytest.mark.parametrize(
    ("locale", "joined", "left"),
    [
        ("en-US", "{} joined", "{} left"),
        ("de-DE", "{} ist gekommen", "{} ist gegangen"),
        ("ru-RU", "{} входит", "{} выходит"),
    ],
)
def test_it_says_in_that_language_who_comes_and_goes(
    person: People, party: Party, locale: str, joined: str, left: str
) -> None:
    ann = person(party.named("ann"), party.room, locale=locale)
    notices = ann.page.locator(".is-notice .notice-text")
    expect(notices).to_have_text([joined.format(ann.name)])
    bob = party.guest("bob")
    expect(notices).to_have_text([joined.format(ann.name), joined.format(bob.name)])
    bob.call("leave room", {"roomname": party.room})
    expect(notices.last).to_have_text(left.format(bob.name))


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("en-US", "<b>a</b>, b, c and 1 other joined"),
        ("de-DE", "<b>a</b>, b, c und 1 weitere Person sind gekommen"),
        ("ru-RU", "<b>a</b>, b, c и ещё 1 человек входят"),
    ],
)
def test_a_crowd_that_comes_is_named_and_counted(
    person: People, party: Party, locale: str, words: str
) -> None:
    ann = person(party.named("ann"), party.room, locale=locale)
    said = ann.page.evaluate(
        """() => {
            const told = JSON.parse(document.querySelector("#told").textContent);
            const words = new Chatapp.text.Words(told.language, told.words);
            return Chatapp.text.append(document.createElement("p"),
                words.sayNames("notice_joined", ["<b>a</b>", "b", "c"], 1)).textContent;
        }"""
    )
    assert said == words


def test_long_names_and_words_break_and_push_nothing_out(person: People, party: Party) -> None:
    ann = person(("ann" + "w" * 40)[:30], party.room, viewport=SIZES["phone"])
    ann.say("w" * 900)
    expect(ann.rows).to_have_count(1)
    width = ann.page.evaluate(
        """() => Math.max(...Array.from(
            document.querySelectorAll('#place, #place *'), element => element.getBoundingClientRect().right
        ))"""
    )
    assert width <= SIZES["phone"]["width"]


def test_notifications_come_for_what_is_private_while_the_page_is_out_of_sight(
    person: People, party: Party
) -> None:
    (guest,) = party.guests("guest")
    ann = person(party.named("ann"), party.room)
    ann.context.grant_permissions(["notifications"])
    # What a browser would show, written down instead; and a window that is not looked at.
    ann.page.evaluate(
        """() => {
            window.shown = [];
            window.Notification = function (title, options) { window.shown.push([title, options.body]); };
            window.Notification.permission = "granted";
            window.Notification.requestPermission = done => done("granted");
            document.hasFocus = () => false;
        }"""
    )
    guest.call("new pm", {"to": ann.name, "message": "not to be shown"})
    expect(ann.tab(guest.name).locator(".badge")).to_contain_text("1")
    ann.page.get_by_role("button", name="Turn notifications on").click()
    guest.call("new pm", {"to": ann.name, "message": "<b>psst"})
    guest.say("to nobody")
    guest.say(f"@{ann.name} look")
    ann.wait_for_texts("to nobody", f"@{ann.name} look")
    shown = wait_until(lambda: ann.page.evaluate("window.shown.length > 1 && window.shown"))
    assert shown == [[guest.name, "<b>psst"], [f"{guest.name} · {party.room}", f"@{ann.name} look"]], (
        json.dumps(shown)
    )
