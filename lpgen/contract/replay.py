"""A replay: one call with chosen registers and memory, as a file, which shows in the emulator what a proof found.

lpgen.replay/1 is a JSON object. ``statement`` is the id of what is broken and ``what`` one line of text about it;
``code`` is the SHA-256 of .text of the trampolines that it is for, ``plan`` the call as --plan takes it, ``lpgen`` the
version that wrote it. The rest is what is chosen (lpgen.machine.values.Values); each may be missing: ``entry``,
``tracer``, ``kprobe``, ``graph``, ``direct``, ``body``, ``c``, ``unhook`` map registers to values, ``frame`` and
``stack`` offsets from A's r1 (decimal, "16" or "-8") to doublewords, ``flag`` and ``nip`` are values. A value is a
number that is not negative, or its text, "0x12".
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from lpgen import __version__
from lpgen.assembly import Unit
from lpgen.contract.statements import STATEMENTS
from lpgen.errors import LpgenError, Place
from lpgen.kernel.names import closest
from lpgen.machine.plan_text import parse_plan
from lpgen.machine.values import EVENTS, NOTHING, Values

SCHEMA = "lpgen.replay/1"
# Far more than any replay: a plan may have a quarter of it.
SIZE_LIMIT = 1 << 20
MAX_WHAT = 2000
_TEXTS = ("statement", "what", "code", "plan")
_OFFSETS = ("frame", "stack")
_NUMBERS = ("flag", "nip")
KEYS = ("schema", "lpgen", *_TEXTS, *EVENTS, *_OFFSETS, *_NUMBERS)
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,16}", re.ASCII)
_OFFSET = re.compile(r"0|-?[1-9][0-9]{0,5}", re.ASCII)
_CODE = re.compile(r"[0-9a-f]{64}", re.ASCII)
_WANTED = "give a file that `lpgen prove` wrote"


@dataclass(frozen=True, slots=True)
class Replay:
    """One call to be run again: ``plan`` as text, ``values`` that are chosen for it, and the ``statement`` it breaks.

    ``what`` tells what is wrong, in one line. ``code`` is ``code_hash`` of the trampolines. ``lpgen`` is the version
    that wrote it, ``file`` the file that it was read from, "" for none.
    """

    statement: str
    what: str
    code: str
    plan: str
    values: Values = NOTHING
    lpgen: str = __version__
    file: str = field(default="", compare=False)


def code_hash(unit: Unit) -> str:
    """Return the SHA-256 of the .text of ``unit``, as hexadecimal. Raises LpgenError for a unit without code."""
    text = unit.sections.get(".text")
    if text is None or not text.data:
        raise LpgenError(f"{unit.name} has no code", hint="the trampolines belong in .text")
    return hashlib.sha256(bytes(text.data)).hexdigest()


def to_json(replay: Replay) -> dict[str, Any]:
    """Return a replay as JSON-able data, without what is not chosen."""
    values = replay.values
    document: dict[str, Any] = {"schema": SCHEMA, "lpgen": replay.lpgen}
    document |= {name: getattr(replay, name) for name in _TEXTS}
    for name in (*EVENTS, *_OFFSETS):
        chosen: Mapping[str | int, int] = getattr(values, name)
        if chosen:
            document[name] = {str(key): f"{value:#x}" for key, value in chosen.items()}
    document |= {name: f"{getattr(values, name):#x}" for name in _NUMBERS if getattr(values, name) is not None}
    return document


def replay_text(replay: Replay) -> str:
    """Return what a replay's file holds; ``parse_replay`` reads it back."""
    return json.dumps(to_json(replay), indent=2) + "\n"


def read_replay(path: Path) -> Replay:
    """Return the replay in a file. Raises LpgenError, with the line where it is known, for a file that has none."""
    place = Place(str(path))
    try:
        with path.open("rb") as stream:
            data = stream.read(SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise LpgenError(f"cannot be read: {reason}", place=place, hint=_WANTED) from error
    if len(data) > SIZE_LIMIT:
        raise LpgenError(f"is larger than {SIZE_LIMIT >> 20} MiB, too much for a replay", place=place, hint=_WANTED)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise LpgenError("is not UTF-8 text", place=Place(str(path), line), hint=_WANTED) from error
    return parse_replay(text, str(path))


def parse_replay(text: str, file: str) -> Replay:
    """Return the replay that ``text``, the content of ``file``, holds. Raises LpgenError as ``read_replay`` does.

    Whether the kernel has the statement and the plan, and leaves the values open, is not looked at.
    """
    return _Reader(text, file).replay()


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file

    def _fail(self, reason: str, hint: str = _WANTED, *, keys: tuple[str, ...] = ()) -> NoReturn:
        """Raise LpgenError with the line of the last of ``keys``, each of which is below the one before."""
        at = 0
        for key in keys:
            match = re.compile(re.escape(json.dumps(key)) + r"\s*:").search(self._text, at)
            at = 0 if match is None else match.start()
        line = self._text.count("\n", 0, at) + 1 if at else None
        raise LpgenError(reason, place=Place(self._file, line), hint=hint)

    def replay(self) -> Replay:
        document = self._document()
        for key in document:
            if key not in KEYS:
                near = closest(key[:40], KEYS)
                self._fail(f"{_short(key)} is in no replay", f"did you mean {near}?" if near else _WANTED, keys=(key,))
        texts = {name: self._line(document, name) for name in _TEXTS}
        if texts["statement"] not in STATEMENTS:
            said = f"there is no statement {_short(texts['statement'])}"
            self._fail(said, f"there are {', '.join(STATEMENTS)}", keys=("statement",))
        if not _CODE.fullmatch(texts["code"]):
            self._fail("code is no SHA-256: 64 digits of 0-9 and a-f", keys=("code",))
        try:
            parse_plan(texts["plan"])
        except LpgenError as error:
            self._fail(error.reason, error.hint or _WANTED, keys=("plan",))
        registers = {event: self._mapping(document, event) for event in EVENTS}
        offsets = {name: self._offsets(self._mapping(document, name), name) for name in _OFFSETS}
        flag, nip = (self._number(document[name], (name,)) if name in document else None for name in _NUMBERS)
        values = Values.of(registers, offsets["frame"], offsets["stack"], flag, nip)
        version = self._line(document, "lpgen") if "lpgen" in document else ""
        return Replay(**texts, values=values, lpgen=version, file=self._file)

    def _document(self) -> dict[str, Any]:
        try:
            document = json.loads(self._text, object_pairs_hook=self._once, parse_constant=self._no_number)
        except json.JSONDecodeError as error:
            place = Place(self._file, error.lineno)
            raise LpgenError(f"is not JSON: {error.msg}, column {error.colno}", place=place, hint=_WANTED) from error
        except RecursionError:
            self._fail("is not a replay: nested too deep")
        except ValueError as error:
            # A number with more digits than Python reads.
            raise LpgenError("has a number that is too large", place=Place(self._file), hint=_WANTED) from error
        if not isinstance(document, dict):
            self._fail("is not a JSON object")
        if document.get("schema") != SCHEMA:
            self._fail(f'its "schema" is not "{SCHEMA}"', keys=("schema",))
        return document

    def _once(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    self._fail(f"{_short(key)} is there twice")
                seen.add(key)
        return made

    def _no_number(self, name: str) -> NoReturn:
        self._fail(f"{name} is no number")

    def _line(self, document: dict[str, Any], name: str) -> str:
        value = document.get(name)
        if not isinstance(value, str):
            self._fail(f'"{name}" is missing' if name not in document else f'"{name}" is no text', keys=(name,))
        if name != "plan" and (len(value) > MAX_WHAT or not value.isprintable()):
            self._fail(f'"{name}" is no line of at most {MAX_WHAT} printable characters', keys=(name,))
        return value

    def _mapping(self, document: dict[str, Any], name: str) -> dict[str, int]:
        value = document.get(name, {})
        if not isinstance(value, dict):
            self._fail(f'"{name}" is no object of names and values', keys=(name,))
        return {key: self._number(chosen, (name, key)) for key, chosen in value.items()}

    def _offsets(self, mapping: dict[str, int], name: str) -> dict[int, int]:
        for key in mapping:
            if not _OFFSET.fullmatch(key) or int(key) % 8 or (int(key) < 0) != (name == "stack"):
                sign = "negative" if name == "stack" else "positive"
                hint = f'a {sign} multiple of 8, such as "{-16 if name == "stack" else 16}"'
                self._fail(f"{name}: {_short(key)} is no offset", hint, keys=(name, key))
        return {int(key): value for key, value in mapping.items()}

    def _number(self, value: object, keys: tuple[str, ...]) -> int:
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            return int(value, 16)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 64:
            what = ": ".join(_short(key) for key in keys)
            self._fail(f'{what} is no 64-bit value: give a number from 0 on, or "0x" and 1 to 16 digits', keys=keys)
        return value


def _short(text: str) -> str:
    """Return what somebody wrote, fit for a line."""
    return text if len(text) <= 40 else text[:37] + "..."
