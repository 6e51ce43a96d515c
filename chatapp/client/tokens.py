"""Guest tokens kept on disk, so that the next start is the same user again."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def default_path(environ: Mapping[str, str]) -> Path | None:
    """Return ``chatapp/tokens.json`` in the state directory, None where there is no home.

    The XDG Base Directory Specification 0.8 has relative paths ignored.
    """
    state = environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(state):
        return Path(state, "chatapp", "tokens.json")
    home = environ.get("HOME", "")
    if os.path.isabs(home):
        return Path(home, ".local", "state", "chatapp", "tokens.json")
    return None


class TokenFile:
    """A JSON file ``{url: {name: token}}``, for its owner's eyes only. What is wrong with it is warned of."""

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self._path = path
        self._warn = warn

    def token(self, url: str, name: str) -> str | None:
        """Return the token kept for `name` at `url`, None without one."""
        return self._read().get(url, {}).get(name)

    def keep(self, url: str, name: str, token: str) -> None:
        """Keep `token` for `name` at `url` in place of the one before."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(self._path.parent):
                tokens = self._read()
                tokens.setdefault(url, {})[name] = token
                _replace(self._path, json.dumps(tokens, indent=1, ensure_ascii=False))
        except OSError as error:
            self._warn(f"The token cannot be kept in {self._path}: {error.strerror}.")

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            return _parse(self._path.read_text("utf-8"))
        except FileNotFoundError:
            pass
        except OSError as error:
            self._warn(f"{self._path} cannot be read: {error.strerror}.")
        except ValueError:
            self._warn(f"{self._path} is damaged and ignored.")
        return {}


def _parse(text: str) -> dict[str, dict[str, str]]:
    """Return the tokens in `text`. Raises ValueError if it holds anything else."""
    tokens = json.loads(text)
    if not isinstance(tokens, dict) or not all(isinstance(names, dict) for names in tokens.values()):
        raise ValueError("not an object of objects")
    if not all(isinstance(token, str) for names in tokens.values() for token in names.values()):
        raise ValueError("not all tokens are strings")
    return tokens


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keep other clients from writing between our reading and our writing."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    """Write `text` to `path`, which is never seen half-written; mkstemp makes it 0600."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
