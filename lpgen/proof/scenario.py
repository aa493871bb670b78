"""What has to happen at a way into the trampolines: the cases that the contract tells apart, and the gates of each."""

from __future__ import annotations

from dataclasses import dataclass

from lpgen.contract.route import NAMES
from lpgen.proof.ground import DIRECT, FLAG, FUNC, World
from lpgen.proof.path import Path
from lpgen.proof.term import Term, const, equal, invert

SWITCHED_OFF = "tracing is off in the paca"
ROUTES = {**NAMES, "c": "C, through livepatch_handler"}


@dataclass(frozen=True)
class Case:
    """A case: its ``name`` in words, the ``conditions`` under which it is one, and the gates that it comes by.

    ``gates`` are kinds with the statement that asks for each. ``nobody``: no statement says what comes then. ``off``:
    tracing is off in the paca; ``either``: the direct trampoline will do as well as B's body.
    """

    name: str
    conditions: tuple[Term, ...] = ()
    gates: tuple[tuple[str, str], ...] = ()
    nobody: bool = False
    off: bool = False
    either: bool = False


def nonzero(term: Term) -> Term:
    """Return whether a term is not 0."""
    return invert(equal(term, const(term.width, 0)))


def cases(world: World, path: Path, *, lean: bool) -> list[Case]:
    """Return the cases that a path in phase ftrace may be, by what is known of the tracer so far."""
    features = world.features
    found: list[Case] = []
    on: tuple[Term, ...] = ()
    if "tracing_switch" in features:
        off = equal(FLAG, const(8, 0))
        body_alone, name = (("body", "X1"),), "tracing is off in the paca"
        if "direct_calls" in features:
            # Section 7 says both of what comes then: on in B, and on in the direct trampoline.
            found.append(
                Case(f"{name}, ops->direct_call is set", (off, nonzero(DIRECT)), body_alone, off=True, either=True)
            )
            found.append(Case(name, (off, equal(DIRECT, const(64, 0))), body_alone, off=True))
        else:
            found.append(Case(name, (off,), body_alone, off=True))
        on = (invert(off),)
    if "direct_calls" in features:
        found.append(Case("ops->direct_call is set", (*on, nonzero(DIRECT)), (("direct", "S7"),)))
        on = (*on, equal(DIRECT, const(64, 0)))
    graph = (("graph", "S8"),) if path.graph else ()
    body = (*graph, ("body", "X1"))
    if path.tracing is False:
        return [*found, Case("no tracer is patched in", on, body)]
    if "call_ops" in features and path.tracing is None:
        # Nobody has called ops->func yet: that it is ftrace_stub, which would do nothing, may have been seen before.
        stub = equal(FUNC, const(64, world.symbols["ftrace_stub"]))
        found.append(Case("no tracer is patched in", (*on, stub), body))
        on = (*on, invert(stub))
    tracer = ("tracer", "T1")
    if "tracer" not in path.events:
        return [*found, Case("a tracer is patched in", on, (tracer,))]
    nip = path.facts.get("nip")
    if nip is None:
        return [*found, Case("the tracer has no pt_regs", on, (tracer, *body))]
    same = equal(nip, world.nip)
    kept, changed = (*on, same), (*on, invert(same))
    orig = path.facts.get("orig_gpr3")
    if orig is not None:
        none = equal(orig, const(64, 0))
        found.append(Case("nip unchanged", (*kept, none), (tracer, *body)))
        direct = (tracer, ("direct", "S7"))
        found.append(Case("the tracer named a direct trampoline", (*kept, invert(none)), direct))
    else:
        found.append(Case("nip unchanged", kept, (tracer, *body)))
    if "livepatch" not in features:
        found.append(Case("nip changed", changed, (tracer, ("redirected", "X1")), nobody=bool(path.graph)))
    elif "kprobe_test" in features:
        answer = path.facts.get("kprobe")
        if answer is None:
            found.append(Case("nip changed", changed, (tracer, ("kprobe", "S6"))))
        else:
            kprobe = equal(answer, const(64, 1))
            way = (tracer, ("kprobe", "S6"))
            redirected = Case("a kprobe changed nip", (*changed, kprobe), (*way, ("redirected", "X1")))
            # What the graph hook, patched in for all calls, makes of a kprobe's nip is nobody's statement.
            found.append(redirected if not path.graph else Case(redirected.name, redirected.conditions, nobody=True))
            found.append(Case("nip changed", (*changed, invert(kprobe)), (*way, ("c", "X3"))))
    else:
        found.append(Case("nip changed", changed, (tracer, ("c", "X3"))))
    return found
