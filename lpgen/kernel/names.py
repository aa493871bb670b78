"""The names of asm-offsets.h that lpgen knows, and what each is used for (kernel/data/names.toml)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from lpgen.resources import read_data

KINDS = frozenset({"frame", "slot", "doubleword", "byte", "size"})


@dataclass(frozen=True, slots=True)
class Name:
    """A known name: ``kind`` (see names.toml), ``needed`` ("always", or features), ``option``, ``alias``.

    ``code``, ``where``, ``pick``, ``add`` and ``anywhere`` say which instructions of a kernel show it.
    """

    name: str
    kind: str
    needed: tuple[str, ...] = ()
    option: str = ""
    alias: str = ""
    code: tuple[tuple[str, ...], ...] = ()
    where: tuple[str, ...] = ()
    pick: str = "first"
    add: int = 0
    anywhere: str = ""

    @property
    def slot(self) -> str:
        """The name that stands for this one's slot in struct pt_regs: its own, or the one it is an alias of."""
        return self.alias or self.name


@cache
def known_names() -> Mapping[str, Name]:
    """Return the known names, in the order of names.toml."""
    table = tomllib.loads(read_data("kernel/data/names.toml"))
    return MappingProxyType({name: Name(name, **_listed(facts)) for name, facts in table.items()})


def _listed(facts: dict[str, Any]) -> dict[str, Any]:
    needed = facts.get("needed", [])
    return facts | {
        "needed": (needed,) if isinstance(needed, str) else tuple(needed),
        "code": tuple(map(tuple, facts.get("code", ()))),
        "where": tuple(facts.get("where", ())),
    }


def closest(name: str, candidates: Iterable[str], *, cutoff: float = 0.75) -> str | None:
    """Return the candidate that ``name`` is a likely misspelling of, upper and lower case being the same; or None."""
    from difflib import get_close_matches

    by_folded = {candidate.casefold(): candidate for candidate in candidates}
    found = get_close_matches(name.casefold(), by_folded, n=1, cutoff=cutoff)
    return by_folded[found[0]] if found else None
