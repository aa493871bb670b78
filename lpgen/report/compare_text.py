"""Two kernels side by side, as text and as JSON: lpgen.diff/1, whose fields `lpgen schema diff` describes."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator
from itertools import zip_longest
from typing import Any

from lpgen import __version__
from lpgen.kernel.generations import Kernel, settings_of
from lpgen.report.columns import columns
from lpgen.report.compare import PARTS, CodeChange, Comparison, Member
from lpgen.report.style import HEADING, Text
from lpgen.report.wrap import NARROWEST, wrapped

SCHEMA = "lpgen.diff/1"

# Lines that are the same and shown on each side of a change.
_CONTEXT = 2
_MNEMONIC = 7


def diff_lines(found: Comparison, width: int, parts: Collection[str] = PARTS) -> Iterator[Text]:
    """Yield what differs between two kernels, in lines of ``width`` columns where that can be."""
    if not any(found.differs(part) for part in parts):
        yield Text("no difference")
        return
    makers = {"contract": _contract, "offsets": _offsets, "code": _code}
    wanted = [part for part in PARTS if part in parts]
    for part in wanted:
        if part != wanted[0]:
            yield Text()
        yield Text(part, HEADING)
        if found.differs(part):
            yield from makers[part](found, width)
        else:
            yield Text("  no difference")


def _contract(found: Comparison, width: int) -> Iterator[Text]:
    for fact in found.facts:
        yield Text(f"  {fact.name}", HEADING)
        yield from columns([(found.old.version, fact.old), (found.new.version, fact.new)], width, "    ")
    for kind, members in found.members.items():
        if members:
            yield Text(f"  {kind}", HEADING)
            yield from columns([(_sign(member), member.name, member.what) for member in members], width, "    ")


def _sign(member: Member) -> str:
    return "+" if member.added else "-"


def _offsets(found: Comparison, width: int) -> Iterator[Text]:
    rows: list[tuple[str, ...]] = [("", found.old.version, found.new.version, "")]
    for change in found.offsets:
        step = "" if change.old is None or change.new is None else f"{change.new - change.old:+}"
        rows.append((change.name, *("-" if value is None else str(value) for value in (change.old, change.new)), step))
    yield from columns(rows, width, "  ", heading=True, right=(1, 2, 3))


def _code(found: Comparison, width: int) -> Iterator[Text]:
    half = max((width - 3) // 2, NARROWEST)
    yield Text(f"{found.old.version:<{half}} | {found.new.version}", HEADING)
    same = [change for change in found.code if not change.differs]
    for change in found.code:
        if change.differs:
            yield Text()
            yield from map(Text, _symbol(change, half))
    if same:
        yield Text()
        yield from map(Text, wrapped(f"the same: {', '.join(change.name for change in same)}", width))


def _symbol(change: CodeChange, half: int) -> Iterator[str]:
    last = len(change.runs) - 1
    if change.old is None or change.new is None:
        yield f"{change.name}: {'new' if change.old is None else 'gone'}"
    else:
        yield f"{change.name}:"
    for i, (tag, old, new) in enumerate(change.runs):
        if tag != "equal":
            for left, right in zip_longest(old, new):
                yield from _row(left, right, half)
            continue
        head, tail = (0 if i == 0 else _CONTEXT), (0 if i == last else _CONTEXT)
        hidden = len(old) - head - tail
        if hidden < 2:
            head, hidden, tail = len(old), 0, 0
        for line in old[:head]:
            yield from _row(line, line, half)
        if hidden:
            yield f"... {hidden} the same"
        for line in old[len(old) - tail :]:
            yield from _row(line, line, half)


def _row(left: str | None, right: str | None, half: int) -> Iterator[str]:
    """Yield a pair of lines as `diff -y` does: < gone, > new, | another."""
    mark = " " if left == right else "<" if right is None else ">" if left is None else "|"
    for old, new in zip_longest(_cell(left, half), _cell(right, half), fillvalue=""):
        yield f"{old:<{half}} {mark} {new}".rstrip()
        mark = " "


def _cell(line: str | None, half: int) -> list[str]:
    """Return a line of code in lines of ``half`` columns: an operand that is too long is broken, never cut off."""
    if line is None:
        return [""]
    if line.endswith(":"):
        return [line]
    mnemonic, _, operands = line.partition(" ")
    head, indent = f"  {mnemonic:<{_MNEMONIC}} ", " " * (_MNEMONIC + 3)
    return textwrap.wrap(operands, half, initial_indent=head, subsequent_indent=indent) or [head.rstrip()]


def diff_json(found: Comparison, parts: Collection[str] = PARTS) -> dict[str, Any]:
    """Return what differs between two kernels as JSON-able data."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "lpgen": __version__,
        "old": _kernel_json(found.old),
        "new": _kernel_json(found.new),
        "differs": any(found.differs(part) for part in parts),
    }
    if "contract" in parts:
        document["contract"] = {
            "facts": [{"name": fact.name, "old": fact.old, "new": fact.new} for fact in found.facts],
            **{kind.replace(" ", "_"): _members_json(members) for kind, members in found.members.items()},
        }
    if "offsets" in parts:
        document["offsets"] = [{"name": c.name, "old": c.old, "new": c.new} for c in found.offsets]
    if "code" in parts:
        document["code"] = [_code_json(change) for change in found.code]
    return document


def _kernel_json(made: Kernel) -> dict[str, Any]:
    return {"version": made.version, "generation": made.generation, "settings": settings_of(made)}


def _members_json(members: tuple[Member, ...]) -> dict[str, Any]:
    return {
        key: [{"name": m.name, "what": m.what} for m in members if m.added == added]
        for key, added in (("gone", False), ("new", True))
    }


def _code_json(change: CodeChange) -> dict[str, Any]:
    changes: list[dict[str, Any]] = []
    old_at = new_at = same = 0
    for tag, old, new in change.runs:
        if tag == "equal":
            same += len(old)
        else:
            changes.append({"old_at": old_at, "old": list(old), "new_at": new_at, "new": list(new)})
        old_at, new_at = old_at + len(old), new_at + len(new)
    return {
        "name": change.name,
        "in_old": change.old is not None,
        "in_new": change.new is not None,
        "same": same,
        "changes": changes,
    }
