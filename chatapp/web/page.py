"""The page on which people chat, and what its browser may load and do."""

from __future__ import annotations

import re
import secrets
from typing import Any

from flask import Response, make_response, render_template, request
from werkzeug.datastructures import LanguageAccept

from chatapp.settings import Settings
from chatapp.web.assets import VIEW_SCRIPTS
from chatapp.web.languages import catalogue, choose
from chatapp.web.vocabulary import vocabulary

#: Below the assets, in the order in which they are loaded.
STYLES = ("chatapp.css", "chatapp-dark.css", "page.css")
SCRIPTS = (
    "vendor/jquery.js",
    "vendor/socket.io.js",
    "chatapp.js",
    *VIEW_SCRIPTS,
    "page-alerts.js",
    "page-people.js",
    "page-places.js",
    "page.js",
)

#: What may stand in a policy; a Host header is the client's, and anything may be in it.
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]+")


def policy(nonce: str, host: str) -> str:
    """Return the Content-Security-Policy (CSP 3) of a page at `host`: what carries the nonce runs, nothing
    else does, and nothing comes from elsewhere."""
    # Browsers before CSP 3 do not count a WebSocket to the same host as 'self'.
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'nonce-{nonce}'",
            f"style-src 'nonce-{nonce}'",
            "img-src 'self'",
            f"connect-src 'self'{sockets}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'self'",
        )
    )


def start(settings: Settings) -> dict[str, Any]:
    """Return what a page begins with: ``{url, room, language, words, vocabulary}``, in the language that
    the present request asks for."""
    asked = request.args.get("language")
    language = choose(request.accept_languages if asked is None else LanguageAccept([(asked, 1)]))
    root = request.root_path.rstrip("/")
    return {
        "url": root + settings.web.prefix,
        "room": settings.web.room,
        "language": language,
        "words": catalogue(language),
        "vocabulary": vocabulary(settings, root),
    }


def chat_page(settings: Settings) -> Response:
    """Answer the present request with the page."""
    told = start(settings)
    nonce = secrets.token_urlsafe(16)
    answer = make_response(
        render_template(
            "chatapp/page.html",
            nonce=nonce,
            language=told["language"],
            words=told["words"],
            told=told,
            styles=STYLES,
            scripts=SCRIPTS,
            guests=settings.auth.mode == "guest",
            limits=settings.limits,
        )
    )
    answer.headers["Content-Security-Policy"] = policy(nonce, request.host)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Referrer-Policy"] = "same-origin"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.vary.add("Accept-Language")
    return answer
