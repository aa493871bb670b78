"""The registers of one ppc64le thread as gdb numbers them, and the target description that says so.

Numbers and sizes are those of gdb's own powerpc-altivec64 description: r0-r31 are 0 to 31, f0-f31 32 to 63, pc 64, msr,
cr, lr, ctr, xer, fpscr 70, vr0-vr31 71 to 102, vscr, vrsave.
"""

from __future__ import annotations

from dataclasses import dataclass

from lpgen.machine.engine import MSR_EE, MSR_FP, MSR_RI, MSR_VEC, MSR_VSX
from lpgen.machine.state import State

# What a debugger may change of MSR: the others make it another machine.
_MSR_OPEN = MSR_EE | MSR_FP | MSR_RI | MSR_VEC | MSR_VSX


@dataclass(frozen=True, slots=True)
class Register:
    """A register: ``size`` in bytes, ``type`` as the target description names it."""

    name: str
    size: int
    type: str


_CORE = (
    Register("pc", 8, "code_ptr"),
    Register("msr", 8, "uint64"),
    Register("cr", 4, "uint32"),
    Register("lr", 8, "code_ptr"),
    Register("ctr", 8, "uint64"),
    Register("xer", 4, "uint32"),
)
REGISTERS = (
    *(Register(f"r{n}", 8, "uint64") for n in range(32)),
    *(Register(f"f{n}", 8, "ieee_double") for n in range(32)),
    *_CORE,
    Register("fpscr", 8, "uint64"),
    *(Register(f"vr{n}", 16, "vec128") for n in range(32)),
    Register("vscr", 4, "uint32"),
    Register("vrsave", 4, "uint32"),
)
# No trampoline touches them, and the emulator does not keep them apart: gdb shows <unavailable>.
UNAVAILABLE = frozenset({"fpscr", "vscr", "vrsave"})
R1, PC = 1, 64
# What union vec128 is in gdb's own description.
_VECTORS = (
    ("v4f", "ieee_single", 4, "v4_float"),
    ("v4i32", "int32", 4, "v4_int32"),
    ("v8i16", "int16", 8, "v8_int16"),
    ("v16i8", "int8", 16, "v16_int8"),
)


def description() -> bytes:
    """Return the target description, XML, with the features that gdb wants of a PowerPC."""
    lines = ['<?xml version="1.0"?>', '<!DOCTYPE target SYSTEM "gdb-target.dtd">', '<target version="1.0">']
    lines += ["<architecture>powerpc:common64</architecture>", "<osabi>GNU/Linux</osabi>"]
    numbered = [*enumerate(REGISTERS)]
    for feature, wanted in (
        ("core", [*numbered[:32], *numbered[64:70]]),
        ("fpu", [*numbered[32:64], numbered[70]]),
        ("altivec", numbered[71:]),
    ):
        lines.append(f'<feature name="org.gnu.gdb.power.{feature}">')
        if feature == "altivec":
            lines += [f'<vector id="{name}" type="{type_}" count="{count}"/>' for name, type_, count, _ in _VECTORS]
            fields = "".join(f'<field name="{field}" type="{name}"/>' for name, _, _, field in _VECTORS)
            lines.append(f'<union id="vec128"><field name="uint128" type="uint128"/>{fields}</union>')
        lines += [
            f'<reg name="{register.name}" bitsize="{8 * register.size}" type="{register.type}" regnum="{number}"/>'
            for number, register in wanted
        ]
        lines.append("</feature>")
    return "\n".join([*lines, "</target>", ""]).encode()


def read_register(state: State, number: int) -> bytes | None:
    """Return a register as its bytes, little endian; None for one of UNAVAILABLE."""
    register = REGISTERS[number]
    if register.name in UNAVAILABLE:
        return None
    if number < 32:
        value = state.gpr[number]
    elif number < 64:
        value = state.fpr[number - 32]
    elif register.size == 16:
        return state.vector(number - 71)
    else:
        value = getattr(state, register.name)
    return (value & ((1 << 8 * register.size) - 1)).to_bytes(register.size, "little")


def write_register(state: State, number: int, data: bytes) -> bool:
    """Set a register of ``state``; False, with nothing changed, for a value that it cannot have."""
    register = REGISTERS[number]
    if register.name in UNAVAILABLE or len(data) != register.size:
        return False
    value = int.from_bytes(data, "little")
    if number < 32:
        state.gpr[number] = value
    elif number < 64:
        state.fpr[number - 32] = value
    elif register.size == 16:
        at = 16 * (number - 71)
        state.vr = state.vr[:at] + data + state.vr[at + 16 :]
    elif (register.name == "pc" and value & 3) or (register.name == "msr" and (value ^ state.msr) & ~_MSR_OPEN):
        return False
    else:
        setattr(state, register.name, value)
    return True


def registers_hex(state: State) -> str:
    """Return all registers as a reply to ``g``, those that are not there as x."""
    parts = []
    for number, register in enumerate(REGISTERS):
        data = read_register(state, number)
        parts.append("xx" * register.size if data is None else data.hex())
    return "".join(parts)


def write_registers(state: State, data: bytes) -> bool:
    """Set all registers from a ``G`` packet, but what is UNAVAILABLE. False, with nothing changed, if one cannot be."""
    wanted = state.copy()
    at = 0
    for number, register in enumerate(REGISTERS):
        piece = data[at : at + register.size]
        at += register.size
        if register.name not in UNAVAILABLE and not write_register(wanted, number, piece):
            return False
    if at != len(data):
        return False
    for name in State.__slots__:
        setattr(state, name, getattr(wanted, name))
    return True
