"""What pages get over plain HTTP: the vocabulary, to whoever may connect, and the scripts."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from pathlib import Path

import flask
import pytest
from werkzeug.test import Client, TestResponse

from chatapp import ChatServer, Settings
from chatapp.settings import App, Auth, Events, Limits, MessageTypes, Web
from chatapp.web import assets, page

PARTNER = "https://partner.example"


def visit(settings: Settings, path: str = "/chat/vocabulary", **options: object) -> TestResponse:
    site = flask.Flask("site")
    ChatServer(settings).init_app(site, realtime=False)
    with Client(site).get(path, **options) as answer:
        answer.get_data()  # and then the file, if it is one, is closed
    return answer


def test_the_vocabulary_says_what_things_are_called_and_how_much_of_them_there_may_be() -> None:
    settings = Settings(
        app=App(socketio_path="/talk"),
        events=Events(newmsg="say", joinroom="enter"),
        message_types=MessageTypes(generic="public"),
        limits=Limits(message_characters=77),
    )
    told = visit(settings).json or {}
    assert told["socketio_path"] == "/talk"
    assert told["events"] == settings.events.model_dump()
    assert (told["events"]["newmsg"], told["events"]["joinroom"]) == ("say", "enter")
    assert told["message_types"] == {"generic": "public", "private": "private", "notice": "notice"}
    assert told["auth"] == {"mode": "guest", "guests": True}
    assert told["limits"]["message_characters"] == 77
    assert (told["limits"]["history_page"], told["limits"]["history_page_limit"]) == (50, 200)
    assert all(isinstance(limit, int) for limit in told["limits"].values())


def test_users_of_a_site_do_not_name_themselves() -> None:
    told = visit(Settings(auth=Auth(mode="flask", site_secret_key="not to be told"))).json or {}
    assert told["auth"] == {"mode": "flask", "guests": False}
    assert "not to be told" not in str(told)


def test_below_the_path_of_a_site_the_sockets_are_below_it_too() -> None:
    told = visit(Settings(), base_url="http://site.example/deep/down/").json or {}
    assert told["socketio_path"] == "/deep/down/socket.io"


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [(PARTNER, True), ("http://localhost", True), ("https://evil.example", False), ("null", False)],
)
def test_the_pages_that_may_connect_may_read_it(origin: str, is_allowed: bool) -> None:
    answer = visit(Settings(app=App(allowed_origins=(PARTNER,))), headers={"Origin": origin})
    assert answer.status_code == 200
    assert answer.headers.get("Access-Control-Allow-Origin") == (origin if is_allowed else None)
    assert "Origin" in answer.vary
    assert answer.headers["Cache-Control"] == "no-cache"


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


@pytest.mark.parametrize(
    "path", ["assets/chatapp.js", "assets/page.css", "widget.js", "widget-panel.js", "widget.css"]
)
def test_scripts_and_styles_are_compressed_for_whom_that_is_understood(path: str) -> None:
    plain = visit(Settings(), f"/chat/{path}", headers={"Accept-Encoding": "br, gzip;q=0"})
    small = visit(Settings(), f"/chat/{path}", headers={"Accept-Encoding": "gzip, deflate, br"})
    assert (plain.content_encoding, small.content_encoding) == (None, "gzip")
    assert gzip.decompress(small.data) == plain.data
    assert len(small.data) < 0.4 * len(plain.data)
    assert plain.vary == small.vary and "Accept-Encoding" in small.vary
    etags = {answer.headers["ETag"] for answer in (plain, small)}
    assert len(etags) == 2
    again = {"Accept-Encoding": "gzip", "If-None-Match": small.headers["ETag"]}
    assert visit(Settings(), f"/chat/{path}", headers=again).status_code == 304


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


def test_the_page_is_in_the_language_of_the_browser_and_lets_nothing_in() -> None:
    answer = visit(
        Settings(web=Web(prefix="/talk", room="plenum")), "/talk/", headers={"Accept-Language": "de-CH"}
    )
    assert '<html lang="de">' in answer.text
    assert "Accept-Language" in answer.vary
    assert answer.headers["Cache-Control"] == "no-store"
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    (nonce,) = set(re.findall(r'nonce="([^"]+)"', answer.text))
    assert policy["script-src"] == policy["style-src"] == f"'nonce-{nonce}'"
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self' ws://localhost wss://localhost"
    assert nonce != re.findall(r'nonce="([^"]+)"', visit(Settings(), "/chat/").text)[0]
    assert not re.search(r"<[^>]+\s(?:style|on\w+)=", answer.text)
    for name in re.findall(r'(?:src|href)="(/[^"#]+)"', answer.text):
        assert visit(Settings(web=Web(prefix="/talk")), name).status_code == 200, name
    told = json.loads(re.findall(r'<script type="application/json" id="told">(.*?)</script>', answer.text)[0])
    assert (told["url"], told["room"], told["language"]) == ("/talk", "plenum", "de")


def test_what_a_host_header_holds_is_not_in_the_policy_unless_it_is_a_host() -> None:
    policy = page.policy("n", "evil;script-src *")
    assert "connect-src 'self';" in policy and "evil" not in policy


def test_a_site_with_users_of_its_own_asks_for_no_name() -> None:
    settings = Settings(auth=Auth(mode="flask", site_secret_key="not to be told"))
    assert 'id="welcome"' not in visit(settings, "/chat/").text
    assert 'id="welcome"' in visit(Settings(), "/chat/").text


@pytest.mark.parametrize("name", ["widget.js", "widget-panel.js", "widget.css", "widget-dark.css"])
def test_what_a_widget_loads_is_served_at_any_prefix_and_not_sent_twice(name: str) -> None:
    for prefix in ("/talk/here", ""):
        settings = Settings(web=Web(prefix=prefix))
        answer = visit(settings, f"{prefix}/{name}")
        assert answer.status_code == 200
        assert answer.content_type == f"text/{'css' if name.endswith('css') else 'javascript'}; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-cache"
        again = visit(settings, f"{prefix}/{name}", headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")


def test_a_widget_measures_in_pixels_and_lets_the_page_set_its_colours() -> None:
    style = visit(Settings(), "/chat/widget.css").text
    assert not re.search(r"[\d.]rem\b", style)
    assert "min-height: 56px" in style  # 3.5rem
    (colours,) = re.findall(r"^:host \{\n(.*?)^\}", style, re.MULTILINE | re.DOTALL)
    assert "--chat-accent: #" in colours


def test_a_widget_without_the_libraries_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    answer = visit(Settings(), "/chat/widget-panel.js")
    assert (answer.status_code, answer.text) == (503, assets.missing())


@pytest.mark.parametrize(
    ("language", "asked", "found"),
    [("de", None, "de"), ("de", "ru", "ru"), ("de", "xx", "en"), ("fr", None, "en"), (None, "de", "de")],
)
def test_a_widget_begins_in_the_language_of_the_browser_or_of_the_page(
    language: str | None, asked: str | None, found: str
) -> None:
    query = {} if asked is None else {"language": asked}
    headers = {"Origin": PARTNER} | ({} if language is None else {"Accept-Language": language})
    settings = Settings(app=App(allowed_origins=(PARTNER,)), web=Web(prefix="/talk", room="plenum"))
    answer = visit(settings, "/talk/start", query_string=query, headers=headers)
    told = answer.json or {}
    assert (told["language"], told["room"], told["url"]) == (found, "plenum", "/talk")
    assert told["vocabulary"]["events"]["newmsg"] == "new message"
    assert answer.headers["Access-Control-Allow-Origin"] == PARTNER
    assert {"Origin", "Accept-Language"} <= set(answer.vary)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        ("chat_widget()", '<script src="/chat/widget.js" async></script>'),
        ('chat_widget("support")', '<script src="/chat/widget.js" data-room="support" async></script>'),
        (
            """chat_widget("a<b", layout="inline", title='"x"', open=True, theme=None, nonce="n")""",
            '<script src="/chat/widget.js" data-room="a&lt;b" data-layout="inline" data-title="&#34;x&#34;"'
            ' data-open nonce="n" async></script>',
        ),
    ],
)
def test_templates_have_a_line_for_the_widget(call: str, line: str) -> None:
    site = flask.Flask("site")
    ChatServer(Settings()).init_app(site, realtime=False)
    with site.test_request_context():
        assert flask.render_template_string(f"{{{{ {call} }}}}") == line


def test_an_option_that_the_widget_has_not_is_a_fault_of_the_template() -> None:
    site = flask.Flask("site")
    ChatServer(Settings()).init_app(site, realtime=False)
    with site.test_request_context(), pytest.raises(TypeError, match="no option 'colour'; it has accent, "):
        flask.render_template_string('{{ chat_widget("support", colour="red") }}')
