"""All ways from an instruction to where the trampolines leave for code that is not theirs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lpgen.errors import LpgenError
from lpgen.proof.checker import Checker
from lpgen.proof.ground import FUNC, World
from lpgen.proof.path import DeadEnd, Path
from lpgen.proof.reading import show
from lpgen.proof.scenario import ROUTES
from lpgen.proof.term import TRUE, Term, const, equal, invert

# As often a path may come to one branch that can go both ways; more paths than any trampolines have.
MOST_TURNS, MOST_PATHS = 16, 5000


@dataclass(frozen=True, slots=True)
class Event:
    """Where a path has come to. ``kind``: a gate (tracer, graph, kprobe, unhook), handler, jump, trap or dead.

    ``target`` is the address of a jump, ``address`` the instruction that led there, ``what`` what happened.
    """

    kind: str
    address: int
    target: Term | None = None
    what: str = ""


# Paths that are still to be followed, and those that have arrived already.
Ahead = list[tuple[Path, Event | None]]


class Explorer:
    """Follows paths, both ways at each branch that can go both."""

    def __init__(self, world: World, checker: Checker) -> None:
        self._world = world
        self._checker = checker
        symbols = world.symbols
        named = () if "call_ops" in world.features else ("ftrace_call", "ftrace_regs_call")
        self._calls = {symbols[name] for name in named if name in symbols}
        self._graph_call = symbols.get("ftrace_graph_call") if "graph_hook" in world.features else None
        self._handler = symbols.get("livepatch_handler") if "livepatch" in world.features else None

    def events(self, path: Path) -> Iterator[tuple[Path, Event]]:
        """Yield each way on from where ``path`` is, with where it led to."""
        ahead: Ahead = [(path, None)]
        while ahead:
            one, event = ahead.pop()
            try:
                while event is None:
                    event = self._step(one, ahead)
            except DeadEnd as end:
                event = Event("dead", end.pc, None, end.what)
            self._checker.covered.update(one.trace)
            self._checker.paths += event.kind in ("jump", "trap", "dead")
            if self._checker.paths > MOST_PATHS:
                raise LpgenError(f"more than {MOST_PATHS:,} paths: no proof follows them all")
            yield one, event

    def _step(self, path: Path, ahead: Ahead) -> Event | None:
        pc = path.pc
        if path.phase == "ftrace":
            if pc == self._handler:
                return Event("handler", path.trace[-1] if path.trace else pc)
            if pc in self._calls:
                if self._untraced(path, ahead):
                    # What ftrace has written there: bl tracer.
                    path.pass_over(pc)
                    path.registers.lr = const(64, pc + 4)
                    return Event("tracer", pc)
            elif pc == self._graph_call and self._branch_to_graph_caller(path, ahead):
                path.pass_over(pc)
                path.pc = self._world.symbols["ftrace_graph_caller"]
                return None
        elif pc in self._calls or pc == self._graph_call:
            raise DeadEnd(pc, "an instruction that ftrace patches: it calls the tracer once more")
        outcome = path.step()
        path.pc = pc + 4
        if outcome.trap is not None:
            return self._trap(path, pc, outcome.trap, ahead)
        if outcome.target is None:
            return None
        condition = outcome.branch if outcome.branch is not None else TRUE
        taken, not_taken = self.ways(path, condition)
        if taken and not_taken:
            if path.trace.count(pc) > MOST_TURNS:
                path.pc = pc
                raise path.error("a loop that ends when values say so: no proof follows it to its end")
            other = path.fork()
            other.assume(invert(condition))
            ahead.append((other, None))
        elif not taken:
            return None
        path.assume(condition)
        return self._arrive(path, pc, outcome.target, ahead)

    def ways(self, path: Path, condition: Term) -> tuple[bool, bool]:
        """Return whether a condition can be true on a path, and whether it can be false."""
        return self._checker.possible(path, condition), self._checker.possible(path, invert(condition))

    def reaches(self, path: Path, event: Event, *targets: Term) -> bool:
        """Tell whether a path has jumped to one of ``targets``, for all values."""
        target = event.target
        if event.kind != "jump" or target is None:
            return False
        return any(target is one or self._checker.certain(path, equal(target, one)) for one in targets)

    def _untraced(self, path: Path, ahead: Ahead) -> bool:
        """Follow the way with no tracer patched in as well; tell whether there is one on ``path``."""
        if path.tracing is None:
            other = path.fork()
            other.tracing, path.tracing = False, True
            ahead.append((other, None))
        return bool(path.tracing)

    def _branch_to_graph_caller(self, path: Path, ahead: Ahead) -> bool:
        if path.graph is None:
            other = path.fork()
            other.graph, path.graph = False, True
            ahead.append((other, None))
        return bool(path.graph)

    def _trap(self, path: Path, pc: int, condition: Term, ahead: Ahead) -> Event | None:
        trapped, on = self.ways(path, condition)
        if not trapped:
            return None
        if on:
            other = path.fork()
            other.assume(invert(condition))
            ahead.append((other, None))
        path.assume(condition)
        return Event("trap", pc)

    def _arrive(self, path: Path, pc: int, target: Term, ahead: Ahead) -> Event | None:
        address = target.value
        if address is not None and address in self._world.words:
            path.pc = address
            return None
        if address is not None and address in self._world.gates:
            return Event(self._world.gates[address], pc, target)
        if self._is_tracer(path, target):
            if path.tracing is None:
                # ops->func is ftrace_stub while there is no tracer.
                other = path.fork()
                other.tracing, path.tracing = False, True
                other.pc = self._world.symbols["ftrace_stub"]
                ahead.append((other, None))
            return Event("tracer", pc, target)
        return Event("jump", pc, target)

    def _is_tracer(self, path: Path, target: Term) -> bool:
        """Tell whether a branch goes to ops->func."""
        if "call_ops" not in self._world.features or path.phase != "ftrace" or "tracer" in path.events:
            return False
        return target is FUNC or self._checker.certain(path, equal(target, FUNC))


def came_to(event: Event) -> str:
    """Return in words where a path came to."""
    if event.kind == "dead":
        return event.what
    if event.kind == "jump" and event.target is not None:
        return show(event.target)
    return {"handler": "livepatch_handler", "trap": "a trap"}.get(event.kind, ROUTES.get(event.kind, event.kind))
