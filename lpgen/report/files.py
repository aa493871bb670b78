"""Writing what a command makes: all of it or nothing, and never over something that was not meant."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path

from lpgen.errors import LpgenError, Place


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old file or the new one, whole, whatever interrupts.

    The new text goes to a temporary file beside ``path`` and is renamed over it; a symbolic link is followed, the
    file mode kept. What is no regular file (/dev/null, a pipe) is written to directly. Raises LpgenError when it
    cannot be written; the old file is then untouched.
    """
    raw = data.encode("utf-8") if isinstance(data, str) else data
    try:
        target = path.resolve()
        mode = target.stat().st_mode if target.exists() else None
        if mode is not None and not stat.S_ISREG(mode):
            if stat.S_ISDIR(mode):
                raise LpgenError("is a directory", place=Place(str(path)), hint="name a file to write")
            target.write_bytes(raw)
            return
        if mode is not None and not os.access(target, os.W_OK):
            raise LpgenError("cannot be written: permission denied", place=Place(str(path)))
        _replace(target, raw, mode)
    except OSError as error:
        hint = "make the directory first" if not path.parent.exists() else None
        raise LpgenError(
            f"cannot be written: {(error.strerror or str(error)).lower()}", place=Place(str(path)), hint=hint
        ) from error


def _replace(target: Path, raw: bytes, mode: int | None) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".new", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        if mode is None:
            mask = os.umask(0)
            os.umask(mask)
            mode = 0o666 & ~mask
        temporary.chmod(stat.S_IMODE(mode))
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_out(out: str, data: str | bytes) -> None:
    """Write to the file ``out``, or to standard output when it is ``-``."""
    if out != "-":
        write_atomic(Path(out), data)
        return
    stream = sys.stdout.buffer
    stream.write(data.encode("utf-8") if isinstance(data, str) else data)
    stream.flush()
