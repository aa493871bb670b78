"""Kernels: which generation a version belongs to, and the facts of that generation (kernel/data/gN.toml).

A new generation is a new data file: nothing here names one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePosixPath
from typing import Any, Literal

from lpgen.errors import LpgenError
from lpgen.kernel.dotconfig import Autoconf, DotConfig
from lpgen.kernel.names import closest, known_names
from lpgen.kernel.offsets import Offsets, check_kernel_offsets, check_offsets, default_offsets, layout_span
from lpgen.kernel.options import Config, Option, check_setting, known_options
from lpgen.kernel.versions import Version, in_span, parse_version, previous_release, version_text
from lpgen.resources import read_data

DEFAULT_VERSION = "4.7"

SymbolKind = Literal["function", "label", "data", "area"]


@dataclass(frozen=True)
class Symbol:
    """A symbol of the trampolines: ``name``, what it is for, and its ``kind`` (symbols.toml).

    ``inner``: nothing outside the file refers to it.
    """

    name: str
    what: str
    kind: SymbolKind = "function"
    inner: bool = False


@dataclass(frozen=True)
class Stretch:
    """Kernels ``first`` to ``last`` (None: no end) of one generation that do not differ in what lpgen knows of them.

    ``ported``: the point releases of an older series, ``first`` to its end, that got a feature later.
    """

    generation: str
    first: str
    last: str | None
    ported: bool = False


@dataclass(frozen=True)
class Origin:
    """What a kernel's facts were read from: the option that names it, its ``name`` without directories.

    ``version`` is the version that a person gave in place of what was read, "" if none; ``settings`` are the options
    that they set otherwise than it has them; ``offsets`` tells whether the offsets are theirs. ``notes`` say, a line
    each, what was found where; ``shown`` are the offsets that only its own instructions show.
    """

    option: str
    name: str
    version: str = ""
    settings: Mapping[str, bool | int] = field(hash=False, default_factory=dict)
    offsets: bool = False
    notes: tuple[str, ...] = field(compare=False, default=())
    shown: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """The options that name it, and the version that was given."""
        words = [self.option, self.name]
        return [*words, "--kernel", self.version] if self.version else words


@dataclass(frozen=True)
class Kernel:
    """The facts of one kernel in one configuration.

    ``features`` are the named features that templates and checks ask for (features.toml), those whose option is off
    left out; ``backports`` maps those of them that an older series got later to its first point release with them.
    ``options`` says which options are on, ``numbers`` the values of those that are numbers. ``feature_options`` maps a
    feature to the options that it takes, ``unless`` to the one that must be off.
    ``file`` is the kernel file that the assembly replaces (``section``: which part of it; empty: the whole file).
    ``call_sites`` are the forms of the call into ftrace_caller, ``commits`` maps a kernel commit to what it brought.
    ``thread_shift`` is the log2 of a stack's size, ``thread_info_size`` is in bytes (for SMP, with 128-byte cache
    lines): how section 5 of the contract lays out a stack. ``new_offsets`` are the names that the kernel change adds to
    asm-offsets.c; the kernel defines the others anyway. ``change_files`` are the files of `lpgen emit --all`.
    ``origin`` is what they were read from: a kernel's vmlinux, its build directory; None for lpgen's own.
    ``autoconf`` are the macros of all options of its .config, None without one.
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
    change_files: tuple[str, ...] = ()
    backports: Mapping[str, str] = field(hash=False, default_factory=dict)
    numbers: dict[str, int] = field(hash=False, default_factory=dict)
    feature_options: Mapping[str, tuple[str, ...]] = field(hash=False, default_factory=dict)
    unless: Mapping[str, str] = field(hash=False, default_factory=dict)
    origin: Origin | None = None
    autoconf: Autoconf | None = field(hash=False, default=None)

    @property
    def offsets_file(self) -> str | None:
        """The name (no directories) of the file that --offsets names; None for lpgen's defaults and a kernel's own."""
        if self.offsets.file is None or (self.origin is not None and not self.origin.offsets):
            return None
        return self.offsets.label

    @property
    def file_name(self) -> str:
        """The name (no directories) of the kernel file that the assembly replaces."""
        return PurePosixPath(self.file).name

    @property
    def stub_count(self) -> int:
        """How many out-of-line stubs ftrace_ool_stub_text has room for."""
        return self.numbers.get("CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE", 0)

    def option_of(self, name: str) -> str:
        """Return the option of this generation that stands for ``name``: CONFIG_LIVEPATCH_64 for CONFIG_LIVEPATCH."""
        if not name or name in self.options:
            return name
        return next((option for option in self.options if known_options()[option].alias == name), name)


def kernel(
    version: str = DEFAULT_VERSION,
    *,
    config: Config | None = None,
    offsets: Offsets | None = None,
    dotconfig: Config | None = None,
    shown: Mapping[str, bool] | None = None,
) -> Kernel:
    """Return the kernel ``version`` with the options ``config`` (CONFIG_NAME to on or off; others have their default).

    ``dotconfig`` is what a kernel's .config says of them, names that do not matter included: what neither settles has
    Kconfig's default then, and lpgen's own without a .config. ``offsets`` are those of a person's own kernel build;
    None means lpgen's defaults for the version. ``shown`` says of features that older series can have whether this one
    has them, whatever its version (a distribution's back-port). Raises LpgenError for a version lpgen does not have, an
    option the generation does not have, options that exclude each other, or offsets that lack a name it needs.
    """
    wanted = parse_version(version)
    facts = _generation(wanted)
    options, numbers = _options(facts, wanted, config or {}, dotconfig)
    declared, backports = _features(facts, wanted, shown or {})
    features = frozenset(
        name
        for name, feature in declared.items()
        if all(options[option] for option in feature.get("options", ())) and not options.get(feature.get("unless", ""))
    )
    layout = next(name for name in facts["layouts"] if in_span(wanted, *layout_span(name)))
    file = [entry for entry in facts["files"] if parse_version(entry["first"]) <= wanted][-1]
    made = Kernel(
        version=version_text(wanted),
        generation=facts["id"],
        layout=layout,
        features=features,
        options=options,
        file=file["name"],
        offsets=default_offsets(layout, version_text(wanted)) if offsets is None else offsets,
        title=facts["title"],
        section=file.get("section", ""),
        symbols=_symbols(features),
        call_sites=tuple(tuple(site["code"]) for site in facts["call_sites"] if _is_there(site, features)),
        commits={commit["id"]: commit["what"] for commit in facts.get("commits", ())},
        thread_shift=facts["stack"]["thread_shift"],
        thread_info_size=facts["stack"]["thread_info_size"],
        new_offsets=tuple(facts["new_offsets"]),
        change_files=tuple(facts["change_files"]),
        backports=backports,
        numbers=numbers,
        feature_options={name: tuple(feature.get("options", ())) for name, feature in declared.items()},
        unless={name: feature["unless"] for name, feature in declared.items() if "unless" in feature},
        autoconf=dotconfig.autoconf if isinstance(dotconfig, DotConfig) else None,
    )
    if offsets is not None:
        check_offsets(offsets, required_names(made))
        check_kernel_offsets(offsets, features, thread_info_size=made.thread_info_size)
    return made


def every_config(version: str) -> Iterator[dict[str, bool | int]]:
    """Yield each possible setting of the on-off options of a kernel, the default one first."""
    from itertools import product

    default = kernel(version)
    for values in product(*((on, not on) for on in default.options.values())):
        config: dict[str, bool | int] = dict(zip(default.options, values, strict=True))
        if all(config[need] for name, on in config.items() if on for need in known_options()[name].needs):
            yield config


def settings_of(kernel: Kernel) -> dict[str, bool | int]:
    """Return the fewest settings, in the options' order, that make the options of ``kernel`` out of the defaults.

    For a kernel that was read from files: out of what these say.
    """
    if kernel.origin is not None:
        return dict(kernel.origin.settings)
    wanted = parse_version(kernel.version)
    facts = _generation(wanted)
    settings: dict[str, bool | int] = {}
    for name, value in (*kernel.options.items(), *kernel.numbers.items()):
        options, numbers = _options(facts, wanted, settings, None)
        if (options | numbers)[name] != value:
            settings[name] = value
    return settings


def required_names(kernel: Kernel) -> tuple[str, ...]:
    """Return the names of asm-offsets.h that ``kernel`` cannot do without, in the order of names.toml."""
    return tuple(
        name.name
        for name in known_names().values()
        if name.needed and all(need == "always" or need in kernel.features for need in name.needed)
    )


def defined_offsets(kernel: Kernel) -> Offsets:
    """Return the offsets that the build of ``kernel`` defines: those of an option that is off are left out."""
    return kernel.offsets.without(
        name.name for name in known_names().values() if kernel.options.get(kernel.option_of(name.option)) is False
    )


def supported() -> tuple[str, str | None]:
    """Return the first and the last kernel that lpgen has (None: no end)."""
    facts = _generations()
    return facts[0]["first"], facts[-1].get("last")


def spans() -> Iterator[tuple[str, str, str | None]]:
    """Yield each generation with its first and its last kernel (None: no end), in order."""
    for facts in _generations():
        yield facts["id"], facts["first"], facts.get("last")


def versions_of(generation: str) -> tuple[str, ...]:
    """Return kernels of a generation that differ in what lpgen knows of them: where a layout, a file, a feature begins.

    The first kernel of the generation comes first, back-ported features' kernels last. Raises LpgenError for an unknown
    generation.
    """
    facts = next((facts for facts in _generations() if facts["id"] == generation), None)
    if facts is None:
        raise LpgenError(f"{generation!r} is not a generation", hint=f"there are {', '.join(g for g, *_ in spans())}")
    return tuple(stretch.first for stretch in _stretches(facts))


def stretches() -> Iterator[Stretch]:
    """Yield all kernels that lpgen has, in stretches, in the order of their versions."""
    for facts in _generations():
        yield from sorted(_stretches(facts), key=lambda stretch: parse_version(stretch.first))


def _stretches(facts: dict[str, Any]) -> Iterator[Stretch]:
    """Yield the stretches of a generation: its own kernels, and then those with a back-ported feature."""
    first, last = facts["first"], facts.get("last")
    marks = {first, *(layout_span(name)[0] for name in facts["layouts"])}
    marks |= {entry["first"] for entry in facts["files"]}
    for kind in ("features", "options"):
        marks |= {entry["first"] for entry in facts[kind].values() if "first" in entry}
    inside = sorted({parse_version(mark) for mark in marks if in_span(parse_version(mark), first, last)})
    for begin, end in zip(inside, [*inside[1:], None], strict=True):
        yield Stretch(facts["id"], version_text(begin), last if end is None else version_text(previous_release(end)))
    ported = {entry["first"]: entry["last"] for entries in _table("backports").values() for entry in entries}
    for begun in sorted(ported, key=parse_version):
        if in_span(parse_version(begun), first, last):
            yield Stretch(facts["id"], begun, ported[begun], ported=True)


def span_of(generation: str) -> tuple[str, str | None]:
    """Return the first and the last kernel of a generation (None: no end)."""
    return next((first, last) for name, first, last in spans() if name == generation)


def feature_texts() -> Mapping[str, str]:
    """Return what each named feature means."""
    return {name: facts["what"] for name, facts in _table("features").items()}


def feature_code() -> Mapping[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]:
    """Return the features that a kernel's code shows: how it begins with it, in any case, and in which functions."""
    return {
        name: (tuple(facts["code"]), tuple(facts["other"]), tuple(facts["where"]))
        for name, facts in _table("features").items()
        if "code" in facts
    }


def kernel_files() -> tuple[str, ...]:
    """Return the kernel files that the assembly replaces, of every kernel, the oldest first."""
    return tuple(dict.fromkeys(entry["name"] for facts in _generations() for entry in facts["files"]))


def symbols_of(version: str) -> frozenset[str]:
    """Return the names of the symbols that the assembly for a kernel has, in one configuration or another."""
    return frozenset(
        symbol.name for config in every_config(version) for symbol in kernel(version, config=config).symbols
    )


def option_names(version: str) -> dict[str, str]:
    """Return the names that a setting for a kernel may have, aliases included, and the option that each sets."""
    wanted = parse_version(version)
    names = _option_names(_generation(wanted), wanted)
    aliases = {known_options()[name].alias: name for name in names if known_options()[name].alias}
    return {name: name for name in names} | aliases


@cache
def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(read_data(f"kernel/data/{name}.toml"))


@cache
def _generation_file(number: int) -> dict[str, Any] | None:
    try:
        text = read_data(f"kernel/data/g{number}.toml")
    except OSError:
        return None
    return tomllib.loads(text)


def _each_generation() -> Iterator[dict[str, Any]]:
    """Yield the generations' data files: g1.toml, g2.toml and so on, up to the first that is not there."""
    number = 1
    while (facts := _generation_file(number)) is not None:
        yield facts
        number += 1


def _generations() -> tuple[dict[str, Any], ...]:
    return tuple(_each_generation())


def _generation(version: Version) -> dict[str, Any]:
    """Return the generation of ``version``."""
    for facts in _each_generation():
        # The first that does not end before it: the files are in the order of their kernels.
        if in_span(version, facts["first"], facts.get("last")):
            return facts
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


def _features(
    facts: dict[str, Any], version: Version, shown: Mapping[str, bool]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the features that the kernel can have, and which of them are back-ported, since when."""
    declared = {
        name: feature
        for name, feature in facts["features"].items()
        if "first" not in feature or parse_version(feature["first"]) <= version
    }
    ported = {
        name: span["first"]
        for name, ported_spans in _table("backports").items()
        for span in ported_spans
        if name not in declared and in_span(version, span["first"], span["last"])
    }
    for name in shown:
        if name not in declared and not shown[name]:
            ported.pop(name, None)
        elif name not in declared:
            ported.setdefault(name, version_text(version))
    return declared | {name: {} for name in ported}, ported


def _is_there(entry: Mapping[str, Any], features: Iterable[str]) -> bool:
    """Say whether what an entry of a data file ``needs``, and nothing of its ``unless``, is among ``features``."""

    def listed(key: str) -> list[str]:
        names = entry.get(key, [])
        return [names] if isinstance(names, str) else names

    return all(name in features for name in listed("needs")) and not any(name in features for name in listed("unless"))


def _symbols(features: frozenset[str]) -> tuple[Symbol, ...]:
    return tuple(
        Symbol(entry["name"], entry["what"], entry["kind"], entry.get("inner", False))
        for entry in _table("symbols")["symbols"]
        if _is_there(entry, features)
    )


def _option_names(facts: dict[str, Any], version: Version) -> list[str]:
    return [
        name
        for name, option in facts["options"].items()
        if "first" not in option or parse_version(option["first"]) <= version
    ]


def _options(
    facts: dict[str, Any], version: Version, config: Config, dotconfig: Config | None
) -> tuple[dict[str, bool], dict[str, int]]:
    """Return the options of the kernel, on or off, and those that are numbers, as they are settled or by default."""
    names = _option_names(facts, version)
    settled: dict[str, bool | int] = {}
    for name in names:
        value = _from_dotconfig(known_options()[name], dotconfig)
        if value is not None:
            check_setting(name, value)
            settled[name] = value
    settled |= _settled(facts, names, config)
    options: dict[str, bool] = {}
    numbers: dict[str, int] = {}
    for name in names:
        option = known_options()[name]
        default = option.default if dotconfig is None else option.kconfig
        if option.is_number:
            numbers[name] = int(settled.get(name, default))
            continue
        default = default and all(options[need] for need in (*option.needs, *option.follows))
        options[name] = bool(settled.get(name, default))
        missing = [need for need in option.needs if options[name] and not options[need]]
        if missing:
            raise LpgenError(f"{name}=y needs {missing[0]}=y", hint=f"set {missing[0]}=y, or {name}=n")
    return options, numbers


def _from_dotconfig(option: Option, dotconfig: Config | None) -> bool | int | None:
    if dotconfig is None:
        return None
    return dotconfig.get(option.name, dotconfig.get(option.alias))


def _settled(facts: dict[str, Any], names: list[str], config: Config) -> dict[str, bool | int]:
    """Return the settings of a person by the names of this generation. Raises LpgenError for one it does not have."""
    aliases = {known_options()[name].alias: name for name in names if known_options()[name].alias}
    settled: dict[str, bool | int] = {}
    for given, value in config.items():
        name = aliases.get(given, given)
        if name not in names:
            _refuse_option(facts, given, names)
        check_setting(name, value)
        if settled.get(name, value) != value:
            alias = known_options()[name].alias
            raise LpgenError(f"{alias} and {name} contradict each other", hint=f"{alias} sets {name}")
        settled[name] = value
    return settled


def _refuse_option(facts: dict[str, Any], given: str, names: list[str]) -> None:
    near = closest(given.removeprefix("CONFIG_"), [known.removeprefix("CONFIG_") for known in names])
    if given in known_options():
        reason = f"{given} changes nothing in generation {facts['id']}"
    else:
        reason = f"{given} is not an option of generation {facts['id']}"
    close = near is not None and given not in known_options()
    raise LpgenError(reason, hint=f"did you mean CONFIG_{near}?" if close else f"it has {', '.join(names)}")
