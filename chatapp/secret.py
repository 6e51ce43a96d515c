"""The secret key that signs the tokens of guests: given in the settings, or made once and kept."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from chatapp.errors import SettingsError
from chatapp.settings import MIN_SECRET_CHARACTERS, Settings


def secret_key(settings: Settings) -> str:
    """Return the key; if there is none yet, make one and keep it in ``<data_dir>/secret_key``, mode 0600.

    Processes that do so at the same moment get the same key.
    Raises SettingsError if the file cannot be written, or for what `find_secret_key` raises it for.
    """
    key = find_secret_key(settings)
    if key is None:
        _keep_new_key(secret_file(settings))
        key = find_secret_key(settings)
    if key is None:
        raise SettingsError([f"{secret_file(settings)}: was removed right after it was made"])
    return key


def find_secret_key(settings: Settings) -> str | None:
    """Return the key that is set or kept, or None if none has been made yet.

    Raises SettingsError if the file cannot be read, can be read by others than its owner, or holds no key,
    and where a key has to be set.
    """
    if settings.app.secret_key:
        return settings.app.secret_key
    check_secret_key(settings)
    path = secret_file(settings)
    try:
        with path.open(encoding="ascii") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            key = file.read().strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: cannot be read: {_reason(error)}"]) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError([f"{path}: is not for its owner alone (mode {mode:04o}); run: chmod 600 {path}"])
    if len(key) < MIN_SECRET_CHARACTERS:
        what = (
            f"holds no key of at least {MIN_SECRET_CHARACTERS} characters; remove it, and a new one is made"
        )
        raise SettingsError([f"{path}: {what}"])
    return key


def check_secret_key(settings: Settings) -> None:
    """Raise SettingsError where a key has to be set and is not: hosts that share a database have to sign with
    the same one, so none can make its own."""
    if settings.app.secret_key or settings.auth.mode != "guest" or not settings.may_share_database:
        return
    path = secret_file(settings)
    hint = f" (this host has kept one in {path})" if path.exists() else ""
    what = "must be set, to the same on each host, where hosts may share a database"
    raise SettingsError([f"[app] secret_key: {what}{hint}"])


def secret_file(settings: Settings) -> Path:
    """Return where a key that is not in the settings is kept."""
    return settings.app.data_dir / "secret_key"


def _keep_new_key(path: Path) -> None:
    """Write a new key to `path`, unless another process was faster.

    The file gets its name only when it is whole: a link that fails if the name exists.
    """
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            os.unlink(draft)
    except OSError as error:
        what = f"cannot be made: {_reason(error)}; make [app] data_dir writable or set [app] secret_key"
        raise SettingsError([f"{path}: {what}"]) from error


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or "") if isinstance(error, OSError) else "it is not text"


__all__ = ["check_secret_key", "find_secret_key", "secret_file", "secret_key"]
