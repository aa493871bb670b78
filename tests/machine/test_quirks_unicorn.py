"""What Unicorn 2.1.4 really does on ppc64le, where lpgen.machine.engine works around it (../shared/ENGINES.md).

Each test pins one quirk, so that a release that mends it is noticed. When one fails, its docstring says what to do;
the number of the release then belongs into it. None of them is a fault of lpgen's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import unicorn
from unicorn import UcError, ppc_const

from lpgen.assembly import assemble

BASE = 0xC000000000100000
DATA = BASE + 0x100000
LOW_BASE = 0x100000
SIZE = 0x10000
SF, LE, FP, VSX, VEC = 1 << 63, 1, 1 << 13, 1 << 23, 1 << 25
MSR = SF | LE | FP | VSX | VEC
MODE = unicorn.UC_MODE_PPC64 | unicorn.UC_MODE_BIG_ENDIAN
MODELS = sorted(name for name in dir(ppc_const) if name.startswith("UC_CPU_PPC64_") and not name.endswith("_ENDING"))


def code(text: str) -> bytes:
    return assemble(text.replace(";", "\n") + "\n", name="test.s", isolated=False).sections[".text"].data


def machine(text: str, *, msr: int = MSR, virtual: bool = True) -> Any:
    """A processor after the recipe, with ``text`` at BASE and r1 at a page of data."""
    uc = unicorn.Uc(unicorn.UC_ARCH_PPC, MODE)
    if virtual:
        uc.ctl_set_tlb_mode(unicorn.UC_TLB_VIRTUAL)
    uc.reg_write(ppc_const.UC_PPC_REG_MSR, msr)
    uc.mem_map(BASE, SIZE)
    uc.mem_map(DATA, SIZE)
    uc.mem_write(BASE, code(text))
    uc.reg_write(ppc_const.UC_PPC_REG_1, DATA)
    return uc


def gpr(uc: Any, number: int) -> int:
    value: int = uc.reg_read(ppc_const.UC_PPC_REG_0 + number)
    return value


def pc(uc: Any) -> int:
    value: int = uc.reg_read(ppc_const.UC_PPC_REG_PC)
    return value - BASE


def run(uc: Any, size: int) -> int:
    """Run ``size`` bytes of code from BASE; the error number, 0 for none."""
    try:
        uc.emu_start(BASE, BASE + size)
    except UcError as error:
        number: int = error.errno
        return number
    return 0


# The recipe


def test_the_recipe_runs_64_bit_little_endian_code_at_kernel_addresses() -> None:
    """If this fails, the release cannot run lpgen: fix engine.py, and pin the version in pyproject.toml until then."""
    uc = machine("std 3, 8(1); lwz 5, 8(1)")
    uc.reg_write(ppc_const.UC_PPC_REG_3, 0x1122334455667788)
    assert run(uc, 8) == 0
    assert bytes(uc.mem_read(DATA + 8, 8)) == bytes.fromhex("8877665544332211")
    assert gpr(uc, 5) == 0x55667788


def test_little_endian_mode_is_refused() -> None:
    """If this fails, Engine could ask for little-endian by mode, and need not set MSR.LE by hand."""
    for mode in (unicorn.UC_MODE_PPC64 | unicorn.UC_MODE_LITTLE_ENDIAN, unicorn.UC_MODE_PPC64):
        with pytest.raises(UcError) as caught:
            unicorn.Uc(unicorn.UC_ARCH_PPC, mode)
        assert caught.value.errno == unicorn.UC_ERR_MODE


@pytest.mark.parametrize("model", MODELS)
def test_an_explicit_model_is_a_32_bit_core(model: str) -> None:
    """stw works, std is illegal (96): the model got a 32-bit core (unicorn issue 1779), big-endian as it starts.

    If this fails, that model may be right now: Engine could choose it, to run what a POWER8 or POWER9 has and no more.
    """
    ends = []
    for text in ("stw 3, 8(1)", "std 3, 8(1)"):
        uc = unicorn.Uc(unicorn.UC_ARCH_PPC, MODE)
        uc.ctl_set_cpu_model(getattr(ppc_const, model))
        uc.ctl_set_tlb_mode(unicorn.UC_TLB_VIRTUAL)
        uc.mem_map(LOW_BASE, 2 * SIZE)
        uc.mem_write(LOW_BASE, code(text)[::-1])
        uc.reg_write(ppc_const.UC_PPC_REG_1, LOW_BASE + SIZE)
        seen: list[int] = []
        uc.hook_add(unicorn.UC_HOOK_INTR, lambda uc, number, _, seen=seen: (seen.append(number), uc.emu_stop()))
        uc.emu_start(LOW_BASE, LOW_BASE + 4)
        ends.append(seen)
    assert ends == [[], [96]]


def test_the_default_model_is_power10_without_prefixed_instructions() -> None:
    """If this fails, the default core changed: check that it still is 64-bit, and what ENGINES.md says of it."""
    uc = machine("mfspr 3, 287; nop")
    assert run(uc, 8) == 0
    assert gpr(uc, 3) >> 16 == 0x80
    assert interrupts(".long 0x10641933; nop", stop=True)[0] == []  # maddld 3,4,3,4: ISA 3.0
    # pld 3,0(1): ISA 3.1
    assert interrupts(".long 0x04000000, 0xe4610000; nop", stop=True)[0] == [(96, 4)]


def test_without_the_virtual_tlb_the_first_fetch_faults() -> None:
    """If this fails, unicorn issue 1591 is mended: Engine may do without ctl_set_tlb_mode if addresses come out."""
    uc = machine("nop; li 3, 5", virtual=False)
    assert run(uc, 8) == unicorn.UC_ERR_EXCEPTION
    assert gpr(uc, 3) == 0


@pytest.mark.parametrize("refuse", [False, True])
def test_a_tlb_hook_maps_virtual_to_physical(refuse: bool) -> None:
    """Memory is mapped without the top nibble, and memory hooks report that address, not the guest's.

    If this fails, whoever uses UC_HOOK_TLB_FILL has to map and compare other addresses; Engine does not use it.
    """
    physical = (1 << 60) - 1
    uc = unicorn.Uc(unicorn.UC_ARCH_PPC, MODE)
    uc.ctl_set_tlb_mode(unicorn.UC_TLB_VIRTUAL)
    uc.reg_write(ppc_const.UC_PPC_REG_MSR, MSR)
    for address in (BASE, DATA):
        uc.mem_map(address & physical, SIZE)
    uc.mem_write(BASE & physical, code("nop; ld 3, 0(1)"))
    uc.mem_write(DATA & physical, b"12345678")
    uc.reg_write(ppc_const.UC_PPC_REG_1, DATA)
    asked: list[int] = []
    seen: list[int] = []

    def fill(_uc: Any, address: int, _access: int, entry: Any, _: Any) -> bool:
        asked.append(address)
        entry.paddr, entry.perms = address & physical, unicorn.UC_PROT_ALL
        return not (refuse and address == DATA)

    uc.hook_add(unicorn.UC_HOOK_TLB_FILL, fill)
    uc.hook_add(unicorn.UC_HOOK_MEM_READ, lambda _uc, _access, address, *_: seen.append(address))
    error = run(uc, 8)
    assert asked == [BASE, DATA]
    assert (error == 0, seen) == ((False, []) if refuse else (True, [DATA & physical]))
    assert gpr(uc, 3) == (0 if refuse else int.from_bytes(b"12345678", "little"))


# Traps and interrupts


def interrupts(text: str, *, stop: bool, msr: int = MSR) -> tuple[list[tuple[int, int]], int]:
    """Run with an INTR hook: [(number, pc in the hook)], and r3 at the end."""
    uc = machine(text, msr=msr)
    seen: list[tuple[int, int]] = []

    def hook(uc: Any, number: int, _: Any) -> None:
        seen.append((number, pc(uc)))
        if stop:
            uc.emu_stop()

    uc.hook_add(unicorn.UC_HOOK_INTR, hook)
    assert run(uc, len(code(text))) == 0
    return seen, gpr(uc, 3)


@pytest.mark.parametrize(
    ("text", "number", "msr"),
    [
        pytest.param("trap", 6, MSR, id="trap"),
        pytest.param("tdne 1, 3", 6, MSR, id="tdne"),
        pytest.param("sc", 8, MSR, id="sc"),
        pytest.param(".long 0", 96, MSR, id="illegal"),
        pytest.param("lfd 1, 0(1)", 7, MSR & ~FP, id="FP off"),
        pytest.param("vor 1, 2, 3", 73, MSR & ~VEC, id="VEC off"),
        pytest.param("xxlor 1, 2, 3", 94, MSR & ~VSX, id="VSX off"),
    ],
)
def test_numbers_of_interrupts_and_the_pc_behind(text: str, number: int, msr: int) -> None:
    """PC is behind the instruction in the hook already; when the hook does not stop the run, it goes on there.

    If the number changed: engine._INTERRUPTS. If the PC changed: Engine._on_interrupt subtracts 4 from it. If the run
    no longer goes on by itself: the emu_stop() there is still right.
    """
    assert interrupts(f"nop; {text}; li 3, 99; nop", stop=True, msr=msr) == ([(number, 8)], 0)
    assert interrupts(f"nop; {text}; li 3, 99; nop", stop=False, msr=msr) == ([(number, 8)], 99)


def test_without_a_hook_a_trap_raises() -> None:
    """If this fails, a trap that nobody hooks would look like a pass: Engine has to keep its INTR hook."""
    uc = machine("nop; trap; li 3, 99")
    assert run(uc, 12) == unicorn.UC_ERR_EXCEPTION
    assert (pc(uc), gpr(uc, 3)) == (8, 0)


# Translation and hooks

# Three blocks: 0 and 4; 8, c and 10; 14, 18 and 1c.
BLOCKS = "nop; b .+4; nop; nop; b .+4; nop; nop; b .+4"
FIRST, SECOND, LAST = [0, 4], [8, 12, 16], [20, 24, 28]


def code_hook(uc: Any) -> list[int]:
    hits: list[int] = []
    uc.hook_add(unicorn.UC_HOOK_CODE, lambda _uc, address, _size, _: hits.append(address - BASE))
    return hits


def after(hits: list[int], action: Callable[[], object]) -> list[int]:
    """What the hook saw during ``action``."""
    hits.clear()
    action()
    return list(hits)


def test_a_hook_added_after_translation_does_not_fire() -> None:
    """But for the last block, which is translated again in each run; a flush makes it fire everywhere.

    If this fails, Engine.watch may be called after the code ran; its docstring says otherwise.
    """
    uc = machine(BLOCKS)
    assert run(uc, 32) == 0
    hits = code_hook(uc)
    assert after(hits, lambda: run(uc, 32)) == LAST
    uc.ctl_flush_tb()
    assert after(hits, lambda: run(uc, 32)) == FIRST + SECOND + LAST


def test_a_hook_added_before_fires() -> None:
    """If this fails, nothing that lpgen watches can be trusted: boundaries and traces would be empty."""
    uc = machine(BLOCKS)
    hits = code_hook(uc)
    for _ in range(2):
        assert after(hits, lambda: run(uc, 32)) == FIRST + SECOND + LAST


@pytest.mark.parametrize(
    ("until", "again"),
    [(8, FIRST), (20, SECOND), (24, LAST[:1]), (28, LAST[:2]), (32, LAST)],
)
def test_the_block_that_ends_at_until_is_translated_in_every_run(until: int, again: list[int]) -> None:
    """Told by a hook that came late: it fires in what was translated after it, which is just that block.

    If this fails, the monitor's exit need not have a page of its own (Engine.add_monitor_entry).
    """
    uc = machine(BLOCKS)
    assert run(uc, until) == 0
    hits = code_hook(uc)
    for _ in range(3):
        assert after(hits, lambda: run(uc, until)) == again


def test_an_exit_of_its_own_spares_the_code() -> None:
    """The same code, left by a branch to an ``until`` elsewhere: nothing of it is translated again.

    If this fails, runs cost more than they did: the benchmark under tests/bench says how much.
    """
    uc = machine(f"{BLOCKS}; b .+0x8000-32")
    assert run(uc, 0x8000) == 0
    hits = code_hook(uc)
    assert after(hits, lambda: run(uc, 0x8000)) == []


def test_translated_code_that_is_written_over_runs_on() -> None:
    """mem_write leaves the translation, ctl_remove_cache drops it.

    If this fails, Engine.write_code may do without ctl_remove_cache.
    """
    uc = machine("li 3, 1; b .+4; nop; b .+0x8000-12")
    assert (run(uc, 0x8000), gpr(uc, 3)) == (0, 1)
    uc.mem_write(BASE, code("li 3, 2"))
    assert (run(uc, 0x8000), gpr(uc, 3)) == (0, 1)
    uc.ctl_remove_cache(BASE, BASE + 4)
    assert (run(uc, 0x8000), gpr(uc, 3)) == (0, 2)


def test_an_exception_in_a_hook_surfaces() -> None:
    """If this fails, an error in one of Engine's hooks is lost: record it there, and raise it after the run."""
    uc = machine("nop; nop; li 3, 9")

    def hook(*_: object) -> None:
        raise KeyError("from the hook")

    uc.hook_add(unicorn.UC_HOOK_CODE, hook, begin=BASE + 4, end=BASE + 4)
    with pytest.raises(KeyError, match="from the hook"):
        uc.emu_start(BASE, BASE + 12)
    assert gpr(uc, 3) == 0


# Registers


def test_reading_xer_misses_what_the_guest_set() -> None:
    """addic sets CA (and CA32): mfxer sees it, reg_read does not.

    If this fails, Engine could read XER by its id.
    """
    uc = machine("li 3, -1; addic 4, 3, 1; mfxer 5")
    assert run(uc, 12) == 0
    assert gpr(uc, 5) == 0x20040000
    assert uc.reg_read(ppc_const.UC_PPC_REG_XER) == 0


def test_writing_xer_reaches_the_guest() -> None:
    """If this fails, reg_write(XER) joined reg_read: nothing in lpgen rests on either."""
    uc = machine("mfxer 5")
    uc.reg_write(ppc_const.UC_PPC_REG_XER, 0xE0000000)
    assert (run(uc, 4), gpr(uc, 5)) == (0, 0xE0000000)


def test_there_are_no_ids_for_vector_registers() -> None:
    """If this fails, VRs could be read without guest code: Engine's monitor may shrink."""
    names = [name.removeprefix("UC_PPC_REG_") for name in dir(ppc_const) if name.startswith("UC_PPC_REG_")]
    assert "FPR31" in names
    assert [name for name in names if name.startswith("V")] == []


def test_cr_is_one_value_and_eight_nibbles() -> None:
    """If this fails, Engine._registers reads a wrong CR after a trap or fault."""
    uc = machine("mfcr 3")
    uc.reg_write(ppc_const.UC_PPC_REG_CR, 0x12345678)
    assert (run(uc, 4), gpr(uc, 3)) == (0, 0x12345678)
    assert uc.reg_read(ppc_const.UC_PPC_REG_CR) == 0x12345678
    assert [uc.reg_read(ppc_const.UC_PPC_REG_CR0 + n) for n in range(8)] == list(range(1, 9))


def test_or_of_a_register_with_itself_ends_the_run() -> None:
    """QEMU yields the processor at `or rx,rx,rx` but for r0: emu_start returns behind it, with no error and no hook.

    The engine goes on from there (Engine.resume). When this fails, the loop there can go.
    """
    for number in (1, 13, 14, 31):
        uc = machine(f"mr {number}, {number}; li 5, 1")
        assert run(uc, 8) == 0
        assert (pc(uc), gpr(uc, 5)) == (4, 0)
    uc = machine("mr 0, 0; li 5, 1")
    assert run(uc, 8) == 0
    assert (pc(uc), gpr(uc, 5)) == (8, 1)
