"""The command line: what ``chatapp check`` says and with which status it ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import chatapp
from chatapp.cli import main
from chatapp.secret import secret_file, secret_key
from chatapp.settings import App, Settings

ROOT = Path(__file__).parents[2]
SECRET = "0123456789abcdef"


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "var"


def check(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(main, ["check", *arguments], env=environ)


def faults_of(result: Result) -> list[str]:
    assert (result.exit_code, result.stdout) == (2, "")
    return result.stderr.splitlines()


def test_the_version_is_that_of_the_package() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert result.output == f"chatapp, version {chatapp.__version__}\n"


def test_right_settings_are_summed_up(data_dir: Path) -> None:
    result = check()
    assert (result.exit_code, result.stderr) == (0, "")
    assert (
        result.stdout
        == """\
OK: the defaults, there is no INI file
    listens    on http://127.0.0.1:8000, pages at /chat/, Socket.IO at /socket.io/
    origins    the server's own
    users      guests
    storage    sqlite:///var/chatapp.db
    secret key will be made in var/secret_key
    workers    any number: chatapp serve, or gunicorn -k gevent -w 4 wsgi:app
"""
    )


def test_checking_makes_nothing(data_dir: Path) -> None:
    assert check().exit_code == 0
    assert list(data_dir.parent.iterdir()) == []


def test_what_is_summed_up_is_what_holds(data_dir: Path) -> None:
    Path("my.ini").write_text("[auth]\nmode = flask\n[storage]\nurl = none\n[app]\nhost = ::\n", "utf-8")
    shown = check("--config", "my.ini", PORT="9000", CHATAPP_APP_ALLOWED_ORIGINS="https://a.example").stdout
    assert shown.startswith("OK: my.ini\n    listens    on http://[::]:9000, ")
    assert "origins    https://a.example\n" in shown
    assert "users      the site's login\n" in shown
    assert "storage    none: messages are gone when the server stops\n" in shown
    assert check(CHATAPP_CONFIG="my.ini").stdout.startswith("OK: my.ini\n")


def test_the_summary_shows_no_secret(data_dir: Path) -> None:
    result = check(CHATAPP_APP_SECRET_KEY=SECRET, CHATAPP_AUTH_SITE_SECRET_KEY=SECRET)
    assert "secret key in the settings\n" in result.stdout
    assert SECRET not in result.output
    key = secret_key(Settings())
    assert "secret key in var/secret_key\n" in check().stdout
    assert key not in check().output


def test_every_fault_is_on_a_line_of_its_own_on_stderr(data_dir: Path) -> None:
    Path("my.ini").write_text("[app]\nport = abc\n[lmits]\n", "utf-8")
    assert faults_of(check("--config", "my.ini")) == [
        "my.ini:2: [app] port: must be a whole number, not 'abc'",
        "my.ini:3: [lmits]: there is no such section; did you mean [limits]?",
    ]


def test_a_database_that_is_not_supported_is_a_fault(data_dir: Path) -> None:
    (fault,) = faults_of(check(CHATAPP_STORAGE_URL=f"oracle://chat:{SECRET}@db/chat"))
    assert fault.startswith("CHATAPP_STORAGE_URL: [storage] url: must be none, sqlite:///path, postgresql://")
    assert SECRET not in fault


@pytest.mark.parametrize(
    ("scheme", "driver", "extra"), [("postgresql", "psycopg", "postgres"), ("mariadb", "pymysql", "mysql")]
)
def test_a_database_whose_driver_is_not_installed_is_a_fault(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, driver: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, driver, None)  # as if it were not there
    (fault,) = faults_of(check(CHATAPP_STORAGE_URL=f"{scheme}://chat:{SECRET}@localhost/chat"))
    assert fault == f"[storage] url: {driver} is not installed; run: pip install 'chatapp[{extra}]'"


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_database_server_that_does_not_answer_is_a_fault(data_dir: Path, scheme: str) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        url = f"{scheme}://chat:{SECRET}@127.0.0.1:{nobody.getsockname()[1]}/chat"
        (fault,) = faults_of(check(CHATAPP_STORAGE_URL=url))
    assert "cannot be used" in fault and "refused" in fault and "\n" not in fault
    assert SECRET not in fault


def test_a_data_directory_that_cannot_be_made_is_a_fault(data_dir: Path) -> None:
    data_dir.touch()
    assert faults_of(check(CHATAPP_APP_DATA_DIR="var/a/b", CHATAPP_APP_SECRET_KEY=SECRET)) == [
        f"[app] data_dir: nothing can be written in {data_dir} (Not a directory)"
    ]
    (fault,) = faults_of(check(CHATAPP_APP_DATA_DIR="/proc/chatapp"))
    assert fault.startswith("[app] data_dir: nothing can be written in /proc (")


def test_a_database_where_nothing_can_be_written_is_a_fault(data_dir: Path) -> None:
    (fault,) = faults_of(check(CHATAPP_STORAGE_URL="sqlite:////proc/chatapp.db"))
    assert fault.startswith("[storage] url: nothing can be written in /proc (")
    assert check(CHATAPP_STORAGE_URL="sqlite:///elsewhere/chatapp.db").exit_code == 0


def test_a_secret_file_that_others_can_read_is_a_fault(data_dir: Path) -> None:
    settings = Settings(app=App(data_dir=data_dir))
    secret_key(settings)
    secret_file(settings).chmod(0o644)
    (fault,) = faults_of(check())
    assert fault.endswith("run: chmod 600 var/secret_key")
    assert check(CHATAPP_APP_SECRET_KEY=SECRET).exit_code == 0


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the console script's function in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", "from chatapp.cli import main; main(prog_name='chatapp')", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_check_works_as_a_process(data_dir: Path) -> None:
    right = run("check", "--config", str(ROOT / "conf" / "chatapp.ini"))
    assert (right.returncode, right.stderr) == (0, "")
    assert right.stdout.startswith("OK: ")
    wrong = run("check", "--config", "missing.ini", PORT="abc")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.splitlines() == [
        "PORT: [app] port: must be a whole number, not 'abc'",
        "missing.ini: cannot be read: No such file or directory",
    ]


def test_help_loads_nothing_that_it_does_not_need() -> None:
    code = "import sys, chatapp.cli; print({'pydantic', 'gevent', 'flask'} & set(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
    assert loaded.stdout == b"set()\n"


def test_libraries_that_the_pages_lack_are_a_fault(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatapp.web.assets.FOLDER", tmp_path)
    (fault,) = faults_of(check())
    assert "The pages of the chat lack vendor/jquery.js, " in fault
    assert fault.endswith("or run `python setup.py assets` where it lies.")
