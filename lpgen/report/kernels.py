"""The kernels that lpgen has, as text and as JSON: lpgen.kernels/1, whose fields `lpgen schema kernels` describes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from lpgen import __version__
from lpgen.kernel.generations import Kernel, Stretch, feature_texts, kernel, span_of, stretches
from lpgen.kernel.offsets import layout_span
from lpgen.kernel.options import Option, known_options, setting_text
from lpgen.kernel.versions import span_text
from lpgen.report.columns import columns
from lpgen.report.style import HEADING, Text
from lpgen.report.wrap import wrapped

SCHEMA = "lpgen.kernels/1"

THREAD_INFO = ("thread_info_on_stack", "thread_info_in_task")


def list_lines(width: int) -> Iterator[Text]:
    """Yield the table of all kernels that lpgen has, in lines of ``width`` columns where that can be."""
    rows = [("kernels", "gen", "layout", "file replaced: what is different; + and - symbols")]
    before: Kernel | None = None
    for stretch in stretches():
        made = kernel(stretch.first)
        rows.append(
            (span_text(stretch.first, stretch.last), made.generation, made.layout, _news(stretch, made, before))
        )
        if not stretch.ported:
            before = made
    yield from columns(rows, width, heading=True)


def _news(stretch: Stretch, made: Kernel, before: Kernel | None) -> str:
    """Return what is different in a stretch of kernels from the one before, or from what it was ported back to."""
    what = []
    if before is None or before.generation != made.generation:
        what.append(made.title)
    else:
        if made.layout != before.layout:
            what.append(f"SWITCH_FRAME_SIZE {made.offsets['SWITCH_FRAME_SIZE']}")
        new = [name for name in feature_texts() if name in made.features - before.features]
        if new:
            what.append(f"{'back-ported' if stretch.ported else 'new'}: {', '.join(new)}")
    lines = [f"{made.file_name}{' (a part)' if made.section else ''}: {'; '.join(what)}"]
    old = [] if before is None else [symbol.name for symbol in before.symbols]
    now = [symbol.name for symbol in made.symbols]
    for sign, names in (("+", [name for name in now if name not in old]), ("-", [n for n in old if n not in now])):
        if names:
            lines.append(f"{sign} {', '.join(names)}")
    return "\n".join(lines)


def list_json() -> dict[str, Any]:
    """Return the table of all kernels that lpgen has as JSON-able data."""
    return {"schema": SCHEMA, "lpgen": __version__, "kernels": [_stretch_json(stretch) for stretch in stretches()]}


def _stretch_json(stretch: Stretch) -> dict[str, Any]:
    made = kernel(stretch.first)
    return {
        "first": stretch.first,
        "last": stretch.last,
        "back_port": stretch.ported,
        "generation": made.generation,
        "title": made.title,
        "layout": made.layout,
        "file": made.file,
        "section": made.section,
        "features": sorted_features(made.features),
        "symbols": [symbol.name for symbol in made.symbols],
    }


def kernel_lines(made: Kernel, width: int) -> Iterator[Text]:
    """Yield all that lpgen knows of one kernel in one configuration, in lines of ``width`` columns if that can be."""
    frames = ", ".join(f"{name} {made.offsets[name]}" for name in ("SWITCH_FRAME_SIZE", "INT_FRAME_SIZE"))
    head = [
        ("kernel", made.version),
        ("generation", f"{made.generation}, {span_text(*span_of(made.generation))}: {made.title}"),
        *(("back-port", f"{name}, since {first}") for name, first in made.backports.items()),
        ("layout", f"{made.layout}, {span_text(*layout_span(made.layout))}: {frames}"),
        ("replaces", f"{made.file}, {made.section or 'the whole file'}"),
        ("thread_info", thread_info_text(made).removeprefix("thread_info is ")),
        ("call sites", "\n".join("; ".join(code) for code in made.call_sites)),
    ]
    yield from columns(head, width)
    yield from _title("symbols")
    yield from columns([(s.name, s.kind, s.what) for s in made.symbols], width, "  ")
    yield from _title("features")
    texts = feature_texts()
    yield from columns([(name, texts[name]) for name in sorted_features(made.features)], width, "  ")
    yield Text()
    yield from _option_lines(made, width)
    if made.commits:
        yield from _title("commits")
        yield from columns(list(made.commits.items()), width, "  ")


def _title(text: str) -> Iterator[Text]:
    yield Text()
    yield Text(text, HEADING)


def _option_lines(made: Kernel, width: int) -> Iterator[Text]:
    values = _values(made)
    settings = [setting_text(name, value) for name, value in values.items()]
    wide = max(map(len, settings)) + 2
    yield Text(f"{'options':<{wide}}  default  Kconfig", HEADING)
    for setting, name in zip(settings, values, strict=True):
        option = known_options()[name]
        yield Text(f"  {setting:<{wide - 2}}  {_plain(option.default):>7}  {_plain(option.kconfig):>7}")
        yield from map(Text, wrapped("; ".join(_option_facts(made, option)), width, " " * 6))


def _option_facts(made: Kernel, option: Option) -> Iterable[str]:
    yield option.what
    if option.needs:
        yield f"needs {', '.join(option.needs)}"
    if option.follows:
        yield f"by default on only with {', '.join(option.follows)}"
    if option.alias:
        yield f"{option.alias} sets it"


def _plain(value: bool | int) -> str:
    return ("n", "y")[value] if isinstance(value, bool) else str(value)


def _values(made: Kernel) -> dict[str, bool | int]:
    return {**made.options, **made.numbers}


def thread_info_text(made: Kernel) -> str:
    """Return how the thread_info of the thread that runs is found."""
    text = feature_texts()[_thread_info(made)]
    return text.replace("the low thread_shift bits", f"the low {made.thread_shift} bits (THREAD_SHIFT)")


def _thread_info(made: Kernel) -> str:
    return next(name for name in THREAD_INFO if name in made.features)


def sorted_features(features: Iterable[str]) -> list[str]:
    """Return features in the order of features.toml."""
    return sorted(features, key=list(feature_texts()).index)


def kernel_json(made: Kernel) -> dict[str, Any]:
    """Return all that lpgen knows of one kernel in one configuration as JSON-able data."""
    first, last = span_of(made.generation)
    layout_first, layout_last = layout_span(made.layout)
    return {
        "schema": SCHEMA,
        "lpgen": __version__,
        "kernel": {
            "version": made.version,
            "generation": {"id": made.generation, "title": made.title, "first": first, "last": last},
            "back_ports": dict(made.backports),
            "layout": {
                "id": made.layout,
                "first": layout_first,
                "last": layout_last,
                "switch_frame_size": made.offsets["SWITCH_FRAME_SIZE"],
                "int_frame_size": made.offsets["INT_FRAME_SIZE"],
            },
            "file": made.file,
            "section": made.section,
            "thread_info": {
                "feature": _thread_info(made),
                "what": thread_info_text(made),
                "thread_shift": made.thread_shift,
                "thread_info_size": made.thread_info_size,
            },
            "call_sites": [list(code) for code in made.call_sites],
            "symbols": [{"name": s.name, "kind": s.kind, "inner": s.inner, "what": s.what} for s in made.symbols],
            "features": [{"name": name, "what": feature_texts()[name]} for name in sorted_features(made.features)],
            "options": [_option_json(made, name, value) for name, value in _values(made).items()],
            "commits": [{"id": commit, "what": what} for commit, what in made.commits.items()],
        },
    }


def _option_json(made: Kernel, name: str, value: bool | int) -> dict[str, Any]:
    option = known_options()[name]
    decides = [f for f, options in made.feature_options.items() if name in options or made.unless.get(f) == name]
    return {
        "name": name,
        "value": value,
        "default": option.default,
        "kconfig": option.kconfig,
        "needs": list(option.needs),
        "follows": list(option.follows),
        "what": option.what,
        "features": sorted_features(decides),
    }
