"""A C prototype as a call: ``int f(struct s { int a; } x, ..., double)`` -> CallShape.

The text is an ordinary C declaration of one function, with or without the semicolon; parameters may have names. Before
it there may be declarations of structures, enums and typedefs. Behind an ellipsis and a comma, which C does not have,
the types (or declarations) of what this call passes for it may follow.

Types are those of ``types``: the integers in every spelling, bool, float, double, pointers of every kind, structures,
arrays in structures, 128-bit vectors (``vector int``, ``v4si``, ``vector_size(16)``). The kernel's usual typedef names
are known (``c_names.KNOWN_TYPES``). What is behind a pointer is not looked at, so it may be a union, an incomplete
structure, or anything else; the name of its type must be declared. Every other typedef name has to be declared too.

Refused, each with its column: long double, _Complex, unions, bit-fields, packed and aligned types, _Atomic, flexible
array members, arrays whose size is no constant, incomplete structures, ``f()`` (in C before C23 that says nothing about
the parameters: write ``f(void)``), and a function without a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from pycparser import CParser, c_ast
from pycparser.c_parser import ParseError

from lpgen.callers.c_constants import Constant, evaluate, fits
from lpgen.callers.c_names import TYPE_WORDS, UNMODELLED_TYPES, specifier_type
from lpgen.callers.c_text import EXTRA, TEXT_LINE, VECTOR_MARK, CText, name_error, prepare, syntax_error
from lpgen.callers.placement import Prototype
from lpgen.callers.shape import CallShape
from lpgen.callers.types import (
    INT,
    LONG,
    POINTER,
    UINT,
    ULONG,
    Array,
    CType,
    Float,
    Integer,
    Struct,
    Vector,
    Void,
    round_up,
)
from lpgen.errors import LpgenError

T = TypeVar("T", Array, Struct)

# As in a plan's text, so that every shape from here can be written as one.
MAX_ARGUMENTS = 256
MAX_ARGUMENT_BYTES = 8192
MAX_TYPE_BYTES = 4096
MAX_TYPE_DEPTH = 16
MAX_TYPEDEF_DEPTH = 64
"""Typedefs, arrays and structures inside one another."""
_NAMED = (c_ast.Decl, c_ast.Typedef, c_ast.Enumerator)


def parse_prototype(text: str, what: str = "prototype") -> CallShape:
    """The call that a C prototype names; ``what`` is how an error calls the text.

    Raises LpgenError "WHAT, column N: ..." with the column from 1 in ``text``, a line end counting as one character.
    """
    made = prepare(text, what)
    return _Reader(made, _parse(made)).shape()


def _parse(made: CText) -> Any:
    try:
        return CParser().parse(made.source)
    except ParseError as error:
        raise syntax_error(made, str(error)) from None
    except (AssertionError, AttributeError, IndexError, RecursionError, TypeError, ValueError):
        # Some texts that are not C break pycparser instead of being refused by it.
        raise syntax_error(made, "") from None


def _column(node: Any) -> int | None:
    """The column (from 1) of a node in the person's text, or of the first one below it that has one."""
    while node is not None:
        coord = node.coord
        if coord is not None and coord.line >= TEXT_LINE and coord.column:
            return int(coord.column)
        node = getattr(node, "type", None)
    return None


class _Reader:
    """Turns pycparser's tree into types; it is also what constant expressions name (``c_constants.Names``)."""

    def __init__(self, made: CText, tree: Any) -> None:
        self.made = made
        self.tree = tree
        self.words = {token.at: token.text for token in made.tokens}
        self.typedefs: dict[str, Any] = {}
        self.tags: dict[str, Any] = {}
        self.constants: dict[str, Constant] = {}
        self.enums: dict[int, CType | None] = {}
        self.structs: dict[int, Struct | None] = {}

    # Errors

    def error(self, at: int, reason: str, hint: str | None = None) -> LpgenError:
        return self.made.error(at, reason, hint)

    def error_of(self, node: Any, reason: str, hint: str | None = None) -> LpgenError:
        return self.error(self.at(node), reason, hint)

    def at(self, node: Any) -> int:
        """The offset of a node in the text."""
        column = _column(node)
        return self.made.tokens[-1].at if column is None else column - 1

    # Declarations

    def shape(self) -> CallShape:
        self._collect()
        function: Any = None
        extra: Any = None
        for node in self.tree.ext:
            if isinstance(node, c_ast.FuncDef):
                raise self.error_of(node, "a function with a body", "give its declaration only")
            if not isinstance(node, c_ast.Decl | c_ast.Typedef):
                raise self.error_of(node, "expected a declaration", "leave it out")
            if isinstance(node, c_ast.Typedef):
                if function is not None and _column(node) is not None:
                    raise self.error_of(node, "a declaration behind the function's", "put it before the function")
            elif node.name == EXTRA:
                extra = node
            elif function is not None:
                raise self.error_of(node, "a declaration behind the function's", "give one function, as the last")
            elif isinstance(node.type, c_ast.FuncDecl):
                function = node
            elif node.name is not None:
                hint = "write out its parameters" if self._is_function(node.type) else "give one function"
                raise self.error_of(node, f"{node.name[:60]!r} is not declared as a function with parameters", hint)
        if function is None:
            raise self.error(self.made.tokens[-1].at, "no function is declared", "end with one, such as int f(int)")
        return self._call(function, extra)

    def _collect(self) -> None:
        """Find every typedef, tag and enumerator, in the order of the text."""
        unused = dict(self.made.vectors)
        pending = [*reversed(self.tree.ext)]
        while pending:
            node = pending.pop()
            if isinstance(node, c_ast.Typedef) and _column(node) is not None:
                if node.name in self.typedefs:
                    raise self.error_of(node, f"{node.name[:60]!r} is defined twice", "leave one out")
                self.typedefs[node.name] = node
            if isinstance(node, c_ast.IdentifierType):
                self._check_specifiers(node)
            if isinstance(node, c_ast.ParamList) and isinstance(node.params[0], c_ast.ID):
                # For pycparser these are names of parameters, as before C89.
                raise name_error(self.made, node.params[0].name, self.at(node.params[0]))
            if isinstance(node, c_ast.TypeDecl):
                for mark in self._marks(node):
                    unused.pop(mark, None)
            if isinstance(node, _NAMED) and str(node.name).startswith("$"):
                self._check_mark(node)
            is_enum = isinstance(node, c_ast.Enum)
            if is_enum or isinstance(node, c_ast.Struct | c_ast.Union):
                body = node.values if is_enum else node.decls
                if body is not None and node.name is not None:
                    if node.name in self.tags:
                        raise self.error_of(node, f"{node.name[:60]!r} is defined twice", "leave one out")
                    self.tags[node.name] = node
                if is_enum and body is not None:
                    self._enum_type(node, self.at(node))
            pending.extend(child for _, child in reversed(node.children()))
        if unused:
            raise self.error(min(unused.values()), "vector_size(16) has no type here", "put it behind the type")

    def _marks(self, node: Any) -> set[int]:
        """The marks of vector_size(16) behind a declarator's name or its type."""
        return {self.at(part) for part in (node, node.type) if _column(part) is not None} & set(self.made.vectors)

    def _check_mark(self, node: Any) -> None:
        """Refuse ``long vector int``: pycparser takes what lpgen wrote for ``vector int`` as the name of a long."""
        if node.name != EXTRA and _column(node) is not None:
            raise self.error_of(node, "a vector type where a name is expected", "write it first, then the name")

    def _check_specifiers(self, node: Any) -> None:
        """Refuse what is no type at all, also behind a pointer."""
        names = list(node.names)
        if names == ["int"] and _column(node) is not None and self.words.get(self.at(node)) != "int":
            raise self.error_of(node, "a type is missing", "write int if that is meant")
        if not TYPE_WORDS.issuperset(names) and "_Complex" not in names:
            return
        plain = [name for name in names if name != "_Complex"]
        unmodelled = [["double", "long"]] if plain == names else [[], ["float"], ["double"], ["double", "long"]]
        if sorted(plain) not in unmodelled and (plain != names or specifier_type(plain) is None):
            raise self.error_of(node, f"C has no type {' '.join(names)[:60]!r}", "write one of C's types")

    def _enum_type(self, node: Any, at: int) -> CType:
        if id(node) not in self.enums:
            self.enums[id(node)] = None
            self.enums[id(node)] = self._enum(node)
        made = self.enums[id(node)]
        if made is None:
            raise self.error(at, "an enum inside its own constants", "write the number")
        return made

    def _enum(self, node: Any) -> CType:
        """Count an enum's constants; gcc's type for it is the first of unsigned int, int, unsigned long, long to do."""
        values: dict[str, Constant] = {}
        following = 0
        for each in node.values.enumerators:
            if each.value is not None:
                following = evaluate(each.value, self).value
            if each.name in self.constants:
                raise self.error_of(each, f"{each.name[:60]!r} is defined twice", "leave one out")
            natural = next((ctype for ctype in (INT, LONG) if fits(following, ctype)), ULONG)
            values[each.name] = self.constants[each.name] = Constant(following, natural)
            following += 1
        numbers = [constant.value for constant in values.values()]
        ctype = next((t for t in (UINT, INT, ULONG, LONG) if fits(min(numbers), t) and fits(max(numbers), t)), None)
        if ctype is None:
            raise self.error_of(node, "no integer type has all values of this enum", "use smaller values")
        for name, constant in values.items():
            if not fits(constant.value, INT):
                self.constants[name] = Constant(constant.value, ctype)
        return ctype

    def _call(self, function: Any, extra: Any) -> CallShape:
        made = self.made
        start = self.at(function)
        if function.bitsize is not None or function.init is not None:
            raise self.error(start, "a function has no value", "give its declaration only")
        if set(function.storage) - {"extern", "static"}:
            raise self.error(start, f"a function is not {' '.join(function.storage)}", "leave it out")
        declared = function.type
        if declared.args is None:
            hint = f"write {function.name[:60]}(void) if there are none"
            raise self.error(start, f"{function.name[:60]}() says nothing about the parameters", hint)
        params = list(declared.args.params)
        variadic = isinstance(params[-1], c_ast.EllipsisParam)
        if made.ellipsis is not None and (not variadic or self.at(params[-1]) != made.ellipsis):
            raise self.error(
                made.ellipsis, "arguments behind an ellipsis that is not the function's own", "leave them out"
            )
        if variadic:
            params.pop()
        passed = [] if extra is None else extra.type.args.params
        if len(params) + len(passed) > MAX_ARGUMENTS:
            first = _base([*params, *passed][MAX_ARGUMENTS])
            raise self.error_of(first, f"more than {MAX_ARGUMENTS} arguments", "pass fewer, or a structure")
        result = self._result(declared.type)
        types = self._parameters(params, alone=not variadic)
        extra_types = self._parameters(passed, alone=False)
        total = sum(round_up(ctype.size, 8) for ctype in types + extra_types)
        if total > MAX_ARGUMENT_BYTES:
            raise self.error(start, f"{len(types + extra_types)} arguments of {total} bytes", "8192 bytes are enough")
        try:
            shape = CallShape(function.name, Prototype(result, types, variadic), extra_types)
            # Placement finds what cannot be passed.
            assert shape.placement.slots >= 0
        except LpgenError as error:
            raise self.error(start, error.reason, error.hint) from error
        return shape

    def _result(self, node: Any) -> CType:
        if isinstance(node, c_ast.FuncDecl) or self._is_function(node):
            raise self.error_of(node, "a function cannot return a function", "return a pointer to it")
        ctype = self.resolve(node, self.at(_base(node)))
        if isinstance(ctype, Array):
            raise self.error_of(node, "a function cannot return an array", "return a structure that has it as a member")
        return ctype

    def _parameters(self, params: Sequence[Any], *, alone: bool) -> tuple[CType, ...]:
        """The parameters' types; ``alone`` says that there is nothing else, so that (void) may stand for none."""
        types = []
        names: set[str] = set()
        for node in params:
            at = self.at(_base(node))
            if isinstance(node, c_ast.Decl):
                self._check_name(node, names)
            ctype = self._decayed(node.type, at)
            if isinstance(ctype, Void):
                if alone and len(params) == 1 and node.name is None:
                    return ()
                raise self.error(at, "a parameter of type void", "leave it out, or pass a pointer")
            types.append(ctype)
        return tuple(types)

    def _check_name(self, node: Any, names: set[str]) -> None:
        if node.name is not None:
            if node.name in names:
                raise self.error_of(node, f"{node.name[:60]!r} is there twice", "rename one")
            names.add(node.name)

    # Types

    def _typedef(self, node: Any) -> Any:
        """What a type is after the typedefs by which it is named."""
        seen = 0
        while isinstance(node, c_ast.TypeDecl) and isinstance(node.type, c_ast.IdentifierType):
            found = self.typedefs.get(node.type.names[0]) if len(node.type.names) == 1 else None
            if found is None or seen > MAX_TYPEDEF_DEPTH:
                break
            node = found.type
            seen += 1
        return node

    def _is_function(self, node: Any) -> bool:
        return isinstance(self._typedef(node), c_ast.FuncDecl)

    def _decayed(self, node: Any, at: int) -> CType:
        """A parameter's type: arrays and functions become pointers, whatever they are of."""
        if isinstance(self._typedef(node), c_ast.ArrayDecl | c_ast.FuncDecl):
            return POINTER
        return self.resolve(node, at)

    def resolve(self, node: Any, at: int, depth: int = 0) -> CType:
        """The type of a declarator or specifier that is used by value at offset ``at``."""
        if depth > MAX_TYPEDEF_DEPTH:
            raise self.error(
                at, f"a type of more than {MAX_TYPEDEF_DEPTH} types inside one another", "use fewer typedefs"
            )
        if isinstance(node, c_ast.PtrDecl):
            return POINTER
        if isinstance(node, c_ast.FuncDecl):
            raise self.error(at, "a function is not a value", "use a pointer to it")
        if isinstance(node, c_ast.ArrayDecl):
            return self._array(node, at, depth)
        if isinstance(node, c_ast.TypeDecl):
            return self._declared(node, at, depth)
        if isinstance(node, c_ast.Enum | c_ast.Struct | c_ast.Union):
            return self._tagged(node, at, depth)
        if isinstance(node, c_ast.IdentifierType):
            return self._named(node, at, depth)
        raise self.error(at, "a type that is not supported", "use a type of C11")

    def _declared(self, node: Any, at: int, depth: int) -> CType:
        ctype = self.resolve(node.type, at, depth)
        if self._marks(node) or VECTOR_MARK in (node.quals or ()):
            if not isinstance(ctype, Integer | Float) or ctype.size > 8:
                raise self.error(at, "a vector of this type", "use a vector of char to long, float or double")
            return Vector(ctype)
        return ctype

    def _named(self, node: Any, at: int, depth: int) -> CType:
        names = list(node.names)
        name = names[0]
        if len(names) == 1:
            if name in self.typedefs:
                return self.resolve(self.typedefs[name].type, at, depth + 1)
            if name in UNMODELLED_TYPES:
                raise self.error(at, UNMODELLED_TYPES[name], "use double, or pass a pointer")
            known = self.made.known.get(name)
            if known is not None:
                return known
        ctype = specifier_type(names)
        if ctype is None:
            missing = "_Complex" if "_Complex" in names else "long double"
            raise self.error(at, f"lpgen's model of ELFv2 has no {missing}", "use double, or pass a pointer")
        return ctype

    def _tagged(self, node: Any, at: int, depth: int) -> CType:
        """A structure, union or enum: this node if it has a body, or else what its tag stands for."""
        kind = type(node).__name__.lower()
        if kind == "union":
            hint = "pass a pointer, or a structure that travels the same way"
            raise self.error(at, "lpgen's model of ELFv2 has no unions", hint)
        if (node.values if kind == "enum" else node.decls) is None:
            found = self.tags.get(node.name)
            if found is None or self.at(found) >= at:
                hint = f"pass a pointer, or define it before: {kind} {node.name[:60]} {{ ... }};"
                raise self.error(at, f"{kind} {node.name[:60]} is incomplete here", hint)
            if type(found) is not type(node):
                other = type(found).__name__.lower()
                raise self.error(at, f"{node.name[:60]} is declared as {other}", f"write {other}, not {kind}")
            node = found
        if kind == "enum":
            return self._enum_type(node, at)
        if id(node) not in self.structs:
            self.structs[id(node)] = None
            self.structs[id(node)] = self._struct(node, at, depth + 1)
        made = self.structs[id(node)]
        if made is None:
            raise self.error(at, f"struct {node.name[:60]} is incomplete here", "use a pointer to it")
        return made

    def _struct(self, node: Any, at: int, depth: int) -> Struct:
        members = []
        names: set[str] = set()
        for member in node.decls:
            here = self.at(member)
            if not isinstance(member, c_ast.Decl):
                raise self.error(here, "expected a member", "leave it out")
            if member.bitsize is not None:
                raise self.error(here, "lpgen's model of ELFv2 has no bit-fields", "use an integer of the whole width")
            if member.name is None and (not isinstance(member.type, c_ast.Struct | c_ast.Union) or member.type.name):
                raise self.error(here, "a member without a name", "name it")
            self._check_name(member, names)
            if isinstance(member.type, c_ast.ArrayDecl) and member.type.dim is None:
                raise self.error(here, "lpgen's model of ELFv2 has no flexible array members", "pass a pointer")
            ctype = self.resolve(member.type, here, depth)
            if isinstance(ctype, Void):
                raise self.error(here, "a member of type void", "use a pointer")
            members.append(ctype)
        if not members:
            raise self.error(at, "a structure without members", "lpgen's model of ELFv2 has none, give it one")
        if len(members) > MAX_ARGUMENTS:
            raise self.error(at, f"a structure of {len(members)} members", f"{MAX_ARGUMENTS} are enough; use an array")
        made = Struct(tuple(members))
        if _depth(made) > MAX_TYPE_DEPTH:
            raise self.error(at, f"structures more than {MAX_TYPE_DEPTH} deep", "nest fewer")
        return self._sized(made, at)

    def _array(self, node: Any, at: int, depth: int) -> CType:
        element = self.resolve(node.type, at, depth + 1)
        if isinstance(element, Void):
            raise self.error(at, "an array of void", "use another type")
        if node.dim is None:
            raise self.error(at, "an array without a size", "write it")
        count = evaluate(node.dim, self).value
        if not 1 <= count <= MAX_TYPE_BYTES:
            raise self.error(self.at(node.dim), f"an array of {count} elements", f"write 1 to {MAX_TYPE_BYTES}")
        return self._sized(Array(element, count), at)

    def _sized(self, ctype: T, at: int) -> T:
        if ctype.size > MAX_TYPE_BYTES:
            raise self.error(at, f"a type of {ctype.size} bytes", f"{MAX_TYPE_BYTES} are enough; pass a pointer")
        return ctype

    # What a constant expression names

    def type_of(self, node: Any) -> CType:
        """The type that a type name stands for."""
        return self.resolve(node.type, self.at(_base(node)))

    def constant(self, node: Any) -> Constant:
        """The value of an enumerator."""
        found = self.constants.get(node.name)
        if found is None:
            near = get_close_matches(node.name, list(self.constants), 1)
            hint = f"did you mean {near[0]}?" if near else "write the number"
            raise self.error_of(node, f"{node.name[:60]!r} is no constant", hint)
        return found


_DECLARATORS = (c_ast.Decl, c_ast.Typename, c_ast.PtrDecl, c_ast.ArrayDecl, c_ast.FuncDecl, c_ast.TypeDecl)


def _base(node: Any) -> Any:
    """The specifier at the bottom of a declaration: where its type begins in the text, as far as pycparser tells."""
    while isinstance(
        node, c_ast.Decl | c_ast.Typename | c_ast.PtrDecl | c_ast.ArrayDecl | c_ast.FuncDecl | c_ast.TypeDecl
    ):
        node = node.type
    return node


def _depth(ctype: CType) -> int:
    """How many structures are inside one another."""
    if isinstance(ctype, Array):
        return _depth(ctype.element)
    return 1 + max(map(_depth, ctype.members)) if isinstance(ctype, Struct) else 0
