"""The chat on pages of others: what the line that puts it there loads, and that line itself."""

from __future__ import annotations

import functools
import re

from flask import url_for
from markupsafe import Markup

from chatapp.web import assets

LIBRARY = "vendor/socket.io.js"
STYLES = {"widget.css": ("chatapp.css", "widget.css"), "widget-dark.css": ("chatapp-dark.css",)}

#: Pixels to one rem. The size of a page's root element is the page's, and many have one of their own.
_REM_PIXELS = 16
_REM = re.compile(r"(?<![\w.])(\d*\.?\d+)rem\b")
_COLOURS = re.compile(r"^( *)\.chatapp-colours \{.*?^\1\}\n", re.MULTILINE | re.DOTALL)
_SOURCE_MAP = re.compile(r"^//# sourceMappingURL=.*$", re.MULTILINE)

#: The attributes of the line, as ``data-…``.
OPTIONS = frozenset(
    ("accent", "language", "layout", "open", "side", "target", "theme", "title", "token", "username")
)


@functools.cache
def panel_script() -> str:
    """Return ``widget-panel.js`` with all that it needs, as one function: nothing of it becomes a name on
    the page, whose own Socket.IO, or loader of modules, does not see it. Raises OSError."""
    library, chat = (assets.text(name) for name in (LIBRARY, "chatapp.js"))
    rest = "\n".join(assets.text(name) for name in (*assets.VIEW_SCRIPTS, "widget-panel.js"))
    return f"""(function () {{
var module = {{exports: {{}}}}, exports = module.exports, define;
{_SOURCE_MAP.sub("", library)}
var io = module.exports;
module = {{exports: {{}}}};
{chat}
var Chatapp = module.exports;
{rest}
}}).call(window);
"""


@functools.cache
def style(name: str) -> str:
    """Return one of `STYLES` for a shadow tree: in pixels, its colours for the page to set anew. Raises
    OSError."""
    css = "\n".join(assets.text(part) for part in STYLES[name])
    css = _REM.sub(lambda found: f"{float(found[1]) * _REM_PIXELS:g}px", css)
    # Where the page has set them on the widget's element, those hold: a rule of the page's goes before one
    # about the host (CSS Scoping 1, 3.3).
    return _COLOURS.sub(lambda found: found[0] + found[0].replace(".chatapp-colours", ":host", 1), css)


def chat_widget(room: str = "", *, nonce: str = "", **options: object) -> Markup:
    """Return the line that puts the chat on a page, for templates: ``{{ chat_widget("support") }}``.

    `options` are the attributes of the line without ``data-``, as ``layout="inline"``; ``open=True`` and
    what is false or None stand for an attribute that is there and one that is not. `nonce` is that of the
    page's Content-Security-Policy. Raises TypeError for an option that there is not.
    """
    if unknown := sorted(options.keys() - OPTIONS):
        raise TypeError(f"chat_widget has no option {unknown[0]!r}; it has {', '.join(sorted(OPTIONS))}")
    line = Markup('<script src="{}"').format(url_for("chatapp.widget"))
    for name, value in ({"room": room} | options).items():
        if value is True:
            line += Markup(" data-{}").format(name)
        elif value not in (None, False, ""):
            line += Markup(' data-{}="{}"').format(name, value)
    if nonce:
        line += Markup(' nonce="{}"').format(nonce)
    return line + Markup(" async></script>")
