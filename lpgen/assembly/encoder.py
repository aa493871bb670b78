"""The one importer of Keystone: statements in, words out, and nothing that Keystone says is taken on trust.

Statements of the vetted table (isa.py) run in this process, in one batch; each word is compared with the table's own
encoding. Any other mnemonic runs in a child process with a time limit, because Keystone can hang or crash on it, and
its word must decode to the same mnemonic and the same numbers in capstone.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from lpgen.assembly.model import UnknownError
from lpgen.errors import LpgenError, Place

CHILD_SECONDS = 5.0
_WHEELS = (
    "wheels of keystone-engine exist for Linux x86-64 (glibc), macOS x86-64 and Windows only; "
    "Debian's python3-keystone is another project (OpenStack)"
)
# Statement text -> word. Branch texts hold "{at}" for their own address, so that a word depends on its text alone.
_known: dict[str, int] = {}
_KNOWN_LIMIT = 100_000
# Where capstone prints an alias for some operands.
_CAPSTONE_NAMES = {"addpcis": ("addpcis", "lnia", "subpcis")}


@dataclass(frozen=True, slots=True)
class Request:
    """One statement for Keystone: its text with ``{at}`` for its own address, the word the table expects, its place."""

    text: str
    expected: int
    place: Place
    by_capstone: bool = False


@cache
def _keystone() -> tuple[Any, type[Exception]]:
    try:
        import keystone
    except ImportError as error:
        raise LpgenError(f"Keystone cannot be loaded ({error})", hint=_WHEELS) from error
    engine = keystone.Ks(keystone.KS_ARCH_PPC, keystone.KS_MODE_PPC64 | keystone.KS_MODE_LITTLE_ENDIAN)
    return engine, keystone.KsError


@cache
def disassembler() -> Any:
    """Return capstone for 64-bit little-endian PowerPC. Raises LpgenError when it cannot be loaded."""
    try:
        import capstone
    except ImportError as error:
        raise LpgenError(f"capstone cannot be loaded ({error})", hint="pip install capstone") from error
    return capstone.Cs(capstone.CS_ARCH_PPC, capstone.CS_MODE_64 | capstone.CS_MODE_LITTLE_ENDIAN)


def _assemble(text: str) -> bytes | None:
    """Run Keystone once at address 0; None for every kind of refusal (an exception, or silently nothing)."""
    engine, refusal = _keystone()
    try:
        data, _count = engine.asm(text, 0, True)
    except refusal:
        return None
    return data if data else None


def _single(text: str) -> int | None:
    data = _assemble(text.format(at=0))
    return int.from_bytes(data, "little") if data is not None and len(data) == 4 else None


def _batch(texts: Sequence[str]) -> list[int | None]:
    if not texts:
        return []
    if any("{at}" in text for text in texts):
        # Behind an alias that it expands (sldi, clrrdi, subi) Keystone loses count of the address, and a branch gets
        # a wrong displacement: branches go one by one, at address 0.
        plain = iter(_batch([text for text in texts if "{at}" not in text]))
        return [_single(text) if "{at}" in text else next(plain) for text in texts]
    data = _assemble("\n".join(texts))
    if data is None or len(data) != 4 * len(texts):
        # Keystone's own count and position are unreliable: only one statement at a time tells which one is wrong.
        return [_single(text) for text in texts]
    return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]


def encode(requests: Sequence[Request]) -> list[int]:
    """Return the confirmed word of each request, in order.

    Raises LpgenError with the statement's place when Keystone refuses it or its word is not the expected one.
    """
    fresh = list(dict.fromkeys(r.text for r in requests if not r.by_capstone and r.text not in _known))
    words = dict(zip(fresh, _batch(fresh), strict=True))
    if len(_known) > _KNOWN_LIMIT:
        _known.clear()
    for request in requests:
        if request.by_capstone:
            _confirm_by_capstone(request)
            continue
        word = words.get(request.text) if request.text in words else _known[request.text]
        shown = request.text.format(at=".")
        if word is None:
            raise UnknownError(f"Keystone does not take '{shown}'", place=request.place)
        if word != request.expected:
            raise LpgenError(
                f"Keystone's word could not be confirmed: {word:08x} for '{shown}', expected {request.expected:08x}",
                place=request.place,
                hint="this is a defect of Keystone or of lpgen, not of the source; please report it",
            )
        _known[request.text] = word
    return [request.expected for request in requests]


def _confirm_by_capstone(request: Request) -> None:
    mnemonic = request.text.split(" ", 1)[0]
    decoded = decode(request.expected)
    if decoded is None or decoded[0] not in _CAPSTONE_NAMES.get(mnemonic, (mnemonic,)):
        raise LpgenError(
            f"the word {request.expected:08x} for '{request.text}' could not be confirmed: capstone reads it as "
            f"{decoded[0] if decoded else 'nothing'}",
            place=request.place,
        )


def decode(word: int) -> tuple[str, str] | None:
    """Return capstone's (mnemonic, operands) of a word, or None when it knows no such instruction."""
    for _address, size, mnemonic, operands in disassembler().disasm_lite(word.to_bytes(4, "little"), 0):
        return (str(mnemonic), str(operands)) if size == 4 else None
    return None


_NUMBER = re.compile(r"-?(?:0x[0-9a-f]+|\d+)", re.IGNORECASE)


def _numbers(text: str) -> list[int]:
    return [int(number, 0) & 0xFFFF for number in _NUMBER.findall(text)]


def encode_unvetted(mnemonic: str, operands: str, *, place: Place, isolated: bool) -> int:
    """Return the word of a statement that the table does not know, ``operands`` being bare numbers.

    Keystone runs in a child process when ``isolated``. Raises LpgenError when it hangs, dies or refuses, or when
    capstone does not read the word back as the same mnemonic with the same numbers.
    """
    text = f"{mnemonic} {operands}".rstrip()
    word = _in_child(text, place) if isolated else _single(text)
    if word is None:
        raise LpgenError(f"unknown instruction '{text}': neither lpgen's table nor Keystone takes it", place=place)
    decoded = decode(word)
    if decoded is None or decoded[0] != mnemonic or _numbers(decoded[1]) != _numbers(operands):
        reading = " ".join(decoded) if decoded else "nothing"
        raise LpgenError(
            f"Keystone's word could not be confirmed: {word:08x} for '{text}' decodes as {reading}",
            place=place,
            hint="write the base instruction, or .long with the word",
        )
    return word


def _in_child(text: str, place: Place) -> int | None:
    command = [sys.executable, "-P", "-c", _CHILD, json.dumps(sys.path)]
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=CHILD_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise LpgenError(f"Keystone did not return from '{text}' in {CHILD_SECONDS:g} s", place=place) from error
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise LpgenError(f"Keystone died on '{text}' ({reason[0]})", place=place)
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer if isinstance(answer, int) else None


# The child finds the same modules as this process, whatever made them importable here (a zip, PYTHONPATH, a test).
_CHILD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from lpgen.assembly import encoder
print(json.dumps(encoder._single(sys.stdin.read())))
"""
