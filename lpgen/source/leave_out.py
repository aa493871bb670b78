"""What can be left out of the templates of the assembly, one at a time, and the text without it.

That are the calls of macros (``{{ asm.entry(name) }}``, ``{{ gpr(3) }}``), the includes, and the parts between tags:
blocks, loops, what depends on a feature. What stands in a comment of the assembly is none of it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lpgen import resources
from lpgen.errors import LpgenError, Place
from lpgen.kernel.generations import Kernel
from lpgen.source.emit import emit_source
from lpgen.source.packs import Templates, directory_of
from lpgen.source.render import Rendered

_SUFFIX = ".S.j2"
_TAG = re.compile(r"\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}|/\*|\*/", re.DOTALL)
_NAME = re.compile(r"\{%-?\s*(\w+)")
_CALL = re.compile(r"\{\{-?\s*(asm\.\w+|gpr)\(")
_PARTS = ("block", "for", "when", "unless")
_OPENING = (*_PARTS, "if", "macro")
_COMMENT = re.compile(r"\{#.*?#\}|\{%.*?%\}|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Omission:
    """A piece of the template ``name`` that is left out: ``start`` to ``end`` in its text, ``line`` from 1, the tag."""

    name: str
    line: int
    tag: str
    start: int
    end: int

    @property
    def place(self) -> Place:
        """The line in the template that the piece starts in."""
        return Place(f"templates/{self.name}", self.line)


def omissions(templates_dir: Templates | None = None) -> list[Omission]:
    """Return all that can be left out of the templates of the assembly, by template and line.

    ``templates_dir`` is searched before the shipped templates.
    """
    names = [name for name in resources.template_names() if name.endswith(_SUFFIX)]
    return [one for name in names for one in _in_template(name, _text_of(name, templates_dir))]


def emit_without(
    kernel: Kernel, omitted: Omission, *, style: str = "kernel", templates_dir: Templates | None = None
) -> Rendered:
    """Render the assembly, as ``emit_source`` does, without ``omitted``. Raises LpgenError when it cannot be."""
    text = _text_of(omitted.name, templates_dir)
    # Its lines stay empty, so that those behind it keep their numbers.
    gone = "\n" * text.count("\n", omitted.start, omitted.end)
    with _directory(templates_dir) as directory:
        (directory / omitted.name).write_text(text[: omitted.start] + gone + text[omitted.end :], encoding="utf-8")

        def named(place: Place | None) -> Place | None:
            # As if the templates stood where they belong.
            if place is None or not Path(place.file).is_relative_to(directory):
                return place
            return Place(f"templates/{Path(place.file).relative_to(directory).as_posix()}", place.line)

        try:
            rendered = emit_source(kernel, style=style, templates_dir=directory)
        except LpgenError as error:
            raise LpgenError(error.reason, place=named(error.place), hint=error.hint) from error
        return Rendered(rendered.text, tuple(map(named, rendered.origins)))


@contextmanager
def _directory(templates_dir: Templates | None) -> Iterator[Path]:
    """Yield a directory that has what ``templates_dir`` has of the templates."""
    with tempfile.TemporaryDirectory(prefix="lpgen.") as made:
        directory = Path(made)
        for name in resources.template_names():
            if (path := _own(name, templates_dir)) is not None:
                (directory / name).parent.mkdir(parents=True, exist_ok=True)
                (directory / name).write_bytes(path.read_bytes())
        yield directory


def _text_of(name: str, templates_dir: Templates | None) -> str:
    path = _own(name, templates_dir)
    return resources.read_template(name) if path is None else path.read_text(encoding="utf-8")


def _own(name: str, templates_dir: Templates | None) -> Path | None:
    """Return the person's own template ``name``, None where there is none."""
    if templates_dir is None or not (path := directory_of(templates_dir) / name).is_file():
        return None
    return path


def _in_template(name: str, text: str) -> list[Omission]:
    found: list[Omission] = []
    opened: list[tuple[str, re.Match[str], bool]] = []
    comment = False

    def add(tag: str, start: int, end: int) -> None:
        if _COMMENT.sub("", text[start:end]).strip() or tag.startswith("{% include"):
            found.append(Omission(name, text.count("\n", 0, start) + 1, tag, start, end))

    for match in _TAG.finditer(text):
        tag = match[0]
        if tag in ("/*", "*/"):
            comment = tag == "/*"
            continue
        named = _NAME.match(tag)
        if named is None:
            if not comment and _CALL.match(tag):
                add(tag, *match.span())
        elif named[1] in _OPENING:
            opened.append((named[1], match, comment))
        elif named[1] == "include" and not comment:
            add(tag, *match.span())
        elif named[1].startswith("end"):
            kind, first, inside = opened.pop()
            if kind in _PARTS and not inside:
                add(first[0], first.start(), match.end())
    return sorted(found, key=lambda one: (one.start, one.end))
