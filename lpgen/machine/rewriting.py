"""Other instructions in a world that is there already: a mutant costs some bytes, not a world."""

from __future__ import annotations

from collections.abc import Mapping

from lpgen.errors import LpgenError
from lpgen.machine.acceptance import patch_points
from lpgen.machine.engine import words
from lpgen.machine.places import Patched
from lpgen.machine.scan import privileged
from lpgen.machine.world import World


class Rewriter:
    """Puts words into the .text of ``world``, a new one, and takes them out again. ``text`` are its linked bytes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._first, end = world.text
        self.text = world.engine.read(self._first, end - self._first)
        self._offsets: tuple[int, ...] = ()
        self._settle()
        world.engine.keep()

    def rewrite(self, changed: Mapping[int, int]) -> None:
        """Have ``changed``, words by byte offset in .text, in place of those that are there; {}: the code as linked.

        All other memory becomes what it was in the new world, whatever ran since. Raises LpgenError for code that
        ftrace would not patch; the world then has the code as it was linked.
        """
        world, engine = self._world, self._world.engine
        world.patch(Patched())
        self._settle()
        engine.restore()
        for offset in self._offsets:
            engine.write_code(self._first + offset, self.text[offset : offset + 4])
        self._offsets = tuple(changed)
        for offset, word in changed.items():
            engine.write_code(self._first + offset, words(word))
        try:
            world.patches = patch_points(world.kernel, world.image, engine, world.tracer)
        except LpgenError:
            self.rewrite({})
            raise
        world.privileged = privileged(engine.read(self._first, len(self.text)), self._first)

    def _settle(self) -> None:
        """Have one and the same task be the current one of each cpu, as the new world is kept with it."""
        for paca in self._world.ground.pacas:
            self._world.data.run_on(paca, self._world.threads[0])
