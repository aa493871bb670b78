"""The cross compiler and its linker, for the tests: C text in, ELF file out."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lpgen.callers.cgen import SUPPORT_SOURCE

CC = "powerpc64le-linux-gnu-gcc"
QEMU = "qemu-ppc64le"
TEXT = 0x1002_0000  # the ELF headers are in the page below
FLAGS = ["-mcpu=power8", "-mabi=elfv2", "-maltivec", "-mvsx", "-ffreestanding", "-fno-pic", "-std=gnu11", "-w"]

GPRS, FPRS, VRS = range(3, 11), range(1, 14), range(2, 14)
GPR_AT, FPR_AT, VR_AT, MEM_AT = 0, 64, 176, 368
MEM_SIZE = 2304
DUMP_SIZE = MEM_AT + MEM_SIZE


def need(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def link(directory: Path, name: str, entry: str = "0", level: str = "-O2", **sources: str) -> Path:
    """Compile and link these files (``foo_c`` is foo.c, ``foo_s`` is foo.s); the text begins at TEXT.

    ``level`` is the optimisation level: unoptimised code keeps its parameters in the parameter save area.
    """
    need(CC)
    files = []
    for key, text in {**sources, "support_c": SUPPORT_SOURCE}.items():
        stem, suffix = key.rsplit("_", 1)
        path = directory / f"{name}_{stem}.{suffix}"
        path.write_text(text)
        files.append(str(path))
    output = directory / f"{name}.elf"
    linker = f"-Wl,-Ttext={TEXT:#x},-e,{entry},--build-id=none"
    command = [CC, level, *FLAGS, "-nostdlib", "-static", "-no-pie", linker, "-o", str(output), *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return output


def probe_source(count: int) -> str:
    """Assembly in which callee_0 ... are one function: it writes the argument registers and MEM_SIZE bytes from r1 to
    the buffer ``dump``, and returns what came in r3 (a hidden pointer goes back to the caller).
    """
    lines = [".machine power8", ".text", ".globl probe", ".type probe,@function", "probe:"]
    lines += ["lis 11,dump@ha", "addi 11,11,dump@l"]
    lines += [f"std {r},{GPR_AT + 8 * i}(11)" for i, r in enumerate(GPRS)]
    lines += [f"stfd {f},{FPR_AT + 8 * i}(11)" for i, f in enumerate(FPRS)]
    for i, v in enumerate(VRS):
        lines += [f"li 12,{VR_AT + 16 * i}", f"stvx {v},11,12"]
    lines += [f"li 0,{MEM_SIZE // 8}", "mtctr 0", f"addi 11,11,{MEM_AT - 8}", "addi 12,1,-8"]
    lines += ["1: ldu 0,8(12)", "stdu 0,8(11)", "bdnz 1b", "blr", ".size probe,.-probe"]
    for i in range(count):
        lines += [f".globl callee_{i}", f".type callee_{i},@function", f".set callee_{i},probe"]
    lines += [".bss", ".balign 16", ".globl dump", f"dump: .skip {DUMP_SIZE}", '.section .note.GNU-stack,"",@progbits']
    return "\n".join(lines) + "\n"


# Room above the first frame, since the probe reads MEM_SIZE bytes from r1 up; run is entered at its global entry.
START_SOURCE = """\
.machine power8
.globl _start
.text
_start:
	addi 1,1,-8192
	rldicr 1,1,0,59
	li 0,0
	std 0,0(1)
	lis 12,run@ha
	addi 12,12,run@l
	mtctr 12
	bctrl
	trap
.section .note.GNU-stack,"",@progbits
"""


def run_source(count: int) -> str:
    """C in which ``run`` makes call_0 ... and writes the probe's dump of each to stdout."""
    lines = [f"extern unsigned char dump[{DUMP_SIZE}];"]
    lines += [f"extern void call_{i}(void);" for i in range(count)]
    lines.append("""
static void system_call(long number, long a1, const void *a2, long a3)
{
	register long r0 __asm__("r0") = number;
	register long r3 __asm__("r3") = a1;
	register const void *r4 __asm__("r4") = a2;
	register long r5 __asm__("r5") = a3;
	__asm__ volatile("sc" : "+r"(r0), "+r"(r3), "+r"(r4), "+r"(r5) : : "memory", "cr0", "r6", "r7", "r8", "r9",
		"r10", "r11", "r12", "ctr");
}
static void (*const calls[])(void) = {""")
    lines += [f"\tcall_{i}," for i in range(count)]
    lines.append(f"""}};
void run(void)
{{
	for (unsigned long i = 0; i < {count}; i++) {{
		calls[i]();
		system_call(4, 1, dump, {DUMP_SIZE});
	}}
	system_call(1, 0, 0, 0);
}}
""")
    return "\n".join(lines)


class Dump:
    """What the probe wrote down, as ``decode`` takes it."""

    def __init__(self, raw: bytes) -> None:
        assert len(raw) == DUMP_SIZE

        def words(at: int, registers: range) -> dict[int, int]:
            return {r: int.from_bytes(raw[at + 8 * i :][:8], "little") for i, r in enumerate(registers)}

        self.gpr = words(GPR_AT, GPRS)
        self.fpr = words(FPR_AT, FPRS)
        self.vr = {v: raw[VR_AT + 16 * i :][:16] for i, v in enumerate(VRS)}
        self._mem = raw[MEM_AT:]

    def read_mem(self, offset: int, size: int) -> bytes:
        data = self._mem[offset : offset + size]
        assert len(data) == size, f"{offset}(r1) is behind the dump"
        return data
