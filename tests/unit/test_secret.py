"""The secret key: given, or made once for all processes and kept from everybody else."""

from __future__ import annotations

import concurrent.futures
import os
import stat
import threading
from pathlib import Path

import pytest

from chatapp.errors import SettingsError
from chatapp.secret import check_secret_key, find_secret_key, secret_file, secret_key
from chatapp.settings import App, Auth, Settings, Storage

GIVEN = "0123456789abcdef"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(app=App(data_dir=tmp_path / "site" / "var"))


@pytest.fixture
def kept(settings: Settings) -> Path:
    """Return the file of a key that is kept already."""
    secret_key(settings)
    return secret_file(settings)


def refusal(settings: Settings) -> str:
    with pytest.raises(SettingsError) as raised:
        secret_key(settings)
    (fault,) = raised.value.faults
    return fault.replace(str(secret_file(settings)), "FILE")


def test_a_given_key_is_taken_and_nothing_is_written(settings: Settings) -> None:
    given = Settings(app=App(secret_key=GIVEN, data_dir=settings.app.data_dir))
    assert secret_key(given) == GIVEN
    assert not settings.app.data_dir.exists()


def test_a_key_is_made_once_and_kept(settings: Settings) -> None:
    assert find_secret_key(settings) is None
    key = secret_key(settings)
    assert len(key) >= 43  # 32 bytes in base64
    assert secret_key(settings) == find_secret_key(settings) == key
    assert [path.name for path in settings.app.data_dir.iterdir()] == ["secret_key"]


def test_looking_for_a_key_makes_none(settings: Settings) -> None:
    assert find_secret_key(settings) is None
    assert not settings.app.data_dir.exists()


def test_two_sites_have_two_keys(settings: Settings, tmp_path: Path) -> None:
    assert secret_key(settings) != secret_key(Settings(app=App(data_dir=tmp_path / "other")))


def test_the_key_and_its_directory_are_for_their_owner_alone(settings: Settings) -> None:
    before = os.umask(0)
    try:
        secret_key(settings)
    finally:
        os.umask(before)
    assert stat.S_IMODE(secret_file(settings).stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.app.data_dir.stat().st_mode) == 0o700


def test_all_who_ask_at_the_same_moment_get_the_same_key(settings: Settings) -> None:
    barrier = threading.Barrier(16)

    def ask() -> str:
        barrier.wait(10)
        return secret_key(settings)

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        keys = {future.result() for future in [pool.submit(ask) for _ in range(16)]}
    assert len(keys) == 1
    assert [path.name for path in settings.app.data_dir.iterdir()] == ["secret_key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o602, 0o660, 0o666])
def test_a_key_that_others_can_reach_is_refused_with_the_remedy(
    settings: Settings, kept: Path, mode: int
) -> None:
    kept.chmod(mode)
    assert refusal(settings) == f"FILE: is not for its owner alone (mode {mode:04o}); run: chmod 600 FILE"
    kept.chmod(0o400)
    assert secret_key(settings) == kept.read_text("ascii").strip()


@pytest.mark.parametrize("content", [b"", b"\n", b"too short\n"])
def test_a_file_without_a_key_is_refused(settings: Settings, kept: Path, content: bytes) -> None:
    kept.write_bytes(content)
    what = "holds no key of at least 16 characters; remove it, and a new one is made"
    assert refusal(settings) == f"FILE: {what}"


def test_a_file_that_is_not_text_is_refused_without_showing_it(settings: Settings, kept: Path) -> None:
    kept.write_bytes(b"\xffsecret" * 9)
    assert refusal(settings) == "FILE: cannot be read: it is not text"


def test_a_file_that_cannot_be_read_is_refused(settings: Settings) -> None:
    secret_file(settings).mkdir(parents=True)
    assert refusal(settings) == "FILE: cannot be read: Is a directory"


def test_a_directory_that_cannot_be_made_is_told_with_the_remedy() -> None:
    told = refusal(Settings(app=App(data_dir=Path("/proc/chatapp"))))
    remedy = "make [app] data_dir writable or set [app] secret_key"
    assert told == f"FILE: cannot be made: No such file or directory; {remedy}"


def test_hosts_that_share_a_database_make_no_key_of_their_own(settings: Settings) -> None:
    app, shared = settings.app, Storage(url="postgresql://chat@db/chat")
    with pytest.raises(SettingsError, match="must be set, to the same on each host"):
        secret_key(Settings(app=app, storage=shared))
    assert not app.data_dir.exists()
    check_secret_key(Settings(app=app, storage=shared, auth=Auth(mode="flask")))  # which signs nothing
    assert secret_key(Settings(app=App(secret_key=GIVEN), storage=shared)) == GIVEN
    assert secret_key(Settings(app=app, storage=Storage(url="mysql://chat@localhost/chat")))
    with pytest.raises(SettingsError, match="has kept one in"):
        check_secret_key(Settings(app=app, storage=shared))
