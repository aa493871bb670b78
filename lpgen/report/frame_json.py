"""The stack around a traced call as JSON, schema lpgen.frame/1: report/schemas/frame-1.json says what each field is."""

from __future__ import annotations

from typing import Any

from lpgen import __version__
from lpgen.kernel.frames import LIVEPATCH, LIVEPATCH_FRAME_BYTES
from lpgen.report.frame_caller import Caller
from lpgen.report.frame_model import GAP, Block, Diagram, Row

SCHEMA = "lpgen.frame/1"


def frame_json(shown: Diagram) -> dict[str, Any]:
    """Return the diagram as JSON-able data: every GPR has an entry of its own."""
    kernel, offsets = shown.kernel, shown.kernel.offsets
    switch, interrupt = offsets["SWITCH_FRAME_SIZE"], offsets["INT_FRAME_SIZE"]
    above = shown.blocks[: shown.gap]
    return {
        "schema": SCHEMA,
        "lpgen": __version__,
        "kernel": kernel.version,
        "generation": kernel.generation,
        "options": kernel.options,
        "offsets": offsets.label,
        "stack": {
            "thread_size": shown.stack_size,
            "switch_frame_size": switch,
            "int_frame_size": interrupt,
            "red_zone": interrupt - switch,
        },
        "entries": [
            {"symbol": entry.symbol, "lean": entry.lean, "pt_regs": entry.regs, "r6": _r6(shown, entry.regs)}
            for entry in shown.entries
        ],
        "frames": [_block(block, on_stack=True) for block in above],
        "r1": [{"where": block.r1, "frame": block.kind, "from_a": block.far} for block in above if block.r1],
        "low_end": [_block(block, on_stack=False) for block in shown.blocks[shown.gap :] if block.kind != GAP],
        "livepatch_sp": _livepatch_sp(shown),
        "caller": None if shown.caller is None else _caller(shown.caller),
        "notes": list(shown.notes),
    }


def _r6(shown: Diagram, regs: str) -> int | None:
    return None if regs == "none" else shown.kernel.offsets["GPR0"]


def _block(block: Block, *, on_stack: bool) -> dict[str, Any]:
    return {
        "kind": block.kind,
        "name": block.name,
        "size": block.size,
        "origin": block.origin,
        "from_a" if on_stack else "from_low_end": block.far,
        "slots": [_row(row, on_stack=on_stack) for row in block.rows],
    }


def _row(row: Row, *, on_stack: bool) -> dict[str, Any]:
    return {
        "name": row.name,
        "offset": row.offset,
        "size": row.size,
        "from_a" if on_stack else "from_low_end": row.far,
        "constant": row.constant or None,
        "what": row.what,
        "stored_by": dict(row.stored),
    }


def _livepatch_sp(shown: Diagram) -> dict[str, Any] | None:
    if not shown.livepatch:
        return None
    kernel = shown.kernel
    on_stack = "thread_info_on_stack" in kernel.features
    return {
        "thread_info": "r1" if on_stack else "PACA_THREAD_INFO",
        "paca_thread_info": None if on_stack else kernel.offsets["PACA_THREAD_INFO"],
        "low_bits": kernel.thread_shift if on_stack else None,
        "offset": kernel.offsets["TI_livepatch_sp"],
        "starts_at": kernel.thread_info_size + 8,
        "frame": LIVEPATCH,
        "frame_size": LIVEPATCH_FRAME_BYTES,
    }


def _caller(caller: Caller) -> dict[str, Any]:
    return {
        "prototype": caller.prototype,
        "parameter_save_area": 8 * caller.doublewords,
        "arguments": [
            {
                "name": name,
                "type": ctype,
                "pieces": [
                    {"where": piece.where, "value_offset": piece.value_offset, "size": piece.size} for piece in pieces
                ],
            }
            for name, ctype, pieces in caller.arguments()
        ],
        "result": {"type": caller.shape.prototype.result.c_name, "where": caller.result},
    }
