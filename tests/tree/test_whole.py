"""A whole file that lpgen's text replaces: which symbols may not go without a word."""

from __future__ import annotations

import pytest

from lpgen.errors import LpgenError
from lpgen.kernel.generations import kernel
from lpgen.source.emit import emit_source
from lpgen.tree.whole import check_symbols, serves_others
from tests.tree import trees

WHOLE = [version for version in trees.FILES if not kernel(version).section]


def check(old: str, version: str = "6.12") -> None:
    made = kernel(version)
    check_symbols(old, emit_source(made, ifdef=True).text, made, file="x.S")


@pytest.mark.parametrize("version", WHOLE)
def test_the_text_itself(version: str) -> None:
    check(emit_source(kernel(version), ifdef=True).text, version)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("_GLOBAL(theirs)", "theirs"),
        ("\tnop; .globl theirs", "theirs"),
        (".globl ftrace_caller, theirs", "theirs"),
        (".weak theirs", "theirs"),
        ("SYM_FUNC_START(theirs)", "theirs"),
        ("EXPORT_SYMBOL_GPL(ftrace_caller)", "EXPORT_SYMBOL(ftrace_caller)"),
    ],
)
@pytest.mark.parametrize(
    "around",
    [
        "",
        "#ifdef CONFIG_FOO",
        "#ifdef CONFIG_PPC64",
        "#ifndef CONFIG_PPC32",
        "#ifdef CONFIG_PPC32\n#else",
        "#if defined(CONFIG_PPC32) || defined(CONFIG_FOO)",
        "#if !defined(CONFIG_PPC32) && CONFIG_FOO > 1",
        "#if (defined(CONFIG_PPC32))",
        "#if 0\n#elif 1",
        "#ifdef CONFIG_PPC64\n#ifdef CONFIG_FOO\n#else\n#endif",
    ],
)
def test_it_would_go(around: str, line: str, name: str) -> None:
    old = f"_GLOBAL(ftrace_caller)\n{around}\n{line}\n{'#endif' if around else ''}\n"
    with pytest.raises(LpgenError) as caught:
        check(old)
    number = old.split("\n").index(line) + 1
    assert str(caught.value).startswith(
        f"x.S:{number}: {name} would go: lpgen's text for 6.12 has no such symbol; use --force"
    )


@pytest.mark.parametrize(
    "around",
    [
        "#ifdef CONFIG_PPC32",
        "#ifndef CONFIG_PPC64",
        "#ifdef CONFIG_PPC64\n#else",
        "#if 0",
        "#if 1\n#elif defined(CONFIG_FOO)",
        "#if defined(CONFIG_FOO) && !defined CONFIG_PPC64",
        "#if IS_ENABLED(CONFIG_PPC32) || defined(CONFIG_CPU_BIG_ENDIAN)",
        "#ifdef CONFIG_PPC32\n#ifdef CONFIG_FOO\n#else",
    ],
)
def test_of_other_kernels(around: str) -> None:
    ends = "#endif\n" * sum(line.startswith(("#if",)) for line in around.split("\n"))
    check(f"{around}\n_GLOBAL(theirs)\n\tblr\n{ends}")


def test_what_no_other_file_sees() -> None:
    check("theirs:\n\tblr\n_STATIC(more)\n\tblr\nSYM_FUNC_START_LOCAL(x)\n1:\n.Lx:\n\tb 1b\n")


def test_a_kernel_that_has_it() -> None:
    with pytest.raises(LpgenError) as caught:
        check("_GLOBAL(ftrace_caller)\n.globl ftrace_ool_stub_text\nftrace_ool_stub_text:\n_GLOBAL(mcount)\n")
    assert "x.S:2: ftrace_ool_stub_text would go" in str(caught.value)
    assert "; kernel 6.13 has it: use --kernel 6.13 --force if this is its tree" in str(caught.value)


def test_whose_file_it_is() -> None:
    served = {version for version in trees.FILES if serves_others(kernel(version))}
    assert served == {"5.18", "6.1.45", "6.6", "6.12", "6.18"}
