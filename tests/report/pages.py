"""What the tests of the report page share: pages, and what a trace says is there at each step."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from lpgen.cli import run

FRAME = 24
P9 = "long f(long*9) seed=1 nip=patch"
NESTED = f"{P9} inner=[long f(long*9) seed=4 nip=patch pointer home_b=1]"
# Name, arguments, exit code. Each generation of the trampolines is there, and every kind of thread.
KERNELS = {
    "4.7": ("--kernel", "4.7"),
    "4.13": ("--kernel", "4.13", "--no-prove"),
    "5.1": ("--kernel", "5.1", "--no-prove"),
    "5.10": ("--kernel", "5.10", "--no-prove"),
    "5.18": ("--kernel", "5.18", "--no-prove"),
    "6.12": ("--kernel", "6.12", "--no-prove"),
    "6.18": ("--kernel", "6.18", "--against", "6.12"),
    "no livepatch": ("--kernel", "6.18", "--config", "CONFIG_LIVEPATCH=n", "--no-prove"),
    "hardirq stack": ("--kernel", "6.18", "--no-prove", "--plan", f"{P9} thread=2"),
    "interrupt on another stack": (
        *("--kernel", "4.7", "--no-prove", "--plan"),
        f"{P9} interrupt=100:calls[long f(long*9) seed=2 nip=patch thread=2]",
    ),
    "beside": ("--kernel", "6.18", "--no-prove", "--plan", f"{P9} beside=[long f(long*9) seed=5 nip=patch thread=1]"),
    "many arguments": (
        *("--kernel", "6.12", "--no-prove", "--patched", "--caller"),
        "struct { long a; double b[3]; char c[40]; } f(int, double, float, struct { long x, y, z; int w; }, long, long,"
        " long, long, long, long, double, double, double, char, short, __int128, long, long, long, ..., double, long)",
    ),
    "deep": ("--kernel", "6.18", "--no-prove", "--plan", "long f(long) nip=patch inner*14=[long f(long) nip=patch]"),
}  # fmt: skip


def embedded(page: Path) -> dict[str, Any]:
    """Return the data that a page's script works with."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


class Pages:
    """Makes pages, each once in a session."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._made: dict[tuple[str, ...], tuple[Path, int]] = {}

    def __call__(self, *args: str, code: int = 0) -> Path:
        """Return the page that `lpgen report ARGS` writes; the command ends with ``code``."""
        if args not in self._made:
            # Blanks and signs that a URL has to quote.
            path = self.directory / f"a page, #{len(self._made)} of 100%.html"
            before = Path.cwd()
            os.chdir(self.directory)
            try:
                self._made[args] = path, run(["report", *args, "--out", str(path)])
            finally:
                os.chdir(before)
        path, ended = self._made[args]
        assert ended == code
        return path

    @cache  # noqa: B019
    def text(self, kernel: str) -> str:
        """Return the name of a file with what `lpgen emit` writes for this kernel."""
        path = self.directory / f"emitted_{kernel}.S"
        assert run(["emit", "--kernel", kernel, "--out", str(path)]) == 0
        return str(path)


def number(text: str) -> int:
    return int(text, 16)


@dataclass
class At:
    """What a trace says is there after one of its steps; written without a look at the page's script."""

    event: dict[str, Any]
    registers: dict[str, int]
    memory: dict[int, int]
    frames: list[dict[str, Any]]
    # When each frame was pushed, and the steps that stored to each doubleword.
    since: dict[tuple[int, int], int]
    stored: dict[int, list[int]] = field(default_factory=dict)
    names: dict[int, list[str]] = field(default_factory=dict)

    def stack(self, trace: dict[str, Any]) -> dict[str, Any]:
        return next(stack for stack in trace["stacks"] if stack["thread"] == self.event["thread"])

    def changed_by(self, kind: str) -> set[int]:
        return {number(one["address"]) & ~7 for one in self.event.get("memory", ()) if one["kind"] == kind}

    def stored_since(self, address: int, since: int) -> bool:
        return any(one >= since for one in self.stored.get(address, ()))


def walk(trace: dict[str, Any]) -> Iterator[At]:
    """Yield what is there after each step, from the begin to the end; the same object each time, brought on."""
    names: dict[int, list[str]] = {}
    for argument in trace["call"]["arguments"]:
        if len(argument["bytes"]) == 16:
            names.setdefault(int.from_bytes(bytes.fromhex(argument["bytes"]), "little"), []).append(argument["name"])
    for event in trace["events"]:
        for one in (*event.get("memory", ()), *event.get("registers", ())):
            if "means" in one and one.get("register") != "cr":
                names.setdefault(number(one.get("value", one.get("after"))), []).append(one["means"])
    memory = {number(a): number(v) for stack in trace["stacks"] for a, v in stack["memory"].items()}
    registers = {name: number(value) for name, value in trace["registers"].items()}
    at = At(trace["events"][0], registers, memory, [], {}, names=names)
    for event in trace["events"]:
        at.event = event
        if "frames" in event:
            at.frames = event["frames"]
            keys = [(number(frame["address"]), frame["layout"]) for frame in at.frames]
            at.since = {key: at.since.get(key, event["number"]) for key in keys}
        for change in event.get("registers", ()):
            assert at.registers[change["register"]] == number(change["before"]), event
            at.registers[change["register"]] = number(change["after"])
        for access in event.get("memory", ()):
            if access["kind"] == "store":
                address, shift = number(access["address"]) & ~7, 8 * (number(access["address"]) & 7)
                mask = ((1 << 8 * access["size"]) - 1) << shift
                at.memory[address] = at.memory.get(address, 0) & ~mask | number(access["value"]) << shift
                at.stored.setdefault(address, []).append(event["number"])
        yield at
