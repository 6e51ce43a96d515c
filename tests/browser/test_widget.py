"""The chat on pages of others: one line puts it there, and the two leave each other alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from accessibility import faults_of, live_regions
from chatapp import ChatServer, Settings
from chatapp.settings import App, Auth
from clients import wait_until
from party import Party
from people import seconds_until_seen
from servers import running
from shops import HOSTILE, PLAIN, Shop, serving
from visitors import SITE_SECRET_KEY

Shops = Callable[..., Shop]

SECRET_KEY = "the secret key of the chat"
SIZES = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 780}}


def line(url: str, room: str, more: str = "") -> str:
    return f'<script src="{url}/chat/widget.js" data-room="{room}" {more} async></script>'


@pytest.fixture
def shop(browser: Browser, url: str) -> Iterator[Shops]:
    """Opens pages of shops, in which no error was seen when the test is over."""
    made: list[Shop] = []

    def make(room: str, more: str = "", *, html: str = PLAIN, **options: Any) -> Shop:
        origin, base = options.pop("origin", url), options.pop("base", url)
        made.append(Shop(browser, f"{origin}/shop", html.replace("LINE", line(base, room, more)), **options))
        return made[-1]

    yield make
    for each in made:
        each.close()
        assert each.faults == [], each.faults


def test_one_line_puts_the_chat_on_a_page(shop: Shops, party: Party) -> None:
    (guest,) = party.guests("guest")
    guest.say("welcome")
    visitor = shop(party.room, 'data-title="Ask us"')
    assert visitor.page.locator("#text").inner_text() == "Seeds"
    visitor.page.get_by_role("button", name="Ask us").click()
    visitor.name(party.named("ann"))
    visitor.wait_for_texts("welcome")
    visitor.say("hello")
    guest.wait_for_texts(["hello"])
    guest.say("how can we help?")
    visitor.wait_for_texts("welcome", "hello", "how can we help?")
    expect(visitor.window.get_by_text("Ask us", exact=True)).to_be_visible()
    expect(visitor.window.locator(".state")).to_have_text("2 people here")


def test_until_somebody_opens_it_a_page_loads_little_and_connects_to_nothing(
    shop: Shops, party: Party
) -> None:
    visitor = shop(party.room)
    expect(visitor.button).to_be_visible()
    loaded = visitor.page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
    names = {name.rpartition("/")[2] for name in loaded} - {"favicon.ico"}
    assert names == {"widget.js", "widget.css", "widget-dark.css"}


def test_who_has_used_it_is_known_and_told_of_what_is_new(shop: Shops, party: Party) -> None:
    (guest,) = party.guests("guest")
    visitor = shop(party.room)
    visitor.button.click()
    visitor.name(party.named("ann"))
    visitor.say("hello")
    visitor.page.get_by_role("button", name="Close").click()
    expect(visitor.window).to_be_hidden()
    expect(visitor.button).to_be_focused()
    guest.say("one")
    expect(visitor.button.locator(".badge")).to_have_text("1")
    visitor.page.reload()
    expect(visitor.button.locator(".badge")).to_have_text("1")
    guest.say("two")
    expect(visitor.button.locator(".badge")).to_have_text("2")
    expect(visitor.button).to_have_attribute("aria-label", f"{party.room}, 2 unread messages")
    visitor.button.click()
    visitor.wait_for_texts("hello", "one", "two")
    expect(visitor.box).to_be_focused()
    expect(visitor.button.locator(".badge")).to_be_hidden()
    wait_until(lambda: party.tab(guest).standing() is not None)


def test_who_was_the_first_and_has_read_nothing_is_told_of_all_that_is_new(shop: Shops, party: Party) -> None:
    visitor = shop(party.room)
    visitor.button.click()
    visitor.name(party.named("ann"))
    expect(visitor.window.locator(".state")).to_have_text("1 person here")
    visitor.page.get_by_role("button", name="Close").click()
    (guest,) = party.guests("guest")
    guest.say("one")
    guest.say("two")
    for _ in range(2):
        expect(visitor.button.locator(".badge")).to_have_text("2")
        visitor.page.reload()


def test_a_guest_whose_name_is_taken_is_asked_again_and_one_may_leave(shop: Shops, party: Party) -> None:
    (guest,) = party.guests("guest")
    visitor = shop(party.room)
    visitor.button.click()
    name = visitor.page.locator("#welcome-name")
    name.fill(guest.name)
    name.press("Enter")
    expect(visitor.page.locator("#welcome-fault")).to_have_text(
        "Somebody has this name already. Choose another one."
    )
    expect(name).to_be_focused()
    visitor.name(party.named("ann"))
    visitor.say("hello")
    guest.wait_for_texts(["hello"])
    visitor.page.get_by_role("button", name="Log out").click()
    expect(name).to_have_value("")
    visitor.name(party.named("another"))
    visitor.say("hello again")
    guest.wait_for_texts(["hello", "hello again"])
    assert guest.messages()[1]["username"] == party.named("another")


def test_nothing_is_lost_while_there_is_no_network(shop: Shops, party: Party) -> None:
    (guest,) = party.guests("guest")
    visitor = shop(party.room)
    visitor.button.click()
    visitor.name(party.named("ann"))
    visitor.say("before")
    guest.wait_for_texts(["before"])
    visitor.context.set_offline(True)
    expect(visitor.window.locator(".banner-text")).to_contain_text("No connection")
    visitor.say("from the tunnel")
    guest.say("to the tunnel")
    visitor.context.set_offline(False)
    visitor.wait_for_texts("before", "to the tunnel", "from the tunnel")
    guest.wait_for_texts(["before", "from the tunnel"])


def test_it_may_be_a_part_of_the_page(shop: Shops, party: Party) -> None:
    (guest,) = party.guests("guest")
    guest.say("first")
    name = f'data-username="{party.named("ann")}"'
    visitor = shop(party.room, f'data-layout="inline" {name}')
    visitor.wait_for_texts("first")
    assert seconds_until_seen(visitor.page, visitor.window.get_by_text("first"), 1) < 1
    assert visitor.page.evaluate("document.activeElement === document.body"), "nobody asked for the focus"
    assert visitor.page.evaluate("document.querySelector('main > chatapp-widget + script') !== null")
    box = visitor.page.locator("chatapp-widget").bounding_box()
    assert box is not None and box["height"] == 480
    expect(visitor.button).to_have_count(0)
    elsewhere = shop(party.room, f'data-target="#text" {name[:-1]}-b"')
    elsewhere.wait_for_texts("first")
    assert elsewhere.page.evaluate("document.querySelector('#text > chatapp-widget') !== null")


def test_a_page_may_have_several_and_open_them_by_itself(shop: Shops, party: Party) -> None:
    rooms = [party.room, f"{party.room} b"]
    guests = [party.guest(f"guest-{n}", room) for n, room in enumerate(rooms)]
    for guest in guests:
        guest.say(f"this is {guest.room}")
    more = f'data-layout="inline" data-username="{party.named("ann")}"'
    html = PLAIN.replace("LINE", line(party.url, rooms[0], more) + line(party.url, rooms[1]))
    visitor = shop(rooms[0], html=html)
    visitor.wait_for_texts(f"this is {rooms[0]}")
    visitor.page.evaluate("ChatappWidget.open()")
    visitor.wait_for_texts(*(f"this is {room}" for room in rooms))
    visitor.page.evaluate("ChatappWidget.close()")
    expect(visitor.page.locator(".is-floating .window")).to_be_hidden()
    expect(visitor.page.locator(".is-inline .window")).to_be_visible()


#: How each element of a widget looks, in order, but for what depends on when or where it was made.
LOOKS = """() => {
    const skipped = /^(--|inline-size|block-size|width|height|perspective-origin|transform-origin|inset)/;
    const widget = document.querySelector("chatapp-widget").shadowRoot.querySelector(".widget");
    const all = [widget, ...widget.querySelectorAll("*")];
    return all.filter(element => !element.closest(".is-notice")).map(element => {
        const style = getComputedStyle(element);
        return [element.tagName, ...Array.from(style).filter(name => !skipped.test(name)).sort()
            .map(name => name + ": " + style.getPropertyValue(name))];
    });
}"""


def test_a_page_with_an_old_jquery_and_hostile_styles_hosts_it_unharmed(shop: Shops, party: Party) -> None:
    (guest,) = party.guests("guest")
    guest.say("hello https://a.example")
    shops = quiet, loud = shop(party.room), shop(party.room, html=HOSTILE)
    for number, visitor in enumerate(shops):
        visitor.button.click()
        visitor.name(party.named(f"ann-{number}"))
        visitor.wait_for_texts("hello https://a.example")
        visitor.page.mouse.move(5, 5)
    wait_until(lambda: quiet.page.evaluate(LOOKS) == loud.page.evaluate(LOOKS), "the same looks")
    assert quiet.window.bounding_box() == loud.window.bounding_box()
    loud.say("/ j k ?")
    guest.wait_for_texts(["/ j k ?"])
    for visitor in shops:
        visitor.wait_for_texts("hello https://a.example", "/ j k ?")
    assert loud.page.evaluate("heard") == [], "neither the page's keys nor its loader concern the chat"
    assert loud.page.evaluate("[io, Chatapp, jQuery.fn.jquery]") == ["the page's own"] * 2 + ["1.12.4"]
    new = "Object.keys(window).filter(name => before.indexOf(name) < 0)"
    assert loud.page.evaluate(new) == ["before", "ChatappWidget"]
    assert loud.page.evaluate("document.styleSheets.length") == 1
    assert loud.page.evaluate("getComputedStyle(document.getElementById('text')).color") == "rgb(255, 0, 0)"


def test_where_there_are_no_shadow_trees_it_is_there_all_the_same(shop: Shops, party: Party) -> None:
    old = PLAIN.replace("<head>", "<head><script>delete Element.prototype.attachShadow</script>")
    visitor = shop(party.room, html=old)
    visitor.button.click()
    visitor.name(party.named("ann"))
    visitor.say("hello")
    visitor.wait_for_texts("hello")
    assert visitor.page.evaluate("document.querySelector('chatapp-widget').shadowRoot") is None
    box = visitor.window.bounding_box()
    assert box is not None and (box["width"], box["height"]) == (384, 576)
    expect(visitor.window.locator(".bubble")).to_have_css("background-color", "rgb(70, 85, 212)")


def test_what_does_not_answer_is_tried_again_at_the_next_click(shop: Shops, party: Party) -> None:
    visitor = shop(party.room)
    visitor.page.route("**/chat/start", lambda route: route.fulfill(status=200, body="<p>Moved"))
    visitor.button.click()
    visitor.wait_for_said("the chat does not answer (200).")
    visitor.page.unroute("**/chat/start")
    visitor.button.click()
    visitor.name(party.named("ann"))
    visitor.say("hello")
    visitor.wait_for_texts("hello")


def test_a_page_with_a_strict_policy_hosts_it_by_its_nonce(shop: Shops, party: Party, url: str) -> None:
    nonce = "'nonce-abc'"
    sockets = url.replace("http", "ws")
    policy = f"default-src 'none'; script-src {nonce}; style-src {nonce}; connect-src {url} {sockets}"
    visitor = shop(party.room, 'nonce="abc"', headers={"Content-Security-Policy": policy})
    visitor.button.click()
    visitor.name(party.named("ann"))
    visitor.say("hello")
    visitor.wait_for_texts("hello")


def test_what_a_policy_forbids_is_said_in_the_console(shop: Shops, party: Party, url: str) -> None:
    policy = f"default-src 'none'; script-src {url}/chat/widget.js; style-src {url}"
    visitor = shop(party.room, headers={"Content-Security-Policy": policy})
    visitor.button.click()
    visitor.wait_for_said(
        "widget-panel.js cannot be loaded. A Content-Security-Policy has to allow its origin"
    )


def test_pages_of_other_origins_that_the_settings_allow_have_it_too(
    browser: Browser, tmp_path: Path, party: Party
) -> None:
    with (
        serving() as partner,
        serving() as stranger,
        running(directory=tmp_path, APP_ALLOWED_ORIGINS=partner.url) as server,
        partner.visited(browser, line(server.url, party.room)) as visitor,
        stranger.visited(browser, line(server.url, party.room)) as other,
    ):
        visitor.button.click()
        visitor.name("ann")
        visitor.say("hello")
        visitor.wait_for_texts("hello")
        assert visitor.faults == []
        other.button.click()
        other.wait_for_said(f"[app] allowed_origins does not name {stranger.url}.")
        expect(other.window).to_have_count(0)


def test_a_site_says_who_its_user_is_to_pages_that_its_cookies_do_not_reach(
    browser: Browser, tmp_path: Path
) -> None:
    auth = {"AUTH_MODE": "flask", "AUTH_SITE_SECRET_KEY": SITE_SECRET_KEY, "APP_SECRET_KEY": SECRET_KEY}
    site = ChatServer(
        Settings(app=App(secret_key=SECRET_KEY), auth=Auth(mode="flask", site_secret_key=SITE_SECRET_KEY))
    )

    def signed(token: str) -> str:
        return line(server.url, "support", f'data-token="{token}" data-open')

    with (
        serving() as partner,
        running(directory=tmp_path, APP_ALLOWED_ORIGINS=partner.url, **auth) as server,
        partner.visited(browser, signed(site.sign(7, "Ann Site"))) as ann,
        partner.visited(browser, signed(site.sign(8, "Bob Site"))) as bob,
        partner.visited(browser, signed("forged")) as nobody,
    ):
        ann.say("hello")
        bob.wait_for_texts("hello")
        expect(bob.window.locator(".name").first).to_have_text("Ann Site")
        expect(nobody.window.locator(".banner-text")).to_contain_text("This page is too old. Load it anew.")
        assert ann.faults == bob.faults == nobody.faults == []


def test_a_site_gives_it_its_colours(shop: Shops, party: Party) -> None:
    def colour(visitor: Shop, selector: str) -> Any:
        script = "element => getComputedStyle(element).backgroundColor"
        return visitor.page.locator(selector).evaluate(script)

    def ready(visitor: Shop) -> Shop:
        visitor.button.click()
        expect(visitor.window).to_be_visible()
        visitor.page.mouse.move(5, 5)
        return visitor

    by_attribute = ready(shop(party.room, 'data-accent="rgb(1, 2, 3)" data-theme="dark" data-side="left"'))
    assert colour(by_attribute, ".launcher") == "rgb(1, 2, 3)"
    assert colour(by_attribute, ".window") == "rgb(20, 21, 28)"
    box = by_attribute.window.bounding_box()
    assert box is not None and box["x"] == 20
    css = "<style>chatapp-widget { --chat-accent: rgb(4, 5, 6); --chat-ground: rgb(7, 8, 9) }</style>"
    by_style = ready(shop(party.room, 'data-theme="light"', html=css + PLAIN, color_scheme="dark"))
    assert colour(by_style, ".launcher") == "rgb(4, 5, 6)"
    assert colour(by_style, ".window") == "rgb(7, 8, 9)"
    as_the_browser_says = ready(shop(party.room, color_scheme="dark"))
    assert colour(as_the_browser_says, ".window") == "rgb(20, 21, 28)"
    for scheme, ground in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 21, 28)")):
        as_the_browser_says.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        expect(as_the_browser_says.window).to_have_css("background-color", ground)


def test_attributes_that_say_nothing_are_named_in_the_console(shop: Shops, party: Party) -> None:
    visitor = shop(party.room, 'data-theme="blue" data-side="top"')
    expect(visitor.button).to_be_visible()
    lost = shop(party.room, 'data-target="#nowhere"')
    lost.wait_for_said("no element #nowhere")
    assert visitor.said == [
        'chatapp: data-side of the widget is one of right, left, not "top".',
        'chatapp: data-theme of the widget is one of auto, light, dark, not "blue".',
    ]
    assert lost.said == [f'chatapp: there is no element #nowhere for the widget of room "{party.room}".']
    for each in (visitor, lost):
        each.faults.clear()


def test_all_of_it_works_by_keyboard(shop: Shops, party: Party) -> None:
    visitor = shop(party.room)
    expect(visitor.button).to_be_visible()
    visitor.page.keyboard.press("Tab")
    expect(visitor.button).to_be_focused()
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator("#welcome-name")).to_be_focused()
    visitor.page.keyboard.type(party.named("ann"))
    visitor.page.keyboard.press("Enter")
    expect(visitor.box).to_be_focused()
    visitor.page.keyboard.type("frist")
    visitor.page.keyboard.press("Enter")
    expect(visitor.window.locator(".delivery.is-sent")).to_be_visible()
    visitor.window.locator(".row.is-own").focus()
    tool = visitor.window.get_by_role("button", name="React", exact=True)
    tool.focus()
    visitor.page.keyboard.press("Enter")
    expect(visitor.window.get_by_role("button", name="React with 🎉")).to_be_visible()
    visitor.page.keyboard.press("Escape")
    expect(tool).to_be_visible()
    visitor.box.focus()
    visitor.page.keyboard.press("ArrowUp")
    expect(visitor.box).to_have_value("frist")
    visitor.page.keyboard.press("Escape")
    expect(visitor.box).to_have_value("")
    visitor.page.keyboard.press("Escape")
    expect(visitor.window).to_be_hidden()
    expect(visitor.button).to_be_focused()


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_no_serious_fault(shop: Shops, party: Party, size: str, colours: str) -> None:
    (guest,) = party.guests("guest")
    guest.say("an address: https://a.example")
    visitor = shop(party.room, viewport=SIZES[size], color_scheme=colours)
    expect(visitor.button).to_be_visible()
    assert faults_of(visitor.page) == []
    visitor.button.click()
    expect(visitor.page.locator("#welcome-name")).to_be_visible()
    assert faults_of(visitor.page) == []
    visitor.name(party.named("ann"))
    visitor.say("hello")
    visitor.say("x" * 5000)
    guest.say(f"hello @{party.named('ann')}")
    guest.call("react", {"room": party.room, "seq": 1, "emoji": "👍", "on": True})
    expect(visitor.window.locator(".reaction")).to_be_visible()
    expect(visitor.window.locator(".delivery.is-failed")).to_be_visible()
    guest.call("typing", {"room": party.room, "typing": True})
    expect(visitor.window.locator(".typing")).not_to_be_empty()
    visitor.window.locator(".row").first.hover()
    assert faults_of(visitor.page) == []
    if size == "phone":
        assert visitor.window.bounding_box() == {"x": 0, "y": 0, **SIZES[size]}


def test_a_new_message_is_read_out_once_and_the_history_is_not(shop: Shops, party: Party) -> None:
    (guest,) = party.guests("guest")
    guest.say("from before")
    visitor = shop(party.room)
    visitor.button.click()
    visitor.name(party.named("ann"))
    visitor.wait_for_texts("from before")
    guest.say("brand new")
    visitor.wait_for_texts("from before", "brand new")
    visitor.say("mine")
    visitor.wait_for_texts("from before", "brand new", "mine")
    assert live_regions(visitor.page) == [f"{guest.name}: brand new"]


def test_what_people_write_is_text(shop: Shops, party: Party) -> None:
    attack = "<img src=x onerror=document.title='pwned'><script>document.title='pwned'</script>"
    (guest,) = party.guests("guest")
    guest.say(attack)
    visitor = shop(party.room, f"data-title='{attack}'")
    visitor.button.click()
    visitor.name(party.named("ann"))
    visitor.wait_for_texts(attack)
    assert visitor.page.title() == "Shop"
    assert re.search("<img", visitor.window.locator(".title").inner_text())


def test_somebody_who_writes_privately_is_told_of(shop: Shops, party: Party) -> None:
    (guest,) = party.guests("guest")
    visitor = shop(party.room)
    visitor.button.click()
    visitor.name(party.named("ann"))
    guest.call("new pm", {"to": party.named("ann"), "message": "psst"})
    notice = visitor.window.locator(".is-notice").filter(has_text="wrote to you privately")
    expect(notice).to_contain_text(f"{guest.name} wrote to you privately")
    assert notice.locator("a").get_attribute("href") == f"{party.url}/chat/#%40{guest.name}"


def test_it_speaks_the_language_that_the_line_names(shop: Shops, party: Party) -> None:
    visitor = shop(party.room, f'data-language="de" data-username="{party.named("ann")}"')
    visitor.button.click()
    notice = visitor.window.locator(".is-notice .notice-text")
    expect(notice).to_have_text(f"{party.named('ann')} ist gekommen")
    expect(visitor.window.locator(".state")).to_have_text("1 Person hier")
