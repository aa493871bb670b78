"""The kernel's data around the trampolines, which they may read and not change: pacas, TOC, ftrace_ops, tasks."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from random import Random

from lpgen.kernel.generations import Kernel
from lpgen.machine.engine import Engine
from lpgen.machine.places import (
    HOMES,
    OPS_SPACING,
    TASK_SPACING,
    TASK_THREADS,
    Ground,
    Patched,
    Thread,
)

WINDOW = 0x1000
OPS_BYTES = OPS_SPACING


class KernelData:
    """The data of one kernel.

    ``tracers`` and ``directs`` are what ops->func and ops->direct_call are by home, ``stub`` what ops->func is without
    a tracer.

    ``own`` is what a linked kernel has at some addresses, and its trampolines may read.
    """

    def __init__(
        self,
        kernel: Kernel,
        engine: Engine,
        ground: Ground,
        pattern: Random,
        tracers: Mapping[int, int],
        directs: Mapping[int, int],
        stub: int,
        own: Sequence[tuple[int, bytes]] = (),
    ) -> None:
        self._own = own
        self._ground = ground
        self._features = kernel.features
        self._offsets = kernel.offsets
        self._engine = engine
        self._tracers, self._directs, self._stub = tracers, directs, stub
        self._kept: dict[int, bytearray] = {}
        self._sp_addresses: set[int] = set()
        self._current = dict.fromkeys(ground.pacas, -1)
        self._flag: int | None = None
        # With call ops nobody has a use for function_trace_op; what it points to is none of the stubs' ops.
        self.decoy_ops = ground.ops + OPS_SPACING * len(HOMES)
        self._place(pattern)

    def _place(self, pattern: Random) -> None:
        features, ground = self._features, self._ground
        for address in (ground.pacas[0], ground.toc, ground.function_trace_op):
            self._engine.map_page(address)
        for address in ground.pacas:
            self._keep(address, bytearray(pattern.randbytes(WINDOW)))
            self._set(address + self._offsets["PACATOC"], struct.pack("<Q", ground.toc))
            if "tracing_switch" in features:
                self._set(address + self._offsets["PACA_FTRACE_ENABLED"], self._on(address))
        self._keep(ground.function_trace_op & ~(WINDOW - 1), bytearray(pattern.randbytes(WINDOW)))
        ops = self.decoy_ops if "call_ops" in features else ground.ops
        self._set(ground.function_trace_op, struct.pack("<Q", ops))
        self._keep(ground.toc, bytearray(pattern.randbytes(WINDOW)))
        if {"call_ops", "direct_calls"} & features:
            # Otherwise there is nothing in an ftrace_ops for the trampolines, and no memory behind it.
            self._engine.map_page(ground.ops)
            for number in range(len(HOMES) + 1):
                self._keep(self._ground.ops + OPS_SPACING * number, bytearray(pattern.randbytes(OPS_BYTES)))
            self.set_ops(Patched())
        if "thread_info_in_task" in features:
            self._engine.map_page(ground.tasks)
            for number in TASK_THREADS:
                self._keep(ground.tasks + TASK_SPACING * number, bytearray(pattern.randbytes(TASK_SPACING)))
        for address, data in self._own:
            if not any(start <= address < start + len(content) for start, content in self._kept.items()):
                self._engine.map_page(address)
                self._engine.write(address, data)

    def _keep(self, address: int, content: bytearray) -> None:
        """Write data that the guest may not change."""
        for start, data in self._own:
            first, end = max(start, address), min(start + len(data), address + len(content))
            if first < end:
                content[first - address : end - address] = data[first - start : end - start]
        self._kept[address] = content
        self._engine.write(address, bytes(content))

    def _set(self, address: int, data: bytes) -> None:
        """Change data that the guest may not change."""
        for start, content in self._kept.items():
            if start <= address < start + len(content):
                content[address - start : address - start + len(data)] = data
                self._engine.write(address, data)
                return
        # A paca's field beyond the part of it that is kept in view.
        self._engine.write(address, data)

    def set_ops(self, wanted: Patched) -> None:
        """Write ops->func and ops->direct_call of every ftrace_ops."""
        features = self._features
        for home in range(len(HOMES)):
            ops = self._ground.ops + OPS_SPACING * home
            if "call_ops" in features:
                func = self._tracers[home] if wanted.tracer else self._stub
                self._set(ops + self._offsets["FTRACE_OPS_FUNC"], struct.pack("<Q", func))
            if "direct_calls" in features:
                to = self._directs[home] if wanted.direct else 0
                self._set(ops + self._offsets["FTRACE_OPS_DIRECT_CALL"], struct.pack("<Q", to))

    def set_tracing(self, *, disabled: bool) -> None:
        """Switch tracing off or on in every paca."""
        for paca in self._ground.pacas:
            self._set(paca + self._offsets["PACA_FTRACE_ENABLED"], b"\0" if disabled else self._on(paca))

    def choose_flag(self, flag: int | None, *, disabled: bool) -> None:
        """Have ``flag`` (1 to 255) mean from now on that tracing is on, None for what it is without a choice."""
        if flag != self._flag:
            self._flag = flag
            self.set_tracing(disabled=disabled)

    def _on(self, paca: int) -> bytes:
        """Return the byte that says that tracing is on: not 0, whatever it is."""
        flag = self._flag if self._flag is not None else 1 if paca == self._ground.pacas[0] else 0x80
        return bytes([flag])

    def add_livepatch_sp(self, address: int, start: int) -> None:
        """Put a task's livepatch_sp into its thread_info; the guest may change that one."""
        self._sp_addresses.add(address)
        self._set(address, struct.pack("<Q", start))

    def run_on(self, paca: int, thread: Thread) -> None:
        """Make the task of ``thread`` the current one of a cpu, as a context switch does."""
        if "thread_info_in_task" in self._features and self._current[paca] != thread.task:
            self._current[paca] = thread.task
            offset = self._offsets.get("PACA_THREAD_INFO")
            if offset is not None:
                self._set(paca + offset, struct.pack("<Q", thread.info))

    def changed(self) -> list[tuple[int, int, int]]:
        """Return what the guest changed in paca and kernel data: (address, doubleword before, after); mend it."""
        changed: list[tuple[int, int, int]] = []
        for address, content in self._kept.items():
            now = self._engine.read(address, len(content))
            if now != content:
                pairs = zip(struct.iter_unpack("<Q", content), struct.iter_unpack("<Q", now), strict=True)
                for n, ((old,), (new,)) in enumerate(pairs):
                    # A task's livepatch_sp is in its thread_info; the statements about it judge that.
                    if old != new and address + 8 * n not in self._sp_addresses:
                        changed.append((address + 8 * n, old, new))
                        self._engine.write_u64(address + 8 * n, old)
        return changed
