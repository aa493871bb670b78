"""C text for a list of calls: callers, and callees that write down what they received.

``call_N`` (``void call_N(void)``) calls ``callee_N`` with the call's values and copies the result to ``returned``;
``callee_N`` copies its arguments to ``received`` (va_arg for the ellipsis) and returns the call's result. Both files
stand alone, so that either side can be replaced. The text is gnu11 C for powerpc64le with AltiVec; it needs no library
but the ``memcpy`` and ``memset`` in ``SUPPORT_SOURCE``. Same calls, same text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lpgen.callers.placement import Placement
from lpgen.callers.shape import CallShape
from lpgen.callers.types import Array, CType, Struct, Vector, Void, declare, round_up
from lpgen.callers.values import without_padding
from lpgen.errors import LpgenError

BUFFER_SIZE = 16384
"""Size of ``received`` and of ``returned``, in bytes."""

SUPPORT_SOURCE = """\
typedef unsigned long size_type;
#define PLAIN __attribute__((optimize("no-tree-loop-distribute-patterns")))
PLAIN void *memcpy(void *to, const void *from, size_type size)
{
	char *t = to;
	const char *f = from;
	while (size--)
		*t++ = *f++;
	return to;
}
PLAIN void *memset(void *to, int byte, size_type size)
{
	char *t = to;
	while (size--)
		*t++ = byte;
	return to;
}
"""


@dataclass(frozen=True)
class Call:
    """A shape with the values of its arguments (as ``encode`` takes them) and of its result (b"" for void)."""

    shape: CallShape
    values: tuple[bytes, ...]
    result: bytes


def buffer_layout(placement: Placement) -> list[int]:
    """Where in ``received`` each argument is, in bytes; 16-aligned, in order."""
    offsets = []
    end = 0
    for size in placement.sizes:
        offsets.append(end)
        end = round_up(end + size, 16)
    if end > BUFFER_SIZE:
        raise LpgenError(f"the arguments' values need {end} bytes, the buffer has {BUFFER_SIZE}")
    return offsets


def received_values(placement: Placement, buffer: bytes) -> list[bytes]:
    """The arguments' values out of what ``received`` holds; padding reads as zeros."""
    places = zip(buffer_layout(placement), placement.sizes, placement.masks, strict=True)
    return [without_padding(buffer[at : at + size], mask) for at, size, mask in places]


def _definitions_of(ctype: CType) -> Iterator[str]:
    """The lines that a type's name needs before it, inner types first."""
    if isinstance(ctype, Vector):
        yield ctype.typedef_text
    elif isinstance(ctype, Array):
        yield from _definitions_of(ctype.element)
    elif isinstance(ctype, Struct):
        for member in ctype.members:
            yield from _definitions_of(member)
        yield ctype.definition_text


def definitions(shapes: Sequence[CallShape]) -> str:
    """The vector and structure types of these shapes, each once."""
    lines: dict[str, None] = {}
    for shape in shapes:
        for ctype in (shape.prototype.result, *shape.arguments):
            lines.update(dict.fromkeys(_definitions_of(ctype)))
    return "".join(f"{line}\n" for line in lines)


def _constant(name: str, value: bytes) -> str:
    return f"static const unsigned char {name}[{len(value)}] = {{{', '.join(map(str, value))}}};\n"


def _copy_in(ctype: CType, name: str, constant: str) -> str:
    return f"\t{declare(ctype, name)};\n\t__builtin_memcpy(&{name}, {constant}, sizeof {name});\n"


def _caller(number: int, call: Call) -> str:
    shape = call.shape
    constants = ""
    body = ""
    names = []
    for i, (ctype, value) in enumerate(zip(shape.arguments, call.values, strict=True), 1):
        constant = f"call_{number}_a{i}"
        if shape.placement.is_variadic(i - 1) and ctype.size < len(value):
            # What is passed is the promoted value: give C the unpromoted one, so that the compiler promotes it.
            ctype = shape.placement.types[i - 1]
            unpromoted = f"({shape.extra[i - 1 - len(shape.prototype.params)].c_name})a{i}"
            names.append(unpromoted)
        else:
            names.append(f"a{i}")
        constants += _constant(constant, value)
        body += _copy_in(ctype, f"a{i}", constant)
    invocation = f"callee_{number}({', '.join(names)})"
    result = shape.prototype.result
    if isinstance(result, Void):
        body += f"\t{invocation};\n"
    else:
        body += f"\t{declare(result, 'r')} = {invocation};\n\t__builtin_memcpy(returned, &r, sizeof r);\n"
    # The barrier keeps the compiler from making the call a sibling call.
    body += '\t__asm__ volatile("" ::: "memory");\n'
    declaration = f"extern {shape.c_prototype(f'callee_{number}')};\n"
    return f"/* {shape.name} */\n{declaration}{constants}void call_{number}(void)\n{{\n{body}}}\n"


def _callee(number: int, call: Call) -> str:
    shape = call.shape
    params = shape.prototype.params
    body = ""
    places = buffer_layout(shape.placement)
    for i, at in enumerate(places[: len(params)], 1):
        body += f"\t__builtin_memcpy(received + {at}, &a{i}, sizeof a{i});\n"
    if shape.prototype.variadic:
        body += f"\t__builtin_va_list ap;\n\t__builtin_va_start(ap, a{len(params)});\n"
        for i, at in enumerate(places[len(params) :], len(params)):
            ctype = shape.placement.types[i]
            body += f"\t{{ {declare(ctype, 'x')} = __builtin_va_arg(ap, {ctype.c_name}); "
            body += f"__builtin_memcpy(received + {at}, &x, sizeof x); }}\n"
        body += "\t__builtin_va_end(ap);\n"
    constant = ""
    result = shape.prototype.result
    if not isinstance(result, Void):
        constant = _constant(f"callee_{number}_result", call.result)
        body += _copy_in(result, "r", f"callee_{number}_result") + "\treturn r;\n"
    return f"/* {shape.name} */\n{constant}{shape.c_prototype(f'callee_{number}')}\n{{\n{body}}}\n"


def _buffer(name: str) -> str:
    return f"unsigned char {name}[{BUFFER_SIZE}] __attribute__((aligned(16)));\n"


def callers_source(calls: Sequence[Call]) -> str:
    """The C file with ``call_0`` ... and the buffer ``returned``; ``callee_N`` is external."""
    head = definitions([call.shape for call in calls]) + _buffer("returned")
    return head + "".join(_caller(i, call) for i, call in enumerate(calls))


def callees_source(calls: Sequence[Call]) -> str:
    """The C file with ``callee_0`` ... and the buffer ``received``."""
    head = definitions([call.shape for call in calls]) + _buffer("received")
    return head + "".join(_callee(i, call) for i, call in enumerate(calls))
