"""The chat's own pages: where people chat, whether it is well, its metrics; and what scripts load."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, abort, jsonify, request, send_from_directory

from chatapp.engine.origins import Origins
from chatapp.errors import Refusal
from chatapp.metrics import Metrics
from chatapp.settings import Settings
from chatapp.web import assets
from chatapp.web.page import chat_page
from chatapp.web.vocabulary import vocabulary


def make_blueprint(
    settings: Settings, metrics: Metrics, origins: Origins, check_storage: Callable[[], None]
) -> Blueprint:
    """Return the blueprint. ``check_storage()`` raises a Refusal when the log cannot be read."""
    blueprint = Blueprint("chatapp", __name__, url_prefix=settings.web.prefix, template_folder="templates")

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

    @blueprint.get("/vocabulary")
    def get_vocabulary() -> Response:
        answer = jsonify(vocabulary(settings, request.root_path.rstrip("/")))
        answer.headers["Cache-Control"] = "no-cache"
        answer.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin is not None and origins(origin, request.environ):
            answer.headers["Access-Control-Allow-Origin"] = origin
        return answer

    # Not called static: at the root of a site that is the site's own folder.
    @blueprint.get("/assets/<path:filename>")
    def asset(filename: str) -> Response:
        if not (assets.FOLDER / filename).is_file() and filename in assets.libraries():
            return Response(assets.missing(), 503, content_type="text/plain; charset=utf-8")
        return send_from_directory(assets.FOLDER, filename)

    return blueprint
