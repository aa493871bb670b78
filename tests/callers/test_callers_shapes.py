"""Zoo, random shapes and values, shrinking, and the C text made of them."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lpgen
from lpgen.callers.cgen import BUFFER_SIZE, Call, buffer_layout, callees_source, callers_source, definitions
from lpgen.callers.randoms import (
    MAX_ARGUMENT_BYTES,
    MAX_ARGUMENTS,
    promote_value,
    random_result,
    random_shape,
    random_values,
)
from lpgen.callers.shape import CallShape, shape, shrink
from lpgen.callers.types import BOOL, CHAR, DOUBLE, FLOAT, INT, LONG, POINTER, SCHAR, VOID, Array, Struct, struct
from lpgen.callers.zoo import zoo
from lpgen.errors import LpgenError


def test_the_zoo_has_the_telling_animals() -> None:
    animals = zoo()
    names = [animal.name for animal in animals]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"\w+", name) for name in names)
    assert {"no_arguments", "ints_40", "doubles_14", "vectors_13", "struct_split", "hidden_8_ints"} <= set(names)
    assert animals == zoo()
    assert sum(animal.prototype.variadic for animal in animals) > 15


def test_c_prototypes() -> None:
    assert shape("x", INT, INT, DOUBLE, extra=(LONG,)).c_prototype() == "int f(int a1, double a2, ...)"
    assert shape("x", VOID).c_prototype("g") == "void g(void)"
    assert shape("x", POINTER, POINTER).c_prototype() == "void *f(void *a1)"


def test_the_same_seed_gives_the_same_call() -> None:
    def draw() -> list[tuple[CallShape, list[bytes], bytes]]:
        rng = random.Random("lpgen")
        shapes = [random_shape(rng) for _ in range(50)]
        return [(one, random_values(one, rng), random_result(one, rng)) for one in shapes]

    assert draw() == draw()


def test_random_shapes_cover_what_they_promise() -> None:
    rng = random.Random(5)
    shapes = [random_shape(rng) for _ in range(2000)]
    assert {len(one.arguments) for one in shapes} >= set(range(30))
    assert max(len(one.arguments) for one in shapes) <= MAX_ARGUMENTS
    assert max(one.placement.argument_bytes for one in shapes) <= MAX_ARGUMENT_BYTES
    assert 400 < sum(one.prototype.variadic for one in shapes) < 600
    assert sum(one.placement.hidden is not None for one in shapes) > 50
    split = [one for one in shapes if any(len({p.kind for p in ps}) > 1 for ps in one.placement.arguments)]
    assert len(split) > 100


def test_values_have_their_sizes_and_zeros_in_padding() -> None:
    one = shape("x", VOID, BOOL, struct(INT, CHAR), extra=(SCHAR, FLOAT, BOOL))
    values = random_values(one, random.Random(1))
    assert [len(value) for value in values] == [1, 8, 4, 8, 4]
    assert values[1][5:] == bytes(3)
    assert promote_value(SCHAR, b"\xfe") == b"\xfe\xff\xff\xff"
    assert promote_value(CHAR, b"\xfe") == b"\xfe\0\0\0"
    assert promote_value(FLOAT, b"\0\0\x80\x3f") == b"\0\0\0\0\0\0\xf0\x3f"


@pytest.mark.parametrize("seed", range(5))
def test_shrinking_comes_to_an_end_whatever_fails(seed: int) -> None:
    rng = random.Random(seed)
    current = random_shape(rng)
    for _ in range(5000):
        smaller = list(shrink(current))
        assert current not in smaller
        if not smaller:
            break
        current = rng.choice(smaller)
        assert current.placement is not None
    assert (current.prototype.params, current.extra, current.prototype.result) == ((), (), VOID)


def test_shrinking_finds_the_ninth_doubleword() -> None:
    rng = random.Random(11)
    current = next(one for one in (random_shape(rng) for _ in range(100)) if one.placement.memory_bytes > 100)
    while smaller := next((one for one in shrink(current) if one.placement.memory_bytes), None):
        current = smaller
    assert not current.prototype.variadic
    assert current.placement.slots <= 9 or len(current.arguments) == 1


def test_shrinking_goes_into_structures() -> None:
    big = shape("x", VOID, Struct((INT, Array(CHAR, 24))))

    def fails(one: CallShape) -> bool:
        return any(isinstance(ctype, Struct) and ctype.size >= 3 for ctype in one.arguments)

    while smaller := next((one for one in shrink(big) if fails(one)), None):
        big = smaller
    assert big.arguments == (Struct((Array(CHAR, 3),)),)


def test_the_same_calls_give_the_same_text(calls: list[Call]) -> None:
    assert callers_source(calls[:20]) == callers_source(list(calls[:20]))
    text = callees_source(calls)
    assert text.count("__builtin_va_start") == sum(call.shape.prototype.variadic for call in calls)
    assert all(f"/* {call.shape.name} */" in text for call in calls)


def test_every_type_is_defined_once_and_before_its_use() -> None:
    inner = struct(SCHAR, INT)
    text = definitions([shape("x", VOID, struct(Array(inner, 2)), inner), shape("y", inner)])
    assert text.count("struct s_i8_i32_e {") == 1
    assert text.index("struct s_i8_i32_e {") < text.index("m0[2]")


def test_a_call_that_does_not_fit_the_buffer_is_refused() -> None:
    huge = shape("x", VOID, struct(Array(CHAR, BUFFER_SIZE)), INT)
    with pytest.raises(LpgenError, match="buffer"):
        buffer_layout(huge.placement)


def test_the_package_needs_no_engine() -> None:
    code = (
        "import sys, lpgen.callers.cgen, lpgen.callers.compare, lpgen.callers.randoms, lpgen.callers.variadic, "
        "lpgen.callers.zoo; sys.exit(any(m in sys.modules for m in ('unicorn', 'keystone', 'jinja2', 'capstone')))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(lpgen.__file__).parent.parent)}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == 0
