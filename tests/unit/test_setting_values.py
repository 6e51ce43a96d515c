"""Single settings: what each kind of value may be, what it becomes, and what is said of one that is wrong."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest

from chatapp.errors import SettingsError
from chatapp.settings import RESERVED_EVENTS, App, Settings, load_settings


def load(**settings: str) -> Settings:
    """Load settings given as ``app_port="1"``."""
    return load_settings(environ=variables(settings))


def fault(**settings: str) -> str:
    """Return what is said of the one wrong setting, without its place and key."""
    with pytest.raises(SettingsError) as raised:
        load_settings(environ=variables(settings))
    (told,) = raised.value.faults
    return told.split(": ", 2)[2]


def variables(settings: dict[str, str]) -> dict[str, str]:
    return {f"CHATAPP_{name.upper()}": text for name, text in settings.items()}


# Numbers, switches, words


@pytest.mark.parametrize(
    ("setting", "written", "told"),
    [
        ("limits_message_bytes", "abc", "must be a whole number, not 'abc'"),
        ("limits_message_bytes", "1.5", "must be a whole number, not '1.5'"),
        ("limits_message_bytes", "", "must be a whole number, not ''"),
        ("limits_message_bytes", "0", "must be at least 1, not '0'"),
        ("limits_message_bytes", "1000001", "must be at most 1000000, not '1000001'"),
        ("limits_leave_grace_seconds", "soon", "must be a number, not 'soon'"),
        ("limits_leave_grace_seconds", "inf", "must be a number, not 'inf'"),
        ("limits_leave_grace_seconds", "-1", "must be at least 0, not '-1'"),
        ("limits_enabled", "maybe", "must be yes or no, not 'maybe'"),
        ("app_port", "65536", "must be at most 65535, not '65536'"),
        ("app_port", "9" * 5000, "must be a whole number"),
        ("app_host", "", "must be one word, not ''"),
        ("app_host", "a b", "must be one word, not 'a b'"),
        ("app_data_dir", "", "must be a path such as var, not ''"),
        ("auth_mode", "flsk", "must be 'guest', 'flask' or 'custom', not 'flsk'"),
        ("auth_token_days", "0", "must be more than 0, not '0'"),
        ("log_level", "loud", "must be 'debug', 'info', 'warning' or 'error', not 'loud'"),
        ("cluster_bus", "redis", "must be auto or a URL such as redis://localhost:6379/0"),
    ],
)
def test_a_wrong_value_is_answered_with_a_right_one(setting: str, written: str, told: str) -> None:
    assert fault(**{setting: written}) == told


def test_a_comment_behind_a_value_is_recognised() -> None:
    hint = "(a comment needs a line of its own)"
    assert fault(app_port="8000 ; usual") == f"must be a whole number, not '8000 ; usual' {hint}"
    assert fault(limits_enabled="no # yet") == f"must be yes or no, not 'no # yet' {hint}"


def test_spans_of_time_may_have_a_fraction() -> None:
    assert load(limits_leave_grace_seconds="0.25").limits.leave_grace_seconds == 0.25


@pytest.mark.parametrize(
    ("written", "enabled"), [("yes", True), ("On", True), ("TRUE", True), ("no", False), ("0", False)]
)
def test_switches_are_yes_or_no(written: str, enabled: bool) -> None:
    assert load(limits_enabled=written).limits.enabled is enabled


def test_words_to_choose_from_may_be_in_any_case() -> None:
    settings = load(auth_mode="Flask", log_level="DEBUG", storage_synchronous="FULL", cluster_bus="Auto")
    assert (settings.auth.mode, settings.log.level) == ("flask", "debug")
    assert (settings.storage.synchronous, settings.cluster.bus) == ("full", "auto")


def test_a_secret_key_needs_sixteen_characters() -> None:
    assert load(app_secret_key="0123456789abcdef").app.secret_key == "0123456789abcdef"
    assert fault(app_secret_key="0123456789abcde") == "must have at least 16 characters"


# Names of events


@pytest.mark.parametrize("name", sorted(RESERVED_EVENTS))
def test_no_event_may_have_a_name_of_socketio(name: str) -> None:
    must = "must be a name that Socket.IO does not keep for itself"
    assert fault(chat_events_react=name) == f"{must}, not {name!r}"


def test_the_events_that_clients_and_servers_keep_to_themselves_are_reserved() -> None:
    assert {"connect", "connect_error", "disconnect", "disconnecting"} < RESERVED_EVENTS
    assert {"newListener", "removeListener"} < RESERVED_EVENTS
    assert {"error", "ping", "pong", "reconnect", "connecting", "*"} < RESERVED_EVENTS


def test_message_is_an_event_like_any_other() -> None:
    assert load(chat_events_newmsg="message").events.newmsg == "message"


@pytest.mark.parametrize("name", ["", "a\x07b"])
def test_the_name_of_an_event_can_be_read(name: str) -> None:
    assert fault(chat_events_react=name) == f"must be a name of printable characters, not {name!r}"
    assert fault(chat_message_types_private=name) == f"must be a name of printable characters, not {name!r}"


# Origins and proxies


@pytest.mark.parametrize(
    "written",
    [
        "https://a.example,https://b.example",
        " https://a.example  https://b.example,",
        "\n  https://a.example\n\n  https://b.example\n",
    ],
)
def test_the_items_of_a_list_stand_between_commas_or_in_lines(written: str) -> None:
    assert load(app_allowed_origins=written).app.allowed_origins == ("https://a.example", "https://b.example")


def test_an_empty_list_has_no_items() -> None:
    assert load(app_allowed_origins=" , ").app.allowed_origins == ()


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("*", "*"),
        ("HTTPS://Www.Example.COM", "https://www.example.com"),
        ("https://example.com/", "https://example.com"),
        ("https://example.com:443", "https://example.com"),
        ("http://example.com:80", "http://example.com"),
        ("http://example.com:443", "http://example.com:443"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:80/", "http://[::1]"),
        ("http://[::1]", "http://[::1]"),
        ("http://xn--mnchen-3ya.example", "http://xn--mnchen-3ya.example"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_origins_become_what_browsers_send(written: str, origin: str) -> None:
    assert load(app_allowed_origins=written).app.allowed_origins == (origin,)


@pytest.mark.parametrize(
    "written",
    [
        *("example.com", "example.com:443", "//example.com", "https://", "null", "https://*.example.com"),
        *("https://a:b", "https://a:", "https://a:99999", "https://[::1", "wss://example.com"),
        "https://münchen.example",
    ],
)
def test_what_is_no_origin_is_refused(written: str) -> None:
    told = fault(app_allowed_origins=f"https://ok.example, {written}")
    assert told == f"must be * or origins such as https://example.com, not {written!r}"


def test_an_origin_with_a_path_is_answered_with_the_right_one() -> None:
    written = "https://example.com:8080/chat"
    must = "must be an origin without a path: https://example.com:8080"
    assert fault(app_allowed_origins=written) == f"{must}, not {written!r}"


def test_trusted_proxies_are_networks_or_the_word_unix() -> None:
    settings = load(app_trusted_proxies="127.0.0.1, 10.0.0.0/8 Unix ::1 fd00::/8")
    assert settings.app.trusted_proxies == (
        IPv4Network("127.0.0.1/32"),
        IPv4Network("10.0.0.0/8"),
        "unix",
        IPv6Network("::1/128"),
        IPv6Network("fd00::/8"),
    )
    assert App(trusted_proxies=(IPv4Network("10.0.0.0/8"), "unix")).trusted_proxies[1] == "unix"


@pytest.mark.parametrize("written", ["localhost", "10.0.0.0/33", "10.0.0", "*"])
def test_what_is_no_network_is_refused(written: str) -> None:
    must = "must be addresses, networks such as 10.0.0.0/8, or the word unix"
    assert fault(app_trusted_proxies=written) == f"{must}, not {written!r}"


def test_a_network_written_as_an_address_in_it_is_answered_with_the_right_one() -> None:
    assert fault(app_trusted_proxies="10.1.2.3/8") == "must be a network such as 10.0.0.0/8, not '10.1.2.3/8'"


# Paths


@pytest.mark.parametrize(
    ("written", "path"),
    [("/chat", "/chat"), ("chat/", "/chat"), ("/", ""), ("", ""), ("/a/b-c.d/", "/a/b-c.d")],
)
def test_paths_begin_with_a_slash_and_end_without(written: str, path: str) -> None:
    assert load(web_prefix=written).web.prefix == path


@pytest.mark.parametrize("written", ["/a b", "/a?b", "https://example.com/chat", "/<room>", "/a//b", "/grün"])
def test_what_is_no_path_is_refused(written: str) -> None:
    assert fault(web_prefix=written) == f"must be a path such as /chat, not {written!r}"


def test_the_socketio_path_cannot_be_the_root() -> None:
    assert load(app_socketio_path="ws/").app.socketio_path == "/ws"
    assert fault(app_socketio_path="/") == "must be a path such as /socket.io, not '/'"


# Rates


@pytest.mark.parametrize(
    "written", ["1/second", "20/second;300/minute", "20/second; 300/minute", "5 per 2 hours"]
)
def test_rates_are_kept_as_they_are_written(written: str) -> None:
    assert load(limits_joins=written).limits.joins == written


@pytest.mark.parametrize("written", ["", "20", "20/fortnight", "0/second", "-1/second", "20/second;"])
def test_what_is_no_rate_is_refused(written: str) -> None:
    assert fault(limits_joins=written) == f"must be rates such as 20/second;300/minute, not {written!r}"


# The database


@pytest.mark.parametrize(
    ("url", "data_dir", "effective"),
    [
        ("", "var", "sqlite:///var/chatapp.db"),
        ("", "/srv/chat", "sqlite:////srv/chat/chatapp.db"),
        ("none", "var", None),
        ("None", "var", None),
        ("sqlite:///my.db", "var", "sqlite:///my.db"),
        ("sqlite+pysqlite:////srv/my%40.db", "var", "sqlite+pysqlite:////srv/my%40.db"),
    ],
)
def test_the_storage_url_is_the_effective_one(url: str, data_dir: str, effective: str | None) -> None:
    settings = load(storage_url=url, app_data_dir=data_dir)
    assert settings.storage_url == effective
    assert settings.app.data_dir == Path(data_dir)


@pytest.mark.parametrize(
    "url",
    [
        *("sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///a?mode=ro"),
        *("my.db", "redis://h/0", "oracle://user:pass@host"),
    ],
)
def test_what_is_no_database_of_ours_is_refused(url: str) -> None:
    assert fault(storage_url=url) == (
        "must be none, sqlite:///path, postgresql://user:password@host/database"
        " or mysql://user:password@host/database"
    )


@pytest.mark.parametrize(
    "url",
    [
        *("redis://localhost", "redis://:pass@h:6380/2", "rediss://me:pass@h/0?ssl_ca_certs=/ca.pem"),
        *("valkey://h", "valkeys://h", "unix:///run/redis.sock?db=1", "redis://[::1]:6379"),
        *("redis+sentinel://h:26379/0/mine", "valkey+sentinel://me:pass@h,[::1]:26380/mine"),
    ],
)
def test_redis_and_valkey_may_be_named_in_many_ways(url: str) -> None:
    assert load(cluster_bus=url).cluster.bus == url


def test_auto_may_be_written_in_any_case() -> None:
    assert load(cluster_bus="Auto").cluster.bus == "auto"


@pytest.mark.parametrize(
    "url",
    [
        *("", "redis", "redis://", "redis:///0", "http://h", "amqp://h", "redis://h:port", "redis://h:0"),
        *(f"redis://{'a' * 64}.example", "redis://a..b"),
        *("redis://h:99999", "redis://h/zero", "unix://", "redis://h /0", "redis+sentinel://,/0/mine"),
        *("redis+sentinel://h:0/0/mine", "redis+sentinel:///0/mine"),
    ],
)
def test_what_is_no_bus_is_refused(url: str) -> None:
    assert fault(cluster_bus=url) == "must be auto or a URL such as redis://localhost:6379/0"


@pytest.mark.parametrize(
    "url", ["redis+sentinel://h:26379", "redis+sentinel://h/0/", "redis+sentinel://h/x/m"]
)
def test_behind_sentinels_the_service_must_be_named(url: str) -> None:
    assert (
        fault(cluster_bus=url)
        == "must name the database and the service: redis+sentinel://host:26379/0/service"
    )


@pytest.mark.parametrize(
    ("scheme", "driver"),
    [
        *((scheme, "postgresql+psycopg") for scheme in ("postgresql", "postgres", "POSTGRESQL+psycopg")),
        *((scheme, "mysql+pymysql") for scheme in ("mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql")),
    ],
)
def test_a_database_server_is_spoken_to_by_our_driver(scheme: str, driver: str) -> None:
    settings = load(storage_url=f"{scheme}://chat:p%40ss@db.example:99/chat?x=y")
    assert settings.storage_url == f"{driver}://chat:p%40ss@db.example:99/chat?x=y"
    assert settings.has_database_server


@pytest.mark.parametrize("url", ["postgresql://db", "mysql://chat:pass@db/"])
def test_a_database_server_needs_the_name_of_a_database(url: str) -> None:
    assert fault(storage_url=url).startswith("must name a database, as in ")


@pytest.mark.parametrize(
    ("url", "shared"),
    [
        *(("", False), ("none", False), ("sqlite:///a.db", False)),
        *(
            (f"postgresql://u@{host}/chat", False)
            for host in ("", "localhost", "127.0.0.1", "[::1]", "127.1.2.3")
        ),
        *(
            (f"postgresql://u@{host}/chat", True)
            for host in ("db", "10.0.0.1", "[fe80::1]", "localhost.example")
        ),
        ("postgresql:///chat?host=/run/postgresql", False),
        ("postgresql:///chat?host=one,localhost", True),
        ("postgresql:///chat?host=localhost&host=two", True),
        ("mysql://u@/chat?unix_socket=/run/mysqld/mysqld.sock", False),
        ("mysql://u@db/chat", True),
    ],
)
def test_a_database_on_another_host_may_be_shared(url: str, shared: bool) -> None:
    assert load(storage_url=url).may_share_database is shared
