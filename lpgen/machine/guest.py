"""Thousands of callers in one run of the emulator: guest code is A, the tracer and C, and compares; Python looks at the
rest. What comes back are the numbers of the callers that have to be judged in full.

What the guest's routines compare, for each caller, is in guest_routines.py. Compared here, behind each run, and then
narrowed down to the caller: everything that no caller may leave changed, which is the kernel's data, each stack but for
what is dead of it, livepatch_sp, and all FPRs and VRs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

from lpgen.assembly import Unit
from lpgen.kernel.generations import Kernel
from lpgen.machine import instructions as w
from lpgen.machine.engine import KERNEL_MSR, MSR_FP, MSR_VEC, MSR_VSX, PAGE, BulkEngine
from lpgen.machine.guest_callers import (
    FIRST,
    PHASE,
    POOL,
    STEP,
    WINDOW,
    GuestPlan,
    place_of,
    pool,
    schedule,
    settings,
)
from lpgen.machine.guest_code import CONTROL, END, OFFSET, POOL_AT, SCHEDULE, STOP, WINDOW_AT
from lpgen.machine.guest_routines import Way
from lpgen.machine.instructions import Code
from lpgen.machine.places import BASE_WINDOW, LIVEPATCH_FRAME, MAIN_FRAME, Patched
from lpgen.machine.plan import DIRECT_OPS
from lpgen.machine.stop import Stop
from lpgen.machine.trip import Trip
from lpgen.machine.world import World

# Below 2^31, so that `lis` makes the upper half of an address; nothing of a kernel's is there. Unicorn's TLB has one
# entry for all pages whose addresses are the same in bits 12 to 19: what is used at the same time differs there, and
# from most of the world's.
_SCHEDULES, _POOL, _REGISTERS, _CODE = 0x5C07, 0x5B08, 0x5B40, 0x5E00
_SETTING_SPACING = 0x100000
_CODE_BYTES = 0x800000
_FPR, _VR = 0, 0x100
_REGISTER_BYTES = 0x300
# Seconds without an end of a caller. One that takes longer for another reason is judged in full, and no more.
_TIMEOUT = 0.5
# So many callers of a way that fail in a phase show that all do: the rest of them is not tried here.
_ENOUGH = 4

Models = Callable[[GuestPlan, int], Trip | None]


class Guest:
    """The callers from FIRST on of the run with ``seed``, in a world of their own.

    ``models`` returns a good call of a caller's number and way in an ordinary world of the same trampolines, or None:
    then all callers of that way are to be judged in full. ``checks`` off: nothing is compared, as a measure of what
    comparing costs.
    """

    def __init__(self, kernel: Kernel, unit: Unit, seed: int, models: Models, *, checks: bool = True) -> None:
        self._kernel, self._seed, self._models, self._checks = kernel, seed, models, checks
        self._settings = settings(kernel)
        self.world = world = World(kernel, unit, engine=BulkEngine)
        self._engine = engine = world.engine
        assert isinstance(engine, BulkEngine)
        self._bulk = engine
        for high, size in (
            (CONTROL, PAGE),
            (_POOL, 8 * (POOL + WINDOW) + PAGE & -PAGE),
            (_REGISTERS, PAGE),
            *((_SCHEDULES + _SETTING_SPACING * n // PAGE, PAGE) for n in range(len(self._settings))),
        ):
            engine.map(high << 16, size)
        engine.map(_CODE << 16, _CODE_BYTES, writable=False)
        self._code = Code(_CODE << 16)
        self._written = 0
        self._common()
        self._ways: dict[int, list[int]] = {}
        self._alone: dict[int, frozenset[int]] = {}
        self._pool: int | None = None
        self._images = [world.stack_image(thread) for thread in world.threads]
        self._number: int | None = None

    # Guest code

    def _common(self) -> None:
        """Write what all ways share: registers in, the loop over the callers, registers out."""
        code = self._code
        self._start = code.here
        code.add(w.lis(11, _REGISTERS))
        code.add(*(w.lfd(n, _FPR + 8 * n, 11) for n in range(32)))
        for n in range(32):
            code.add(w.addi(3, 0, _VR + 16 * n), w.lvx(n, 11, 3))
        code.add(w.lis(11, CONTROL), w.ld(3, STOP + 8, 11), w.mtmsrd(3))
        self._loop = code.here
        code.add(
            w.lis(11, CONTROL), w.ld(9, SCHEDULE, 11), w.ld(10, END, 11), w.ld(8, OFFSET, 11), w.ld(7, POOL_AT, 11)
        )
        code.add(w.cmpd(9, 10), w.beq(4 * 11))
        # The window's offset in bytes, in a pool of POOL doublewords.
        first = 32 - (8 * POOL).bit_length() + 1
        code.add(w.ld(12, 0, 9), w.addi(9, 9, 8), w.std(9, SCHEDULE, 11))
        code.add(w.addi(8, 8, 8 * STEP), w.rlwinm(8, 8, first, 28), w.std(8, OFFSET, 11))
        code.add(w.add(7, 7, 8), w.std(7, WINDOW_AT, 11), w.mtspr(w.CTR, 12), w.BCTR)
        # The number of what did not come to an end; at a caller's own end there is none.
        code.add(w.addi(0, 0, 0))
        self._fail = code.here
        code.add(w.lis(11, CONTROL), w.std(0, STOP, 11), w.ld(3, STOP + 16, 11), w.mtmsrd(3))
        code.add(w.lis(11, _REGISTERS), w.addi(11, 11, _REGISTER_BYTES))
        code.add(*(w.stfd(n, _FPR + 8 * n, 11) for n in range(32)))
        for n in range(32):
            code.add(w.addi(3, 0, _VR + 16 * n), w.stvx(n, 11, 3))
        # In a page of its own: Unicorn drops the translation of what shares a block with the end of a run.
        self._end = (_CODE << 16) + _CODE_BYTES - PAGE
        code.branch(self._end)
        base = CONTROL << 16
        self._engine.write_u64(base + STOP + 8, KERNEL_MSR)
        self._engine.write_u64(base + STOP + 16, KERNEL_MSR | MSR_FP | MSR_VEC | MSR_VSX)
        self._engine.write_u64(base + POOL_AT, _POOL << 16)
        self._flush_code()

    def _flush_code(self) -> None:
        fresh = self._code.since(self._written)
        self._engine.write((_CODE << 16) + self._written, fresh)
        self._written += len(fresh)

    def _prepare(self, number: int) -> None:
        """Make the routines of setting ``number``, whose callers are those that the models are of."""
        setting = self._settings[number]
        entries: list[int] = []
        alone: set[int] = set()
        for index, plan in enumerate(setting.ways):
            model = self._models(plan, self._example(number, index))
            if model is None or not _can_be_model(model):
                alone.add(index)
                entries.append(self._loop)
                continue
            way = Way(self.world, plan, model, self._code, self._loop, self._fail, checks=self._checks)
            entries.append(way.entry)
        self._flush_code()
        self._ways[number] = entries
        self._alone[number] = frozenset(alone)

    def _example(self, number: int, way: int) -> int:
        """Return the number of the first caller of a way."""
        return FIRST + PHASE * number + schedule(len(self._settings[number].ways)).index(way)

    # Running

    def run(self, first: int, last: int) -> list[int]:
        """Send the callers from number ``first`` up to, not with, ``last``; return those to be judged in full."""
        found: list[int] = []
        while first < last:
            end = min(last, first + PHASE - (first - FIRST) % PHASE)
            found += self._phase(first, end)
            first = end
        return found

    def _phase(self, first: int, last: int) -> list[int]:
        number = (first - FIRST) // PHASE % len(self._settings)
        if number not in self._ways:
            self._prepare(number)
        self._set(number, first)
        ways = schedule(len(self._settings[number].ways))
        # Ways whose callers are judged in full, and from which caller on.
        alone = dict.fromkeys(self._alone[number], first)
        self._schedule(number, ways, alone)
        failed: list[int] = []
        fails: Counter[int] = Counter()
        at = first
        while at < last:
            stopped = self._span(at, last, failed)
            if stopped is None:
                break
            caller, stop = stopped
            failed.append(caller)
            way = ways[(caller - FIRST) % PHASE]
            fails[way] += 1
            if fails[way] == _ENOUGH or (stop is not None and stop.kind == "runaway"):
                alone[way] = caller
                self._schedule(number, ways, alone)
            at = caller + 1
        failed += (n for n in range(first, last) if n >= alone.get(ways[(n - FIRST) % PHASE], last))
        return sorted(set(failed))

    def _schedule(self, number: int, ways: tuple[int, ...], alone: Collection[int]) -> None:
        """Write where the loop goes for each caller of a phase: past those that are judged in full anyway."""
        to = [self._loop if way in alone else entry for way, entry in enumerate(self._ways[number])]
        data = b"".join(to[way].to_bytes(8, "little") for way in ways)
        self._engine.write((_SCHEDULES << 16) + _SETTING_SPACING * number, data)

    def _set(self, number: int, first: int) -> None:
        """Have the world as the callers of setting ``number`` find it, and the pool that ``first``'s window is in."""
        plan = self._settings[number].ways[0]
        graph = plan.graph and "graph_hook" in self._kernel.features
        self.world.patch(Patched(plan.tracing, graph, plan.disabled, plan.direct == DIRECT_OPS))
        thread = self.world.threads[plan.thread]
        self.world.data.run_on(self.world.ground.pacas[plan.thread & 1], thread)
        self._number = number
        which = place_of(first)[0]
        if which != self._pool:
            self._pool = which
            data = pool(self._seed, which)
            self._engine.write(_POOL << 16, data)
            # What FPRs and VRs hold, on the way in; nobody has a use for them.
            self._engine.write(_REGISTERS << 16, data[:_REGISTER_BYTES])

    def _span(self, first: int, last: int, failed: list[int]) -> tuple[int, Stop | None] | None:
        """Run callers of one phase up to the first that does not pass, which is returned with the stop, if it has one.

        Those that leave something changed are added to ``failed``.
        """
        stopped = self._once(first, last)
        clean = self._clean()
        if stopped is None:
            if not clean:
                self._narrow(first, last, failed)
            return None
        if not clean and stopped[0] > first:
            # Was it the one that stopped, or one before?
            assert self._once(first, stopped[0]) is None
            if not self._clean():
                self._narrow(first, stopped[0], failed)
        return stopped

    def _narrow(self, first: int, last: int, failed: list[int]) -> None:
        """Add to ``failed`` the callers that leave something changed; each of them comes to its end."""
        if last - first == 1:
            failed.append(first)
            return
        middle = (first + last) // 2
        for start, end in ((first, middle), (middle, last)):
            stopped = self._once(start, end)
            if not self._clean() or stopped is not None:
                self._narrow(start, end, failed)

    def _once(self, first: int, last: int) -> tuple[int, Stop | None] | None:
        """Run callers in one run of the emulator; return the one that it did not get past, None if there is none."""
        engine, base = self._engine, CONTROL << 16
        assert self._number is not None
        table = (_SCHEDULES << 16) + _SETTING_SPACING * self._number - 8 * ((first - FIRST) // PHASE * PHASE)
        engine.write_u64(base + SCHEDULE, table + 8 * (first - FIRST))
        engine.write_u64(base + END, table + 8 * (last - FIRST))
        engine.write_u64(base + OFFSET, 8 * ((place_of(first)[1] - STEP) % POOL))
        engine.write_u64(base + STOP, 0)
        stop = self._bulk.run(self._start, self._end, lambda: engine.read_u64(base + SCHEDULE), timeout=_TIMEOUT)
        at = FIRST + (engine.read_u64(base + SCHEDULE) - table) // 8
        if stop is None and at == last and not engine.read_u64(base + STOP):
            return None
        return max(first, at - 1), stop

    # What no caller may leave changed

    def _clean(self) -> bool:
        """True if nothing is changed that may not be; all is as new afterwards."""
        assert self._number is not None
        world = self.world
        clean = not world.data.changed()
        registers = self._engine.read(_REGISTERS << 16, 2 * _REGISTER_BYTES)
        clean &= registers[:_REGISTER_BYTES] == registers[_REGISTER_BYTES:]
        used = world.threads[self._settings[self._number].ways[0].thread]
        for thread, image in zip(world.threads, self._images, strict=True):
            now = world.stack_image(thread)
            if now == image:
                continue
            kept = _may_change(now, image, used.sp_start - thread.base, LIVEPATCH_FRAME)
            if thread.number == used.number:
                kept = _may_change(kept, image, BASE_WINDOW, len(image) - MAIN_FRAME - BASE_WINDOW)
            clean &= kept == image
            world.reset(thread)
        for thread in world.threads:
            if self._engine.read_u64(thread.sp_address) != thread.sp_start:
                clean = False
                world.reset(thread)
        return clean


def _may_change(now: bytes, image: bytes, start: int, size: int) -> bytes:
    """Return ``now`` with ``size`` bytes from ``start`` on as in ``image``, if that is inside."""
    if not 0 <= start < len(now):
        return now
    return now[:start] + image[start : start + size] + now[start + size :]


def _can_be_model(trip: Trip) -> bool:
    """True if routines can be made from a call: it came to its end, and so did all calls that C or B's body made."""
    if trip.end is not None or not trip.moments or trip.moments[-1].where != "back":
        return False
    return all(inner.relation == "inner" and _can_be_model(inner) for inner in trip.inner)
