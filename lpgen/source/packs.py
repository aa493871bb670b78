"""Templates of a person's own: a directory, or a pack, which an installed distribution offers by an entry point.

A pack's entry point is of the group ``lpgen.templates``; its value is a package that has a directory ``templates``.
Nothing of the package is run: only its place is looked up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lpgen.errors import LpgenError, Place
from lpgen.kernel.names import closest

GROUP = "lpgen.templates"
SUFFIX = ".j2"
_NAME = re.compile(r"\w([\w.-]*\w)?")
_PACKAGE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True, slots=True)
class Pack:
    """An installed pack: its entry point's ``name``, its ``distribution`` with version, and where its templates are."""

    name: str
    distribution: str
    directory: Path

    def __str__(self) -> str:
        return self.name


Templates = Path | Pack


def directory_of(templates: Templates) -> Path:
    """Return the directory that holds them."""
    return templates.directory if isinstance(templates, Pack) else templates


def name_of(templates: Templates) -> str:
    """Return what --templates is to say in a command that is kept: a pack's name, the last part of a directory's."""
    return templates.name if isinstance(templates, Pack) else templates.resolve().name


def find_templates(given: str) -> Templates:
    """Return what ``given`` names: a directory that holds a template, or else an installed pack.

    A directory without any template hides no pack: in a pack's own project its package has its name. Raises LpgenError
    for a pack that is broken, and for a name that is neither.
    """
    path = Path(given)
    if not is_name(given) or _holds_templates(path):
        return path
    pack = _find(given)
    if pack is not None or path.is_dir():
        return pack or path
    raise _unknown(given)


def find_pack(name: str) -> Pack:
    """Return the installed pack ``name``. Raises LpgenError when there is none, or it is broken."""
    pack = _find(name)
    if pack is None:
        raise _unknown(name)
    return pack


def is_name(given: str) -> bool:
    """True for what can be a pack's name: a word, no path and no glob."""
    return _NAME.fullmatch(given) is not None


def names_pack(given: str, root: Path) -> bool:
    """True if ``given`` means a pack, there or not, and not a directory in ``root``."""
    if not is_name(given) or _holds_templates(root / given):
        return False
    return not (root / given).is_dir() or any(pack.name == given for pack in offered())


def _find(name: str) -> Pack | None:
    found = [pack for pack in offered() if pack.name == name]
    if len(found) > 1:
        names = " and ".join(pack.distribution for pack in found)
        raise LpgenError(f"{names} both have a pack {name!r}", hint="uninstall one of them")
    return found[0].resolved() if found else None


def _unknown(given: str) -> LpgenError:
    names = [pack.name for pack in offered() if pack.name]
    near = closest(given, names)
    hint = f"did you mean {near}?" if near else f"the installed packs are {', '.join(names)}" if names else None
    return LpgenError(
        "is not a directory, nor an installed pack of templates",
        place=Place(given),
        hint=hint or "no pack is installed; lpgen new writes one to start from",
    )


def _holds_templates(directory: Path) -> bool:
    return directory.is_dir() and any(path.suffix == SUFFIX for path in directory.iterdir())


@dataclass(frozen=True, slots=True)
class Offered:
    """What a distribution offers as a pack: the entry point's ``name`` and ``value``.

    ``fault``: why the entry points cannot be read; ``name`` and ``value`` are then empty.
    """

    name: str
    value: str
    distribution: str
    fault: str = ""

    def resolved(self) -> Pack:
        """Return the pack. Raises LpgenError, with the distribution and what to do, for one that is broken."""
        if self.fault:
            raise self._broken(self.fault)
        if not _PACKAGE.fullmatch(self.value):
            raise self._broken(f"its entry point {self.value!r} is not the name of a package")
        from importlib.util import find_spec

        try:
            spec = find_spec(self.value)
        except Exception as error:
            # Looking for a package in a package runs the outer one's own code.
            raise self._broken(f"looking for {self.value}: {type(error).__name__}: {error}") from error
        if spec is None:
            raise self._broken(f"there is no package {self.value}")
        if spec.submodule_search_locations is None:
            raise self._broken(f"{self.value} is a module, not a package with a directory templates")
        for location in spec.submodule_search_locations:
            directory = Path(location) / "templates"
            if directory.is_dir():
                return Pack(self.name, self.distribution, _shown(directory))
        raise self._broken(f"its package {self.value} has no directory templates")

    def _broken(self, reason: str) -> LpgenError:
        what = f"pack {self.name!r} of {self.distribution}" if self.name else self.distribution
        return LpgenError(
            f"{what}: {reason}", hint=f"mend or reinstall {self.distribution.split()[0]}, or pip uninstall it"
        )


def offered() -> list[Offered]:
    """Return the packs that installed distributions offer, sorted by name; none is looked into."""
    return sorted(set(_offered()), key=lambda pack: (pack.name, pack.distribution))


def _offered() -> Iterator[Offered]:
    # Not needed for a directory, and slow to load.
    from importlib import metadata

    seen = set[str]()
    for distribution in metadata.distributions():
        # The same one further down the path is not what would be imported.
        try:
            text = distribution.read_text("entry_points.txt")
            if text is None or GROUP not in text:
                continue
            named = f"{distribution.name} {distribution.version}"
            points = [point for point in distribution.entry_points if point.group == GROUP]
        except Exception as error:
            # Whatever stands in a distribution's files; one line, and the others still count.
            path = getattr(distribution, "_path", None)
            named, points = Path(path).name if path is not None else "a distribution", []
            yield Offered("", "", named, fault=f"its entry points cannot be read ({type(error).__name__})")
            continue
        if distribution.name in seen:
            continue
        seen.add(distribution.name)
        for point in points:
            yield Offered(point.name, point.value, named)


def _shown(directory: Path) -> Path:
    """Return a directory as a person here names it: from here, when it is below."""
    here = Path.cwd()
    return directory.relative_to(here) if directory.is_relative_to(here) else directory
