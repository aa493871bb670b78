"""livepatch.h compiled and run: the magic and livepatch_sp are where section 5 of the contract says, on every stack."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from change_tools import QEMU, STUBS, compile_c, need, write_change

from lpgen.kernel.generations import kernel

STACKS = ["init", "task", "hardirq", "softirq", "emergency", "child"]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What tests/change/stubs/livepatch-main.c prints under qemu-ppc64le."""
    qemu = need(QEMU)
    directory = tmp_path_factory.mktemp("livepatch")
    write_change(kernel(), directory)
    options = ("-static", "-DCONFIG_LIVEPATCH", "-DCC_USING_MPROFILE_KERNEL")
    program = compile_c("livepatch-main.c", directory, *options, out="livepatch")
    done = subprocess.run([qemu, str(program)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_the_stub_thread_info_is_the_kernels(output: list[str]) -> None:
    made = kernel()
    assert output[0] == f"thread_info size={made.thread_info_size} livepatch_sp={made.offsets['TI_livepatch_sp']}"
    assert f"#define THREAD_SIZE {1 << made.thread_shift}" in (STUBS / "asm" / "thread_info.h").read_text()


@pytest.mark.parametrize("stack", STACKS)
def test_section_5(stack: str, output: list[str]) -> None:
    """The magic is the first doubleword after thread_info, and the only one; livepatch_sp starts one later."""
    magic = kernel().thread_info_size
    assert f"{stack} aligned=1 magic={magic} words=1 sp={magic + 8}" in output


def test_a_parents_livepatch_stack_is_its_own(output: list[str]) -> None:
    magic = kernel().thread_info_size
    assert f"parent aligned=1 magic={magic} words=1 sp={magic + 8 + 48}" in output


def test_the_static_initialiser_is_one_member_among_others(output: list[str]) -> None:
    assert "init cpu=7 preempt_count=3" in output


def test_set_pc_changes_nip_alone(output: list[str]) -> None:
    assert "set_pc nip=c000000000001234" in output


def test_the_compiler_is_supported(output: list[str]) -> None:
    assert "compiler=0" in output


def test_a_compiler_without_mprofile_kernel_is_not(tmp_path: Path) -> None:
    qemu = need(QEMU)
    write_change(kernel(), tmp_path)
    program = compile_c("livepatch-main.c", tmp_path, "-static", "-DCONFIG_LIVEPATCH", out="livepatch")
    done = subprocess.run([qemu, str(program)], capture_output=True, text=True, timeout=60, check=True)
    assert "compiler=1" in done.stdout.splitlines()


def test_call_sites_are_found_from_the_functions_address_to_the_longest_form(output: list[str]) -> None:
    found = {int(line.split()[1]): line.split()[2] for line in output if line.startswith("site ")}
    assert found == {-4: "0", 0: "1", 4: "1", 8: "1", 12: "1", 16: "1", 20: "0"}


@pytest.mark.parametrize("livepatch", [True, False])
def test_without_livepatch_the_functions_are_empty(livepatch: bool, tmp_path: Path) -> None:
    write_change(kernel(config={"CONFIG_LIVEPATCH": livepatch}), tmp_path)
    option = ["-DCONFIG_LIVEPATCH"] if livepatch else []
    assembly = compile_c("livepatch-empty.c", tmp_path, "-S", *option, out="empty.s").read_text()
    body = re.search(r"(?ms)^new_thread:$(.*?)^\t\.size\tnew_thread", assembly)
    assert body is not None
    code = re.findall(r"(?m)^\t([a-z]\S*)", body[1])
    assert (code == ["blr"]) is not livepatch
    unused = re.search(r"(?m)^(klp_\w+):$", assembly)
    assert unused is None


def test_a_magic_in_another_place_is_noticed(tmp_path: Path) -> None:
    """The check can fail: a livepatch stack that begins on the magic itself."""
    qemu = need(QEMU)
    files = write_change(kernel(), tmp_path)
    broken = files["livepatch.h"].replace("(KLP_STACK_MAGIC(ti) + 1)", "(KLP_STACK_MAGIC(ti) + 0)")
    assert broken != files["livepatch.h"]
    (tmp_path / "livepatch.h").write_text(broken)
    program = compile_c("livepatch-main.c", tmp_path, "-static", "-DCONFIG_LIVEPATCH", out="livepatch")
    done = subprocess.run([qemu, str(program)], capture_output=True, text=True, timeout=60, check=True)
    magic = kernel().thread_info_size
    assert f"task aligned=1 magic={magic} words=1 sp={magic + 8}" not in done.stdout.splitlines()
