"""What lpgen's text replaces in entry_64.S, and what the rest of the file has from there: refused, with the line."""

from __future__ import annotations

import pytest

from lpgen.errors import LpgenError
from tests.tree import trees
from tests.tree.test_splice import put

IN_CALLER = "\tmr\tr14, r7\n#endif\n"  # in the tree's own ftrace_caller, at its top level


def inside(text: str) -> str:
    """An entry_64.S with ``text`` inside of what is replaced."""
    return trees.entry().replace(IN_CALLER, f"{IN_CALLER}{text}")


def and_behind(old: str, text: str) -> str:
    return old.replace("_GLOBAL(return_to_handler)\n", f"_GLOBAL(return_to_handler)\n{text}")


def and_before(old: str, text: str) -> str:
    return old.replace("_GLOBAL(first_of_all)\n", f"_GLOBAL(first_of_all)\n{text}")


REFUSED = {
    "#define": (
        and_behind(inside("#ifdef CONFIG_PPC64\n#define MYFRAME 112\n#endif\n"), "\tli\tr3, MYFRAME\n"),
        "#define MYFRAME 112",
        "stands in what lpgen's text replaces",
    ),
    "#define in the handler": (
        trees.entry().replace("\tbctrl\n1:", "#if 1\n#define MYFRAME 112\n#endif\n\tbctrl\n1:"),
        "#define MYFRAME 112",
        "stands in what lpgen's text replaces",
    ),
    "#undef": (inside("#if 1\n#undef XYZ\n#endif\n"), "#undef XYZ", "stands in what lpgen's text replaces"),
    "#include": (
        inside("#ifdef CONFIG_PPC64\n#include <asm/theirs.h>\n#endif\n"),
        "#include <asm/theirs.h>",
        "stands in what lpgen's text replaces",
    ),
    "#include for others": (
        inside("#ifdef CONFIG_LIVEPATCH\n#else\n#include <asm/theirs.h>\n#endif\n"),
        "#include <asm/theirs.h>",
        "stands in what lpgen's text replaces",
    ),
    **{
        f"assigned {line}": (
            and_behind(inside(f"\t{line}\n"), "\tli\tr3, MYFRAME\n"),
            "\tli\tr3, MYFRAME",
            "refers to MYFRAME, which stands in what lpgen's text replaces",
        )
        for line in ("MYFRAME = 112", "MYFRAME=112", "nop; MYFRAME == 112")
    },
    **{
        f"in an #if: {line}": (
            and_behind(inside(f"#if 1\n\t{line}\n#endif\n"), "\tli\tr3, MYFRAME\n"),
            "\tli\tr3, MYFRAME",
            "refers to MYFRAME, which stands in what lpgen's text replaces",
        )
        for line in (".set MYFRAME, 112", ".equ\tMYFRAME,112", ".equiv MYFRAME, 112", ".comm MYFRAME, 8")
    },
    "assigned, and used by a #define": (
        inside("MYFRAME = 112\n").replace(trees.HEAD, f"#define THEIRS (MYFRAME + 8)\n{trees.HEAD}"),
        "#define THEIRS (MYFRAME + 8)",
        "refers to MYFRAME",
    ),
    ".macro": (
        and_behind(inside("#ifdef CONFIG_PPC64\n.macro THEIRS reg\n\tli\t\\reg, 1\n.endm\n#endif\n"), "\tTHEIRS r3\n"),
        "\tTHEIRS r3",
        "refers to THEIRS, which stands in what lpgen's text replaces",
    ),
    "Nb behind": (
        and_behind(inside("7:\tnop\n"), "\tb\t7b\n"),
        "\tb\t7b",
        "7b is in line {at:7:\tnop}, which lpgen's text replaces",
    ),
    "Nf before": (
        and_before(inside("99:\tnop\n"), "\tb\t99f\n"),
        "\tb\t99f",
        "99f is in line {at:99:\tnop}, which lpgen's text replaces",
    ),
    "a number that lpgen's text has too": (
        and_behind(inside("1:\tnop\n").replace(trees.HANDLER, ""), "\tb\t1b\n"),
        "\tb\t1b",
        "1b is in line {at:1:\tnop}, which lpgen's text replaces",
    ),
    "lpgen's would come between": (
        and_behind(and_before(trees.entry(), "1:\tnop\n").replace(trees.HANDLER, ""), "\tb\t1b\n"),
        "\tb\t1b",
        "1b would be lpgen's 1:",
    ),
    "lpgen's would come between, forwards": (
        and_behind(and_before(trees.entry(), "\tb\t1f\n").replace(trees.HANDLER, ""), "1:\tnop\n"),
        "\tb\t1f",
        "1f would be lpgen's 1:",
    ),
    "on the line of a label": (
        and_behind(inside("x:7:\tnop; nop\n"), "8: b 8b; b 7b\n"),
        "8: b 8b; b 7b",
        "7b is in line {at:x:7:\tnop; nop}, which lpgen's text replaces",
    ),
    "in a macro": (
        and_behind(inside("7:\tnop\n"), ".macro THEIRS\n7:\tnop\n.endm\n\tb\t7b\n"),
        "\tb\t7b",
        "7b is in line {at:7:\tnop}, which lpgen's text replaces",
    ),
    "from a macro": (
        and_behind(inside("7:\tnop\n"), "\tTHEIRS 1\n").replace(
            trees.HEAD, f"{trees.HEAD}.macro THEIRS x\n\tb\t7b\n.endm\n"
        ),
        "\tTHEIRS 1",
        "7b is in line",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("old", "at", "reason"), REFUSED.values(), ids=REFUSED)
def test_refused(old: str, at: str, reason: str) -> None:
    lines = old.split("\n")
    if "{at" in reason:
        head, _, rest = reason.partition("{at")
        wanted, _, rest = rest[1:].partition("}")
        found = [number for number, line in enumerate(lines, 1) if line == wanted]
        reason = f"{head}{found[0]}{rest}"
    with pytest.raises(LpgenError) as caught:
        put(old)
    assert reason in str(caught.value)
    assert str(caught.value).startswith(f"entry_64.S:{lines.index(at) + 1}: ")
    assert "\n" not in str(caught.value)


KEPT = {
    "a name that is used inside alone": inside("MYFRAME = 112\n\tli\tr3, MYFRAME\n"),
    "numbers inside alone": inside("7:\tb\t7b\n\tb\t8f\n8:\n"),
    "numbers outside alone": and_behind(and_before(inside("7:\tb\t7b\n"), "7:\tb\t7b\n"), "7:\tb\t7b\n\tb\t7b\n"),
    "over lpgen's": and_behind(and_before(trees.entry(), "77:\tnop\n"), "\tb\t77b\n"),
    "no label": and_behind(inside("7:\tnop\n"), '\tli\tr3, 0x7b\n\t.asciz\t"7b"\n'),
    "#error": inside("#ifdef CONFIG_NEVER\n#error no\n#endif\n"),
    "a macro outside": and_behind(trees.entry(), "\tTHEIRS\n").replace(
        trees.HEAD, f"{trees.HEAD}.macro THEIRS\n1:\tb\t1b\n.endm\n"
    ),
    "for others": trees.entry().replace("\tld\tr11, 0(r1)\n", "7:\tld\tr11, 0(r1)\n\tb\t7b\n"),
}


@pytest.mark.parametrize("old", KEPT.values(), ids=KEPT)
def test_taken(old: str) -> None:
    new = put(old)
    assert put(new) == new
