"""What the functions that are not under test do to registers and memory: all that ELFv2 lets them."""

from __future__ import annotations

import struct
from random import Random

from lpgen.callers.values import encode
from lpgen.machine.engine import KERNEL_MSR, Engine
from lpgen.machine.places import BASE_WINDOW, LIVEPATCH_FRAME, CallSite, Function, Thread
from lpgen.machine.plan import Plan
from lpgen.machine.state import State

# Power ISA 3.0B 3.2.2: SO OV CA OV32 CA32; the others are reserved or belong to string instructions.
XER_BITS = 0xE00C0000
CR_KEPT = 0x00FFF000
VOLATILE_GPR = (0, *range(3, 13))
# How far below its r1 a called function writes: more than any frame in here.
CALLEE_BYTES = 640
M64 = (1 << 64) - 1


def state_of_a(engine: Engine, plan: Plan, outer: int, b: Function, site: CallSite, paca: int, rng: Random) -> State:
    """Push A's frame below ``outer`` (an r1), with the arguments in it, and return A's registers at the call."""
    placement = plan.shape.placement
    result_bytes = (placement.prototype.result.size + 15) & ~15 if placement.hidden is not None else 0
    locals_at = 32 + ((placement.parameter_save_area_size + 15) & ~15)
    frame = outer - (locals_at + result_bytes + 16 * rng.randint(0, 3))
    image = encode(placement, plan.values, frame + locals_at)
    words = struct.unpack("<72Q", rng.randbytes(72 * 8))
    gpr, fpr = list(words[:32]), list(words[32:64])
    vr = bytearray(rng.randbytes(512))
    for number, value in image.gpr.items():
        gpr[number] = value
    for number, value in image.fpr.items():
        fpr[number] = value
    for number, data in image.vr.items():
        vr[16 * number : 16 * number + 16] = data
    engine.write_u64(frame, outer)
    for offset, data in image.mem.items():
        engine.write(frame + offset, data)
    gpr[1], gpr[2], gpr[13] = frame, site.toc, paca
    ctr = words[64]
    if plan.pointer:
        engine.write_u64(frame + 24, site.toc)
        gpr[12] = ctr = b.gep
    lr, xer, cr = words[65], words[66] & XER_BITS, words[67] & 0xFFFFFFFF
    return State(gpr, lr, ctr, xer, cr, site.call, KERNEL_MSR, fpr, bytes(vr))


def back_chain(engine: Engine, thread: Thread, frame: int) -> list[int]:
    """Return the return addresses that a back-chain walk from ``frame`` lists."""
    found: list[int] = []
    if not thread.base <= frame <= thread.top - 24:
        return found
    at = engine.read_u64(frame)
    while thread.base <= at < thread.top - 24:
        found.append(engine.read_u64(at + 16))
        at = engine.read_u64(at)
    return found


def clobber(state: State, rng: Random, *, floats: bool) -> None:
    """Change every volatile register, as ELFv2 2.2.1 lets a called function; ``floats``: FPRs and VRs too."""
    words = struct.unpack("<48Q", rng.randbytes(48 * 8))
    for number in VOLATILE_GPR:
        state.gpr[number] = words[number]
    state.ctr = words[32]
    state.xer = words[33] & XER_BITS
    state.cr = (state.cr & CR_KEPT) | (words[34] & 0xFFFFFFFF & ~CR_KEPT)
    if floats:
        state.fpr[:14] = words[16:30]
        state.vr = rng.randbytes(320) + state.vr[320:]


def use_stack(engine: Engine, thread: Thread, state: State, rng: Random) -> bytes:
    """Write what a called function writes: LR and CR save of its caller's frame, and a frame of its own.

    Return the CR save word.
    """
    r1 = state.gpr[1]
    saved = rng.randbytes(4)
    lowest = engine.read_u64(thread.sp_address) + 2 * LIVEPATCH_FRAME
    if not thread.base < lowest < thread.top:
        lowest = thread.base + BASE_WINDOW
    if thread.base <= r1 <= thread.top - 32:
        size = min(CALLEE_BYTES, r1 - lowest)
        if size > 0:
            engine.write(r1 - size, rng.randbytes(size))
        engine.write(r1 + 8, saved)
        engine.write_u64(r1 + 16, state.lr)
    return saved


def destroy_marker(engine: Engine, thread: Thread, how: int, rng: Random) -> None:
    """Destroy the marker of the topmost livepatch frame, in one of MARKERS ways."""
    top = engine.read_u64(thread.sp_address)
    if not thread.livepatch + LIVEPATCH_FRAME <= top <= thread.livepatch + thread.top - thread.base:
        return
    marker = engine.read_u64(top - 8)
    if how <= 4:
        engine.write_u64(top - 8, (marker ^ 0xFFFF << 32, marker ^ 1, 0, M64)[how - 1])
    else:
        # The normal stack comes from above: it reaches the marker first.
        engine.write(top - 8, rng.randbytes(0x100))


def direct_trampoline(engine: Engine, thread: Thread, state: State, rng: Random) -> None:
    """Do what a direct trampoline does: use the stack below r1, and what the way in and out of B leaves free."""
    r1 = state.gpr[1]
    size = min(CALLEE_BYTES, r1 - thread.base - BASE_WINDOW)
    if thread.base <= r1 <= thread.top and size > 0:
        engine.write(r1 - size, rng.randbytes(size))
    state.gpr[11], state.gpr[12] = rng.getrandbits(64), rng.getrandbits(64)
    state.ctr = rng.getrandbits(64)
    state.xer = rng.getrandbits(32) & XER_BITS
    state.cr = (state.cr & CR_KEPT) | (rng.getrandbits(32) & ~CR_KEPT)
