"""The Kconfig logic: LIVEPATCH only with -mprofile-kernel on little-endian ppc64, by kconfiglib's evaluation."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from change_tools import BANNER, STUBS

from lpgen.kernel.generations import kernel
from lpgen.source.change import change_files

kconfiglib = pytest.importorskip("kconfiglib", reason="kconfiglib is not installed")


def evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, **wanted: bool) -> dict[str, bool]:
    """Answer the questions of the stub tree with the emitted ``text`` in it and return every symbol's value."""
    fragment = tmp_path / "Kconfig.livepatch"
    fragment.write_text(text)
    monkeypatch.setenv("PPC_CHANGE", str(fragment))
    monkeypatch.setenv("srctree", str(STUBS / "kconfig"))
    tree = kconfiglib.Kconfig("Kconfig", warn=True, warn_to_stderr=False)
    assert tree.warnings == []
    for name, on in wanted.items():
        tree.syms[name].set_value("y" if on else "n")
    assert [warning for warning in tree.warnings if "unmet" in warning] == []
    return {name: symbol.str_value == "y" for name, symbol in tree.syms.items()}


@pytest.mark.parametrize(
    ("ppc64", "little", "tracer", "dynamic", "compiler", "wanted"), list(product([True, False], repeat=6))
)
def test_the_truth_table(
    ppc64: bool,
    little: bool,
    tracer: bool,
    dynamic: bool,
    compiler: bool,
    wanted: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = evaluate(
        tmp_path,
        monkeypatch,
        change_files(kernel(), banner=BANNER)["Kconfig"],
        PPC64=ppc64,
        CPU_LITTLE_ENDIAN=little,
        FUNCTION_TRACER=tracer,
        DYNAMIC_FTRACE=dynamic,
        DISABLE_MPROFILE_KERNEL=not compiler,
        LIVEPATCH=wanted,
    )
    mprofile = ppc64 and little and tracer and compiler
    assert values["MPROFILE_KERNEL"] is mprofile
    assert values["HAVE_DYNAMIC_FTRACE_WITH_REGS"] is mprofile
    assert values["HAVE_LIVEPATCH"] is mprofile
    assert values["DYNAMIC_FTRACE_WITH_REGS"] is (mprofile and dynamic)
    assert values["LIVEPATCH"] is (mprofile and dynamic and wanted)


def test_a_select_without_its_condition_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table can fail: HAVE_LIVEPATCH selected whatever the tracer is, and a big-endian kernel has it."""
    text = change_files(kernel(), banner=BANNER)["Kconfig"]
    broken = text.replace("select HAVE_LIVEPATCH if HAVE_DYNAMIC_FTRACE_WITH_REGS", "select HAVE_LIVEPATCH")
    assert broken != text
    assert evaluate(tmp_path, monkeypatch, broken, PPC64=True, CPU_LITTLE_ENDIAN=False)["HAVE_LIVEPATCH"]
