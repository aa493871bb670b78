"""A kernel's facts out of its vmlinux: which kernel it is, its configuration, its offsets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

from lpgen.elf.btf import read_btf
from lpgen.elf.dwarf import Dwarf, read_dwarf
from lpgen.elf.fields import Types
from lpgen.elf.file import ElfFile, open_elf
from lpgen.errors import LpgenError, Place
from lpgen.kernel.banner import Release, read_release
from lpgen.kernel.bug_table import bug_entry_size
from lpgen.kernel.code import Code, Shown, most_common
from lpgen.kernel.dotconfig import Autoconf, DotConfig
from lpgen.kernel.expression import evaluate, fields_of
from lpgen.kernel.generations import Kernel, Origin, feature_code, required_names, spans, versions_of
from lpgen.kernel.generations import kernel as kernel_facts
from lpgen.kernel.model import Offset, Offsets
from lpgen.kernel.names import known_names
from lpgen.kernel.offsets import layout_macros
from lpgen.kernel.options import Config, known_options, setting_text
from lpgen.kernel.symbols import config_of_symbols, read_ikconfig
from lpgen.kernel.versions import parse_version

OPTION = "--vmlinux"
DEBUG_LINK = ".gnu_debuglink"
# Facts of a layout: where the code or the types say otherwise, one of them is not of this kernel.
_LAYOUT_KINDS = frozenset({"frame", "slot"})
# What depends on a kernel's configuration: lpgen has no fact of it.
_GUESSED = ("default paca", "default build")


@dataclass(frozen=True)
class Found:
    """A kernel that was read from files, and ``notes``, a line each: what was found where, and what was not."""

    kernel: Kernel
    notes: tuple[str, ...] = ()


def read_vmlinux(
    path: Path,
    *,
    version: str | None = None,
    config: Config | None = None,
    dotconfig: Config | None = None,
    offsets: Offsets | None = None,
) -> Found:
    """Return the kernel whose vmlinux ``path`` is; see ``kernel_of_vmlinux``."""
    with open_elf(path) as elf:
        return kernel_of_vmlinux(elf, version=version, config=config, dotconfig=dotconfig, offsets=offsets)


def kernel_of_vmlinux(
    elf: ElfFile,
    *,
    version: str | None = None,
    config: Config | None = None,
    dotconfig: Config | None = None,
    offsets: Offsets | None = None,
) -> Found:
    """Return the kernel that a vmlinux, or its separate debug file, is.

    The version is that of linux_banner; the configuration that of an embedded .config, else what the symbols show; the
    offsets are those of its DWARF or BTF, else what its instructions show, else lpgen's own. ``version``, ``config``
    and ``dotconfig`` (single options, and what a .config says), and ``offsets`` win over what is read.
    Raises LpgenError for a file that is no kernel, does not say which, or is damaged.
    """
    if elf.kind != "executable":
        raise LpgenError("is an object, not a linked kernel", place=elf.place, hint="give a kernel's vmlinux")
    notes: list[str] = []
    chosen = _version(elf, version, notes)
    own, source = _configuration(elf)
    settled = merged(own, dotconfig)
    code = Code(elf, _functions())
    shown = _shown(code, chosen, notes)
    plain = kernel_facts(chosen, dotconfig=own, shown=shown)
    if own is not None or dotconfig is None:
        notes.append(f"{source}: {', '.join(setting_text(*setting) for setting in plain.options.items())}")
        notes += _contradicted(elf, plain)
    facts = kernel_facts(chosen, config=config, dotconfig=settled, shown=shown)
    read, shown_names = (offsets, ()) if offsets is not None else _offsets(elf, facts, code, notes)
    made = kernel_facts(chosen, config=config, dotconfig=settled, shown=shown, offsets=read)
    said = tuple(notes)
    origin = Origin(
        OPTION, plain_name(elf.name), version or "", differing(plain, made), offsets is not None, said, shown_names
    )
    return Found(replace(made, origin=origin), said)


def plain_name(path: str) -> str:
    """Return a file's name without its directories, fit for a comment in a generated file."""
    return "".join(char if char.isprintable() else "?" for char in Path(path).name)


def merged(own: Config | None, given: Config | None) -> Config | None:
    """Return what two .configs say, the second where both do; None when there is neither."""
    if own is None or given is None:
        return own if given is None else given
    # An option that goes by another name in some generations is meant by both names.
    aliased = {
        option.name: given[option.alias]
        for option in known_options().values()
        if option.alias in given and option.name not in given
    }
    both = {**own, **given, **aliased}
    made = [config.autoconf for config in (own, given) if isinstance(config, DotConfig)]
    return DotConfig(both, reduce(Autoconf.then, made)) if made else both


def differing(plain: Kernel, made: Kernel) -> dict[str, bool | int]:
    """Return the settings that make the options of ``made`` out of those of ``plain``."""
    before: dict[str, bool | int] = {**plain.options, **plain.numbers}
    after: dict[str, bool | int] = {**made.options, **made.numbers}
    return {name: value for name, value in after.items() if before.get(name) != value}


def _version(elf: ElfFile, given: str | None, notes: list[str]) -> str:
    if given is not None:
        return given
    release = read_release(elf)
    if release is None:
        separate = elf.section(".text") is not None and not any(elf.held(s) for s in elf.sections if s.allocated)
        what = "it holds debug data alone" if separate else "it is no whole kernel"
        raise LpgenError(f"has no linux_banner: {what}", place=elf.place, hint="say with --kernel which kernel it is")
    notes.append(_said(release))
    last = versions_of(list(spans())[-1][0])[-1]
    if parse_version(release.version)[:2] > parse_version(last)[:2]:
        notes.append(f"{release.version} is later than {last}, the last kernel that lpgen has facts of: they are taken")
    return release.version


def _said(release: Release) -> str:
    if not release.stable:
        return (
            f"kernel {release.version}, its uname being {release.uname}: its banner names no stable release, so that "
            "its code decides what was back-ported"
        )
    if release.uname.startswith(release.version):
        return f"kernel {release.version}, its uname being {release.uname}"
    return f"kernel {release.version}, the stable release that its banner names; its uname is {release.uname}"


def _configuration(elf: ElfFile) -> tuple[Config | None, str]:
    """Return what the file says of the kernel's options, None if nothing, and how it says so."""
    if (found := read_ikconfig(elf)) is not None:
        return found, "configuration, from the .config inside it (IKCONFIG)"
    if (found := config_of_symbols(elf)) is not None:
        return found, "configuration, from its symbols"
    return None, "its symbols do not show its configuration (--config takes its .config); taken are"


def _contradicted(elf: ElfFile, plain: Kernel) -> list[str]:
    """Return a note where the symbols show another configuration than the file says."""
    shown = config_of_symbols(elf) or {}
    wrong = {name: shown[name] for name, value in plain.options.items() if shown.get(name, value) != value}
    if not wrong:
        return []
    return [f"contradiction: its symbols show {', '.join(setting_text(*setting) for setting in wrong.items())}"]


def _functions() -> set[str]:
    names = {function for name in known_names().values() for function in name.where}
    return names | {function for *_, where in feature_code().values() for function in where}


def _shown(code: Code, version: str, notes: list[str]) -> dict[str, bool]:
    """Return the features that the code shows to be there or not, and note what the version alone does not say."""
    shown: dict[str, bool] = {}
    plain = kernel_facts(version)
    for feature, (pattern, other, where) in feature_code().items():
        begins = code.begins(where, pattern, other)
        if begins is None:
            continue
        shown[feature] = begins[0]
        if begins[0] == (feature in plain.features):
            continue
        there, version_has = ("there", "lacks") if begins[0] else ("not there", "has")
        notes.append(f"{feature} is {there}, as {begins[1]} begins, though {plain.version} {version_has} it")
    return shown


# Offsets


@contextmanager
def _types(elf: ElfFile) -> Iterator[Types | None]:
    """Yield the types of the file's DWARF, else of its BTF; None when it has neither."""
    types: Types | None = read_dwarf(elf) or read_btf(elf)
    try:
        yield types
    finally:
        if isinstance(types, Dwarf):
            types.close()


def _offsets(elf: ElfFile, facts: Kernel, code: Code, notes: list[str]) -> tuple[Offsets, tuple[str, ...]]:
    """Return the constants of the kernel ``facts``, each from the best place that has it; and those of its code alone.

    That is DWARF or BTF; else what is known of the version; else, of what depends on the configuration, the code.
    """
    name = plain_name(elf.name)
    macros = layout_macros(facts.layout)
    required = frozenset(required_names(facts))
    entries: list[Offset] = []
    differences: list[str] = []
    counts = {"types": 0, "code": 0, "facts": 0}
    guessed: list[str] = []
    own: list[str] = []
    lacking: list[str] = []
    with _types(elf) as types:
        what = None if types is None else types.what
        for entry in facts.offsets.entries:
            kind = known_names()[entry.name].kind
            value = None if types is None else evaluate(entry.expression, types, macros)
            shown = _in_code(elf, entry.name, code, alone=types is None)
            table = bug_entry_size(elf) if entry.name == "BUG_ENTRY_SIZE" and value is None else None
            if table is not None:
                value, source = table, f"{name}: the entries of its __bug_table"
                counts["code"] += 1
            elif value is not None:
                source = f"{what} of {name}: {', '.join(fields_of(entry.expression, macros))}"
                counts["types"] += 1
            elif shown is not None and entry.source.startswith(_GUESSED):
                # Only where nothing else says it: what is judged by its own instructions cannot be wrong.
                value, source = shown.value, f"{name}: {shown.at}"
                counts["code"] += 1
                own.append(entry.name)
            elif entry.name in required or (types is None and kind in _LAYOUT_KINDS):
                value, source = entry.value, entry.source
                counts["facts"] += 1
                if types is not None:
                    lacking.append(entry.name)
                if source.startswith(_GUESSED):
                    guessed.append(entry.name)
            else:
                continue
            if shown is not None and shown.value != value:
                where = f"its {what}" if what is not None else f"kernel {facts.version}"
                differences.append(f"{entry.name} is {value} in {where}, but {shown.at}")
            elif shown is not None and shown.doubt:
                differences.append(f"{entry.name} is {value} at {shown.at}, but {shown.doubt}")
            elif kind in _LAYOUT_KINDS and value != entry.value:
                differences.append(f"{entry.name} is {value}, but {entry.value} in layout {facts.layout}")
            entries.append(replace(entry, value=value, source=source, place=Place(elf.name)))
    notes.append(_counted(elf, facts, what, counts))
    if lacking:
        notes.append(
            f"its {what} has no {', '.join(lacking)}: lpgen's own {'is' if len(lacking) == 1 else 'are'} taken"
        )
    if guessed:
        notes.append(f"{', '.join(guessed)}: another kernel's, a guess; give --offsets")
    if differences:
        more = f", and {len(differences) - 1} more like this" if len(differences) > 1 else ""
        notes.append(f"contradiction: {differences[0]}{more}")
    label = f"{name}, {what or 'its instructions'}"
    return Offsets(entries, label=label, file=elf.name), tuple(own)


def _in_code(elf: ElfFile, name: str, code: Code, *, alone: bool) -> Shown | None:
    """Return what the code shows of a constant; ``alone``: nothing else does, so that more of it is looked at."""
    known = known_names()[name]
    shown = code.find(known)
    if shown is None or not alone or not known.anywhere:
        return shown
    common = most_common(elf, known.anywhere)
    if common is None:
        return shown
    number, count, total = common
    if number != shown.value:
        return Shown(shown.value, shown.at, f"{number} in {count} of the {total} such loads of .text")
    return Shown(shown.value, f"{shown.at}, as in {count} of the {total} such loads of .text")


def _counted(elf: ElfFile, facts: Kernel, what: str | None, counts: Mapping[str, int]) -> str:
    if what is not None:
        rest = f", {counts['code']} from its instructions" if counts["code"] else ""
        return f"offsets: {counts['types']} from its {what}{rest}"
    link = elf.section(DEBUG_LINK)
    where = ""
    if link is not None and elf.held(link):
        target = elf.bytes_at(link.offset, min(link.size, 256)).split(b"\0")[0].decode("utf-8", "replace")
        where = f" (they are in {plain_name(target)}, which {OPTION} takes too)"
    return (
        f"no DWARF and no BTF in it{where}: {counts['code']} offsets from its instructions, "
        f"{counts['facts']} from layout {facts.layout} and lpgen's own facts"
    )
