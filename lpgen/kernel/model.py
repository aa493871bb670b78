"""What an offset is: name, value, the C field it reaches, and where the fact comes from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lpgen.errors import Place

TOML_VERSION = 1


@dataclass(frozen=True, slots=True)
class Offset:
    """One constant of asm-offsets.h.

    ``value`` is in bytes. ``struct`` and ``field`` are the C structure (without the word ``struct``) and the field that
    ``value`` leads to; ``base`` is the C expression of what lies before that structure, for a field of the frame. For
    a size or a compound expression ``struct`` is empty and ``field`` is the whole C expression. ``source`` says where
    the fact comes from: a section of the ABI or of the contract, a kernel commit or file, or the file and line it was
    read from (the file's name without its directories). ``place`` is that file as the person named it.
    """

    name: str
    value: int
    struct: str = ""
    field: str = ""
    source: str = ""
    base: str = ""
    place: Place | None = dataclasses.field(default=None, compare=False)

    @property
    def expression(self) -> str:
        """The C expression that the kernel computes ``value`` with; empty when it is not known."""
        if not self.struct:
            return self.field
        inner = f"offsetof(struct {self.struct}, {self.field})"
        return f"{self.base} + {inner}" if self.base else inner

    @property
    def define(self) -> str:
        """The line of asm-offsets.h, in the form that the kernel's build gives it."""
        line = f"#define {self.name} {self.value}"
        return f"{line} /* {self.expression} */" if self.expression else line


@dataclass(frozen=True, slots=True)
class Ignored:
    """A ``#define`` of a real asm-offsets.h that lpgen has no use for."""

    name: str
    place: Place


class Offsets(Mapping[str, int]):
    """The constants of one kernel: a mapping from name to value in bytes, in the order they were given.

    ``label`` names the origin for a banner: ``layout L1, default paca``, or the name of the file that was read.
    ``file`` is that file as the person named it, None for lpgen's own facts. ``ignored`` are the other names in it.
    """

    __slots__ = ("_by_name", "entries", "file", "ignored", "label")

    def __init__(
        self, entries: Iterable[Offset], *, label: str, file: str | None = None, ignored: Iterable[Ignored] = ()
    ) -> None:
        self.entries = tuple(entries)
        self.label = label
        self.file = file
        self.ignored = tuple(ignored)
        self._by_name = {entry.name: entry for entry in self.entries}

    def __getitem__(self, name: str) -> int:
        return self._by_name[name].value

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return f"Offsets({self.label!r}, {len(self)} names)"

    def offset(self, name: str) -> Offset:
        """Return the entry of ``name``. Raises KeyError when there is none."""
        return self._by_name[name]

    def gpr(self, n: int) -> int:
        """Return the offset in bytes of the slot of GPR ``n`` (0 to 31) from r1 of the frame.

        The kernel names GPR0 to GPR13 only; the slots follow each other (contract section 6: GPRn = base + 8n).
        Raises ValueError for another register.
        """
        if not 0 <= n <= 31:
            raise ValueError(f"there is no GPR {n}")
        return self["GPR0"] + 8 * n

    def without(self, names: Iterable[str]) -> Offsets:
        """Return the same constants but for ``names``."""
        dropped = frozenset(names)
        return Offsets(
            (entry for entry in self.entries if entry.name not in dropped),
            label=self.label,
            file=self.file,
            ignored=self.ignored,
        )

    def header_text(self) -> str:
        """Return the ``#define`` lines, one per constant, with neither include guard nor banner."""
        return "".join(f"{entry.define}\n" for entry in self.entries)

    def toml_text(self) -> str:
        """Return the constants as TOML, in the format that ``read_offsets`` reads."""
        lines = [f"version = {TOML_VERSION}", f"label = {_toml_string(self.label)}"]
        for entry in self.entries:
            lines += ["", f"[offsets.{entry.name}]", f"value = {entry.value}"]
            if entry.base:
                lines.append(f"base = {_toml_string(entry.base)}")
            lines += [
                f"struct = {_toml_string(entry.struct)}",
                f"field = {_toml_string(entry.field)}",
                f"source = {_toml_string(entry.source)}",
            ]
        return "\n".join(lines) + "\n"


def _toml_string(text: str) -> str:
    """Return ``text`` as a TOML basic string."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    plain = (escapes.get(c, c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}") for c in text)
    return f'"{"".join(plain)}"'
