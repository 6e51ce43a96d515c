"""Makes the pictures of the page that the README shows: ``python tests/screenshots.py docs``."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from clients import Chatter
from people import Person
from servers import running

#: The pictures: their names, sizes in CSS pixels and pixels to each of these.
SIZES = {"desktop": ((1200, 760), 1), "phone": ((390, 780), 2)}


def talk(url: str) -> list[Chatter]:
    """Have people say what is to be seen, and return them."""
    mara, jonas, nour = people = [Chatter(url) for _ in range(3)]
    for chatter, name in zip(people, ("Mara", "Jonas Weber", "نور"), strict=True):
        chatter.join("garden", name)
        chatter.join("tools", name)
        chatter.join("lobby", name)
    mara.say("Good morning! The seedlings have arrived, forty trays of them. 🌱")
    mara.say("Who could help to unload at ten?")
    jonas.say("I can, and I bring the trolley. The list is at https://example.org/seedlings")
    nour.say("صباح الخير! سأكون هناك أيضا.")
    for chatter in (jonas, nour):
        chatter.call("react", {"room": "lobby", "seq": 1, "emoji": "🎉", "on": True})
    mara.call("react", {"room": "lobby", "seq": 3, "emoji": "👍", "on": True})
    return people


def picture(browser: Browser, url: str, name: str, people: list[Chatter], folder: Path) -> None:
    """Come in under a name, take part, and take the picture of each colour scheme."""
    (width, height), scale = SIZES[name]
    viewer = Person(
        browser,
        url,
        "Ann",
        "lobby",
        viewport={"width": width, "height": height},
        device_scale_factor=scale,
        reduced_motion="reduce",
    )
    page: Page = viewer.page
    mara, jonas, _ = people
    viewer.say("Count me in. Shall I bring coffee?")
    expect(viewer.row("Count me in").locator(".delivery.is-sent")).to_be_visible()
    mara.call("new message", {"room": "lobby", "message": f"@{viewer.name} yes, please!"})
    expect(viewer.row("yes, please!")).to_be_visible()
    jonas.call("new pm", {"to": viewer.name, "message": "Do you still have the key to the shed?"})
    expect(page).to_have_title("(1) lobby · Chat")
    if name == "desktop":
        page.get_by_role("button", name="Who is here").click()
    jonas.call("typing", {"room": "lobby", "typing": True})
    expect(page.locator("#typing")).to_contain_text("Jonas Weber")
    viewer.scroll(10_000)
    page.mouse.move(0, 0)
    for colours in ("light", "dark"):
        page.emulate_media(color_scheme=colours)  # type: ignore[arg-type]
        page.screenshot(path=folder / f"{name}-{colours}.png")
    viewer.close()


def main(folder: Path) -> None:
    """Make all of them."""
    folder.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or "chromium", args=["--no-sandbox"]
        )
        for name in SIZES:
            with tempfile.TemporaryDirectory() as directory, running("serve", Path(directory)) as server:
                people = talk(server.url)
                picture(browser, server.url, name, people, folder)
                for chatter in people:
                    chatter.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
