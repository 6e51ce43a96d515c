"""Reads an INI file into entries that know their line, and says what is wrong with it as a file."""

from __future__ import annotations

import configparser
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

#: What stands before the first header is read as this section, so that the parser goes on.
_NO_SECTION = "(no section)"

#: All that means something in a value; any other % is a plain %, as in ``p%40ss`` in a URL.
_REFERENCE = re.compile(r"%\((?:here|ENV_(?P<variable>\w+))\)s")


class Place(NamedTuple):
    """Where something is set: a file and its line (from 1), or line 0: a file or a variable as a whole."""

    source: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


class Fault(NamedTuple):
    """What is wrong, and where. Its text is the line that a person reads."""

    place: Place
    what: str
    section: str = ""
    key: str = ""

    def __str__(self) -> str:
        name = f" [{self.section}]{' ' * bool(self.key)}{self.key}:" if self.section else ""
        return f"{self.place}:{name} {self.what}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting as text. The key is as it was written; ``%(…)s`` is filled in."""

    place: Place
    section: str
    key: str
    text: str
    #: Whether `text` holds a variable's value, which may be a secret and is not to be shown.
    from_variable: bool = False


@dataclass(slots=True)
class IniFile:
    """What was read: the sections and where each begins, the entries in the file's order, the faults."""

    sections: dict[str, Place] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


class _Parser(configparser.RawConfigParser):
    """The standard parser, but each option's name is ``<line> <name>``.

    So each can be told where it stands, and the second of two of one name does not end the reading.
    """

    def __init__(self) -> None:
        super().__init__(strict=False, interpolation=None, default_section="")
        self._line = 0
        #: Name and line of each header. A header that is indented (legal, where it continues no value)
        #: is not among them.
        self.headers: list[tuple[str, int]] = []

    def optionxform(self, optionstr: str) -> str:
        return f"{self._line} {optionstr}"

    def feed(self, lines: Iterable[str]) -> None:
        """Parse the lines. Raises configparser.ParsingError for those that are no INI, after the others."""
        self.read_file(self._counted(lines))

    def _counted(self, lines: Iterable[str]) -> Iterator[str]:
        yield f"[{_NO_SECTION}]"
        for line in lines:
            self._line += 1
            if header := self.SECTCRE.match(line):
                self.headers.append((header["header"], self._line))
            yield line


def read_ini(path: str | os.PathLike[str], environ: Mapping[str, str]) -> IniFile:
    """Read the file at `path`; whatever is wrong with it is among the answer's faults.

    ``%(here)s`` stands for the absolute path of the file's directory, ``%(ENV_X)s`` for the variable
    X of `environ`.
    """
    ini = IniFile()
    source = os.fspath(path)
    parser = _Parser()
    try:
        # Notepad begins a UTF-8 file with a byte order mark: "-sig" skips it.
        parser.feed(io.StringIO(Path(path).read_bytes().decode("utf-8-sig")))
    except OSError as error:
        ini.faults.append(Fault(Place(source), f"cannot be read: {error.strerror}"))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        ini.faults.append(Fault(Place(source, line), "is not UTF-8; save the file as UTF-8"))
    except configparser.ParsingError as error:
        # Not the line itself: it may be the rest of a secret. Its number counts the header put before.
        what = "is neither [section] nor key = value nor # comment"
        ini.faults += [Fault(Place(source, number - 1), what) for number, _ in error.errors]
    _add_sections(ini, parser, source)
    _add_entries(ini, parser, source, environ)
    return ini


def _add_sections(ini: IniFile, parser: _Parser, source: str) -> None:
    for name, line in parser.headers:
        if name in ini.sections:
            what = f"already begins in line {ini.sections[name].line}; put its keys together there"
            ini.faults.append(Fault(Place(source, line), what, name))
        ini.sections.setdefault(name, Place(source, line))
    for name in parser.sections():
        if name != _NO_SECTION:
            ini.sections.setdefault(name, Place(source))


def _add_entries(ini: IniFile, parser: _Parser, source: str, environ: Mapping[str, str]) -> None:
    here = os.path.dirname(os.path.abspath(source))
    first_lines: dict[tuple[str, str], int] = {}
    for section in parser.sections():
        for numbered, text in parser.items(section):
            number, _, key = numbered.partition(" ")
            place = Place(source, int(number))
            if section == _NO_SECTION:
                ini.faults.append(Fault(place, "stands before the first [section]"))
                break  # the first says it for all
            if not key:
                continue  # "= value": among the parser's faults already
            first = first_lines.setdefault((section, key.lower()), place.line)
            if first != place.line:
                ini.faults.append(Fault(place, f"is already set in line {first}", section, key))
                continue
            variables = [found["variable"] for found in _REFERENCE.finditer(text) if found["variable"]]
            unset = [name for name in variables if name not in environ]
            for name in unset:
                what = f"the environment variable {name} is not set"
                ini.faults.append(Fault(place, what, section, key))
            if not unset:
                filled = _fill_in(text, here, environ)
                ini.entries.append(Entry(place, section, key, filled, from_variable=bool(variables)))


def _fill_in(text: str, here: str, environ: Mapping[str, str]) -> str:
    return _REFERENCE.sub(lambda found: environ[found["variable"]] if found["variable"] else here, text)


__all__ = ["Entry", "Fault", "IniFile", "Place", "read_ini"]
