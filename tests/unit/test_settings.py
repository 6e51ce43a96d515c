"""Settings: where they come from, and that every fault is told at once, with its place and no secret."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp.errors import SettingsError
from chatapp.settings import App, Cluster, Events, Settings, Storage, load_settings
from chatapp.settings.ini import read_ini
from chatapp.settings.load import SECTIONS

ROOT = Path(__file__).parents[2]
SHIPPED_INI = ROOT / "conf" / "chatapp.ini"

#: A value that must never turn up in a fault.
SECRET = "hunter2hunter2"


class Ini:
    """An INI file of one test."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "my.ini"

    def load(self, text: str, **environ: str) -> Settings:
        self.path.write_text(text, "utf-8")
        return load_settings(self.path, environ)

    def faults(self, text: str | bytes, **environ: str) -> list[str]:
        """Return the faults of a file, in which the file is called my.ini."""
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return faults_of(self.path, **environ)

    def fault(self, text: str | bytes, **environ: str) -> str:
        (fault,) = self.faults(text, **environ)
        return fault


@pytest.fixture
def ini(tmp_path: Path) -> Ini:
    return Ini(tmp_path)


def faults_of(path: Path | None, **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load_settings(path, environ)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None  # a chained error of pydantic could show a secret
    return [fault.replace(f"{path}", "my.ini") for fault in raised.value.faults]


# Where settings come from


def test_without_a_file_the_defaults_hold() -> None:
    settings = load_settings(environ={})
    assert settings == Settings()
    assert (settings.app.host, settings.app.port, settings.app.data_dir) == ("127.0.0.1", 8000, Path("var"))
    assert settings.events.newmsg == "new message"
    assert settings.limits.enabled is True


def test_a_file_need_hold_only_what_differs(ini: Ini) -> None:
    settings = ini.load("[app]\nport = 9000\n[chat.events]\nNEWMSG = neue Nachricht\n")
    assert settings.app.port == 9000
    assert settings.events.newmsg == "neue Nachricht"
    assert settings.limits == Settings().limits


def test_the_environment_names_the_file_unless_the_caller_does(ini: Ini, tmp_path: Path) -> None:
    named = tmp_path / "named.ini"
    named.write_text("[app]\nport = 9001\n", "utf-8")
    assert load_settings(environ={"CHATAPP_CONFIG": str(named)}).app.port == 9001
    assert ini.load("[app]\nport = 9002\n", CHATAPP_CONFIG=str(named)).app.port == 9002
    assert load_settings(environ={"CHATAPP_CONFIG": ""}) == Settings()


def test_port_in_the_environment_wins_over_the_file(ini: Ini) -> None:
    assert ini.load("[app]\nport = 9000\n", PORT="9001").app.port == 9001
    assert ini.load("[app]\nport = 9000\n", PORT="").app.port == 9000


def test_the_variable_of_the_key_wins_over_port() -> None:
    assert load_settings(environ={"CHATAPP_APP_PORT": "9002", "PORT": "9001"}).app.port == 9002


def test_any_key_can_come_from_the_environment(ini: Ini) -> None:
    settings = ini.load(
        "[storage]\nurl = none\n",
        CHATAPP_STORAGE_URL="sqlite:////srv/chat.db",
        CHATAPP_CHAT_EVENTS_NEWMSG="msg\n",
        CHATAPP_CHAT_MESSAGE_TYPES_NOTICE="info",
        CHATAPP_LIMITS_MESSAGE_BYTES="200",
    )
    assert settings.storage_url == "sqlite:////srv/chat.db"
    assert (settings.events.newmsg, settings.message_types.notice) == ("msg", "info")
    assert settings.limits.message_bytes == 200


def test_an_empty_variable_empties_the_key(ini: Ini) -> None:
    assert ini.load("[storage]\nurl = none\n", CHATAPP_STORAGE_URL="").storage.url == ""


def test_every_key_has_its_variable() -> None:
    environ = {}
    for name, (attribute, model) in SECTIONS.items():
        section = getattr(Settings(), attribute)
        for field in model.model_fields:
            variable = f"CHATAPP_{name}_{field}".replace(".", "_").upper()
            environ[variable] = as_text(getattr(section, field))
    assert load_settings(environ=environ) == Settings()
    assert faults_of(None, **{variable: "\n" for variable in environ if variable.endswith("_SECONDS")})


def test_variables_that_belong_to_no_section_are_left_alone() -> None:
    assert (
        load_settings(environ={"CHATAPP_TEST_DATABASE": "x", "CHATAPP_APPLE": "x", "APP_PORT": "x"})
        == Settings()
    )


def test_the_value_in_the_file_does_not_matter_if_the_environment_overrides_it(ini: Ini) -> None:
    assert ini.load("[app]\nport = abc\n", CHATAPP_APP_PORT="9000").app.port == 9000


# How a file is written


def test_keys_may_be_written_in_any_case(ini: Ini) -> None:
    settings = ini.load("[app]\nPort = 1\n[chat.events]\njoinroom = a\nLeaveRoom = b\n")
    assert (settings.app.port, settings.events.joinroom, settings.events.leaveroom) == (1, "a", "b")


def test_here_is_the_absolute_directory_of_the_file(ini: Ini, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ini.path.parent)
    Path("my.ini").write_text("[app]\ndata_dir = %(here)s/data\n", "utf-8")
    assert load_settings("my.ini", {}).app.data_dir == ini.path.parent / "data"


def test_a_value_can_refer_to_the_environment(ini: Ini) -> None:
    text = "[storage]\nurl = sqlite:///%(ENV_DIR)s/%(ENV_FILE)s\n"
    assert ini.load(text, DIR="/srv", FILE="a.db").storage.url == "sqlite:////srv/a.db"


def test_what_a_variable_holds_is_taken_as_it_is(ini: Ini) -> None:
    settings = ini.load("[app]\ndata_dir = %(ENV_A)s\n", A="%(ENV_B)s%(here)s", B="no")
    assert settings.app.data_dir == Path("%(ENV_B)s%(here)s")


@pytest.mark.parametrize("text", ["a%40b", "100%", "%(data_dir)s", "%%", "%(ENV_)s", "%(ENV_A", "%s", "${A}"])
def test_every_other_percent_sign_is_just_one(ini: Ini, text: str) -> None:
    assert ini.load(f"[app]\ndata_dir = {text}\n", A="x").app.data_dir == Path(text)


def test_a_file_from_windows_is_read_as_well(ini: Ini) -> None:
    ini.path.write_bytes(
        b"\xef\xbb\xbf[app]\r\nport = 9000\r\n[chat.events]\r\nNEWMSG = gr\xc3\xbc\xc3\x9fe\r\n"
    )
    settings = load_settings(ini.path, {})
    assert (settings.app.port, settings.events.newmsg) == (9000, "grüße")


def test_line_separators_of_unicode_end_no_line(ini: Ini) -> None:
    assert ini.fault("[app]\n# a\u2028b\x0cc\x85d\nport = x\n").startswith("my.ini:3: ")


def test_a_list_may_stand_in_lines_with_comments_between(ini: Ini) -> None:
    text = "[app]\nallowed_origins =\n  https://a.example\n\n  # or\n  https://b.example\nport = 9000\n"
    settings = ini.load(text)
    assert settings.app.allowed_origins == ("https://a.example", "https://b.example")
    assert settings.app.port == 9000


# Made by hand


def test_settings_made_by_hand_are_checked_too() -> None:
    with pytest.raises(pydantic.ValidationError):
        Events(newmsg="connect")
    with pytest.raises(pydantic.ValidationError):
        Events(joinroom="new message")
    with pytest.raises(pydantic.ValidationError):
        App(prot=1)  # type: ignore[call-arg]
    assert Settings(app=App(port=0)).app.port == 0


def test_settings_cannot_be_changed() -> None:
    settings = Settings()
    with pytest.raises(pydantic.ValidationError):
        settings.app.port = 1
    with pytest.raises(pydantic.ValidationError):
        settings.app = App()


# Faults


def test_a_fault_names_file_line_section_and_key(ini: Ini) -> None:
    fault = ini.fault("\n# a comment\n[limits]\n# another\nmessage_bytes = abc\n")
    assert fault == "my.ini:5: [limits] message_bytes: must be a whole number, not 'abc'"


def test_a_fault_of_the_environment_names_the_variable(ini: Ini) -> None:
    assert ini.faults("", PORT="abc", CHATAPP_CHAT_EVENTS_NEWMSG="ping") == [
        "CHATAPP_CHAT_EVENTS_NEWMSG: [chat.events] NEWMSG: "
        "must be a name that Socket.IO does not keep for itself, not 'ping'",
        "PORT: [app] port: must be a whole number, not 'abc'",
    ]


def test_all_faults_are_told_at_once_in_the_order_of_the_file(ini: Ini) -> None:
    text = """\
port = 1
[app]
port = abc
host = %(ENV_HOST_NAME)s
nonsense
allowed_origins = a, https://ok.example, b
[lmits]
joins = 1
reads = 2
[chat.events]
JOINROOM = same
LEAVEROOM = same
NEWMSG = ping
EDIT = edit
[app]
Port = 9000
"""
    assert ini.faults(text, CHATAPP_LIMITS_JOIN="1/second") == [
        "CHATAPP_LIMITS_JOIN: [limits] join: there is no such key in this section; did you mean joins?",
        "my.ini:1: stands before the first [section]",
        "my.ini:3: [app] port: must be a whole number, not 'abc'",
        "my.ini:4: [app] host: the environment variable HOST_NAME is not set",
        "my.ini:5: is neither [section] nor key = value nor # comment",
        "my.ini:6: [app] allowed_origins: must be * or origins such as https://example.com, not 'a'",
        "my.ini:6: [app] allowed_origins: must be * or origins such as https://example.com, not 'b'",
        "my.ini:7: [lmits]: there is no such section; did you mean [limits]?",
        "my.ini:12: [chat.events] LEAVEROOM: JOINROOM and LEAVEROOM must have different names",
        "my.ini:13: [chat.events] NEWMSG: must be a name that Socket.IO does not keep for itself, not 'ping'",
        "my.ini:14: [chat.events] EDIT: there is no such key in this section; did you mean EDITMSG?",
        "my.ini:15: [app]: already begins in line 2; put its keys together there",
        "my.ini:16: [app] Port: is already set in line 3",
    ]


def test_the_error_is_all_faults_a_line_each(ini: Ini) -> None:
    ini.path.write_text("[app]\nport = x\n[web]\nmetrics = x\n", "utf-8")
    with pytest.raises(SettingsError) as raised:
        load_settings(ini.path, {})
    assert str(raised.value).splitlines() == raised.value.faults
    assert len(raised.value.faults) == 2


def test_an_event_named_like_the_default_of_another_is_told_where_it_is_set(ini: Ini) -> None:
    fault = ini.fault("[chat.events]\nJOINROOM = notices\nLEAVEROOM = server notice\n")
    assert fault == "my.ini:3: [chat.events] LEAVEROOM: LEAVEROOM and NOTICE must have different names"


def test_two_events_may_swap_their_names(ini: Ini) -> None:
    settings = ini.load("[chat.events]\nJOINROOM = leave room\nLEAVEROOM = join room\n")
    assert (settings.events.joinroom, settings.events.leaveroom) == ("leave room", "join room")


def test_two_message_types_must_differ(ini: Ini) -> None:
    fault = ini.fault("[chat.message_types]\nPRIVATE = generic\n")
    assert fault == "my.ini:2: [chat.message_types] PRIVATE: GENERIC and PRIVATE must have different names"


@pytest.mark.parametrize(
    ("text", "place", "limit"),
    [
        ("page = 201", "my.ini:2: [history] page", 200),
        ("page_limit = 49", "my.ini:2: [history] page_limit", 49),
    ],
)
def test_a_page_must_fit_into_the_limit(ini: Ini, text: str, place: str, limit: int) -> None:
    assert ini.fault(f"[history]\n{text}\n") == f"{place}: page must not be above page_limit ({limit})"


@pytest.mark.parametrize(
    ("section", "hint"),
    [
        ("App", "did you mean [app]?"),
        (" limits ", "did you mean [limits]?"),
        ("events", "did you mean [chat.events]?"),
        ("server:main", "there are [app] [chat.events] [chat.message_types] [auth] [storage]"),
        ("DEFAULT", "there are"),
    ],
)
def test_an_unknown_section_is_told_once_with_a_hint(ini: Ini, section: str, hint: str) -> None:
    fault = ini.fault(f"# settings\n[{section}]\na = 1\nb = 2\n")
    assert fault.startswith(f"my.ini:2: [{section}]: there is no such section; {hint}")


def test_an_unknown_section_without_keys_is_told_too(ini: Ini) -> None:
    assert ini.fault("[lgo]\n") == "my.ini:1: [lgo]: there is no such section; did you mean [log]?"


@pytest.mark.parametrize(
    ("section", "key", "hint"),
    [
        ("app", "adress", ""),
        ("app", "prot", "; did you mean port?"),
        ("chat.events", "newmessage", "; did you mean NEWMSG?"),
        ("web", "socketio_path", "; it belongs in [app]"),
    ],
)
def test_an_unknown_key_is_told_with_a_hint(ini: Ini, section: str, key: str, hint: str) -> None:
    fault = ini.fault(f"[{section}]\n{key} = 1\n")
    assert fault == f"my.ini:2: [{section}] {key}: there is no such key in this section{hint}"


def test_a_key_twice_is_told_whatever_its_case(ini: Ini) -> None:
    text = "[chat.events]\nNEWMSG = a\nnewmsg = b\nNewMsg = c\n"
    assert ini.faults(text) == [
        "my.ini:3: [chat.events] newmsg: is already set in line 2",
        "my.ini:4: [chat.events] NewMsg: is already set in line 2",
    ]


def test_a_value_without_a_key_is_no_ini(ini: Ini) -> None:
    assert ini.fault("[app]\n= 1\n") == "my.ini:2: is neither [section] nor key = value nor # comment"


def test_every_line_that_is_no_ini_is_told_and_the_rest_is_read(ini: Ini) -> None:
    assert ini.faults("[app]\nport\nhost\n[web]\nprefix = a b\n") == [
        "my.ini:2: is neither [section] nor key = value nor # comment",
        "my.ini:3: is neither [section] nor key = value nor # comment",
        "my.ini:5: [web] prefix: must be a path such as /chat, not 'a b'",
    ]


def test_a_file_without_any_section_is_told_once(ini: Ini) -> None:
    assert ini.fault("port = 1\nhost = ::\n") == "my.ini:1: stands before the first [section]"


def test_a_key_indented_by_mistake_is_told_as_such(ini: Ini) -> None:
    fault = ini.fault("[app]\nport = 8000\n  host = ::\n")
    hint = "the lines below it are indented, so they belong to it"
    assert fault == f"my.ini:2: [app] port: must be a whole number ({hint})"


def test_every_unset_variable_is_told(ini: Ini) -> None:
    assert ini.faults("[app]\ndata_dir = %(ENV_A)s/%(ENV_B)s/%(ENV_C)s\n", B="b") == [
        "my.ini:2: [app] data_dir: the environment variable A is not set",
        "my.ini:2: [app] data_dir: the environment variable C is not set",
    ]


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert faults_of(tmp_path / "no.ini") == ["my.ini: cannot be read: No such file or directory"]
    assert faults_of(tmp_path) == ["my.ini: cannot be read: Is a directory"]


def test_a_missing_file_hides_no_fault_of_the_environment(tmp_path: Path) -> None:
    assert len(faults_of(tmp_path / "no.ini", PORT="abc")) == 2


def test_a_file_that_is_not_utf8_is_told_with_the_line(ini: Ini) -> None:
    fault = ini.fault("[chat.events]\nNEWMSG = x\n# grüße\n".encode("latin-1"))
    assert fault == "my.ini:3: is not UTF-8; save the file as UTF-8"


# Secrets


@pytest.mark.parametrize(
    "text",
    [
        f"[app]\nsecret_key = {SECRET}\n",
        f"[app]\nsecret_key = {SECRET}{SECRET}\n   {SECRET}\n",
        f"[auth]\nsite_secret_key = {SECRET}\n   {SECRET}\n",
        f"[storage]\nurl = mysql://chat:{SECRET}@db/chat\n",
        f"[storage]\nurl = {SECRET}\n",
        f"[cluster]\nbus = redis://:{SECRET}@/0\n",
        # In the wrong place, or only half in the right one:
        f"[app]\nport = 8000\n  secret_key = {SECRET}\n",
        f"[app]\nallowed_origins =\n  https://a.example\n  secret_key={SECRET}\n",
        f"[app]\nallowed_origins = https://me:{SECRET}@a.example\n",
        f"[web]\nprefix = secret_key={SECRET}\n",
        f"[app]\nsecret_key\n{SECRET}\n",
        f"[app]\nsecret_key =\n{SECRET}=\n",
        "[app]\nhost = %(ENV_PASSWORD)s %(ENV_PASSWORD)s\n",
        "[app]\ntrusted_proxies = 10.0.0.1, %(ENV_PASSWORD)s\n",
        "[auth]\nmode = %(ENV_PASSWORD)s\n",
        "[limits]\njoins = %(ENV_PASSWORD)s\n",
    ],
)
def test_no_fault_shows_a_secret(ini: Ini, text: str) -> None:
    faults = ini.faults(text, PASSWORD=SECRET)
    assert faults
    assert SECRET not in " ".join(faults)


@pytest.mark.parametrize("variable", ["APP_SECRET_KEY", "AUTH_SITE_SECRET_KEY", "STORAGE_URL", "CLUSTER_BUS"])
def test_no_fault_of_the_environment_shows_a_secret(variable: str) -> None:
    assert SECRET not in " ".join(faults_of(None, **{f"CHATAPP_{variable}": f"{SECRET}\n x"}))


def test_settings_shown_in_a_log_hold_no_secret() -> None:
    settings = Settings(app=App(secret_key=SECRET * 2), storage=Storage(url=f"sqlite:///{SECRET}"))
    settings = settings.model_copy(update={"cluster": Cluster(bus=f"redis://:{SECRET}@h/0")})
    assert SECRET not in f"{settings!r} {settings}"


# Any file


@given(
    st.binary(max_size=80) | st.text("[]=:%#;()\n\t abpor1ENV_here\ufeff\u2028é", max_size=80).map(str.encode)
)
def test_no_file_does_more_than_be_refused(content: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        lines = content.count(b"\n") + 1
        for fault in read_ini(file.name, {}).faults:
            assert fault.place.line <= lines
        try:
            load_settings(file.name, {})
        except SettingsError as error:
            assert error.faults


# The shipped file and the README


def as_text(value: Any) -> str:
    """Return how the INI writes a value."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def settings_table() -> list[str]:
    """Return the rows that the README's table of settings has to have, in the order of the INI."""
    rows = []
    for name, (attribute, model) in SECTIONS.items():
        section = getattr(Settings(), attribute)
        for field, info in model.model_fields.items():
            default = as_text(getattr(section, field))
            shown = f"`{default}`" if default else "(empty)"
            rows.append(f"| `[{name}] {model.ini_key(field)}` | {shown} | {info.description} |")
    return rows


def shipped_keys() -> list[tuple[str, str, str]]:
    ini = read_ini(SHIPPED_INI, {})
    assert ini.faults == []
    return [(entry.section, entry.key, entry.text) for entry in ini.entries]


def test_the_shipped_file_holds_every_key_with_its_default_in_the_order_of_the_sections() -> None:
    expected = [
        (name, model.ini_key(field), as_text(getattr(getattr(Settings(), attribute), field)))
        for name, (attribute, model) in SECTIONS.items()
        for field in model.model_fields
    ]
    assert shipped_keys() == expected


def test_the_shipped_file_means_the_defaults() -> None:
    assert load_settings(SHIPPED_INI, {}) == Settings()


@pytest.mark.parametrize(("section", "key"), [key[:2] for key in shipped_keys()])
def test_every_key_of_the_shipped_file_has_a_comment_above_it(section: str, key: str) -> None:
    lines = SHIPPED_INI.read_text("utf-8").splitlines()
    (line,) = [
        entry.place.line
        for entry in read_ini(SHIPPED_INI, {}).entries
        if (entry.section, entry.key) == (section, key)
    ]
    assert re.match(r"# \S", lines[line - 2]), f"no comment above {key} in line {line}"
    assert lines[line - 3] == "" or lines[line - 3].startswith("#")


def test_every_setting_says_what_it_is() -> None:
    for _attribute, model in SECTIONS.values():
        for field, info in model.model_fields.items():
            assert info.description, field
            assert "|" not in info.description  # it stands in a table


def test_the_readme_has_every_setting_as_it_is() -> None:
    readme = (ROOT / "README.md").read_text("utf-8").splitlines()
    told = [line for line in readme if re.match(r"\| `\[[a-z._]+\] \w+` \| [^|]+ \| [^|]+ \|", line)]
    assert told == settings_table()
