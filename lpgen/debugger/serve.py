"""``lpgen trace --gdb``: one call, with gdb in control of it."""

from __future__ import annotations

from collections.abc import Callable

from lpgen.assembly import Unit
from lpgen.debugger.connection import Gone, accept, listen
from lpgen.debugger.control import fatal
from lpgen.debugger.packets import ProtocolError
from lpgen.debugger.program import program
from lpgen.debugger.session import Session
from lpgen.kernel.generations import Kernel
from lpgen.machine.conductor import Conductor
from lpgen.machine.places import Thread
from lpgen.machine.plan import Plan
from lpgen.machine.state import State
from lpgen.machine.stop import Stop
from lpgen.machine.trip import Trip
from lpgen.machine.values import NOTHING, Values
from lpgen.machine.world import World


class _Debugged(Conductor):
    """A conductor whose guest runs as a session's gdb wants."""

    def __init__(self, world: World, session: Session) -> None:
        super().__init__(world)
        self._session = session

    def _run(self, state: State, thread: Thread) -> Stop:
        def go(state: State) -> Stop:
            return super(_Debugged, self)._run(state, thread)

        return self._session.control.run(state, go)


def serve(
    kernel: Kernel,
    unit: Unit,
    plan: Plan,
    port: int,
    *,
    values: Values = NOTHING,
    check: Callable[[Trip], None] = lambda trip: None,
    say: Callable[[str], None],
    check_stop: Callable[[], None],
) -> Trip | None:
    """Make the call of ``plan``, a settled one, with the gdb that comes to ``port`` of 127.0.0.1 in control of it.

    ``port`` 0 is any free one; ``say`` is told, in lines, how to attach, and how it ended. ``check_stop`` is called
    every tenth of a second and raises what ends the session. ``check`` is given the call as it is without gdb, before
    gdb may come, and raises what speaks against it. Returns what was seen of the call; None when gdb ended it
    before it came to its end. Raises LpgenError for a port that is taken, and what World and Conductor.run raise.
    """
    listener = listen(port)
    try:
        world = World(kernel, unit, watch=True, around=True)
        trip = Conductor(world).run(plan, values=values)
        check(trip)
        made = program(world, trip)
        # What the guest did to the first one is no matter to the second.
        world = World(kernel, unit, watch=True)
        say(f"gdb-multiarch -ex 'target remote 127.0.0.1:{listener.getsockname()[1]}'")
        connection = accept(listener, check_stop)
    finally:
        # Whoever comes second is refused.
        listener.close()
    try:
        session = Session(world.engine, connection, made)
        trip = _Debugged(world, session).run(plan, trace=False, values=values)
        if session.detached:
            say("gdb detached")
        else:
            session.end(b"W00" if trip.end is None else b"X%02x" % fatal(trip.end).signal)
        say("the call returned to A" if trip.end is None else f"the call ended: {_ending(world, trip.end)}")
        return trip
    except Gone as gone:
        say(str(gone))
    except ProtocolError as error:
        say(f"closed the connection: not the GDB remote protocol: {error}")
    finally:
        connection.close()
    return None


def _ending(world: World, end: Stop) -> str:
    name, text = world.name_of(end.pc), fatal(end).text
    return text if name in text else f"{text}, {name}"
