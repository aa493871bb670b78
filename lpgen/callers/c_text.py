"""A C prototype's text made ready for pycparser: what it refuses or would not bound is seen to here.

The text stays as long as it is, on one line, so that every column that pycparser tells is one in the person's own text:
comments and annotations become blanks, other spellings the plain word and blanks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import pairwise

from lpgen.callers.c_names import (
    IGNORED,
    KEYWORDS,
    KNOWN_TYPES,
    REFUSED,
    SYNONYMS,
    TYPE_WORDS,
    UNMODELLED_TYPES,
    is_vector_word,
    vector_type,
)
from lpgen.callers.types import CType
from lpgen.errors import LpgenError

MAX_TEXT = 1 << 18
"""Characters of a prototype, as of a plan."""
MAX_NESTING = 24
"""Brackets of all kinds inside one another: pycparser's stack is Python's."""
MAX_RUN = 120
"""Tokens between two of , ; { }: pycparser is quadratic in a declarator's length and recurses over operators."""

EXTRA = "$extra"
"""The function whose parameters are what stands behind the ellipsis; no name in the text can be that."""
TEXT_LINE = 2
"""The line of the text in what pycparser reads; what is before is lpgen's."""
VECTOR_MARK = "_Atomic"
"""The qualifier that stands for vector_size(16): the text itself cannot have it."""

_TOKEN = re.compile(
    r"[ \t\r\n\f\v]*(?:(?P<word>[A-Za-z_]\w*)|(?P<number>\.?\d[\w.]*)"
    r"|(?P<sign>\.\.\.|<<|>>|<=|>=|==|!=|&&|\|\||->|\+\+|--|[][(){}*,;:=+\-/%&|^~!<>?.]))",
    re.ASCII,
)
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|/\*", re.DOTALL)
_CLOSING = {"(": ")", "[": "]", "{": "}"}
# pycparser takes these and forgets that they were there.
_NOT_INSIDE = ("typedef", "extern", "static", "auto", "inline", "__inline", "__inline__", "_Noreturn")
_HERE = {
    "#": ("a preprocessor line", "give what the preprocessor makes of it"),
    "\\": ("a backslash is not for prototypes", "leave it out"),
    '"': ("a string is not for prototypes", "leave it out"),
    "'": ("a character constant is not supported", "write its number"),
}


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a number or a sign; ``at`` is its offset in the text."""

    text: str
    at: int

    @property
    def is_word(self) -> bool:
        """True for a keyword or a name."""
        return self.text[0] == "_" or self.text[0].isalpha()

    @property
    def is_name(self) -> bool:
        """True for a word that is no keyword."""
        return self.is_word and self.text not in KEYWORDS


@dataclass
class CText:
    """A prototype's text: its tokens, and ``source`` for pycparser, whose columns are those of the text.

    ``source`` has the typedefs of known names on line 1, the text on line 2 and what is behind the ellipsis as the
    parameters of ``EXTRA`` on line 4. ``ellipsis`` is the offset of an ellipsis with something behind it, or None;
    ``vectors`` has the offset of a name or type with a vector_size(16) behind it and the offset of that; ``known`` are
    the names that line 1 declares.
    """

    text: str
    what: str
    tokens: list[Token] = field(default_factory=list)
    ellipsis: int | None = None
    vectors: dict[int, int] = field(default_factory=dict)
    known: dict[str, CType | None] = field(default_factory=dict)
    source: str = ""

    def error(self, at: int, reason: str, hint: str | None = None) -> LpgenError:
        """Return the LpgenError for what is at offset ``at``."""
        return LpgenError(f"{self.what}, column {at + 1}: {reason}", hint=hint)


def prepare(text: str, what: str) -> CText:
    """The text, tokenised and rewritten. Raises LpgenError with the column for what no prototype has."""
    return _Preparation(CText(text, what)).run()


class _Preparation:
    def __init__(self, made: CText) -> None:
        self.made = made
        self.error = made.error
        self.plain: list[str] = []

    def run(self) -> CText:
        made = self.made
        text = made.text
        if len(text) > MAX_TEXT:
            raise LpgenError(f"{made.what} has {len(text)} characters", hint=f"{MAX_TEXT} are enough for any")
        for found in re.finditer(r"[^ -~\t\r\n\f\v]", text):
            raise self.error(found.start(), "a character that is not ASCII text", "use plain C")
        self.plain = list(re.sub(r"\s", " ", self._without_comments(text)))
        self._tokenise()
        if not made.tokens:
            raise self.error(0, "expected a C declaration, such as int f(int, ..., double)")
        closing = self._check_brackets()
        self._rewrite_words(closing)
        extra = self._split_at_ellipsis(closing)
        head = self._typedefs()
        tail = f"void {EXTRA}(\n{' ' * extra[0]}{extra[1]});" if extra is not None else ""
        made.source = f"{head}\n{''.join(self.plain)};\n{tail}\n"
        return made

    def _without_comments(self, text: str) -> str:
        def blank(found: re.Match[str]) -> str:
            if found[0] == "/*":
                raise self.error(found.start(), "a comment that does not end", "close it with */")
            return " " * len(found[0])

        return _COMMENT.sub(blank, text)

    def _tokenise(self) -> None:
        text = "".join(self.plain)
        at = 0
        end = len(text.rstrip())
        while at < end:
            found = _TOKEN.match(text, at)
            if found is None:
                at += len(text[at:]) - len(text[at:].lstrip())
                reason, hint = _HERE.get(text[at], (f"{text[at]!r} is not for prototypes", "leave it out"))
                raise self.error(at, reason, hint)
            kind = found.lastgroup or ""
            self.made.tokens.append(Token(found[kind], found.start(kind)))
            at = found.end()

    def _check_brackets(self) -> dict[int, int]:
        """The token number of the closing bracket to that of each opening one."""
        closing: dict[int, int] = {}
        opened: list[int] = []
        run = 0
        tokens = self.made.tokens
        for i, token in enumerate(tokens):
            run = 0 if token.text in ",;{}" else run + 1
            if run > MAX_RUN:
                raise self.error(
                    token.at, f"more than {MAX_RUN} words and signs without a comma or semicolon", "use typedefs"
                )
            if token.text in _CLOSING:
                opened.append(i)
                if len(opened) > MAX_NESTING:
                    raise self.error(token.at, f"brackets more than {MAX_NESTING} deep", "use typedefs")
            elif token.text in _NOT_INSIDE and opened and tokens[opened[-1]].text != "[":
                raise self.error(token.at, f"{token.text} is not for a parameter or a member", "leave it out")
            elif token.text in _CLOSING.values():
                if not opened or _CLOSING[tokens[opened[-1]].text] != token.text:
                    raise self.error(token.at, f"{token.text!r} closes nothing", "leave it out, or open it before")
                closing[opened.pop()] = i
        if opened:
            bracket = tokens[opened[-1]].text
            raise self.error(tokens[opened[-1]].at, f"{bracket!r} is not closed", f"add {_CLOSING[bracket]!r}")
        return closing

    def _replace(self, start: int, end: int, by: str = "") -> None:
        """Write ``by`` and blanks over the text from offset ``start`` to ``end``."""
        assert len(by) <= end - start
        self.plain[start:end] = by.ljust(end - start)

    def _rewrite_words(self, closing: dict[int, int]) -> None:
        tokens = self.made.tokens
        before: Token | None = None
        i = 0
        while i < len(tokens):
            token = tokens[i]
            word = token.text
            end = token.at + len(word)
            following = i + 1
            if word in REFUSED:
                raise self.error(token.at, *REFUSED[word])
            if word == "[" and tokens[i + 1].text == "[":
                raise self.error(token.at, "an attribute in [[ ]] is not supported", "leave it out")
            if word in SYNONYMS:
                self._replace(token.at, end, SYNONYMS[word])
            elif word in IGNORED:
                self._replace(token.at, end)
            elif word in ("__attribute__", "__attribute"):
                following = self._attribute(i, closing, before)
            elif word in ("vector", "__vector"):
                following = self._vector(i)
            if word not in IGNORED and not word.startswith("__attribute"):
                before = tokens[following - 1]
            i = following

    def _vector(self, i: int) -> int:
        tokens = self.made.tokens
        end = i + 1
        while end < len(tokens) and is_vector_word(tokens[end].text):
            end += 1
        if end == i + 1:
            return end
        words = [token.text for token in tokens[i + 1 : end]]
        vector = vector_type(words)
        if vector is None:
            reason = f"there is no vector {' '.join(words)} in lpgen's model of ELFv2"
            raise self.error(tokens[i].at, reason, "use a vector of char to long, float or double")
        name = f"${vector.c_name}"
        self.made.known[name] = vector
        self._replace(tokens[i].at, tokens[end - 1].at + len(words[-1]), name)
        return end

    def _attribute(self, i: int, closing: dict[int, int], before: Token | None) -> int:
        """Take a vector_size(16) out of the text, refuse every other attribute; returns the token behind it."""
        tokens = self.made.tokens
        start = tokens[i].at
        if [token.text for token in tokens[i + 1 : i + 3]] != ["(", "("] or closing[i + 2] + 1 != closing[i + 1]:
            raise self.error(start, "expected __attribute__((...))", "write both parentheses")
        last = closing[i + 2]
        at = i + 3
        has_size = False
        while at < last:
            name = tokens[at]
            bare = re.sub(r"^__(.*)__$", r"\1", name.text)
            if name.text == ",":
                at += 1
            elif bare != "vector_size":
                hint = "write vector" if bare == "altivec" else "leave it out if it changes nothing about the call"
                raise self.error(name.at, f"the attribute {bare} is not in lpgen's model of ELFv2", hint)
            elif [token.text for token in tokens[at + 1 : at + 4]] != ["(", "16", ")"]:
                raise self.error(name.at, "lpgen has vectors of 16 bytes", "write vector_size(16)")
            else:
                has_size = True
                at += 4
        after = tokens[last + 2] if last + 2 < len(tokens) else None
        mark = ""
        if has_size:
            if before is not None and before.text in ("]", ")", "}", "*", "struct", "union", "enum"):
                raise self.error(start, "vector_size(16) has no type here", "put it behind the type, or use a typedef")
            ends = after is None or after.text in (";", ",", ")", "__attribute__", "__attribute")
            if before is not None and before.is_name and ends:
                self.made.vectors[before.at] = start
            else:
                # Behind the mark a parenthesis would make a type of it, so a qualifier follows.
                mark = f"{VECTOR_MARK} const"
        self._replace(start, tokens[last + 1].at + 1, mark)
        return last + 2

    def _split_at_ellipsis(self, closing: dict[int, int]) -> tuple[int, str] | None:
        """Cut out what stands behind the ellipsis and a comma: its offset and its text."""
        tokens = self.made.tokens
        opened: list[int] = []
        found: tuple[int, str] | None = None
        for i, token in enumerate(tokens[:-1]):
            if token.text in _CLOSING:
                opened.append(i)
            elif token.text in _CLOSING.values():
                opened.pop()
            elif token.text == "..." and tokens[i - 1].text != ",":
                raise self.error(
                    token.at, "an ellipsis without a parameter before it", "write one, as C before C23 does"
                )
            elif token.text == "..." and tokens[i + 1].text == ",":
                if found is not None:
                    raise self.error(
                        token.at, "a second ellipsis with arguments behind it", "only the function's own has any"
                    )
                if not opened or tokens[opened[-1]].text != "(":
                    raise self.error(token.at, "an ellipsis outside a parameter list", "leave it out")
                start = tokens[i + 1].at
                end = tokens[closing[opened[-1]]].at
                extra = "".join(self.plain[start + 1 : end])
                if closing[opened[-1]] == i + 2:
                    raise self.error(end, "expected the types of the arguments for the ellipsis", "leave the comma out")
                self._replace(start, end)
                self.made.ellipsis = token.at
                found = start + 1, extra
        return found

    def _typedefs(self) -> str:
        known = self.made.known
        for token in self.made.tokens:
            if token.text in KNOWN_TYPES:
                known[token.text] = KNOWN_TYPES[token.text]
            elif token.text in UNMODELLED_TYPES:
                known[token.text] = None
        return " ".join(f"typedef int {name};" for name in known)


def syntax_error(made: CText, message: str) -> LpgenError:
    """Say what is wrong with a text that is not C, by pycparser's ``:LINE:COLUMN: ...`` and by looking at the words."""
    parts = message.split(":")
    place = [int(part) for part in parts[1:3] if part.isdecimal()]
    at = place[1] - 1 if len(place) == 2 and place[0] >= TEXT_LINE else None
    first = made.tokens[0]
    if first.is_name and first.text not in made.known and [token.text for token in made.tokens[1:2]] == ["("]:
        hint = "write one before it; of a macro give what the preprocessor makes of it"
        return made.error(first.at, f"{first.text[:60]!r} has no result type", hint)
    unknown = _unknown_type(made, len(made.text) if at is None else at)
    if unknown is not None:
        return name_error(made, unknown.text, unknown.at)
    token, before = None, None
    for each in made.tokens:
        if at is not None and each.at >= at:
            token = each
            break
        before = each.text
    if token is None:
        return made.error(
            made.tokens[-1].at, "this is not a C declaration", "expected one such as int f(int, ..., double)"
        )
    if token.text == "(" and before is not None and before in TYPE_WORDS:
        return made.error(token.at, "the function has no name", "write one before the parenthesis")
    return made.error(
        token.at, f"C has no {token.text[:40]!r} here", "expected a declaration such as int f(int, ..., double)"
    )


def name_error(made: CText, name: str, at: int) -> LpgenError:
    """The error for a name that is no type's, with the nearest one that is."""
    pairs = pairwise(token.text for token in made.tokens)
    kind = next((before for before, tag in pairs if tag == name and before in ("struct", "union", "enum")), None)
    if kind is not None:
        hint = f"write {kind} before it"
    elif name in ("vector", "__vector"):
        hint = "behind it must be one of C's own types, such as int"
    elif near := get_close_matches(name, _type_names(made), 1, 0.75):
        hint = f"did you mean {near[0]}? if not, declare it before the function"
    else:
        hint = f"declare it before the function: typedef ... {name[:60]};"
    return made.error(at, f"unknown type name {name[:60]!r}", hint)


def _unknown_type(made: CText, until: int) -> Token | None:
    """The first token up to offset ``until`` that must name a type and does not, as far as can be told from its place.

    Only for a text that pycparser refused, to tell why.
    """
    opened: list[str] = []
    declared: set[str] = set()
    in_typedef = False
    for i, token in enumerate(made.tokens[:-1]):
        if token.at > until:
            break
        before = made.tokens[i - 1].text if i else ";"
        after = made.tokens[i + 1]
        in_typedef = token.text == "typedef" or (in_typedef and (token.text != ";" or bool(opened)))
        if token.text in _CLOSING:
            # The braces of an enum hold no types.
            is_enum = token.text == "{" and "enum" in (before, made.tokens[i - 2].text if i > 1 else "")
            opened.append("enum" if is_enum else token.text)
        elif token.text in _CLOSING.values():
            opened.pop()
        elif token.is_name and not {"enum", "["} & set(opened) and _opens_declaration(before, opened):
            is_known = token.text in made.known or token.text in declared or token.text in IGNORED
            # A name alone may be one in parentheses: int (f)(int).
            is_type = after.text == "," or (after.text == ")" and before == ",") if "(" in opened[-1:] else False
            if not is_known and (is_type or after.is_word or after.text == "*"):
                return token
        if in_typedef and token.is_name:
            declared.add(token.text)
    return None


def _opens_declaration(before: str, opened: Sequence[str]) -> bool:
    if before == ",":
        return bool(opened) and opened[-1] == "("
    return before in (";", "{", "(", "const", "volatile", "static", "extern", "inline", "register", "typedef", "...")


def _type_names(made: CText) -> list[str]:
    """The names of types, for suggestions: the text's own typedefs first, then those that need no typedef."""
    names = []
    depth = 0
    in_typedef = False
    for token, after in pairwise(made.tokens):
        depth += (token.text in _CLOSING) - (token.text in _CLOSING.values())
        in_typedef = token.text == "typedef" or (in_typedef and (token.text != ";" or depth > 0))
        if in_typedef and depth == 0 and token.is_name and after.text in (";", ",", "["):
            names.append(token.text)
    return [*names, *KNOWN_TYPES, *sorted(TYPE_WORDS)]
