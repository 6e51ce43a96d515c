"""``chatapp check``: whether the settings are right, and what they come to."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from chatapp.cli.options import WrongSettings, config_option, settings_of
from chatapp.cluster.buses import missing_package
from chatapp.errors import SettingsError
from chatapp.secret import find_secret_key, secret_file
from chatapp.settings import Settings
from chatapp.web import assets

_USERS = {"guest": "guests", "flask": "the site's login", "custom": "the site's own function"}


@click.command()
@config_option
def check(config: str | None) -> None:
    """Say whether the settings are right, without starting anything."""
    settings = settings_of(config)
    if faults := list(_faults_here(settings)):
        raise WrongSettings(faults)
    click.echo(f"OK: {config or os.environ.get('CHATAPP_CONFIG') or 'the defaults, there is no INI file'}")
    for subject, state in _summary(settings):
        click.echo(f"    {subject:<10} {state}")


def _faults_here(settings: Settings) -> Iterator[str]:
    """Yield what is wrong about this host, rather than about the settings as such."""
    yield from _unwritable(settings.app.data_dir, "[app] data_dir")
    if settings.has_database_server:
        from chatapp.log.server_database import storage_fault

        if (fault := storage_fault(settings.storage.url)) is not None:
            yield fault
    elif settings.storage_url:
        database = Path(settings.storage_url.partition(":///")[2])
        if database.parent != settings.app.data_dir:
            yield from _unwritable(database.parent, "[storage] url")
    if sentence := missing_package(settings):
        yield sentence
    try:
        find_secret_key(settings)
    except SettingsError as error:
        yield from error.faults
    if sentence := assets.missing():
        yield sentence


def _unwritable(directory: Path, setting: str) -> Iterator[str]:
    """Yield a fault if nothing can be written in the directory, or in that in which it would be made."""
    lineage = (directory.absolute(), *directory.absolute().parents)
    existing = next(path for path in lineage if os.path.exists(path))
    try:
        # Looking at permissions is not enough: to root they allow all, on a read-only disk too.
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        yield f"{setting}: nothing can be written in {existing} ({error.strerror})"


def _storage(settings: Settings) -> str:
    url = settings.storage_url
    if url is None:
        return "none: messages are gone when the server stops"
    if not settings.has_database_server:
        return url
    from sqlalchemy.engine import make_url

    parts = make_url(url)  # its query may hold a password, too
    return parts.difference_update_query(parts.query).render_as_string(hide_password=True)


def _summary(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield what the settings come to, as subjects and what there is to say of them. No secrets."""
    app, prefix = settings.app, settings.web.prefix
    address = f"[{app.host}]:{app.port}" if ":" in app.host else f"{app.host}:{app.port}"
    yield "listens", f"on http://{address}, pages at {prefix}/, Socket.IO at {app.socketio_path}/"
    yield "origins", ", ".join(app.allowed_origins) or "the server's own"
    yield "users", _USERS[settings.auth.mode]
    yield "storage", _storage(settings)
    if app.secret_key:
        yield "secret key", "in the settings"
    else:
        state = "in" if find_secret_key(settings) else "will be made in"
        yield "secret key", f"{state} {secret_file(settings)}"
    several = "any number: chatapp serve, or gunicorn -k gevent -w 4 wsgi:app"
    yield "workers", several if settings.storage_url else "one, for nothing is stored that they could share"
