"""Kernels: which generation a version belongs to, and the facts of that generation (kernel/data/gN.toml).

A new generation is a new data file: nothing here names one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from lpgen.errors import LpgenError
from lpgen.kernel.names import closest, known_names
from lpgen.kernel.offsets import Offsets, check_offsets, default_offsets, layout_span
from lpgen.kernel.versions import Version, in_span, parse_version, version_text
from lpgen.resources import read_data

DEFAULT_VERSION = "4.7"


@dataclass(frozen=True)
class Symbol:
    """An entry point of the trampolines: ``name`` and what it is for."""

    name: str
    what: str


@dataclass(frozen=True)
class Kernel:
    """The facts of one kernel in one configuration.

    ``features`` are the named features that templates and checks ask for (their meaning is in gN.toml), those whose
    option is off left out. ``file`` is the kernel file that the assembly replaces (``section``: which part of it).
    ``call_sites`` are the forms of the call into ftrace_caller, ``commits`` maps a kernel commit to what it brought.
    ``thread_shift`` is the log2 of a stack's size, ``thread_info_size`` is in bytes (for SMP, with 128-byte cache
    lines): how section 5 of the contract lays out a stack. ``new_offsets`` are the names that the kernel change adds to
    asm-offsets.c; the kernel defines the others anyway.
    """

    version: str
    generation: str
    layout: str
    features: frozenset[str]
    options: dict[str, bool] = field(hash=False)
    file: str
    offsets: Offsets = field(hash=False)
    title: str
    section: str
    symbols: tuple[Symbol, ...]
    call_sites: tuple[tuple[str, ...], ...]
    commits: Mapping[str, str] = field(hash=False)
    thread_shift: int
    thread_info_size: int
    new_offsets: tuple[str, ...]

    @property
    def offsets_file(self) -> str | None:
        """The name (no directories) of the file that the offsets were read from; None for lpgen's defaults."""
        return None if self.offsets.file is None else self.offsets.label


def kernel(
    version: str = DEFAULT_VERSION, *, config: Mapping[str, bool] | None = None, offsets: Offsets | None = None
) -> Kernel:
    """Return the kernel ``version`` with the options ``config`` (CONFIG_NAME to on or off; others have their default).

    ``offsets`` are those of a person's own kernel build; None means lpgen's defaults for the version. Raises LpgenError
    for a version lpgen does not have, an option the generation does not have, or offsets that lack a name it needs.
    """
    wanted = parse_version(version)
    facts = _generation(wanted)
    options = _options(facts, config or {})
    features = frozenset(
        name for name, feature in facts["features"].items() if "option" not in feature or options[feature["option"]]
    )
    layout = next(name for name in facts["layouts"] if in_span(wanted, *layout_span(name)))
    made = Kernel(
        version=version_text(wanted),
        generation=facts["id"],
        layout=layout,
        features=features,
        options=options,
        file=facts["file"],
        offsets=default_offsets(layout, version_text(wanted)) if offsets is None else offsets,
        title=facts["title"],
        section=facts["section"],
        symbols=tuple(
            Symbol(symbol["name"], symbol["what"])
            for symbol in facts["symbols"]
            if symbol.get("feature") is None or symbol["feature"] in features
        ),
        call_sites=tuple(tuple(site) for site in facts["call_sites"]),
        commits={commit["id"]: commit["what"] for commit in facts["commits"]},
        thread_shift=facts["stack"]["thread_shift"],
        thread_info_size=facts["stack"]["thread_info_size"],
        new_offsets=tuple(facts["new_offsets"]),
    )
    if offsets is not None:
        check_offsets(offsets, required_names(made))
    return made


def required_names(kernel: Kernel) -> tuple[str, ...]:
    """Return the names of asm-offsets.h that ``kernel`` cannot do without, in the order of names.toml."""
    return tuple(
        name.name for name in known_names().values() if name.needed == "always" or name.needed in kernel.features
    )


def defined_offsets(kernel: Kernel) -> Offsets:
    """Return the offsets that the build of ``kernel`` defines: those of an option that is off are left out."""
    return kernel.offsets.without(
        name.name for name in known_names().values() if kernel.options.get(name.option) is False
    )


def supported() -> tuple[str, str]:
    """Return the first and the last kernel that lpgen has."""
    spans = [(span["first"], span["last"]) for facts in _generations() for span in _spans(facts)]
    return min((first for first, _ in spans), key=parse_version), max((last for _, last in spans), key=parse_version)


@cache
def _generations() -> tuple[dict[str, Any], ...]:
    """Return the generations' data files: g1.toml, g2.toml and so on, up to the first that is not there."""
    found: list[dict[str, Any]] = []
    while True:
        try:
            text = read_data(f"kernel/data/g{len(found) + 1}.toml")
        except OSError:
            return tuple(found)
        found.append(tomllib.loads(text))


def _spans(facts: dict[str, Any]) -> list[dict[str, str]]:
    """Return the spans of kernels of a generation: first..last, then ``also`` (late point releases)."""
    return [{"first": facts["first"], "last": facts["last"]}, *facts.get("also", [])]


def _generation(version: Version) -> dict[str, Any]:
    """Return the generation of ``version``: of several spans that hold it, the one that begins last."""
    fits = [
        (parse_version(span["first"]), facts)
        for facts in _generations()
        for span in _spans(facts)
        if in_span(version, span["first"], span["last"])
    ]
    if fits:
        return max(fits, key=lambda fit: fit[0])[1]
    first, last = supported()
    if version < parse_version(first):
        raise LpgenError(
            f"kernel {version_text(version)} has no livepatch on ppc64le: livepatch on ppc64le came with {first}",
            hint=f"use --kernel {first} or later",
        )
    raise LpgenError(
        f"lpgen has kernels {first} to {last} so far",
        hint=f"{version_text(version)} is not among them, the nearest is --kernel {last}",
    )


def _options(facts: dict[str, Any], config: Mapping[str, bool]) -> dict[str, bool]:
    options: dict[str, bool] = {name: option["default"] for name, option in facts["options"].items()}
    for name, value in config.items():
        if name not in options:
            near = closest(name.removeprefix("CONFIG_"), [known.removeprefix("CONFIG_") for known in options])
            hint = f"did you mean CONFIG_{near}?" if near else f"it has {', '.join(options)}"
            raise LpgenError(f"{name} is not an option of generation {facts['id']}", hint=hint)
        options[name] = bool(value)
    return options
