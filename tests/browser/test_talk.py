"""What people do with each other on the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from clients import wait_until
from party import Party
from people import Person, seconds_until_seen
from servers import running
from visitors import SITE_SECRET_KEY

People = Callable[..., Person]


def test_two_people_talk(person: People, party: Party) -> None:
    ann, bob = (person(party.named(name), party.room) for name in ("ann", "bob"))
    ann.say("hello")
    bob.wait_for_texts("hello")
    bob.say("hello ann\nand all")
    for each in (ann, bob):
        each.wait_for_texts("hello", "hello ann\nand all")
    expect(ann.row("hello").first.locator(".delivery-state")).to_have_text("Sent")
    expect(bob.row("hello").first.locator(".name")).to_have_text(ann.name)
    expect(ann.page.locator("#place-state")).to_have_text("2 people here")


def test_who_came_is_told_below_what_was_said_before(person: People, party: Party) -> None:
    (guest,) = party.guests("guest")
    guest.say("before")
    ann = person(party.named("ann"), party.room)
    expect(ann.page.locator(".is-notice")).to_have_text(f"{ann.name} joined")
    rows = ann.page.locator(".view:not([hidden]) .row")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("before")


def test_the_first_message_is_there_within_a_second(person: People, party: Party) -> None:
    (guest,) = party.guests("guest")
    guest.say("first")
    ann = person(party.named("ann"), party.room)
    assert seconds_until_seen(ann.page, ann.row("first"), 1) < 1


def test_private_conversations_are_tabs_of_their_own(person: People, party: Party) -> None:
    ann, bob = (person(party.named(name), party.room) for name in ("ann", "bob"))
    ann.page.get_by_role("button", name="Who is here").click()
    ann.page.locator("#people-list").get_by_text(bob.name).click()
    expect(ann.page.get_by_role("heading", level=1)).to_have_text(bob.name)
    ann.say("psst")
    expect(bob.tab(ann.name).locator(".badge")).to_contain_text("1")
    expect(bob.page).to_have_title(f"(1) {party.room} · Chat")
    assert bob.texts() == []
    bob.tab(ann.name).click()
    bob.wait_for_texts("psst")
    expect(bob.page).to_have_title(f"{ann.name} · Chat")
    expect(ann.row("psst").locator(".delivery-state")).to_have_text("Seen")
    bob.page.locator("#text").press_sequentially("w")
    expect(ann.page.locator("#typing")).to_have_text(f"{bob.name} is typing")
    bob.page.go_back()
    expect(bob.page.get_by_role("heading", level=1)).to_have_text(f"#{party.room}")
    bob.tab(ann.name).click()
    expect(bob.page.locator("#text")).to_have_value("w")
    bob.page.get_by_role("button", name="Close the conversation").click()
    expect(bob.tab(ann.name)).to_have_count(0)
    ann.say("are you there?")
    expect(bob.tab(ann.name).locator(".badge")).to_contain_text("1")


def test_what_the_other_has_read_is_seen_after_a_reload_too(person: People, party: Party) -> None:
    (guest,) = party.guests("guest")
    ann = person(party.named("ann"), party.room)
    ann.page.goto(f"{party.url}/chat/#@{guest.name}")
    for text in ("read", "not read"):
        ann.say(text)
        expect(ann.row(text).last.locator(".delivery-state")).to_have_text("Sent")
    guest.call("read", {"room": f"@{ann.name}", "seq": 1})
    for _ in range(2):
        ann.wait_for_texts("read", "not read")
        expect(ann.rows.first.locator(".delivery-state")).to_have_text("Seen")
        expect(ann.rows.last.locator(".delivery-state")).to_have_text("Sent")
        ann.page.reload()
    guest.call("read", {"room": f"@{ann.name}", "seq": 2})
    expect(ann.rows.last.locator(".delivery-state")).to_have_text("Seen")


def test_what_is_unread_is_counted_and_marked(person: People, party: Party) -> None:
    other = f"{party.room} b"
    (guest,) = party.guests("guest")
    ann = person(party.named("ann"), party.room)
    guest.say("one")
    ann.wait_for_texts("one")
    ann.page.get_by_role("button", name="Open a room").click()
    ann.page.keyboard.type(other)
    ann.page.keyboard.press("Enter")
    expect(ann.page.get_by_role("heading", level=1)).to_have_text(f"#{other}")
    for text in ("two", "three"):
        guest.say(text)
    expect(ann.tab(party.room).locator(".badge")).to_contain_text("2 unread messages")
    expect(ann.page).to_have_title(f"(2) {other} · Chat")
    ann.page.reload()
    expect(ann.page).to_have_title(f"(2) {other} · Chat")
    ann.tab(party.room).click()
    ann.wait_for_texts("one", "two", "three")
    expect(ann.row("two").locator(".unread-line")).to_be_visible()
    expect(ann.page).to_have_title(f"{party.room} · Chat")
    ann.page.reload()
    expect(ann.page).to_have_title(f"{party.room} · Chat")


def test_edits_deletions_and_reactions_are_seen_by_others(person: People, party: Party) -> None:
    ann, bob = (person(party.named(name), party.room) for name in ("ann", "bob"))
    for text in ("first", "second"):
        ann.say(text)
    bob.wait_for_texts("first", "second")
    ann.choose("first", "Edit")
    ann.page.locator("#text").fill("first, edited")
    ann.page.keyboard.press("Enter")
    expect(bob.row("first, edited").locator(".edited")).to_be_visible()
    bob.choose("second", "React")
    bob.choose("first, edited", "React")  # the tools come along, with the focus in them
    bob.page.get_by_role("button", name="React with 🎉").click()
    expect(ann.row("first, edited").locator(".reaction")).to_have_text("🎉 1")
    ann.row("first, edited").locator(".reaction").click()
    expect(bob.row("first, edited").locator(".reaction")).to_have_attribute("aria-label", "🎉, 2 people")
    bob.row("first, edited").locator(".reaction").click()
    expect(ann.row("first, edited").locator(".reaction")).to_have_text("🎉 1")
    ann.choose("second", "Delete")
    ann.page.get_by_role("button", name="Delete it?").click()
    expect(bob.rows.last.locator(".text")).to_have_text("This message was deleted.")
    bob.rows.last.hover()
    expect(bob.rows.last.get_by_role("button")).to_have_count(0)


def test_what_people_write_is_text(person: People, party: Party) -> None:
    attacks = (
        "<img src=x onerror=\"document.title='owned'\">",
        "</script><script>document.title='owned'</script>",
        "javascript:alert(1) http://x.example/\"onmouseover=\"document.title='owned'",
        "{{7*7}} ${7*7} &lt;b&gt;",
    )
    (guest,) = party.guests("<i>guest")
    ann = person(party.named("ann"), f"{party.room}")
    for text in attacks:
        guest.say(text)
    ann.wait_for_texts(*attacks)
    expect(ann.rows.first.locator(".name")).to_have_text(guest.name)
    assert ann.page.locator("#lists img, #lists script, #lists b, #lists i").count() == 0
    links = ann.rows.locator("a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert links == ["http://x.example/"]
    assert "owned" not in ann.page.title()


def test_addresses_are_links_without_the_end_of_the_sentence(person: People, party: Party) -> None:
    (guest,) = party.guests("guest")
    ann = person(party.named("ann"), party.room)
    guest.say(
        "See https://a.example/x_(y)?z=1#w, (http://b.example/). HTTPS://C.EXAMPLE! ftp://d.example http://"
    )
    links = ann.row("See").locator("a")
    expect(links).to_have_text(["https://a.example/x_(y)?z=1#w", "http://b.example/", "HTTPS://C.EXAMPLE"])
    assert links.first.get_attribute("rel") == "noopener noreferrer nofollow ugc"


def test_a_name_that_is_taken_is_asked_for_again(person: People, party: Party) -> None:
    (guest,) = party.guests("bob")
    ann = person("", party.room)
    ann.page.locator("#welcome-name").fill(guest.name)
    ann.page.keyboard.press("Enter")
    expect(ann.page.locator("#welcome-fault")).to_contain_text("has this name already")
    ann.page.locator("#welcome-name").fill(party.named("ann"))
    ann.page.keyboard.press("Enter")
    ann.wait_for_state("online")
    ann.page.reload()
    ann.wait_for_state("online")
    expect(ann.page.locator("#my-name")).to_have_text(party.named("ann"))
    ann.page.get_by_role("button", name="Log out").click()
    expect(ann.page.locator("#welcome-name")).to_be_focused()
    ann.page.keyboard.type(party.named("cid"))
    ann.page.keyboard.press("Enter")
    ann.wait_for_state("online")
    expect(ann.page.locator("#my-name")).to_have_text(party.named("cid"))


def test_whom_the_site_does_not_know_is_told_to_log_in(person: People, tmp_path: Path) -> None:
    settings = {"AUTH_MODE": "flask", "AUTH_SITE_SECRET_KEY": SITE_SECRET_KEY}
    with running("serve", tmp_path, **settings) as server:
        ann = person("", "lobby", base=server.url, locale="de-DE")
        expect(ann.page.locator(".banner-text")).to_contain_text("Bitte melde dich zuerst an.")
        expect(ann.page.locator("#welcome")).to_have_count(0)


def test_it_all_works_by_keyboard(person: People, party: Party) -> None:
    bob = party.guests("bob")[0]
    ann = person("", party.room)
    press, keys = ann.page.keyboard.press, ann.page.keyboard
    keys.type(party.named("ann"))
    press("Enter")
    expect(ann.page.locator("#text")).to_be_focused()
    bob.say("from bob")
    keys.type("mine")
    press("Enter")
    ann.wait_for_texts("from bob", "mine")
    expect(ann.row("mine").locator(".delivery-state")).to_have_text("Sent")
    press("ArrowUp")  # in the empty box: change what one said last
    keys.type("!")
    press("Enter")
    ann.wait_for_texts("from bob", "mine! edited")
    press("Shift+Tab")
    assert ann.page.evaluate("document.activeElement.closest('.rows') !== null")
    while not ann.rows.first.evaluate("row => row === document.activeElement"):
        press("ArrowUp")  # past whoever came meanwhile
    press("Tab")
    press("Enter")
    press("ArrowRight")
    press("Enter")
    wait_until(lambda: bob.events("message changed")[-1].get("reactions"), "the reaction")
    assert list(bob.events("message changed")[-1]["reactions"]) == ["❤️"]
    bob.call("new pm", {"to": party.named("ann"), "message": "psst"})
    expect(ann.tab(bob.name)).to_be_visible()
    ann.page.evaluate("document.activeElement.blur()")
    for _ in range(20):
        press("Tab")
        if ann.page.evaluate("document.activeElement.closest('#conversations') !== null"):
            break
    press("Enter")
    ann.wait_for_texts("psst")
    expect(ann.page.locator("#text")).to_be_focused()
