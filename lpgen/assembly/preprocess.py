"""The C preprocessor: pcpp behind a door that gives every line its place and every complaint an LpgenError."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lpgen.assembly.comments import DIRECTIVE, clean
from lpgen.errors import LpgenError, Place
from lpgen.resources import data_names, read_data

# What gcc and the kernel's build define for a 64-bit little-endian assembly file.
PREDEFINED: Mapping[str, str] = {
    "__ASSEMBLY__": "1",
    "__ASSEMBLER__": "1",
    "__KERNEL__": "1",
    "__powerpc__": "1",
    "__powerpc64__": "1",
    "__PPC__": "1",
    "__PPC64__": "1",
    "__LITTLE_ENDIAN__": "1",
    "_LITTLE_ENDIAN": "1",
    "_ARCH_PPC": "1",
    "_ARCH_PPC64": "1",
    "_CALL_ELF": "2",
    "CONFIG_PPC64": "1",
    "CONFIG_64BIT": "1",
    "CONFIG_PPC_BOOK3S_64": "1",
    "CONFIG_PPC_BOOK3S": "1",
    "CONFIG_CPU_LITTLE_ENDIAN": "1",
    "CONFIG_PPC64_ELF_ABI_V2": "1",
}
# The questions of linux/kconfig.h: 1 for an option that is on (a macro that is 1), 0 for every other. What stands
# behind the comma of _lpgen_is_1 is the second argument of _lpgen_second; any other name leaves one argument before.
_QUESTIONS: Mapping[str, str] = {
    "_lpgen_is_1": "0,",
    "_lpgen_second(junk, answer, ...)": "answer",
    "_lpgen_answer(junk)": "_lpgen_second(junk 1, 0, 0)",
    "_lpgen_paste(value)": "_lpgen_answer(_lpgen_is_##value)",
    "_lpgen_either(junk, other)": "_lpgen_second(junk 1, other, 0)",
    "_lpgen_or_(one, other)": "_lpgen_either(_lpgen_is_##one, other)",
    "_lpgen_or(one, other)": "_lpgen_or_(one, other)",
    "__is_defined(option)": "_lpgen_paste(option)",
    "IS_BUILTIN(option)": "__is_defined(option)",
    "IS_MODULE(option)": "__is_defined(option##_MODULE)",
    "IS_REACHABLE(option)": "__is_defined(option)",
    "IS_ENABLED(option)": "_lpgen_or(IS_BUILTIN(option), IS_MODULE(option))",
}
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_MACRO = re.compile(r"[A-Za-z_]\w*(?:\((?: *[A-Za-z_]\w* *,)* *(?:[A-Za-z_]\w*|\.\.\.)? *\))?", re.ASCII)
_MAX_INCLUDES = 100
_HEADERS = "assembly/headers"
_MAX_TOKENS = 4_000_000
# What says where the next line comes from: #line, and what a preprocessor before this one left behind.
_MARKER = re.compile(r'[ \t]*#[ \t]*(line[ \t]+)?(\d{1,9})(?:[ \t]+"((?:\\.|[^"\\])*)"[ \t\d]*)?[ \t]*')
# What pcpp says of an #if, with the exception behind it.
_NO_VALUE = re.compile(r"Could not evaluate expression due to (\w+)\((.*)\) \(passed to evaluator: '(.*)'\)", re.DOTALL)
_TRIGRAPH = re.compile(r"\?\?[=/'()!<>-]")


class SourceLine(NamedTuple):
    """One line after preprocessing, with the line of the person's file it came from."""

    text: str
    place: Place


class Sources:
    """Finds what #include names: the caller's headers, then files, then the headers that ship with lpgen."""

    def __init__(self, headers: Mapping[str, str], directories: Sequence[Path]) -> None:
        self._headers = headers
        self._directories = directories

    def find(self, name: str, includer: str, quoted: bool, place: Place) -> tuple[str, str]:
        """Return (name to show, text). Raises LpgenError when there is no such file or it cannot be read."""
        if name in self._headers:
            return name, self._headers[name]
        folders = list(self._directories)
        beside = Path(includer).parent
        if quoted and includer not in self._headers and Path(includer).is_file():
            folders.insert(0, beside)
        for folder in folders:
            path = folder / name
            if path.is_file():
                try:
                    return str(path), path.read_text(encoding="utf-8")
                except (OSError, UnicodeDecodeError) as error:
                    raise LpgenError(f"cannot read include file {path}: {error}", place=place) from error
        shipped = _shipped(name)
        if shipped is not None:
            return name, shipped
        raise LpgenError(
            f"include file '{name}' not found",
            place=place,
            hint="pass it with -I DIR, or in headers; lpgen ships stubs of the kernel headers that an entry file uses",
        )


def _shipped(name: str) -> str | None:
    """Return the text of a stub header of lpgen's own, None when there is none of that name."""
    if not re.fullmatch(r"[\w-]+(?:/[\w.-]+)*\.h", name) or ".." in name:
        return None
    try:
        return read_data(f"{_HEADERS}/{name}")
    except OSError:
        return None


def shipped_headers() -> dict[str, str]:
    """Return the texts of all stub headers by the name in an #include."""
    return {name: read_data(f"{_HEADERS}/{name}") for name in data_names(_HEADERS)}


def definitions(defines: Mapping[str, str]) -> dict[str, str]:
    """Return all macros that are there before the first line, ``defines`` among them: NAME or NAME(x) to its text.

    Raises LpgenError for one that cannot be defined.
    """
    for macro, value in defines.items():
        if not _MACRO.fullmatch(macro):
            raise LpgenError(f"cannot define '{macro}': not a C identifier")
        if set(value) & {"\n", "\r"}:
            raise LpgenError(f"cannot define '{macro}': its text is more than one line")
    return {**_QUESTIONS, **PREDEFINED, **defines}


def preprocess(text: str, name: str, *, sources: Sources, defines: Mapping[str, str]) -> list[SourceLine]:
    """Return the lines of ``text`` after comments, directives and macros, without empty lines.

    pcpp is loaded only when the text has a directive or names a macro. Raises LpgenError with file and line.
    """
    lines, marks = _unmarked(clean(text, name), name)
    macros = definitions(defines)
    names = {macro.partition("(")[0] for macro in macros}
    used = set(_IDENTIFIER.findall("\n".join(lines)))
    if not any(DIRECTIVE.match(line) for line in lines) and used.isdisjoint((*names, "__FILE__", "__LINE__")):
        made = [SourceLine(line, Place(name, i)) for i, line in enumerate(lines, 1) if line and not line.isspace()]
    else:
        made = _run(lines, name, sources, macros)
    return [SourceLine(line, _marked(place, name, marks)) for line, place in made] if marks else made


def _unmarked(lines: list[str], name: str) -> tuple[list[str], list[tuple[int, Place]]]:
    """Return the lines without line markers, and the lines that these stand on with the place of the next one."""
    marks: list[tuple[int, Place]] = []
    kept = list(lines)
    for number, line in enumerate(lines, 1):
        match = _MARKER.fullmatch(line) if "#" in line else None
        if match is None or (match[1] is None and match[3] is None):
            continue
        before = marks[-1][1].file if marks else name
        file = before if match[3] is None else re.sub(r"\\(.)", r"\1", match[3])
        marks.append((number, Place(file, int(match[2]))))
        kept[number - 1] = ""
    return kept, marks


def _marked(place: Place, name: str, marks: list[tuple[int, Place]]) -> Place:
    """Return the place that the marker before a line of the text ``name`` says."""
    at = bisect_right(marks, place.line or 0, key=lambda mark: mark[0]) if place.file == name else 0
    if not at:
        return place
    number, start = marks[at - 1]
    return Place(start.file, (start.line or 0) + (place.line or 0) - number - 1)


def _run(lines: list[str], name: str, sources: Sources, macros: Mapping[str, str]) -> list[SourceLine]:
    engine = _engine_class()(sources)
    try:
        for macro, value in macros.items():
            engine.define(f"{macro} {value}" if value else macro)
        return list(_collect(engine, engine.start(lines, name)))
    except LpgenError:
        raise
    except RecursionError as error:
        raise LpgenError("macros or #if expressions nested too deeply", place=engine.last_place()) from error
    except Exception as error:
        # pcpp answers malformed directives (#ifdef alone, #define 1) with whatever its indexing raises.
        raise LpgenError("malformed preprocessor directive", place=engine.last_place()) from error


def _collect(engine: Any, tokens: Iterator[Any]) -> Iterator[SourceLine]:
    parts: list[str] = []
    first: Any = None
    count = 0
    for token in tokens:
        count += 1
        if count > _MAX_TOKENS:
            raise LpgenError("the preprocessed text is too long", place=engine.place_of(token))
        if token.value == "\n" and not getattr(token, "expanded_from", None):
            if first is not None:
                yield SourceLine("".join(parts), engine.place_of(first))
            parts, first = [], None
            continue
        if token.type in engine.t_WS:
            parts.append(" ")  # a newline inside a macro's arguments is white space
            continue
        if first is None:
            first = token
        parts.append(token.value)
    if first is not None:
        yield SourceLine("".join(parts), engine.place_of(first))


def _said(message: str) -> str:
    """Return what pcpp says without the Python in it."""
    match = _NO_VALUE.fullmatch(message)
    if match is None:
        return message
    kind, said, expression = match.groups()
    reasons = {"LpgenError": said[1:-1], "ZeroDivisionError": "division by zero"}
    return f"cannot evaluate #if {expression}" + (f": {reasons[kind]}" if kind in reasons else "")


_cached_class: type[Any] | None = None
_cached_lexer: Any = None


def _engine_class() -> Callable[[Sources], Any]:
    """Build the pcpp subclass on first use, so that importing lpgen.assembly does not load pcpp."""
    global _cached_class
    if _cached_class is not None:
        return _cached_class
    from pcpp import Preprocessor
    from pcpp.parser import default_lexer

    class Engine(Preprocessor):  # type: ignore[misc,unused-ignore]
        """pcpp with its own opinions switched off: no printing, no searching, no dates."""

        def __init__(self, sources: Sources) -> None:
            global _cached_lexer
            if _cached_lexer is None:
                _cached_lexer = default_lexer()
            super().__init__(_cached_lexer)
            self.sources = sources
            self.rewrite_paths: list[tuple[str, str]] = []
            self.auto_pragma_once_enabled = False
            self.files: dict[str, str] = {}
            self.depth = 0
            for clock in ("__DATE__", "__TIME__"):
                del self.macros[clock]  # output must not depend on the day

        def start(self, lines: list[str], name: str) -> Iterator[Any]:
            return self.enter(lines, name)

        def enter(self, lines: list[str], name: str) -> Iterator[Any]:
            for number, line in enumerate(lines, 1):
                if "??" in line and _TRIGRAPH.search(line):
                    raise LpgenError("trigraph in the text: pcpp would replace it", place=Place(name, number))
            label = re.sub(r'["\\\n]', "_", name)
            self.files[label] = name
            yield from self.parsegen("\n".join(_unmarked(lines, name)[0]) + "\n", label, label)

        def place_of(self, token: Any) -> Place:
            source = getattr(token, "source", "") or ""
            return Place(self.files.get(source, source), token.lineno)

        def last_place(self) -> Place | None:
            return self.place_of(self.lastdirective) if self.lastdirective is not None else None

        def on_error(self, file: str, line: int, msg: str) -> None:
            place = Place(self.files[file], line) if file in self.files else self.last_place()
            raise LpgenError(f"preprocessor: {_said(' '.join(msg.split()))}", place=place)

        def on_comment(self, tok: Any) -> bool:
            return False

        def on_unknown_macro_function_in_expr(self, ident: str) -> Callable[[int], int]:
            raise LpgenError(f"unknown function '{ident}'", place=self.last_place())

        def on_directive_unknown(self, directive: Any, toks: Any, ifpassthru: bool, precedingtoks: Any) -> bool:
            message = "".join(token.value for token in toks)
            place = self.place_of(directive)
            if directive.value == "error":
                raise LpgenError(f"#error {message}".rstrip(), place=place)
            if directive.value in ("warning", "pragma"):
                return True
            raise LpgenError(f"preprocessor directive #{directive.value} is not supported", place=place)

        def collect_args(self, tokenlist: Any, ignore_errors: bool = False) -> Any:
            result = super().collect_args(tokenlist, ignore_errors)
            if ignore_errors and result[0] == 0:
                # pcpp stops expanding for the rest of the text here, without a word.
                raise LpgenError("macro arguments are not closed by ')'", place=self.place_of(tokenlist[0]))
            return result

        def include(self, tokens: Any, original_line: Any) -> Iterator[Any]:
            if not tokens:
                raise LpgenError("#include without a file name", place=self.last_place())
            place = self.place_of(tokens[0])
            written = "".join(token.value for token in tokens).strip()
            match = re.fullmatch(r'"([^"]+)"|<([^>]+)>', written)
            if match is None:
                raise LpgenError(f"malformed #include {written}", place=place)
            name = match[1] or match[2]
            includer = place.file
            if name in self.include_once:
                return
            if self.depth >= _MAX_INCLUDES:
                raise LpgenError(f"'{name}' is included too deeply", place=place, hint="does it include itself?")
            shown, text = self.sources.find(name, includer, match[1] is not None, place)
            if shown in self.include_once:
                return
            self.depth += 1
            yield from self.enter(clean(text, shown), shown)
            self.depth -= 1

    _cached_class = Engine
    return Engine
