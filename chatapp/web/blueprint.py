"""The chat's own pages: where people chat, whether it is well, its metrics; and what scripts load."""

from __future__ import annotations

import os
from collections.abc import Callable

from flask import Blueprint, Response, abort, jsonify, request
from werkzeug.security import safe_join

from chatapp.engine.origins import Origins
from chatapp.errors import Refusal
from chatapp.metrics import Metrics
from chatapp.settings import Settings
from chatapp.web import assets
from chatapp.web.page import chat_page, start
from chatapp.web.vocabulary import vocabulary
from chatapp.web.widget import STYLES, chat_widget, panel_script, style


def make_blueprint(
    settings: Settings, metrics: Metrics, origins: Origins, check_storage: Callable[[], None]
) -> Blueprint:
    """Return the blueprint. ``check_storage()`` raises a Refusal when the log cannot be read."""
    blueprint = Blueprint("chatapp", __name__, url_prefix=settings.web.prefix, template_folder="templates")
    blueprint.add_app_template_global(chat_widget)

    @blueprint.get("/")
    def page() -> Response:
        return chat_page(settings)

    @blueprint.get("/health")
    def health() -> tuple[Response, int]:
        try:
            check_storage()
        except Refusal as refusal:
            return jsonify(ok=False, error=refusal.to_wire()), refusal.http_status
        return jsonify(ok=True), 200

    @blueprint.get("/metrics")
    def metrics_text() -> Response:
        if not settings.web.metrics:
            abort(404)
        return Response(metrics.text(), content_type="text/plain; version=0.0.4; charset=utf-8")

    def shared(answer: Response) -> Response:
        """Let those pages read it that may connect (Fetch, 3.2)."""
        answer.headers["Cache-Control"] = "no-cache"
        answer.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin is not None and origins(origin, request.environ):
            answer.headers["Access-Control-Allow-Origin"] = origin
        return answer

    @blueprint.get("/vocabulary")
    def get_vocabulary() -> Response:
        return shared(jsonify(vocabulary(settings, request.root_path.rstrip("/"))))

    @blueprint.get("/start")
    def get_start() -> Response:
        answer = shared(jsonify(start(settings)))
        answer.vary.add("Accept-Language")
        return answer

    # Not called static: at the root of a site that is the site's own folder.
    @blueprint.get("/assets/<path:filename>")
    def asset(filename: str) -> Response:
        path = safe_join(str(assets.FOLDER), filename)
        if path is None or not os.path.isfile(path):
            return without_libraries() if filename in assets.libraries() else abort(404)
        return assets.file_answer(filename)

    def without_libraries() -> Response:
        return Response(assets.missing(), 503, content_type="text/plain; charset=utf-8")

    @blueprint.get("/widget.js")
    def widget() -> Response:
        return assets.file_answer("widget.js")

    @blueprint.get("/widget-panel.js")
    def widget_panel() -> Response:
        if assets.missing():
            return without_libraries()
        return assets.text_answer(panel_script(), "text/javascript; charset=utf-8")

    @blueprint.get("/<any({names}):name>".format(names=", ".join(f'"{name}"' for name in STYLES)))
    def widget_style(name: str) -> Response:
        return assets.text_answer(style(name), "text/css; charset=utf-8")

    return blueprint
