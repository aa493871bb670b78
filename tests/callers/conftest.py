from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from callers_toolchain import link, probe_source

from lpgen.callers.cgen import Call, callees_source, callers_source
from lpgen.callers.randoms import random_result, random_shape, random_values
from lpgen.callers.zoo import zoo

if TYPE_CHECKING:
    from callers_guest import Guest

RANDOM_SHAPES = 150


@pytest.fixture(scope="session")
def calls() -> list[Call]:
    """The zoo and some random calls, with values."""
    rng = random.Random(20260101)
    shapes = zoo() + [random_shape(rng) for _ in range(RANDOM_SHAPES)]
    return [Call(shape, tuple(random_values(shape, rng)), random_result(shape, rng)) for shape in shapes]


@pytest.fixture(scope="session")
def callees(calls: list[Call], tmp_path_factory: pytest.TempPathFactory) -> Guest:
    """A machine with gcc's callee_N of every call."""
    from callers_guest import Guest

    directory = tmp_path_factory.mktemp("callees")
    return Guest(link(directory, "callees", callees_c=callees_source(calls)), seed=1)


@pytest.fixture(scope="session")
def plain_callees(calls: list[Call], tmp_path_factory: pytest.TempPathFactory) -> Guest:
    """The same, compiled without optimisation."""
    from callers_guest import Guest

    directory = tmp_path_factory.mktemp("plain_callees")
    return Guest(link(directory, "callees", level="-O0", callees_c=callees_source(calls)), seed=3)


@pytest.fixture(scope="session")
def callers(calls: list[Call], tmp_path_factory: pytest.TempPathFactory) -> Guest:
    """A machine with gcc's call_N of every call; every callee is the function ``probe``."""
    from callers_guest import Guest

    directory = tmp_path_factory.mktemp("callers")
    sources = {"callers_c": callers_source(calls), "probe_s": probe_source(len(calls))}
    return Guest(link(directory, "callers", **sources), seed=2)
