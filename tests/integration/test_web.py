"""What pages get over plain HTTP: the scripts."""

from __future__ import annotations

import shutil
from pathlib import Path

import flask
import pytest
from werkzeug.test import Client, TestResponse

from chatapp import ChatServer, Settings
from chatapp.settings import Web
from chatapp.web import assets


def visit(settings: Settings, path: str, **options: object) -> TestResponse:
    site = flask.Flask("site")
    ChatServer(settings).init_app(site, realtime=False)
    with Client(site).get(path, **options) as answer:
        answer.get_data()  # and then the file, if it is one, is closed
    return answer


@pytest.mark.parametrize("name", assets.libraries())
def test_the_libraries_are_served_at_any_prefix(name: str) -> None:
    for prefix in ("/chat", "/talk/here", ""):
        answer = visit(Settings(web=Web(prefix=prefix)), f"{prefix}/assets/{name}")
        assert answer.data == (assets.FOLDER / name).read_bytes()
        assert answer.content_type.startswith("text/javascript" if name.endswith("js") else "text/plain")
        again = visit(
            Settings(web=Web(prefix=prefix)),
            f"{prefix}/assets/{name}",
            headers={"If-None-Match": answer.headers["ETag"]},
        )
        assert again.status_code == 304


@pytest.mark.parametrize("path", ["none.js", "../blueprint.py", "..%2fblueprint.py", "vendor/"])
def test_nothing_else_is_served(path: str) -> None:
    assert visit(Settings(), f"/chat/assets/{path}").status_code == 404


def test_where_libraries_are_missing_a_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(assets.FOLDER, tmp_path / "static")
    (tmp_path / "static" / "vendor" / "jquery.js").unlink()
    monkeypatch.setattr(assets, "FOLDER", tmp_path / "static")
    answer = visit(Settings(), "/chat/assets/vendor/jquery.js")
    assert answer.status_code == 503
    assert answer.text == assets.missing()
    assert answer.text.startswith("The pages of the chat lack vendor/jquery.js, which the installation takes")
    assert visit(Settings(), "/chat/assets/vendor/socket.io.js").status_code == 200
