"""Options: which there are, what they need of each other, what they decide on."""

from __future__ import annotations

import pytest

from lpgen.errors import LpgenError
from lpgen.kernel.generations import (
    defined_offsets,
    every_config,
    kernel,
    option_names,
    required_names,
    settings_of,
    spans,
    versions_of,
)
from lpgen.kernel.options import setting_text

ALL_VERSIONS = [version for generation, *_ in spans() for version in versions_of(generation)]


@pytest.mark.parametrize("version", ["4.7", "5.4.265", "6.12"])
@pytest.mark.parametrize("livepatch", [True, False])
@pytest.mark.parametrize("graph", [True, False])
def test_options_decide_on_features_and_symbols(version: str, livepatch: bool, graph: bool) -> None:
    made = kernel(version, config={"CONFIG_LIVEPATCH": livepatch, "CONFIG_FUNCTION_GRAPH_TRACER": graph})
    symbols = {symbol.name for symbol in made.symbols}
    assert ("livepatch" in made.features) is livepatch
    assert ("livepatch_handler" in symbols) is livepatch
    assert ("TI_livepatch_sp" in required_names(made)) is livepatch
    assert made.offsets.keys() - defined_offsets(made).keys() == (set() if livepatch else {"TI_livepatch_sp"})
    assert bool({"graph_hook", "return_to_handler"} & made.features) is graph
    assert bool({"ftrace_graph_call", "return_to_handler"} & symbols) is graph
    assert {"ftrace_caller", "ftrace_call", "ftrace_stub"} <= symbols


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (
            "4.6.7",
            "kernel 4.6.7 has no livepatch on ppc64le: livepatch on ppc64le came with 4.7; use --kernel 4.7 or later",
        ),
        ("nonsense", "'nonsense' is not a kernel version; give it as 4.7, v4.7, 4.9.337 or 4.7-rc1"),
    ],
)
def test_a_kernel_that_lpgen_does_not_have(version: str, message: str) -> None:
    with pytest.raises(LpgenError) as caught:
        kernel(version)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("version", "name", "message"),
    [
        ("4.7", "CONFIG_LIVEPATHC", "is not an option of generation G1; did you mean CONFIG_LIVEPATCH?"),
        ("4.7", "LIVEPATCH", "is not an option of generation G1; did you mean CONFIG_LIVEPATCH?"),
        (
            "4.7",
            "CONFIG_SMP",
            "is not an option of generation G1; it has CONFIG_LIVEPATCH, CONFIG_FUNCTION_GRAPH_TRACER",
        ),
        # An option of other generations is no misspelling.
        (
            "4.7",
            "CONFIG_LIVEPATCH_64",
            "changes nothing in generation G1; it has CONFIG_LIVEPATCH, CONFIG_FUNCTION_GRAPH_TRACER",
        ),
        ("6.5", "CONFIG_FUNCTION_GRAPH_TRACER", "changes nothing in generation G8; it has CONFIG_LIVEPATCH_64"),
    ],
)
def test_an_option_that_the_generation_does_not_have(version: str, name: str, message: str) -> None:
    with pytest.raises(LpgenError) as caught:
        kernel(version, config={name: True})
    assert str(caught.value) == f"{name} {message}"


OOL, CALL_OPS, DIRECT, RESERVE = (
    "CONFIG_PPC_FTRACE_OUT_OF_LINE",
    "CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS",
    "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
    "CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE",
)


@pytest.mark.parametrize(
    ("config", "on"),
    [
        ({}, {OOL, CALL_OPS, DIRECT}),
        ({OOL: False}, set()),
        ({CALL_OPS: False}, {OOL}),
        ({CALL_OPS: False, DIRECT: True}, {OOL, DIRECT}),
        ({DIRECT: False}, {OOL, CALL_OPS}),
        ({OOL: False, CALL_OPS: False, DIRECT: False}, set()),
    ],
)
def test_options_follow_from_others(config: dict[str, bool], on: set[str]) -> None:
    made = kernel("6.13", config=config)
    assert {name for name in (OOL, CALL_OPS, DIRECT) if made.options[name]} == on
    assert {"out_of_line", "call_ops", "direct_calls", "ops_from_toc"} & made.features == {
        name
        for name, there in (
            ("out_of_line", OOL in on),
            ("call_ops", CALL_OPS in on),
            ("direct_calls", DIRECT in on),
            ("ops_from_toc", CALL_OPS not in on),
        )
        if there
    }


@pytest.mark.parametrize("name", [CALL_OPS, DIRECT])
def test_an_option_without_what_it_needs(name: str) -> None:
    with pytest.raises(LpgenError) as caught:
        kernel("6.13", config={OOL: False, name: True})
    assert str(caught.value) == f"{name}=y needs {OOL}=y; set {OOL}=y, or {name}=n"


def test_the_old_name_of_an_option() -> None:
    made = kernel("6.12", config={"CONFIG_LIVEPATCH": False})
    assert made.options == {
        "CONFIG_LIVEPATCH_64": False,
        "CONFIG_FUNCTION_GRAPH_TRACER": True,
        "CONFIG_ARCH_USING_PATCHABLE_FUNCTION_ENTRY": False,
    }
    assert made == kernel("6.12", config={"CONFIG_LIVEPATCH": False, "CONFIG_LIVEPATCH_64": False})
    assert made.option_of("CONFIG_LIVEPATCH") == "CONFIG_LIVEPATCH_64"
    assert kernel("4.7").option_of("CONFIG_LIVEPATCH") == "CONFIG_LIVEPATCH"
    assert option_names("6.5") == {
        "CONFIG_LIVEPATCH": "CONFIG_LIVEPATCH_64",
        "CONFIG_LIVEPATCH_64": "CONFIG_LIVEPATCH_64",
    }


@pytest.mark.parametrize(
    "order", [("CONFIG_LIVEPATCH", "CONFIG_LIVEPATCH_64"), ("CONFIG_LIVEPATCH_64", "CONFIG_LIVEPATCH")]
)
def test_names_that_contradict_each_other(order: tuple[str, str]) -> None:
    with pytest.raises(LpgenError) as caught:
        kernel("6.12", config={order[0]: True, order[1]: False})
    assert str(caught.value) == (
        "CONFIG_LIVEPATCH and CONFIG_LIVEPATCH_64 contradict each other; CONFIG_LIVEPATCH sets CONFIG_LIVEPATCH_64"
    )


def test_a_number() -> None:
    assert kernel("6.13").stub_count == 32768
    made = kernel("6.13", config={RESERVE: 8})
    assert (made.stub_count, made.numbers) == (8, {RESERVE: 8})
    assert RESERVE not in made.options
    assert kernel("6.12").stub_count == 0


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({RESERVE: 0}, f"{RESERVE}=0: it takes a number; give one from 1 to 262144"),
        ({RESERVE: 1 << 20}, f"{RESERVE}=1048576: it takes a number; give one from 1 to 262144"),
        ({RESERVE: True}, f"{RESERVE}=y: it takes a number; give one from 1 to 262144"),
        ({OOL: 2}, f"{OOL}=2: it is on or off; write {OOL}=y or {OOL}=n"),
    ],
)
def test_a_value_that_the_option_cannot_have(setting: dict[str, int], message: str) -> None:
    for given in ({"config": setting}, {"dotconfig": setting}):
        with pytest.raises(LpgenError) as caught:
            kernel("6.13", **given)  # type: ignore[arg-type]
        assert str(caught.value) == message


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_the_fewest_settings_make_the_same_options_again(version: str) -> None:
    seen = []
    for config in every_config(version):
        made = kernel(version, config=config)
        again = settings_of(made)
        assert kernel(version, config=again).options == made.options == config
        for left_out in again:
            fewer = {name: value for name, value in again.items() if name != left_out}
            try:
                assert kernel(version, config=fewer).options != made.options
            except LpgenError:
                continue
        seen.append(again)
    assert seen[0] == {}
    assert len({str(settings) for settings in seen}) == len(seen)


def test_every_config_leaves_out_what_cannot_be() -> None:
    assert len(list(every_config("4.7"))) == 4
    assert len(list(every_config("4.13"))) == 8
    assert len(list(every_config("6.5"))) == 2
    # Livepatch, graph tracer and patchable function entries, each on and off; out of line with four ways of the two
    # that need it, or without them.
    assert len(list(every_config("6.13"))) == 8 * 5


def test_a_number_is_among_the_settings() -> None:
    assert settings_of(kernel("6.13", config={RESERVE: 5})) == {RESERVE: 5}
    assert setting_text(RESERVE, 5) == f"{RESERVE}=5"
    assert setting_text(OOL, False) == f"{OOL}=n"


def test_what_a_dotconfig_does_not_mention_has_kconfigs_default() -> None:
    assert kernel("6.13", dotconfig={}).options == {
        "CONFIG_LIVEPATCH_64": False,
        "CONFIG_FUNCTION_GRAPH_TRACER": True,
        "CONFIG_ARCH_USING_PATCHABLE_FUNCTION_ENTRY": False,
        OOL: True,
        CALL_OPS: True,
        DIRECT: True,
    }
    assert kernel("6.13", dotconfig={"CONFIG_LIVEPATCH": True}).options["CONFIG_LIVEPATCH_64"]
    assert not kernel("4.7", dotconfig={}).options["CONFIG_LIVEPATCH"]
    # What a person sets wins.
    assert kernel("4.7", dotconfig={}, config={"CONFIG_LIVEPATCH": True}).options["CONFIG_LIVEPATCH"]
    assert kernel("6.13", dotconfig={OOL: False}).options[CALL_OPS] is False
