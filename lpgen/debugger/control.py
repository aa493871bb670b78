"""Where a call stops for gdb: breakpoints, watchpoints, single steps, traps, and when somebody asks it to.

The code is never changed for that: before each instruction the engine asks whether to stop there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lpgen.machine.engine import Engine
from lpgen.machine.state import State
from lpgen.machine.stop import Stop

# gdb's own numbers of signals.
SIGINT, SIGILL, SIGTRAP, SIGSEGV, SIGXCPU = 2, 4, 5, 11, 24
# After how many instructions a call that runs looks whether somebody wants to stop it.
_PATIENCE = 1000
# More than a person sets, and what gdb sets for one.
_MOST_POINTS = 4096
SOFTWARE, HARDWARE, WRITE, READ, ACCESS = range(5)
_WATCHES = {WRITE: "watch", READ: "rwatch", ACCESS: "awatch"}


@dataclass(frozen=True, slots=True)
class Cause:
    """Why gdb has the call: its number of the signal, what a stop reply adds to it, a line for the person."""

    signal: int = SIGTRAP
    detail: str = ""
    text: str = ""


@dataclass(slots=True)
class _Watch:
    address: int
    size: int
    held: bytes


_POLL = Cause(text="poll")
STEP = Cause()


class Control:
    """Runs a guest as gdb says. ``serve`` is called with the registers, to change, and the Cause whenever it stops."""

    def __init__(self, engine: Engine, serve: Callable[[State, Cause], None], interrupted: Callable[[], bool]) -> None:
        self._engine = engine
        self._serve = serve
        self._interrupted = interrupted
        self._breakpoints: set[tuple[int, int]] = set()
        self._watches: dict[tuple[int, int, int], _Watch] = {}
        # The call stops before its first instruction.
        self.stepping = True
        self._through: int | None = None
        # The last instruction that ran, or was to: the one that a watchpoint is about.
        self._last = 0
        self._touched: Cause | None = None
        self._cause: Cause | None = None
        self._left = _PATIENCE
        self._attached = True
        engine.ask(self._before, None)

    def detach(self) -> None:
        """Have the call run on its own from now on."""
        self._attached = False
        self._engine.ask(None, None)

    def insert(self, kind: int, address: int, size: int) -> bool:
        """Insert a breakpoint or a watchpoint (of ``size`` bytes); False for one that cannot be, or one too many."""
        if len(self._breakpoints) + len(self._watches) >= _MOST_POINTS:
            return False
        if kind in (SOFTWARE, HARDWARE):
            self._breakpoints.add((kind, address))
            return True
        if not 0 < size <= self._engine.room(address):
            return False
        self._watches[kind, address, size] = _Watch(address, size, b"")
        self._engine.ask(self._before, self._accessed)
        return True

    def remove(self, kind: int, address: int, size: int) -> None:
        """Remove what ``insert`` inserted, if it is there."""
        self._breakpoints.discard((kind, address))
        self._watches.pop((kind, address, size), None)
        if not self._watches and self._attached:
            self._engine.ask(self._before, None)

    def run(self, state: State, go: Callable[[State], Stop]) -> Stop:
        """Run the guest from ``state`` by ``go``, and have gdb served at each of its stops, to a stop that is not its.

        A trap or a fault is shown to gdb first; if gdb goes on from another pc, so does the guest.
        """
        if not self._attached:
            return go(state)
        # What gdb changes is nothing that whoever made the call meant.
        state = state.copy()
        self._touched = self._changed()
        cause = self._why(state.pc)
        while True:
            if cause is not None:
                state = self._show(state, cause)
            else:
                self._through = state.pc
            if not self._attached:
                return go(state)
            stop = go(state)
            if stop.kind == "asked":
                state, cause = stop.state, self._cause
                if cause is _POLL:
                    cause = Cause(SIGINT) if self._interrupted() else None
            elif stop.kind in ("trap", "fault", "runaway"):
                self._touched = None
                state, cause = self._show(stop.state, fatal(stop)), None
                if not self._attached or state.pc == stop.pc:
                    return stop
                if self._through is None:
                    cause = self._why(state.pc)
            else:
                self._hold()
                return stop

    def _show(self, state: State, cause: Cause) -> State:
        """Serve gdb; afterwards the instruction at pc runs unasked, unless gdb chose another one to go on at."""
        at, watched = state.pc, cause is self._touched
        self._touched = None
        if watched:
            # gdb takes a POWER to stop before an access that is watched, and steps over it by itself. So it is shown
            # the pc of what made the access, and its step leads to where the guest is.
            state.pc = self._last
            self._serve(state, cause)
            if state.pc != self._last:
                self._through = state.pc if self.stepping else None
                return state
            state.pc = at
            if not self._attached or not self.stepping:
                self._through = None
                return state
            cause = STEP
        self._serve(state, cause)
        self._through = state.pc if self.stepping or state.pc == at else None
        return state

    def _why(self, pc: int) -> Cause | None:
        """Return why to stop before the instruction at ``pc``."""
        if self._touched is not None:
            return self._touched
        if (SOFTWARE, pc) in self._breakpoints:
            return Cause(detail="swbreak:;")
        if (HARDWARE, pc) in self._breakpoints:
            return Cause(detail="hwbreak:;")
        return STEP if self.stepping else None

    def _before(self, pc: int) -> bool:
        through, self._through = self._through, None
        if pc == through:
            self._last = pc
            return False
        self._cause = self._why(pc)
        self._left -= 1
        if self._cause is None and self._left <= 0:
            self._left, self._cause = _PATIENCE, _POLL
        if self._cause is None:
            self._last = pc
        return self._cause is not None

    # Watchpoints

    def _accessed(self, address: int, size: int, stores: bool) -> None:
        for kind, start, length in self._watches:
            wanted = kind == ACCESS or stores == (kind == WRITE)
            if wanted and address < start + length and start < address + size:
                self._touched = Cause(detail=f"{_WATCHES[kind]}:{start:x};")

    def _hold(self) -> None:
        """Note what is watched now that a function runs that Python acts for."""
        for watch in self._watches.values():
            watch.held = self._engine.read(watch.address, watch.size)

    def _changed(self) -> Cause | None:
        """Return what such a function changed of it."""
        for (kind, address, size), watch in self._watches.items():
            if kind != READ and watch.held and self._engine.read(address, size) != watch.held:
                watch.held = b""
                return Cause(detail=f"{_WATCHES[kind]}:{address:x};")
        return None


def fatal(stop: Stop) -> Cause:
    """Return what gdb and a person are told of a trap, a fault, or a call without an end."""
    if stop.kind == "trap":
        return Cause(SIGTRAP, text=f"trap at {stop.pc:#x}")
    if stop.kind == "runaway":
        return Cause(SIGXCPU, text="the call does not end")
    if stop.what.startswith(("load", "store", "fetch")):
        return Cause(SIGSEGV, text=f"{stop.what} {stop.address:#x}, at {stop.pc:#x}")
    return Cause(SIGILL, text=f"{stop.what} at {stop.pc:#x}")
