"""Small kernels built here: what lpgen emits, linked at a kernel's address, with DWARF of structures like the kernel's.

The structures are C, the compiler says where their fields are (the kernel's own way: numbers in an asm statement).
"""

from __future__ import annotations

import gzip
import re
import shutil
import struct
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lpgen.kernel.generations import Kernel, kernel
from lpgen.kernel.offsets import Offsets, default_offsets, layout_macros, read_offsets
from lpgen.kernel.options import Config
from lpgen.kernel.versions import parse_version
from lpgen.source.emit import emit_source

PREFIX = "powerpc64le-linux-gnu-"
needs_gnu = pytest.mark.skipif(
    any(shutil.which(PREFIX + tool) is None for tool in ("gcc", "as", "ld", "objcopy")),
    reason="apt-get install gcc-powerpc64le-linux-gnu binutils-powerpc64le-linux-gnu",
)

TEXT_ADDRESS = 0xC000000000008000
STUBS = "CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE"
FEW_STUBS = 16
UNAME = "Linux version {uname} (builder@here) (powerpc64le-linux-gnu-gcc 12.2.0, GNU ld 2.40) {tail}\n"

# Fields in orders and at places of this test's own; anonymous unions, typedefs, arrays as in the kernel's.
STRUCTS = """
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef unsigned long word_t;
typedef const volatile word_t slot_t;
#define offsetof(type, field) __builtin_offsetof(type, field)

struct task_struct; struct ftrace_ops;
struct user_pt_regs {
	word_t gpr[32]; word_t nip, msr, orig_gpr3, ctr, link, xer, ccr, softe, trap, dar, dsisr, result;
};
struct pt_regs {
	union {
		struct user_pt_regs user_regs;
		struct {
			word_t gpr[32];
			slot_t nip; word_t msr, orig_gpr3, ctr, link, xer, ccr, softe, trap;
			union { word_t dar; word_t dear; };
			union { word_t dsisr; word_t esr; };
			word_t result;
		};
	};
#if LAYOUT >= 2
	union {
		struct {
			word_t ppr;
			union { word_t kuap; word_t exit; };
#if LAYOUT >= 3
			union { word_t amr; };
			word_t iamr;
#endif
		};
		word_t pad[LAYOUT >= 3 ? 4 : 2];
	};
#endif
#if GROWN
	word_t more[GROWN];
#endif
};
struct thread_info {
#ifdef ON_STACK
	struct task_struct *task; int cpu; int preempt_count; u64 local_flags[1];
#else
	int preempt_count; int cpu; u64 local_flags;
#endif
#ifdef LIVEPATCH
	u64 *livepatch_sp;
#endif
	u32 low : 3, high : 5;
};
struct task_struct {
#ifndef ON_STACK
	struct thread_info thread_info;
#endif
	long state; void *stack;
};
struct paca_struct {
	void *lppaca_ptr; u16 lock_token, paca_index; u64 kernel_toc; char more[PACA_PAD];
	struct task_struct *__current; u8 irq, flags : 2; struct { u8 deep; } inner[3]; u8 ftrace_enabled;
};
typedef void (*ftrace_func_t)(u64, u64, struct ftrace_ops *, struct pt_regs *);
struct ftrace_ops {
	ftrace_func_t func; char early[OPS_PAD]; struct ftrace_ops *next; u64 flags; char hash[48]; u64 direct_call;
};
struct bug_entry {
#if BUG_RELATIVE
	int bug_addr_disp; int file_disp; u16 line, flags;
#else
	u64 bug_addr; const char *file; u16 line, flags;
#endif
};
struct ftrace_ool_stub { struct ftrace_ops *op; u32 insn[4]; };
"""

# Of each structure one object, so that the compiler writes its type.
DATA = """
struct pt_regs a_regs;
struct paca_struct a_paca;
struct task_struct a_task;
struct thread_info a_thread_info;
struct ftrace_ops an_ops;
struct bug_entry a_bug;
struct ftrace_ool_stub a_stub;
"""
DECLARED = """
struct pt_regs; struct paca_struct; struct thread_info; struct ftrace_ops;
struct user { struct pt_regs *regs; struct paca_struct *paca; struct thread_info *info; struct ftrace_ops *ops; };
struct user a_user;
"""
# What the emitted code calls and reads.
SURROUNDINGS = """
long function_trace_op;
void prepare_ftrace_return(void) {}
void ftrace_return_to_handler(void) {}
"""
KPROBES = "int is_current_kprobe_addr(void) { return 0; }\n"


def tool(name: str, *args: str | Path, cwd: Path | None = None) -> None:
    """Run one of the cross tools."""
    done = subprocess.run([PREFIX + name, *map(str, args)], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@dataclass
class Recipe:
    """What a small kernel is made of: ``debug`` are the compiler's options for debug data."""

    version: str = "6.1.100"
    config: Mapping[str, bool | int] = field(default_factory=dict)
    uname: str | None = None
    tail: str = "#1 SMP"
    debug: Sequence[str] = ("-g", "-gdwarf-5")
    ikconfig: str | None = None
    banner: bool = True
    paca_pad: int = 300
    ops_pad: int = 16
    kprobes: bool = True
    # C text that is linked with the rest.
    more: str = ""
    # How many words more than the kernel's struct pt_regs has.
    grown: int = 0


class SmallKernel:
    """A kernel built in ``directory``: ``vmlinux``, the ``truth`` as the compiler has it, and lpgen's ``kernel``."""

    def __init__(self, directory: Path, recipe: Recipe) -> None:
        self.directory = directory
        self.recipe = recipe
        directory.mkdir(parents=True, exist_ok=True)
        plain = kernel(recipe.version)
        few: Config = {**dict.fromkeys(plain.numbers, FEW_STUBS), **recipe.config}
        self.config = few
        facts = kernel(recipe.version, config=few)
        self._write_sources(facts)
        self.truth = self._truth(facts)
        self.kernel: Kernel = kernel(recipe.version, config=few, offsets=self.truth)
        self.vmlinux = directory / "vmlinux"
        self._link()

    def _defines(self, facts: Kernel) -> list[str]:
        defines = {
            "LAYOUT": int(facts.layout.removeprefix("L")),
            "GROWN": self.recipe.grown,
            "PACA_PAD": self.recipe.paca_pad,
            "OPS_PAD": self.recipe.ops_pad,
            "BUG_RELATIVE": int(parse_version(self.recipe.version) >= (6, 1, 0)),
        }
        flags = {"ON_STACK": "thread_info_on_stack" in facts.features, "LIVEPATCH": "livepatch" in facts.features}
        made = [f"-D{name}={value}" for name, value in defines.items()]
        return made + [f"-D{name}" for name, on in flags.items() if on]

    def _write_sources(self, facts: Kernel) -> None:
        for name, text in (
            ("declared.c", DECLARED),
            ("data.c", STRUCTS + DATA),
            ("around.c", SURROUNDINGS + KPROBES * self.recipe.kprobes + self._banner() + self.recipe.more),
            ("config.S", self._ikconfig()),
        ):
            (self.directory / name).write_text(text)
        self.flags = ["-c", "-O2", "-ffreestanding", "-fno-stack-protector", *self._defines(facts)]

    def _banner(self) -> str:
        if not self.recipe.banner:
            return ""
        text = UNAME.format(uname=self.recipe.uname or self.recipe.version, tail=self.recipe.tail)
        return f'const char linux_banner[] = "{text.strip()}\\n";\n'

    def _ikconfig(self) -> str:
        if self.recipe.ikconfig is None:
            return ""
        (self.directory / "config.gz").write_bytes(gzip.compress(self.recipe.ikconfig.encode(), mtime=0))
        return (
            '.section .rodata,"a"\n.ascii "IKCFG_ST"\n.globl kernel_config_data\nkernel_config_data:\n'
            '.incbin "config.gz"\n.ascii "IKCFG_ED"\n'
        )

    def _truth(self, facts: Kernel) -> Offsets:
        """asm-offsets.h out of the compiler, as the kernel's build makes it."""
        lines = [f"#define {name} ({text})" for name, text in layout_macros(facts.layout).items()]
        lines.append("void constants(void) {")
        for entry in default_offsets(facts.layout, facts.version).entries:
            if entry.name == "TI_livepatch_sp" and "livepatch" not in facts.features:
                continue
            lines.append(
                f'asm volatile("\\n.ascii \\"->{entry.name} %0 {entry.expression}\\"" : : "i" ({entry.expression}));'
            )
        source = STRUCTS + "\n".join(lines) + "\n}\n"
        (self.directory / "constants.c").write_text(source)
        tool("gcc", *self.flags, "-S", "-o", "constants.s", "constants.c", cwd=self.directory)
        text = (self.directory / "constants.s").read_text()
        found = re.findall(r'\.ascii "->(\w+) (-?\d+) ([^"]*)"', text)
        header = self.directory / "asm-offsets.h"
        header.write_text("".join(f"#define {name} {value} /* {what} */\n" for name, value, what in found))
        return read_offsets(header)

    def _link(self) -> None:
        source = emit_source(self.kernel, style="standalone").text
        (self.directory / "entry.S").write_text(source)
        run = self.directory
        tool("gcc", "-c", "-mcpu=power8", "-mabi=elfv2", "-o", "entry.o", "entry.S", cwd=run)
        for name in ("declared", "data", "around"):
            tool("gcc", *self.flags, *self.recipe.debug, "-o", f"{name}.o", f"{name}.c", cwd=run)
        tool("gcc", "-c", "-o", "config.o", "config.S", cwd=run)
        objects = [f"{name}.o" for name in ("entry", "declared", "data", "around", "config")]
        tool("ld", f"-Ttext={TEXT_ADDRESS:#x}", "-e", "0", "-o", "vmlinux", *objects, cwd=run)

    def copy(self, name: str, *args: str) -> Path:
        """A copy of vmlinux that objcopy made with ``args``."""
        tool("objcopy", *args, self.vmlinux, self.directory / name)
        return self.directory / name


# BTF


class BtfWriter:
    """Writes a .BTF section: each method adds a type and returns its number. Values are the test's own."""

    def __init__(self) -> None:
        self.types: list[bytes] = []
        self.strings = bytearray(b"\0")
        self._names: dict[str, int] = {"": 0}

    def name(self, text: str) -> int:
        if text not in self._names:
            self._names[text] = len(self.strings)
            self.strings += text.encode() + b"\0"
        return self._names[text]

    def add(
        self, kind: int, name: str = "", third: int = 0, *, vlen: int = 0, flag: bool = False, tail: bytes = b""
    ) -> int:
        info = kind << 24 | vlen | flag << 31
        self.types.append(struct.pack("<III", self.name(name), info, third) + tail)
        return len(self.types)

    def integer(self, name: str, size: int) -> int:
        return self.add(1, name, size, tail=struct.pack("<I", size * 8))

    def array(self, element: int, index: int, count: int) -> int:
        return self.add(3, tail=struct.pack("<III", element, index, count))

    def struct(
        self, name: str, size: int, members: Sequence[tuple[str, int, int]], *, flag: bool = False, kind: int = 4
    ) -> int:
        """``members``: name, type, offset in bytes."""
        tail = b"".join(struct.pack("<III", self.name(n), t, at * 8) for n, t, at in members)
        return self.add(kind, name, size, vlen=len(members), flag=flag, tail=tail)

    def data(self) -> bytes:
        types = b"".join(self.types)
        strings = bytes(self.strings)
        return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings)) + types + strings


def btf_of(truth: Mapping[str, int], macros: Mapping[str, int]) -> bytes:
    """BTF of structures whose fields are where ``truth`` has them; ``macros``: STACK_FRAME_OVERHEAD or so, in bytes."""
    base = next(iter(macros.values()))
    out = BtfWriter()
    # One of every kind, and names that others end with.
    out.struct("user_pt_regs", 8, [])
    byte, word = out.integer("char", 1), out.integer("long unsigned int", 8)
    alias = out.add(8, "word_t", word)
    slot = out.add(10, third=out.add(9, third=alias))
    pointer = out.add(2, third=word)
    out.add(6, "color", 4, vlen=2, tail=bytes(16))
    out.add(7, "forward")
    out.add(11, third=pointer)
    proto = out.add(13, third=word, vlen=1, tail=struct.pack("<II", 0, word))
    out.add(12, "function", proto)
    variable = out.add(14, "variable", word, tail=bytes(4))
    out.add(15, ".data", 8, vlen=1, tail=struct.pack("<III", variable, 0, 8))
    out.add(16, "double", 8)
    out.add(17, "tag", word, tail=struct.pack("<i", -1))
    tagged = out.add(18, "user", word)
    out.add(19, "large", 8, vlen=1, tail=bytes(12))
    gpr = out.array(alias, word, 32)
    fields = {
        "nip": "_NIP", "msr": "_MSR", "orig_gpr3": "ORIG_GPR3", "ctr": "_CTR", "link": "_LINK", "xer": "_XER",
        "ccr": "_CCR", "softe": "SOFTE", "trap": "_TRAP", "dar": "_DAR", "dsisr": "_DSISR", "result": "RESULT",
    }  # fmt: skip
    late = {"ppr": "_PPR", "amr": "STACK_REGS_AMR", "iamr": "STACK_REGS_IAMR"}
    inner = out.struct("", 352, [("gpr", gpr, 0), *((n, slot, truth[c] - base) for n, c in fields.items())])
    union = out.struct("", 352, [("", inner, 0)], kind=5)
    others = [(n, tagged, truth[c] - base) for n, c in late.items() if c in truth]
    out.struct("pt_regs", truth["SWITCH_FRAME_SIZE"] - base, [("", union, 0), *others])
    info = [("livepatch_sp", pointer, truth["TI_livepatch_sp"])] if "TI_livepatch_sp" in truth else []
    thread_info = out.struct("thread_info", 64, info, flag=True)
    out.struct("task_struct", 128, [("thread_info", thread_info, 0)])
    out.struct("bug_entry", truth["BUG_ENTRY_SIZE"], [])
    paca = {"kernel_toc": "PACATOC", "__current": "PACA_THREAD_INFO", "ftrace_enabled": "PACA_FTRACE_ENABLED"}
    out.struct(
        "paca_struct",
        4096,
        [(n, byte if n == "ftrace_enabled" else word, truth[c]) for n, c in paca.items() if c in truth],
    )
    if "FTRACE_OPS_FUNC" in truth:
        ops = [("func", pointer, truth["FTRACE_OPS_FUNC"]), ("direct_call", word, truth["FTRACE_OPS_DIRECT_CALL"])]
        out.struct("ftrace_ops", 512, ops)
        out.struct("ftrace_ool_stub", truth["FTRACE_OOL_STUB_SIZE"], [])
    return out.data()
