"""The Jinja environment: search path, strictness, and the template line of every rendered line.

A template is looked for in the person's directory first, then among the shipped ones; ``lpgen/NAME`` always means the
shipped one, so that an override can extend the original (``{% extends "lpgen/livepatch_handler.S.j2" %}``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.parser import Parser

from lpgen import resources
from lpgen.errors import LpgenError, Place
from lpgen.source.packs import Templates, directory_of

SHIPPED_PREFIX = "lpgen/"

# Each piece of template text starts with a marker of two characters from the supplementary private use planes, which
# no assembly and no Jinja filter touches: the template's number, then the line in it.
_TEMPLATE_PLANE = 0x100000
_LINE_PLANE = 0xF0000
_PLANE_SIZE = 0xFFFE


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendered template: its text, and for each line of the text the template line it came from (None: unknown)."""

    text: str
    origins: tuple[Place | None, ...]


class _Markers(Extension):
    """Marks each line of template text with the place that it came from."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        names: list[str] = self.environment.globals["_marked_templates"]  # type: ignore[assignment]
        # The parser names a template by its display name (see TemplateLoader); it is numbered on first sight.
        name = stream.filename or stream.name or "<template>"
        if name not in names:
            names.append(name)
        first = chr(_TEMPLATE_PLANE + names.index(name))
        for token in stream:
            if token.type != "data":
                yield token
                continue
            pieces = token.value.splitlines(keepends=True)
            value = "".join(
                f"{first}{chr(_LINE_PLANE + min(token.lineno + n, _PLANE_SIZE))}{piece}"
                for n, piece in enumerate(pieces)
            )
            yield Token(token.lineno, token.type, value)


class _When(Extension):
    """``{% when FEATURE %} ... {% otherwise %} ... {% endwhen %}``: text that depends on a feature; and ``unless``.

    The context's ``conditions`` say whether a part is shown, and what stands before, between and behind the parts:
    nothing, or the #ifdef of the feature's option where the options are kept in the text.
    """

    tags = {"when", "unless"}  # noqa: RUF012 - jinja2 declares it for the instance

    def parse(self, parser: Parser) -> list[nodes.Node]:
        tag = next(parser.stream)
        line, wanted = tag.lineno, nodes.Const(tag.value == "when")
        feature = nodes.Const(parser.stream.expect("name").value)
        body = parser.parse_statements(("name:otherwise", f"name:end{tag.value}"))
        other: list[nodes.Node] = []
        if next(parser.stream).value == "otherwise":
            other = parser.parse_statements((f"name:end{tag.value}",), drop_needle=True)

        def ask(method: str, *values: nodes.Expr) -> nodes.Expr:
            target = nodes.Getattr(nodes.Name("conditions", "load"), method, "load")
            return nodes.Call(target, [feature, *values], [], None, None, lineno=line)

        parts: list[nodes.Node] = [nodes.Output([ask("opening", wanted)], lineno=line)]
        parts.append(nodes.If(ask("shown", wanted), body, [], [], lineno=line))
        if other:
            parts.append(nodes.Output([ask("middle")], lineno=line))
            parts.append(nodes.If(ask("shown", nodes.Not(wanted)), other, [], [], lineno=line))
        parts.append(nodes.Output([ask("closing")], lineno=line))
        return parts


class TemplateLoader(jinja2.BaseLoader):
    """Templates of a person's ``directory``, then the shipped ones. ``names``: what was read, as places say it."""

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory
        self.names: set[str] = set()

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        """Return a template's text, its name for a person, and what says whether it is still the same."""
        found = self._read(template)
        self.names.add(found[1])
        # Compared by what they hold: a file can be saved twice between two ticks of the clock that stamps it.
        return *found, lambda: self._read(template) == found

    def _read(self, template: str) -> tuple[str, str]:
        """Return the text of a template and its name for a person."""
        if ".." in template.split("/"):
            raise jinja2.TemplateNotFound(template)
        if self.directory is not None and not template.startswith(SHIPPED_PREFIX):
            path = self.directory / template
            if path.is_file():
                try:
                    return path.read_text(encoding="utf-8"), str(path)
                except UnicodeDecodeError as error:
                    raise LpgenError(
                        "is not UTF-8 text", place=Place(str(path)), hint="a template is a text file"
                    ) from error
                except OSError as error:
                    raise LpgenError(
                        f"cannot be read: {(error.strerror or str(error)).lower()}", place=Place(str(path))
                    ) from error
        name = template.removeprefix(SHIPPED_PREFIX)
        try:
            return resources.read_template(name), f"templates/{name}"
        except OSError as error:
            raise jinja2.TemplateNotFound(template) from error


# Compiling takes most of a rendering's time: the shipped templates, and those of one directory, are kept compiled.
@lru_cache(maxsize=2)
def _environment(directory: Path | None) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=TemplateLoader(directory),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
        # Compiled for one rendering, as a rule: folding constants takes longer than it saves.
        optimized=False,
        extensions=[_Markers, _When],
    )
    environment.globals["_marked_templates"] = []
    return environment


def _place_of(error: BaseException, names: list[str]) -> Place | None:
    """Return the innermost template line in the traceback: undefined-name errors carry no line of their own."""
    place = None
    trace = error.__traceback__
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        if filename in names:
            place = Place(filename, trace.tb_lineno)
        trace = trace.tb_next
    return place


def _strip_markers(text: str, names: list[str]) -> Rendered:
    lines: list[str] = []
    origins: list[Place | None] = []
    for line in text.split("\n"):
        clean: list[str] = []
        origin: Place | None = None
        template: str | None = None
        for char in line:
            code = ord(char)
            if code >= _TEMPLATE_PLANE:
                template = names[code - _TEMPLATE_PLANE]
            elif code >= _LINE_PLANE:
                if origin is None and template is not None:
                    origin = Place(template, code - _LINE_PLANE)
            else:
                clean.append(char)
        lines.append("".join(clean))
        origins.append(origin)
    return Rendered("\n".join(lines), tuple(origins))


def check_templates_dir(directory: Path) -> None:
    """Raise LpgenError unless ``directory`` is one and overrides at least one shipped template."""
    if not directory.is_dir():
        raise LpgenError("is not a directory", place=Place(str(directory)), hint="--templates takes a directory")
    shipped = resources.template_names()
    if any((directory / name).is_file() for name in shipped):
        return
    from difflib import get_close_matches

    for path in sorted(directory.iterdir()):
        if near := get_close_matches(path.name, shipped, 1):
            raise LpgenError("is no template of lpgen", place=Place(str(path)), hint=f"did you mean {near[0]}?")
    raise LpgenError(
        "holds no template that lpgen uses", place=Place(str(directory)), hint=f"lpgen has {', '.join(shipped)}"
    )


def render(name: str, context: Mapping[str, object], *, templates_dir: Templates | None = None) -> Rendered:
    """Render the template ``name`` with ``context``.

    ``templates_dir`` is searched before the shipped templates. Raises LpgenError with template:line for a syntax
    error, an undefined name, a missing template and any other error raised while rendering.
    """
    directory = None if templates_dir is None else directory_of(templates_dir)
    if directory is not None:
        check_templates_dir(directory)
    environment = _environment(directory)
    names: list[str] = environment.globals["_marked_templates"]  # type: ignore[assignment]
    try:
        text = environment.get_template(name).render(context)
    except jinja2.TemplateSyntaxError as error:
        raise LpgenError(
            f"template syntax: {error.message}",
            place=Place(error.filename or error.name or name, error.lineno),
            hint="mend the template",
        ) from error
    except jinja2.UndefinedError as error:
        raise LpgenError(
            f"undefined name: {error.message}",
            place=_place_of(error, names) or Place(name),
            hint="a template may use only the names listed in the README's section on templates",
        ) from error
    except jinja2.TemplateNotFound as error:
        raise LpgenError(
            f"template {error.name!r} not found",
            place=_place_of(error, names),
            hint=f"'{SHIPPED_PREFIX}NAME' is the shipped template, 'NAME' one of --templates or the shipped one",
        ) from error
    except LpgenError:
        raise
    except RecursionError as error:
        raise LpgenError(
            "templates or macros that use each other without end",
            place=_place_of(error, names) or Place(name),
            hint="'lpgen/NAME' is the shipped template",
        ) from error
    except Exception as error:
        # Anything else that a template's own expressions raise; what has no template line is lpgen's own fault.
        place = _place_of(error, names)
        if place is None:
            raise
        raise LpgenError(f"{type(error).__name__}: {error}", place=place, hint="mend the template") from error
    return _strip_markers(text, names)
