"""The real gdb-multiarch in control of a call: registers, memory, breakpoints, steps, watchpoints, symbols, lines."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from lpgen.assembly import write_object
from lpgen.assembly.read_object import read_object
from lpgen.elf.file import open_elf
from lpgen.machine.conductor import Conductor
from lpgen.machine.trip import Trip
from lpgen.machine.world import World
from tests.debugger.served import NINE, Served, emitted, needs_gdb

pytestmark = needs_gdb

OUT_OF_LINE = "long f(long*9) seed=3 nip=patch home_b=1 pointer"
NESTED = "long f(long*9) seed=5 nip=patch inner=[long g(long) nip=patch]"
INTERRUPTED = f"{NINE} interrupt=12:calls[void h() seed=2 nip=patch]"


def watched(served: Served) -> tuple[World, Trip]:
    """The same call without gdb, each instruction around the trampolines traced too."""
    world = World(served.kernel, served.unit, watch=True, around=True)
    return world, Conductor(world).run(served.plan)


def all_trips(trip: Trip) -> Iterator[Trip]:
    yield trip
    for inside in trip.inner:
        yield from all_trips(inside)


def numbers(pattern: str, text: str) -> list[int]:
    return [int(found, 0) for found in re.findall(pattern, text)]


def test_a_patched_call_up_to_c(tmp_path: Path) -> None:
    with Served() as served:
        out = served.gdb(
            "break livepatch_handler",
            "break C",
            "continue",
            "print/x $r1",
            "print/x livepatch_sp",
            "continue",
            "x/gx $r1+96",
            "x/i $pc",
            "continue",
            tmp_path=tmp_path,
        )
    trip = served.trip
    assert trip is not None
    assert trip.end is None
    # Exactly the first instruction, whatever a prologue is.
    assert re.search(r"Breakpoint 1, livepatch_handler \(\) at .*livepatch_handler\.S\.j2:\d+\n\d+\s+\S", out), out
    assert f"$1 = {trip.frame:#x}" in out
    assert f"$2 = {trip.sp:#x}" in out
    assert f"Breakpoint 2, {trip.c.gep:#018x} in C ()" in out
    (ninth,) = struct.unpack("<Q", served.plan.values[8])
    assert f"{trip.frame + 96:#x}:\t{ninth:#018x}" in out
    assert f"=> {trip.c.gep:#x} <C>:\tb " in out
    assert "exited normally" in out


def test_every_register_is_what_a_has(tmp_path: Path) -> None:
    with Served() as served:
        out = served.gdb("info all-registers", "kill", tmp_path=tmp_path)
    _, trip = watched(served)
    a = trip.a
    for n in range(32):
        assert re.search(rf"^r{n}\s+{a.gpr[n]:#x}\s", out, re.MULTILINE), n
        assert re.search(rf"^f{n}\s.*\(raw {a.fpr[n]:#018x}\)", out, re.MULTILINE), n
        vector = int.from_bytes(a.vector(n), "little")
        assert re.search(rf"^vr{n}\s.*uint128 = {vector:#x}[,}}]", out, re.MULTILINE), n
    for name in ("pc", "msr", "cr", "lr", "ctr", "xer"):
        assert re.search(rf"^{name}\s+{getattr(a, name):#x}\s", out, re.MULTILINE), name
    assert re.search(r"^fpscr\s+<unavailable>", out, re.MULTILINE)
    assert served.lines[1:] == ["gdb killed the call"]
    assert served.trip is None


@pytest.mark.parametrize(
    ("version", "plan"), [("4.7", NINE), ("6.12", NINE), ("6.18", OUT_OF_LINE)], ids=["4.7", "6.12", "6.18"]
)
def test_single_steps_go_the_guests_way(version: str, plan: str, tmp_path: Path) -> None:
    with Served(plan, version) as served:
        out = served.gdb(
            "set $n = 0",
            "while $n < 1000",
            'printf "pc=%#lx\\n", $pc',
            "stepi",
            "set $n = $n + 1",
            "end",
            tmp_path=tmp_path,
        )
    world, trip = watched(served)
    gates = {"tracer": world.tracer_of(trip.b), "c": trip.c.gep, "back": trip.site.returns}
    if served.plan.pointer:
        gates["back"] += 4
    expected: list[int] = []
    for moment in trip.moments:
        expected += [step.pc for step in moment.steps if step.kind == "insn"]
        expected.append(gates[moment.where])
    assert numbers(r"pc=(0x\w+)\n", out) == expected
    assert len(expected) > 60
    assert "exited normally" in out


def test_a_watchpoint_stops_behind_each_store(tmp_path: Path) -> None:
    with Served() as served:
        out = served.gdb(
            "watch livepatch_sp",
            "continue",
            'printf "pc=%#lx\\n", $pc',
            "continue",
            'printf "pc=%#lx\\n", $pc',
            "continue",
            tmp_path=tmp_path,
        )
    _, trip = watched(served)
    steps = [step for moment in trip.moments for step in moment.steps]
    sp = trip.thread.sp_address
    stores = [step.pc for step in steps if step.kind == "store" and step.address == sp]
    assert len(stores) == 2
    assert numbers(r"pc=(0x\w+)\n", out) == [pc + 4 for pc in stores]
    assert numbers(r"New value = (\d+)", out) == [trip.sp + 24, trip.sp]
    assert "exited normally" in out


def test_a_load_is_watched_too_and_what_python_stores(tmp_path: Path) -> None:
    with Served(f"{NINE} marker=3") as served:
        out = served.gdb(
            "rwatch livepatch_sp",
            "continue",
            'printf "pc=%#lx\\n", $pc',
            "delete",
            "break C",
            "continue",
            "watch -location *(long *)(livepatch_sp - 8)",
            "continue",
            'printf "pc=%#lx\\n", $pc',
            "continue",
            tmp_path=tmp_path,
        )
    _, trip = watched(served)
    steps = [step for moment in trip.moments for step in moment.steps]
    loads = [step.pc for step in steps if step.kind == "load" and step.address == trip.thread.sp_address]
    # C destroys the marker: seen where C returns to.
    assert numbers(r"pc=(0x\w+)\n", out) == [loads[0] + 4, trip.at("c")[0].state.lr]
    assert "New value = 0\n" in out
    assert "received signal SIGTRAP" in out


def test_memory_written_by_gdb_is_what_the_guest_loads(tmp_path: Path) -> None:
    with Served() as served:
        out = served.gdb(
            "break C",
            "continue",
            "set {long}(livepatch_sp - 8) = 0",
            "continue",
            "x/i $pc",
            "continue",
            tmp_path=tmp_path,
        )
    trip = served.trip
    assert trip is not None
    assert trip.end is not None
    assert trip.end.kind == "trap"
    assert f"lpgen: trap at {trip.end.pc:#x}" in out
    assert "Program received signal SIGTRAP" in out
    assert re.search(rf"=> {trip.end.pc:#x} <livepatch_handler\+\d+>:\ttdne\s+r0,r2", out), out
    assert "Program terminated with signal SIGTRAP" in out
    assert served.lines[1:] == [f"the call ended: trap at {trip.end.pc:#x}, livepatch_handler+0x44"]


def test_registers_written_by_gdb_are_what_the_guest_has(tmp_path: Path) -> None:
    with Served("long f(long*9) seed=3") as served:
        out = served.gdb(
            "set $r14 = 0x123456789abcdef0",
            "set $f20 = 1.5",
            "set $vr20.uint128 = 0x77",
            "set $cr = 0x24",
            "set $r25 = 1",
            "break tracer",
            "continue",
            "print/x pt_regs.gpr[14]",
            "print $f20",
            "print $vr20.uint128",
            "print/x $r1 == (long)&pt_regs - 112",
            "print/x pt_regs.ccr",
            "set $pc = $pc + 2",
            "set $msr = 0",
            "continue",
            tmp_path=tmp_path,
        )
    assert "$1 = 0x123456789abcdef0\n$2 = 1.5\n$3 = 119\n$4 = 0x1\n$5 = 0x24\n" in out
    assert out.count("Could not write register") == 2
    assert "exited normally" in out
    trip = served.trip
    assert trip is not None
    assert trip.moments[-1].state.gpr[25] == 1
    assert trip.a.gpr[25] != 1


def test_a_trap_that_gdb_steps_over(tmp_path: Path) -> None:
    with Served(f"{NINE} marker=3") as served:
        out = served.gdb("continue", "set $pc = $pc + 4", "continue", tmp_path=tmp_path)
    assert "received signal SIGTRAP" in out
    assert "exited normally" in out
    assert served.trip is not None
    assert served.trip.end is None


@pytest.mark.parametrize(
    ("change", "signal", "said"),
    [
        ("set $r1 = 0x10", "SIGSEGV", r"lpgen: store to unmapped 0x\w+, at 0x\w+"),
        ("set $pc = 0x1000", "SIGSEGV", "lpgen: fetch from unmapped 0x1000, at 0x1000"),
        ("set {int}$pc = 0", "SIGILL", r"lpgen: illegal instruction at 0x\w+"),
    ],
)
def test_a_fault_is_a_signal(change: str, signal: str, said: str, tmp_path: Path) -> None:
    with Served() as served:
        out = served.gdb("break *ftrace_caller", "continue", change, "continue", "continue", tmp_path=tmp_path)
    assert f"Program received signal {signal}" in out
    assert f"Program terminated with signal {signal}" in out
    assert re.search(said, out), out
    assert served.trip is not None
    assert served.trip.end is not None


def test_memory_that_is_not_there_and_the_harness(tmp_path: Path) -> None:
    with Served() as served:
        out = served.gdb(
            "x/gx 0x10", "set {long}0x10 = 1", "x/2i C", "set {int}0xc000000000100000 = 0", "kill", tmp_path=tmp_path
        )
    assert out.count("Cannot access memory at address 0x10\n") == 2
    assert "Cannot access memory at address 0xc000000000100000" in out


@pytest.mark.parametrize(
    ("version", "plan"),
    [
        ("4.7", NESTED),
        ("4.7", INTERRUPTED),
        ("6.12", NESTED),
        ("6.12", INTERRUPTED),
        ("6.18", NESTED),
        ("6.18", f"{NINE} recursion=[long g(long) seed=4] link"),
        ("4.7", f"{NINE} beside=[long g(long*9) seed=6 nip=patch thread=1]"),
    ],
)
def test_calls_in_calls_stop_at_each_function(version: str, plan: str, tmp_path: Path) -> None:
    with Served(plan, version) as served:
        world, trip = watched(served)
        tracers = {world.tracer, world.module_tracer}
        functions = {world.symbol("livepatch_handler"), *tracers}
        functions |= {function.gep for one in all_trips(trip) for function in (one.c,)}
        out = served.gdb(
            *(f"break *{address:#x}" for address in sorted(functions)),
            "set $n = 0",
            "while $n < 40",
            "continue",
            'printf "pc=%#lx\\n", $pc',
            "set $n = $n + 1",
            "end",
            tmp_path=tmp_path,
        )
    stops = numbers(r"pc=(0x\w+)\n", out)
    wheres = [moment.where for one in all_trips(trip) for moment in one.moments]
    assert len([pc for pc in stops if pc in tracers]) == wheres.count("tracer")
    handler = world.symbol("livepatch_handler")
    assert stops.count(handler) == wheres.count("c") == len([one for one in all_trips(trip) if one.at("c")])
    assert wheres.count("c") + wheres.count("tracer") > 2
    assert "exited normally" in out
    # gdb's stops change nothing of what is seen.
    seen = served.trip
    assert seen is not None
    for one, other in zip(all_trips(trip), all_trips(seen), strict=True):
        assert [m.where for m in one.moments] == [m.where for m in other.moments]
        assert [m.state for m in one.moments] == [m.state for m in other.moments]
    assert seen.interruption == trip.interruption


@pytest.mark.parametrize("boundary", [1, 20, 30])
def test_an_interrupt_comes_before_the_same_instruction(boundary: int, tmp_path: Path) -> None:
    with Served(f"{NINE} interrupt={boundary}:frame", "6.12") as served:
        served.gdb(
            "stepi 20", "break *$pc+8", "continue", "watch livepatch_sp", "continue", "continue", tmp_path=tmp_path
        )
    _, trip = watched(served)
    assert served.trip is not None
    assert trip.interruption is not None
    assert served.trip.interruption == trip.interruption


CHAINS = {
    "4.7": (["tracer", "ftrace_call", "B", "A"], ["C", "livepatch_handler", "A"]),
    "6.12": (["tracer", "ftrace_regs_call", "B", "A"], ["C", "livepatch_handler", "A"]),
    "6.18": (["module_tracer", "ftrace_regs_caller", "B", "A"], ["C", "livepatch_handler", "A"]),
}


def chains(out: str) -> list[list[str]]:
    """The functions of each backtrace, innermost first."""
    found: list[list[str]] = []
    for number, name in re.findall(r"^#(\d+)\s+(?:0x\w+ in )?(\S+) \(\)", out, re.MULTILINE):
        if number == "0":
            found.append([])
        found[-1].append(name)
    return found


@pytest.mark.parametrize("version", CHAINS)
@pytest.mark.parametrize("home_b", [0, 1])
def test_a_backtrace_at_every_instruction(version: str, home_b: int, tmp_path: Path) -> None:
    # In kernel 6.18 each function may have another tracer; that of module 1's is the kernel's.
    plan = f"{NINE} home_b={home_b} inner=[long g(long) seed=4 nip=patch, long h(long) seed=6]"
    with Served(plan, version) as served:
        out = served.gdb("set $n = 0", "while $n < 1000", "bt", "stepi", "set $n = $n + 1", "end", tmp_path=tmp_path)
    seen = chains(out)
    assert len(seen) > 200
    assert "Backtrace stopped" not in out
    assert {chain[-1][:1] for chain in seen} == {"A"}, [chain for chain in seen if chain[-1][:1] != "A"]
    by_tracer, by_c = CHAINS[version]
    if version == "6.18" and home_b:
        by_tracer = ["tracer", *by_tracer[1:]]
    assert by_tracer in seen
    assert by_c in seen


def test_lines_of_the_source(tmp_path: Path) -> None:
    with Served() as served:
        out = served.gdb(
            "break livepatch_handler", "continue", "info line", "list", "info symbol $pc", "kill", tmp_path=tmp_path
        )
    path = Path(__file__).parents[2] / "templates" / "livepatch_handler.S.j2"
    match = re.search(r'Line (\d+) of "(.*)" starts at address (0x\w+) <livepatch_handler>', out)
    assert match is not None, out
    assert Path(match[2]) == path
    line = path.read_text().splitlines()[int(match[1]) - 1]
    assert f"{match[1]}\t{line}" in out
    assert "clrrdi" in line


@pytest.mark.parametrize("version", ["4.7", "6.12", "6.18"])
@pytest.mark.parametrize("from_object", [False, True], ids=["text", "object"])
def test_a_breakpoint_is_at_the_first_instruction(version: str, from_object: bool, tmp_path: Path) -> None:
    unit = emitted(version)[1]
    if from_object:
        file = tmp_path / "mine.o"
        file.write_bytes(write_object(unit))
        with open_elf(file) as elf:
            unit = read_object(elf)
    with Served(version=version, unit=unit) as served:
        world, trip = watched(served)
        names = {name: world.symbol(name) for name, symbol in unit.symbols.items() if symbol.type == "func"}
        names |= {"B": trip.b.lep, "C": trip.c.gep, "tracer": world.tracer}
        out = served.gdb(*(f"break {name}" for name in names), "info breakpoints", "kill", tmp_path=tmp_path)
    places = numbers(r"Breakpoint \d+ at (0x\w+)", out)
    assert places == [*names.values()], out


def test_symbols_of_the_world(tmp_path: Path) -> None:
    with Served(OUT_OF_LINE, "6.18") as served:
        out = served.gdb(
            "break B",
            *(f"info symbol {name}" for name in ("ftrace_regs_caller", "tracer", "A")),
            "print/x &thread_info",
            "print/x &paca",
            "print/x &kernel_toc",
            "print $r13 == &paca",
            "print sizeof(livepatch_sp)",
            "continue",
            "stepi",
            "stepi",
            "stepi",
            "kill",
            tmp_path=tmp_path,
        )
    world, trip = watched(served)
    assert "ftrace_regs_caller in section .text\n" in out
    assert "$4 = 1\n$5 = 8\n" in out
    assert f"$1 = {trip.thread.info:#x}\n$2 = {trip.a.gpr[13]:#x}\n$3 = {world.ground.toc:#x}\n" in out
    # A comes by the pointer; the breakpoint is at B's local entry, where both ways lead.
    assert f"Breakpoint 1 at {trip.b.lep:#x}" in out
    assert "in B_ool_stub ()" in out
    assert "in ftrace_regs_caller_stub_in_module_1 ()" in out


def test_gdb_detaches_and_the_call_goes_on(tmp_path: Path) -> None:
    with Served() as served:
        out = served.gdb("break livepatch_handler", "continue", "detach", tmp_path=tmp_path)
    assert "Breakpoint 1, livepatch_handler" in out
    assert "detached" in out
    assert served.lines[1:] == ["gdb detached", "the call returned to A"]
    assert served.trip is not None
    assert served.trip.end is None
    assert [moment.where for moment in served.trip.moments] == ["tracer", "c", "back"]


def test_the_end_of_a_batch_is_a_detach(tmp_path: Path) -> None:
    with Served() as served:
        served.gdb("stepi", tmp_path=tmp_path)
    assert served.lines[1:] == ["gdb detached", "the call returned to A"]
    assert served.trip is not None


def test_the_hint_is_all_that_it_takes(tmp_path: Path) -> None:
    with Served() as served:
        assert served.lines == [f"gdb-multiarch -ex 'target remote 127.0.0.1:{served.port}'"]
        out = served.gdb("print/x livepatch_sp", "kill", tmp_path=tmp_path)
    assert "$1 = 0x" in out
    assert emitted("4.7")[1] is served.unit
