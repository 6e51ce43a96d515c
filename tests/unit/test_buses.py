"""Which bus the settings name, and what is said if its package is missing."""

from __future__ import annotations

import importlib.util
import itertools
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from chatapp.cli import main
from chatapp.cluster.buses import open_bus, publish_once
from chatapp.cluster.directory import Directory
from chatapp.cluster.redis import RedisBus
from chatapp.cluster.redis_connection import parse_sentinel_url, pauses
from chatapp.cluster.siblings import SiblingBus
from chatapp.errors import HostingError
from chatapp.settings import Cluster, Settings

REDIS = Settings(cluster=Cluster(bus="redis://:a-secret@127.0.0.1:1/0"))


@pytest.fixture
def without_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "redis" else find(name))


def test_auto_is_the_siblings_and_a_url_is_redis_and_neither_opens_anything(tmp_path: Path) -> None:
    directory = Directory(tmp_path / "workers")
    assert isinstance(open_bus(Settings(), directory), SiblingBus)
    assert isinstance(open_bus(REDIS, directory), RedisBus)
    assert not directory.path.exists()


@pytest.mark.parametrize(
    "url",
    [
        *("redis://h", "rediss://h:1/2", "valkey://h", "valkeys://h", "unix:///run/redis.sock"),
        *("redis+sentinel://h/0/mine", "valkey+sentinel://h/mine"),
    ],
)
def test_every_url_of_the_settings_is_one_for_the_bus(url: str, tmp_path: Path) -> None:
    settings = Settings(cluster=Cluster(bus=url))
    assert isinstance(open_bus(settings, Directory(tmp_path)), RedisBus)


def test_a_url_of_sentinels_names_them_their_service_and_its_password() -> None:
    assert parse_sentinel_url("redis+sentinel://me:p%40ss@h1:1,h2/3/mine") == (
        [("h1", 1), ("h2", 26379)],
        "mine",
        {"username": "me", "password": "p@ss", "db": 3},
    )
    assert parse_sentinel_url("valkey+sentinel://h1/mine")[1:] == ("mine", {})


def test_without_the_package_a_url_is_refused_with_what_to_install(
    without_redis: None, tmp_path: Path
) -> None:
    with pytest.raises(HostingError, match=r"pip install 'chatapp\[redis\]'") as raised:
        open_bus(REDIS, Directory(tmp_path))
    assert "a-secret" not in str(raised.value)
    result = CliRunner().invoke(main, ["check"], env={"CHATAPP_CLUSTER_BUS": REDIS.cluster.bus})
    assert result.exit_code == 2
    assert "chatapp[redis]" in result.output and "a-secret" not in result.output
    assert CliRunner().invoke(main, ["check"]).exit_code == 0
    assert publish_once(REDIS, Directory(tmp_path), ["*"], b"x") == 0


def test_to_publish_where_nobody_is_reaches_nobody(tmp_path: Path) -> None:
    began = time.monotonic()
    for settings in (REDIS, Settings()):
        assert publish_once(settings, Directory(tmp_path / "workers"), ["*"], b"x") == 0
    assert time.monotonic() - began < 2


def test_pauses_grow_to_a_second_and_differ() -> None:
    seconds = list(itertools.islice(pauses(), 2000))
    assert 0.025 <= seconds[0] <= 0.05
    assert all(0.5 <= pause <= 1 for pause in seconds[6:])
    assert len(set(seconds)) > 1900
