"""The wrong trampolines of tests/must_fail: their edits and what they must break."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from lpgen.assembly import Unit, assemble
from lpgen.assembly.kernel_text import defines, headers
from lpgen.kernel.generations import Kernel, kernel
from lpgen.source.emit import emit_source

DIRECTORY = Path(__file__).parent.parent / "must_fail"


@dataclass(frozen=True)
class Wrong:
    name: str
    breaks: tuple[str, ...]
    why: str
    says: str
    edits: tuple[tuple[str, str], ...]
    only: bool = False
    kind: str | None = None
    of: str | None = None
    interrupts: str | None = None
    version: str = "4.7"
    config: tuple[str, ...] = ()

    @property
    def kernel(self) -> Kernel:
        return kernel(self.version, config={name: on == "y" for name, _, on in (c.partition("=") for c in self.config)})

    def text(self) -> str:
        """The emitted text with the edits made; blanks in ``find`` match any run of blanks and comments' tails."""
        text = emit_source(self.kernel).text
        for find, replace in self.edits:
            pattern = r"[ \t]*\n[ \t]*".join(
                r"[ \t]+".join(re.escape(word) for word in line.split()) + r"(?:[ \t]*/\*[^\n]*\*/)?"
                for line in find.split("\n")
            )
            text, count = re.subn(pattern, lambda _, r=replace: r, text)
            assert count == 1, f"{self.name}: {find!r} occurs {count} times in the emitted text; mend the file"
        return text

    def unit(self) -> Unit:
        made = self.kernel
        return assemble(
            self.text(), name=f"{self.name}.S", headers=headers(made), defines=defines(made), isolated=False
        )


def load(path: Path) -> Wrong:
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    edits = tuple((edit["find"], edit["replace"]) for edit in data.pop("edit"))
    version, config = data.pop("kernel", "4.7"), tuple(data.pop("config", ()))
    return Wrong(
        path.stem,
        tuple(data.pop("breaks")),
        data.pop("why"),
        data.pop("says"),
        edits,
        version=version,
        config=config,
        **data,
    )


ALL = [load(path) for path in sorted(DIRECTORY.glob("*.toml"))]
KERNEL = kernel("4.7")
G1 = [wrong for wrong in ALL if wrong.version == "4.7"]
