"""Tokens are kept for the owner alone, and no state of the file keeps anybody from chatting."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from chatapp.client.tokens import TokenFile, default_path

URL = "http://127.0.0.1:8000"


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "chatapp" / "tokens.json"


def test_a_kept_token_is_found_again(path: Path, warnings: list[str]) -> None:
    TokenFile(path, warnings.append).keep(URL, "ann", "secret")
    assert TokenFile(path, warnings.append).token(URL, "ann") == "secret"
    assert warnings == []


def test_tokens_are_kept_by_site_and_by_name(path: Path, warnings: list[str]) -> None:
    tokens = TokenFile(path, warnings.append)
    tokens.keep(URL, "ann", "1")
    tokens.keep(URL, "bob", "2")
    tokens.keep("https://example.org", "ann", "3")
    tokens.keep(URL, "ann", "4")
    assert tokens.token(URL, "ann") == "4"
    assert tokens.token(URL, "bob") == "2"
    assert tokens.token("https://example.org", "ann") == "3"
    assert tokens.token("https://example.org", "bob") is None


def test_without_a_file_there_is_no_token_and_no_warning(path: Path, warnings: list[str]) -> None:
    assert TokenFile(path, warnings.append).token(URL, "ann") is None
    assert warnings == []


def test_only_the_owner_can_read_it(path: Path, warnings: list[str]) -> None:
    TokenFile(path, warnings.append).keep(URL, "ann", "secret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_nothing_half_written_is_left(path: Path, warnings: list[str]) -> None:
    TokenFile(path, warnings.append).keep(URL, "ann", "secret")
    assert os.listdir(path.parent) == ["tokens.json"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"3", b'{"a": 1}', b'{"a": {"b": 1}}', b"\xff\xfe", b'{"a": {"b": null}}']
)
def test_a_damaged_file_is_warned_of_and_replaced(path: Path, warnings: list[str], content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    tokens = TokenFile(path, warnings.append)
    assert tokens.token(URL, "ann") is None
    assert warnings == [f"{path} is damaged and ignored."]
    tokens.keep(URL, "ann", "secret")
    assert json.loads(path.read_text()) == {URL: {"ann": "secret"}}


def test_a_place_that_cannot_be_written_is_warned_of(tmp_path: Path, warnings: list[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    TokenFile(tmp_path / "file" / "tokens.json", warnings.append).keep(URL, "ann", "secret")
    assert len(warnings) == 1
    assert "cannot be kept" in warnings[0]


def test_a_file_that_cannot_be_read_is_warned_of(path: Path, warnings: list[str]) -> None:
    path.mkdir(parents=True)
    assert TokenFile(path, warnings.append).token(URL, "ann") is None
    assert "cannot be read" in warnings[0]


def test_clients_that_keep_at_the_same_time_do_not_lose_each_others_token(
    path: Path, warnings: list[str]
) -> None:
    names = [f"guest{number}" for number in range(20)]
    threads = [
        threading.Thread(target=TokenFile(path, warnings.append).keep, args=(URL, name, name))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(json.loads(path.read_text())[URL]) == set(names)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/ann"}, "/state/chatapp/tokens.json"),
        ({"HOME": "/home/ann"}, "/home/ann/.local/state/chatapp/tokens.json"),
        ({"XDG_STATE_HOME": "", "HOME": "/home/ann"}, "/home/ann/.local/state/chatapp/tokens.json"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/home/ann"}, "/home/ann/.local/state/chatapp/tokens.json"),
    ],
)
def test_the_file_is_where_state_belongs(environ: dict[str, str], expected: str) -> None:
    assert default_path(environ) == Path(expected)


@pytest.mark.parametrize("environ", [{}, {"HOME": ""}, {"HOME": "relative"}])
def test_without_a_home_there_is_no_file(environ: dict[str, str]) -> None:
    assert default_path(environ) is None
