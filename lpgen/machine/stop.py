"""What an engine tells of a run: where and why it stopped, and the steps on the way."""

from __future__ import annotations

from dataclasses import dataclass

from lpgen.machine.state import State


@dataclass(slots=True)
class Stop:
    """Why the guest stopped.

    ``kind``: ``gate`` (``gate`` is its number), ``boundary`` (before the instruction at ``pc``), ``asked`` (the same,
    because ``ask`` was answered so), ``trap`` (a trap instruction at ``pc``), ``fault`` (``what`` happened at ``pc`` to
    ``address``), ``runaway``. ``state`` holds all registers.
    """

    kind: str
    pc: int
    state: State
    gate: int = -1
    what: str = ""
    address: int = 0


@dataclass(slots=True)
class Step:
    """One executed instruction of the watched code: registers *before* it; ``kind`` is insn, load or store.

    For load and store ``address`` and ``size`` (bytes) say where, ``value`` what was stored; ``gpr`` is then empty.
    """

    kind: str
    pc: int
    gpr: tuple[int, ...] = ()
    lr: int = 0
    ctr: int = 0
    cr: int = 0
    address: int = 0
    size: int = 0
    value: int = 0
