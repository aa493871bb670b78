"""The emitted text in entry_64.S: what it replaces, what it leaves alone, what it refuses."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import pytest

from lpgen.commands.offsets import offsets_text
from lpgen.errors import LpgenError
from lpgen.kernel.generations import kernel, symbols_of
from lpgen.source.emit import emit_source
from lpgen.tree.lines import Lines
from lpgen.tree.splice import BEGIN, END, splice
from lpgen.tree.symbols import definitions
from lpgen.tree.worlds import agrees, is_ours, worlds
from tests.tree import trees

needs_gcc = pytest.mark.skipif(
    shutil.which(trees.GCC) is None, reason="apt-get install gcc-powerpc64le-linux-gnu binutils-powerpc64le-linux-gnu"
)

VARIANTS = {
    "as in Linux": trees.entry(),
    "a stub for each ABI": trees.entry(shared_stub=False),
    "as in 4.6": trees.entry(livepatch=False),
    "no graph hook": trees.entry(graph=False),
    "the hook before the rest": trees.entry(graph=False).replace(
        "#ifdef CONFIG_FUNCTION_TRACER\n",
        "#ifdef CONFIG_FUNCTION_TRACER\n"
        "#if defined(CONFIG_FUNCTION_GRAPH_TRACER) && defined(CC_USING_MPROFILE_KERNEL)\n"
        f"{trees.NEW_GRAPH}#endif\n",
        1,
    ),
    "#if defined": trees.entry().replace(
        "#ifndef CC_USING_MPROFILE_KERNEL\n", "#  if !defined(CC_USING_MPROFILE_KERNEL) /* old */\n"
    ),
    "no #else": trees.entry().replace(
        "#else /* CC_USING_MPROFILE_KERNEL */\n", "#endif\n#if defined CC_USING_MPROFILE_KERNEL\n"
    ),
    "no old ABI": trees.entry(graph=False, shared_stub=False)
    .replace(trees.OLD_CALLER + trees.STUB, "")
    .replace("#ifndef CC_USING_MPROFILE_KERNEL\n#else", "#if 1"),
    "no end of the last line": trees.entry().rstrip("\n"),
    "a comment from one line to the next": trees.entry().replace(
        "\tbctr\n#endif /* CC", "\tbctr\t/* to\n\t * B\n\t */\n#endif /* CC"
    ),
    "a form feed": trees.entry().replace(trees.MCOUNT, f"\f\n{trees.MCOUNT}"),
}
every_variant = pytest.mark.parametrize("old", VARIANTS.values(), ids=VARIANTS)


@cache
def text(*, livepatch: bool | None = None, graph: bool | None = None) -> str:
    """The emitted text: for every configuration, or for one."""
    settled = {"CONFIG_LIVEPATCH": livepatch, "CONFIG_FUNCTION_GRAPH_TRACER": graph}
    config = {name: value for name, value in settled.items() if value is not None}
    return emit_source(kernel("4.7", config=config), ifdef=not config).text


def put(old: str, **config: bool) -> str:
    options = {
        f"CONFIG_{'LIVEPATCH' if name == 'livepatch' else 'FUNCTION_GRAPH_TRACER'}": on for name, on in config.items()
    }
    return splice(old, text(**config), file="entry_64.S", known=symbols_of("4.7"), options=options or None)


def kept(source: str, world: dict[str, str]) -> list[str]:
    lines = Lines(source, "x")
    return [lines.units[unit].text for unit in sorted(lines.alive(world)) if lines.units[unit].text]


@every_variant
def test_each_symbol_once_and_nothing_else_changed(old: str) -> None:
    new = put(old)
    assert new.count(BEGIN) == new.count(END) == 1
    for world in worlds():
        before, after = kept(old, world), kept(new, world)
        if not is_ours(world):
            assert before == after
            continue
        names = [name for line in after for name in definitions(line)]
        assert len(names) == len(set(names))
        expected = {name for line in kept(text(), world) for name in definitions(line)}
        assert expected <= set(names)
        others = {name for line in before for name in definitions(line)} - symbols_of("4.7")
        assert others <= set(names)
        assert not [line for line in after if "the tree's own" in line]


@every_variant
def test_lines_that_stay_stay_byte_for_byte(old: str) -> None:
    new = put(old)
    block = new[new.index(BEGIN) : new.index(END) + len(END)]
    rest = new.replace(block, "").splitlines(keepends=True)
    remaining = iter(old.splitlines(keepends=True))
    for line in rest:
        if "lpgen" not in line and line != "#endif\n":
            assert line in remaining, line  # in this order


@every_variant
def test_again_is_the_same(old: str) -> None:
    new = put(old)
    assert put(new) == new
    # By way of another text of lpgen's, too.
    assert put(put(new, livepatch=False, graph=True)) == new


def test_the_tree_s_own_is_gone_and_the_old_abi_s_is_not() -> None:
    new = put(trees.entry())
    assert trees.NEW_CALLER not in new
    assert trees.HANDLER not in new
    assert "The tree's own" not in new
    for part in (trees.HEAD, trees.MCOUNT, trees.OLD_CALLER, trees.STATIC, trees.OLD_GRAPH, trees.RETURN):
        assert new.count(part) == 1, part
    # A kernel with static ftrace can have it, so it stays for that.
    assert f"#ifndef CONFIG_DYNAMIC_FTRACE\t/* lpgen's own is used with it */\n{trees.NEW_GRAPH}#endif\n" in new
    assert f"#ifndef CC_USING_MPROFILE_KERNEL\t/* lpgen's own is used with it */\n{trees.STUB}#endif\n" in new


def test_includes_that_the_file_has_are_not_put_in_again() -> None:
    new = put(trees.entry())
    assert new.count("#include") == trees.HEAD.count("#include")
    few = trees.HEAD.replace("#include <linux/magic.h>\n", "")
    new = put(trees.entry(head=few))
    assert f"{BEGIN}/*\n" in new
    assert "#ifdef CONFIG_LIVEPATCH\n#include <linux/magic.h>\n#endif\n" in new[new.index(BEGIN) :]
    assert new.count("#include") == trees.HEAD.count("#include")


def test_an_include_under_another_option_is_not_enough() -> None:
    head = trees.HEAD.replace("#include <asm/ftrace.h>\n", "#ifdef CONFIG_LIVEPATCH\n#include <asm/ftrace.h>\n#endif\n")
    new = put(trees.entry(head=head))
    assert "#include <asm/ftrace.h>\n" in new[new.index(BEGIN) :]


@pytest.mark.parametrize("config", [{"livepatch": False}, {"graph": False}, {"livepatch": True, "graph": False}])
def test_text_for_one_configuration(config: dict[str, bool]) -> None:
    new = put(trees.entry(), **config)
    options = {"CONFIG_LIVEPATCH": True, "CONFIG_FUNCTION_GRAPH_TRACER": True}
    options |= {
        f"CONFIG_{'LIVEPATCH' if name == 'livepatch' else 'FUNCTION_GRAPH_TRACER'}": on for name, on in config.items()
    }
    for world in worlds():
        if is_ours(world) and agrees(world, options):
            names = [name for line in kept(new, world) for name in definitions(line)]
            assert len(names) == len(set(names))
            assert {name for line in kept(text(**config), world) for name in definitions(line)} <= set(names)


@needs_gcc
@every_variant
def test_it_assembles_and_is_the_same_code(old: str, tmp_path: Path) -> None:
    offsets = offsets_text(kernel("4.7"), "header")
    for name, content in (("old", old), ("new", put(old)), ("alone", text())):
        (tmp_path / f"{name}.S").write_text(content)
    for number, world in enumerate(worlds()):
        found = {
            name: trees.code_of(trees.assemble(tmp_path / f"{name}.S", tmp_path / f"{name}{number}", world, offsets))
            for name in (("new", "alone") if is_ours(world) else ("old", "new"))
        }
        code, symbols = found["new"]
        if not is_ours(world):
            assert found["old"] == found["new"]
            continue
        alone, own = found["alone"]
        start = symbols["ftrace_caller"]
        assert code[start : start + len(alone)] == alone
        for symbol, at in own.items():
            assert symbols[symbol] - start == at, symbol


REFUSED = {
    "no ftrace_caller": (
        trees.entry(graph=False).replace(trees.NEW_CALLER, ""),
        "entry_64.S:26: this ftrace_caller is not for -mprofile-kernel",
    ),
    "none at all": ("_GLOBAL(x)\n\tblr\n", "entry_64.S: has no ftrace_caller for -mprofile-kernel"),
    "no #endif": (trees.entry().rstrip("\n").removesuffix("#endif /* CONFIG_FUNCTION_TRACER */"), "#if is not closed"),
    "an #endif too many": (trees.entry() + "#endif\n", "#endif without #if"),
    "an #else too many": (trees.entry().replace(trees.STATIC, f"#else\n{trees.STATIC}"), "#else after #else"),
    "a comment": (trees.entry() + "/* open\n", "comment is not closed"),
    "an #if": (trees.entry() + "#if (\n#endif\n", "entry_64.S:"),
    "the rest behind the #if": (
        trees.entry(shared_stub=False).replace(
            "#endif /* CC_USING_MPROFILE_KERNEL */\n\n#else", "#endif\n\tbctr\n\n#else", 1
        ),
        "belongs neither to what lpgen's text replaces",
    ),
    "runs into it": (
        trees.entry().replace("#else /* CC_USING_MPROFILE_KERNEL */\n/*", "#else\n\tnop\n/*"),
        "runs on into line",
    ),
    "a name of theirs inside": (
        trees.entry().replace("\tbctr\n#endif /* CC", "\tnop\n_GLOBAL(theirs)\n\tbctr\n#endif /* CC"),
        "is reached from line",
    ),
    "a label inside that is used outside": (
        trees.entry().replace("\tmr\tr14, r7\n", "inside:\tmr\tr14, r7\n").replace("\tstd\tr4, -24(r1)", "\tb\tinside"),
        "refers to inside, which stands in what lpgen's text replaces",
    ),
    "under one more option": (
        trees.entry()
        .replace("_GLOBAL(ftrace_caller)\n\tstd", "#ifdef CONFIG_LIVEPATCH\n_GLOBAL(ftrace_caller)\n\tstd")
        .replace("\tbctr\n#endif /* CC", "\tbctr\n#endif\n#endif /* CC"),
        "ftrace_caller is not defined here for",
    ),
    "an end mark alone": (trees.entry() + END, "marks do not match"),
    "two texts": (put(trees.entry()) + BEGIN + END, "marks do not match"),
    "marks across an #if": (
        trees.entry()
        .replace("#ifdef CONFIG_DYNAMIC", f"{BEGIN}#ifdef CONFIG_DYNAMIC")
        .replace("#else\n", f"{END}#else\n"),
        "an #if begins or ends between here",
    ),
}


@pytest.mark.parametrize(("old", "reason"), REFUSED.values(), ids=REFUSED)
def test_refused_with_file_and_line(old: str, reason: str) -> None:
    with pytest.raises(LpgenError) as caught:
        put(old)
    assert reason in str(caught.value)
    assert str(caught.value).startswith("entry_64.S")
    assert "\n" not in str(caught.value)


def test_a_definition_that_others_need_twice_is_found_by_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Break the splice: without the #if around what stays, the check of the result must speak."""
    from lpgen.tree import splice as module

    monkeypatch.setattr(module._Splice, "_take_out", lambda *_: None)
    with pytest.raises(LpgenError, match="would be defined 2 times"):
        put(trees.entry())


def test_a_change_for_others_is_found_by_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    from lpgen.tree import splice as module

    monkeypatch.setattr(module._Splice, "_take_out", lambda _, edit, span: edit.drop(span.first, span.last))
    with pytest.raises(LpgenError, match="would change, which lpgen's text is not for"):
        put(trees.entry())
