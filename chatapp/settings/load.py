"""All settings together: read from an INI file and the environment, every fault reported at once."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from chatapp.errors import SettingsError
from chatapp.settings.ini import Entry, Fault, IniFile, Place, read_ini
from chatapp.settings.sections import (
    App,
    Auth,
    Cluster,
    Events,
    History,
    Limits,
    Log,
    MessageTypes,
    Section,
    Storage,
    Web,
)
from chatapp.settings.values import database_hosts, sentence

_LOCAL_HOST = re.compile(r"localhost|127(\.\d+){3}|::1", re.IGNORECASE)


class Settings(BaseModel):
    """All sections. Made by `load_settings`, or by hand: ``Settings(app=App(port=0))``."""

    model_config = Section.model_config

    app: App = App()
    events: Events = Events()
    message_types: MessageTypes = MessageTypes()
    auth: Auth = Auth()
    storage: Storage = Storage()
    history: History = History()
    cluster: Cluster = Cluster()
    limits: Limits = Limits()
    web: Web = Web()
    log: Log = Log()

    @property
    def storage_url(self) -> str | None:
        """The SQLAlchemy URL of the database, or None if nothing is to be stored."""
        if self.storage.url == "none":
            return None
        return self.storage.url or f"sqlite:///{self.app.data_dir}/chatapp.db"

    @property
    def has_database_server(self) -> bool:
        """Whether messages are kept by a database server, rather than in a file or nowhere."""
        return self.storage.url not in ("", "none") and not self.storage.url.startswith("sqlite")

    @property
    def may_share_database(self) -> bool:
        """Whether other hosts may use the same database: it is on a server that is not this host."""
        if not self.has_database_server:
            return False
        return any(not _LOCAL_HOST.fullmatch(host) for host in database_hosts(self.storage.url))


class SectionKind(NamedTuple):
    """A section as part of `Settings`."""

    attribute: str
    model: type[Section]


#: By the section's name in the INI.
SECTIONS = {section.ini_name: SectionKind(attribute, type(section)) for attribute, section in Settings()}

#: By attribute of Settings and by field, as pydantic names a place.
_Entries = dict[tuple[str | int, str | int], Entry]


def load_settings(
    path: str | os.PathLike[str] | None = None, environ: Mapping[str, str] = os.environ
) -> Settings:
    """Return the settings in the file at `path`, or else in that which ``CHATAPP_CONFIG`` names, if any.

    What the file leaves out has its default. The environment wins over the file: ``PORT`` over
    ``[app] port``, ``CHATAPP_<SECTION>_<KEY>`` over any key, and over ``PORT``.
    Raises SettingsError with every fault found, each with file and line or with the variable's name.
    """
    path = path or environ.get("CHATAPP_CONFIG")
    ini = read_ini(path, environ) if path else IniFile()
    faults = [*ini.faults, *_unknown_sections(ini.sections)]
    entries: _Entries = {}
    values: dict[str, dict[str, str]] = {}
    for entry in (*ini.entries, *_environment_entries(environ)):
        if entry.section in SECTIONS:  # else it is reported once for all its keys
            attribute, model = SECTIONS[entry.section]
            field = entry.key.lower()
            if field in model.model_fields:
                entries[attribute, field] = entry
                values.setdefault(attribute, {})[field] = entry.text
            else:
                faults.append(_unknown_key(entry))
    settings = Settings()
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        faults += [_invalid(problem, entries) for problem in error.errors()]
    if faults:
        faults.sort(key=lambda fault: (fault.place.line, fault))
        raise SettingsError([str(fault) for fault in faults])
    return settings


def _environment_entries(environ: Mapping[str, str]) -> Iterator[Entry]:
    if environ.get("PORT"):
        yield Entry(Place("PORT"), "app", "port", environ["PORT"])
    for section in SECTIONS:
        prefix = f"CHATAPP_{section.replace('.', '_').upper()}_"
        for variable, text in environ.items():
            if variable.startswith(prefix):
                yield Entry(Place(variable), section, variable[len(prefix) :].lower(), text.strip())


def _unknown_sections(sections: Mapping[str, Place]) -> Iterator[Fault]:
    for name, place in sections.items():
        if name not in SECTIONS:
            near = difflib.get_close_matches(name.strip().lower(), SECTIONS, n=1)
            hint = f"; did you mean [{near[0]}]?" if near else f"; there are {_in_brackets(SECTIONS)}"
            yield Fault(place, f"there is no such section{hint}", name)


def _unknown_key(entry: Entry) -> Fault:
    field = entry.key.lower()
    model = SECTIONS[entry.section].model
    hint = ""
    if near := difflib.get_close_matches(field, model.model_fields, n=1):
        hint = f"; did you mean {model.ini_key(near[0])}?"
    elif homes := [name for name, kind in SECTIONS.items() if field in kind.model.model_fields]:
        hint = f"; it belongs in {_in_brackets(homes)}"
    # A secret pasted on a line of its own and ending in = looks like a key, but for its digits.
    shown = entry.key if re.fullmatch(r"[A-Za-z_. -]+", entry.key) else ""
    return Fault(entry.place, f"there is no such key in this section{hint}", entry.section, shown)


def _in_brackets(sections: Iterable[str]) -> str:
    return " ".join(f"[{name}]" for name in sections)


def _invalid(problem: ErrorDetails, entries: _Entries) -> Fault:
    attribute, field, *_ = problem["loc"]
    # Of two fields that contradict each other the one reported may be a default, set nowhere.
    entry = entries.get((attribute, field)) or entries[attribute, problem["ctx"]["other"]]
    model = SECTIONS[entry.section].model
    set_field = entry.key.lower()
    show_value = model.model_fields[set_field].repr and not entry.from_variable
    what = sentence(problem, show_value=show_value)
    return Fault(entry.place, what, entry.section, model.ini_key(set_field))


__all__ = ["SECTIONS", "SectionKind", "Settings", "load_settings"]
