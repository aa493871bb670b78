"""Does the emulator here do what the suite rests on? Each check runs real instructions."""

from __future__ import annotations

from collections.abc import Callable

from lpgen.machine.engine import KERNEL_MSR, PAGE, Engine, branch, words
from lpgen.machine.state import State

_BASE = 0xC000000000000000
_CODE = _BASE + 0x100000
_DATA = _BASE + 0x200000


def _engine(*code: int) -> Engine:
    engine = Engine(_BASE)
    engine.map(_CODE, PAGE)
    engine.map(_DATA, PAGE)
    engine.add_monitor_entry(_CODE)
    at = _CODE + 0x1000
    engine.write(at, words(*code))
    engine.write(at + 4 * len(code), engine.gate(at + 4 * len(code), 7, _CODE))
    return engine


def _state() -> State:
    gpr = [0x0101010101010101 * n for n in range(32)]
    gpr[1] = _DATA
    return State(
        gpr, 0x11, 0x22, 0, 0x12345678, _CODE + 0x1000, KERNEL_MSR, [n << 50 for n in range(32)], bytes(range(256)) * 2
    )


def _little_endian() -> str:
    engine = _engine(0xF8610008, 0x80810008, 0xE8A10008)  # std r3,8(r1); lwz r4,8(r1); ld r5,8(r1)
    state = _state()
    state.gpr[3] = 0x1122334455667788
    stop = engine.resume(state)
    if stop.kind != "gate" or stop.gate != 7:
        return f"stopped with {stop.kind} {stop.what}"
    if engine.read(_DATA + 8, 8) != bytes.fromhex("8877665544332211"):
        return f"std left {engine.read(_DATA + 8, 8).hex()}"
    if (stop.state.gpr[4], stop.state.gpr[5]) != (0x55667788, 0x1122334455667788):
        return f"lwz, ld gave {stop.state.gpr[4]:#x}, {stop.state.gpr[5]:#x}"
    return ""


def _all_registers() -> str:
    state = _state()
    seen = _engine(0x60000000).resume(state).state
    state.pc = seen.pc
    return "" if seen == state else "a register did not survive the monitor"


def _trap() -> str:
    stop = _engine(0x60000000, 0x7C631088 | 24 << 21).resume(_state())  # tdne r3,r2
    return "" if (stop.kind, stop.pc) == ("trap", _CODE + 0x1004) else f"tdne gave {stop.kind} at {stop.pc:#x}"


def _fault() -> str:
    stop = _engine(0xF8600000).resume(_state())  # std r3,0(0)
    return "" if (stop.kind, stop.address) == ("fault", 0) else f"a store to 0 gave {stop.kind}"


def _loop() -> str:
    stop = _engine(branch(_CODE + 0x1000, _CODE + 0x1000)).resume(_state())
    return "" if stop.kind == "runaway" else f"an endless loop gave {stop.kind}"


_CHECKS: tuple[tuple[str, Callable[[], str]], ...] = (
    ("64-bit little-endian loads and stores at 0xc000...", _little_endian),
    ("all GPRs, FPRs, VRs, CR, XER, LR, CTR, MSR in and out", _all_registers),
    ("a trap stops the run at its own address", _trap),
    ("an access to unmapped memory stops the run", _fault),
    ("an endless loop is stopped", _loop),
)


def selftest() -> list[tuple[str, bool, str]]:
    """Return for each check what it shows, whether it holds, and what was seen when it does not."""
    results = []
    for name, check in _CHECKS:
        problem = check()
        results.append((name, not problem, problem))
    return results
