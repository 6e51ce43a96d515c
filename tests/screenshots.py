"""Makes the pictures that the README shows, of page and widget: ``python tests/screenshots.py docs``."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from clients import Chatter
from people import Person
from servers import running
from shops import Shop

#: The pictures: their names, sizes in CSS pixels and pixels to each of these.
SIZES = {"desktop": ((1200, 760), 1), "phone": ((390, 780), 2)}

GARDEN_TEXTS = (
    "Welcome! Ask us about seeds, beds and pots.",
    "Do you still have chard?",
    "Plenty! Red and yellow, in trays of six. 🌱",
)

SHOP = """<!doctype html>
<html lang="en"><head><title>Shop</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
  body { margin: 0; font: 18px/1.5 Georgia, serif; color: #333; background: #fdfbf5 }
  header { padding: 20px 40px; background: #3f5d45; color: #fff; font-size: 24px }
  main { max-width: 560px; padding: 12px 40px } h1 { font-size: 32px; line-height: 1.2 }
  .beds { display: flex; gap: 12px }
  .beds i { flex: 1; height: 110px; border-radius: 6px; background: #c9d8bd }
  .beds i + i { background: #e8d9b4 } .beds i + i + i { background: #dcbfb0 }
  @media (prefers-color-scheme: dark) {
    body { color: #ddd; background: #1c1f1b } header { background: #2a3d2e }
  }
</style></head>
<body><header>The Seed Shed</header><main><h1>Seedlings for April</h1>
<p>Tomatoes, chard and forty kinds of lettuce, raised without heat and ready to be planted out.</p>
<div class="beds"><i></i><i></i><i></i></div>
<p>Collect them on Saturdays from eight to noon, or have them sent in trays of six.</p></main>
<script src="/chat/widget.js" data-room="garden" data-title="Ask the gardeners" data-accent="#3f6d4a" async>
</script></body></html>
"""


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


def widget_picture(browser: Browser, url: str, name: str, people: list[Chatter], folder: Path) -> None:
    """Open the chat on a page of a shop, take part, and take the picture of each colour scheme."""
    (width, height), scale = SIZES[name]
    size = {"width": width, "height": height}
    mara, jonas, _ = people
    mara.call("new message", {"room": "garden", "message": GARDEN_TEXTS[0]})
    visitor = Shop(browser, f"{url}/shop", SHOP, viewport=size, device_scale_factor=scale)
    visitor.button.click()
    visitor.name("Nina")
    visitor.say(GARDEN_TEXTS[1])
    expect(visitor.window.locator(".delivery.is-sent")).to_be_visible()
    mara.call("new message", {"room": "garden", "message": GARDEN_TEXTS[2]})
    jonas.call("typing", {"room": "garden", "typing": True})
    visitor.wait_for_texts(*GARDEN_TEXTS)
    visitor.page.mouse.move(0, 0)
    for colours in ("light", "dark"):
        visitor.page.emulate_media(color_scheme=colours)  # type: ignore[arg-type]
        expect(visitor.window).to_have_css("color-scheme", colours)
        visitor.page.screenshot(path=folder / f"widget-{name}-{colours}.png")
    visitor.close()


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
                for take in (picture, widget_picture):
                    take(browser, server.url, name, people, folder)
                for chatter in people:
                    chatter.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
