"""From an emitted file back to the templates: its banner names the command that made it, so make it again."""

from __future__ import annotations

import re
import shlex

from lpgen.errors import LpgenError, Place
from lpgen.kernel.generations import Kernel
from lpgen.kernel.generations import kernel as kernel_facts
from lpgen.kernel.offsets import Offsets
from lpgen.kernel.options import parse_setting
from lpgen.source.emit import STYLES, emit_source
from lpgen.source.packs import Templates

_BANNER = re.compile(r"^ \* lpgen \S+: lpgen emit (.*)$", re.MULTILINE)
BANNER_LINES = 6


def template_lines(
    text: str, *, offsets: Offsets | None = None, templates_dir: Templates | None = None, kernel: Kernel | None = None
) -> tuple[Place | None, ...] | None:
    """Return the template place of each line of an emitted ``text``; None when it was not emitted, or edited since.

    ``offsets`` and ``templates_dir`` are needed for a text that was emitted with them: the banner has their names only.
    ``kernel`` is the one at hand: a text that was emitted for a vmlinux or a build directory needs it, and its offsets
    are ``offsets`` if these are a person's own.
    """
    if kernel is not None and kernel.offsets_file is not None:
        offsets = kernel.offsets
    match = _BANNER.search("\n".join(text.split("\n")[:BANNER_LINES]))
    if match is None:
        return None
    version, style, ifdef, config = "", "kernel", False, dict[str, bool | int]()
    read = False
    try:
        words = iter(shlex.split(match[1]))
    except ValueError:
        return None
    for word in words:
        if word == "--ifdef":
            ifdef = True
            continue
        value = next(words, "")
        if word == "--kernel":
            version = value
        elif word == "--style" and value in STYLES:
            style = value
        elif word == "--config":
            setting = parse_setting(value)
            if setting is None:
                return None
            config[setting[0]] = setting[1]
        elif word in ("--vmlinux", "--build"):
            if kernel is None or kernel.origin is None:
                return None
            read = True
        elif word not in ("--offsets", "--templates"):
            return None
    try:
        facts = kernel if read and kernel is not None else kernel_facts(version, config=config, offsets=offsets)
        made = emit_source(facts, style=style, templates_dir=templates_dir, ifdef=ifdef)
    except LpgenError:
        # Made by another lpgen, or by hand: then nothing is known of its templates.
        return None
    return made.origins if made.text == text else None
