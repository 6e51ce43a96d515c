"""What axe says of a page, and what a screen reader hears of it."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from servers import ROOT

AXE = (ROOT / "tests" / "node" / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


def faults_of(page: Page) -> list[Any]:
    """Return what axe finds that it calls serious or critical, as ``[rule, element, ...]``."""
    page.evaluate(AXE)  # by the debugger, which no policy concerns
    found = page.evaluate("async () => (await axe.run()).violations")
    return [
        [fault["id"], *(node["html"][:200] + node["failureSummary"] for node in fault["nodes"])]
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


def live_regions(page: Page) -> list[str]:
    """Return what the regions hold that the accessibility tree calls polite or assertive."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    by_id = {node["nodeId"]: node for node in nodes}

    def text(node: Any) -> str:
        if node.get("role", {}).get("value") == "StaticText":
            return str(node["name"]["value"])
        return "".join(text(by_id[child]) for child in node.get("childIds", []) if child in by_id)

    found = []
    for node in nodes:
        live = {each["name"]: each["value"].get("value") for each in node.get("properties", [])}.get("live")
        if live in ("polite", "assertive") and text(node):
            found.append(text(node))
    return found
