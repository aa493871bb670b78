"""The stack around a traced call as JSON, schema lpgen.frame/1: report/schemas/frame-1.json says what each field is."""

from __future__ import annotations

from typing import Any

from lpgen.kernel.frames import LIVEPATCH_FRAME_BYTES
from lpgen.report.frame_caller import Caller
from lpgen.report.frame_model import Block, Diagram, Row
from lpgen.report.json_head import json_head

SCHEMA = "lpgen.frame/1"


def frame_json(drawn: Diagram, command: str) -> dict[str, Any]:
    """Return the diagram as JSON-able data: every GPR has an entry of its own. ``command`` makes it again."""
    kernel, offsets = drawn.kernel, drawn.kernel.offsets
    switch, interrupt = offsets["SWITCH_FRAME_SIZE"], offsets["INT_FRAME_SIZE"]
    above = drawn.blocks[: drawn.gap]
    return json_head(SCHEMA, command, kernel) | {
        "stack": {
            "thread_size": drawn.stack_size,
            "switch_frame_size": switch,
            "int_frame_size": interrupt,
            "red_zone": interrupt - switch,
        },
        "entries": [
            {"symbol": entry.symbol, "lean": entry.lean, "pt_regs": entry.regs, "r6": _r6(drawn, entry.regs)}
            for entry in drawn.entries
        ],
        "frames": [_block(block, on_stack=True) for block in above],
        "r1": [{"where": block.r1, "frame": block.kind, "from_a": block.far} for block in above if block.r1],
        "low_end": [_block(block, on_stack=False) for block in (*drawn.blocks[drawn.gap + 1 :], *drawn.beside)],
        "livepatch_sp": _livepatch_sp(drawn),
        "caller": None if drawn.caller is None else _caller(drawn.caller),
        "remarks": list(drawn.notes),
    }


def _r6(drawn: Diagram, regs: str) -> int | None:
    return None if regs == "none" else drawn.kernel.offsets["GPR0"]


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


def _livepatch_sp(drawn: Diagram) -> dict[str, Any] | None:
    if not drawn.livepatch:
        return None
    kernel = drawn.kernel
    on_stack = "thread_info_on_stack" in kernel.features
    return {
        "thread_info": "r1" if on_stack else "PACA_THREAD_INFO",
        "paca_thread_info": None if on_stack else kernel.offsets["PACA_THREAD_INFO"],
        "low_bits": kernel.thread_shift if on_stack else None,
        "offset": kernel.offsets["TI_livepatch_sp"],
        "starts_at": kernel.thread_info_size + 8,
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
