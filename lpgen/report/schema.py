"""The formats of lpgen's JSON: a JSON Schema (draft 2020-12) for each, a file in schemas/, NAME-VERSION.json.

The document's field ``schema`` is lpgen.NAME/VERSION, which is the file's ``title``; ``x-command`` is the command that
writes it. A file that is put there is a format that `lpgen schema` lists.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from lpgen.errors import LpgenError
from lpgen.kernel.names import closest
from lpgen.resources import data_names, read_data

_DIRECTORY = "report/schemas"
_FILE = re.compile(r"([a-z]+)-([0-9]+)\.json")
_ASKED = re.compile(r"(?:lpgen\.)?([^/]+)(?:/([0-9]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Schema:
    """One format: its ``name`` as lpgen.verify/1, the ``command`` that writes it, ``what`` it is, the ``text``."""

    name: str
    command: str
    what: str
    text: str


def schemas() -> list[Schema]:
    """Return every format, sorted by name, those of one name by version."""
    files = [match for name in data_names(_DIRECTORY) if (match := _FILE.fullmatch(name))]
    return [_read(match[0]) for match in sorted(files, key=lambda match: (match[1], int(match[2])))]


def schema(asked: str) -> Schema:
    """Return the format of that name: lpgen.verify/1, verify/1, or verify for the newest. Raises LpgenError."""
    known = schemas()
    match = _ASKED.fullmatch(asked)
    name, version = (asked, None) if match is None else match.groups()
    found = [one for one in known if one.name.partition("/")[0] == f"lpgen.{name}"]
    if version is not None:
        found = [one for one in found if one.name == f"lpgen.{name}/{version}"]
    if not found:
        near = closest(asked.removeprefix("lpgen."), [one.name.removeprefix("lpgen.") for one in known])
        raise LpgenError(
            f"there is no schema {asked!r}", hint="lpgen schema lists them" if near is None else f"did you mean {near}?"
        )
    return found[-1]


def _read(file: str) -> Schema:
    text = read_data(f"{_DIRECTORY}/{file}")
    document = json.loads(text)
    return Schema(document["title"], document["x-command"], document["description"], text)
