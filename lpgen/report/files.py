"""Writing what a command makes: all of it or nothing, and never over something that was not meant."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lpgen.errors import LpgenError, Place

STDOUT = ("-", "/dev/stdout")


# Far more than any assembly text.
SIZE_LIMIT = 16 << 20
# Of an object that comes through a pipe, and is held as a whole.
OBJECT_LIMIT = 64 << 20


def read_text(path: Path) -> str:
    """Return the text of a person's file. Raises LpgenError when it cannot be read or is none."""
    try:
        with path.open("rb") as stream:
            data = stream.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise LpgenError(f"cannot be read: {_reason(error)}", place=Place(str(path))) from error
    return checked_text(data, str(path))


def read_standard_input(name: str) -> str | bytes:
    """Return the text on standard input, or the bytes of an ELF file. Raises LpgenError when it is neither."""
    data = sys.stdin.buffer.read(SIZE_LIMIT + 1)
    if not data.startswith(b"\x7fELF"):
        return checked_text(data, name)
    data += sys.stdin.buffer.read(OBJECT_LIMIT + 1 - len(data)) if len(data) > SIZE_LIMIT else b""
    if len(data) > OBJECT_LIMIT:
        raise LpgenError(f"has more than {OBJECT_LIMIT >> 20} MiB, too much for an object", place=Place(name))
    return data


def checked_text(data: bytes, name: str) -> str:
    """Return the text in ``data``, of the file ``name``, which may not be empty. Raises LpgenError when it is none."""
    place = Place(name)
    if len(data) > SIZE_LIMIT:
        raise LpgenError(f"has more than {SIZE_LIMIT >> 20} MiB, too much for assembly text", place=place)
    if data.startswith((b"!<arch>\n", b"!<thin>\n")):
        raise LpgenError("is an archive", place=place, hint="give the object in it: ar x takes it out")
    if b"\0" in data:
        raise LpgenError("is a binary file, not assembly text", place=place)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LpgenError("is not UTF-8 text", place=Place(name, data.count(b"\n", 0, error.start) + 1)) from error
    if not text.strip():
        raise LpgenError("is empty", place=place)
    return text


def write_out(out: str, data: str | bytes) -> None:
    """Write to the file ``out``, or to standard output when it is ``-``."""
    if out in STDOUT:
        _write_stdout(_raw(data))
    elif not out:
        raise LpgenError("--out names no file", hint="give a file's name, or - for standard output")
    else:
        write_atomic(Path(out), data)


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old file or the new one, whole, whatever interrupts.

    The new text goes to a temporary file beside ``path`` and is renamed over it; a symbolic link is followed, the
    file mode kept. What is no regular file (/dev/null, a pipe) is written to directly. Raises LpgenError when it
    cannot be written; the old file is then untouched.
    """
    write_all_atomic({path: data})


def write_all_atomic(files: Mapping[Path, str | bytes]) -> None:
    """Write several files as write_atomic does, renaming none before the text of every one is on the disk."""
    with ExitStack() as staged:
        ready = [(path, *staged.enter_context(_staged(path, _raw(data)))) for path, data in files.items()]
        for path, temporary, target in ready:
            if temporary is not None:
                with _named(path):
                    temporary.replace(target)


def make_directory(path: Path) -> None:
    """Make the directory ``path`` and those above it. Raises LpgenError when that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise LpgenError("is a file, not a directory", place=Place(str(path)), hint="name a directory") from error
    except OSError as error:
        raise LpgenError(f"cannot be made: {_reason(error)}", place=Place(str(path))) from error


def check_directory(path: Path) -> None:
    """Check that files can be written to the directory ``path``, or that it can be made. Raises LpgenError."""
    there = next((p for p in (path, *path.absolute().parents) if os.path.lexists(p)), Path("/"))
    if not there.is_dir():
        raise LpgenError("is a file, not a directory", place=Place(str(there)), hint="name a directory")
    if not os.access(there, os.W_OK | os.X_OK):
        raise LpgenError(f"cannot be written to: {os.strerror(errno.EACCES).lower()}", place=Place(str(there)))


def write_directory(path: Path, files: Mapping[str, str]) -> None:
    """Make the directory ``path`` with ``files``, each by its path in it: all of them or, whatever interrupts, nothing.

    Raises LpgenError when it cannot be made, or is there with something in it.
    """
    check_new(path)
    there = path.is_dir()
    with ExitStack() as undo, _named(path):
        made = Path(tempfile.mkdtemp(prefix=".lpgen.", suffix=".new", dir=path if there else path.absolute().parent))
        undo.callback(shutil.rmtree, made, ignore_errors=True)
        for name, text in files.items():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_text(text, encoding="utf-8")
        if not there:
            made.chmod(0o777 & ~_umask())
            made.replace(path)
            return
        # Somebody may be in it: it stays the same directory.
        with ExitStack() as back:
            for entry in sorted(made.iterdir()):
                back.callback(_take_back, path / entry.name)
                entry.replace(path / entry.name)
            back.pop_all()


def check_new(path: Path) -> None:
    """Check that the directory ``path`` can be made, or is empty. Raises LpgenError."""
    if path.is_dir():
        with _named(path):
            if any(path.iterdir()):
                raise LpgenError("is not empty", place=Place(str(path)), hint="name a directory that is to be made")
    elif os.path.lexists(path):
        raise LpgenError("is there, and no directory", place=Place(str(path)), hint="name one that is to be made")


def _take_back(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _staged(path: Path, raw: bytes) -> Iterator[tuple[Path | None, Path]]:
    """Write ``raw`` to a temporary file and yield it with the file that it is to replace; in the end it is gone.

    For what is no regular file ``raw`` is written there at once, and the temporary file is None.
    """
    temporary = None
    try:
        with _named(path):
            mode = path.stat().st_mode if path.exists() else None
            target = path.resolve()
            if target.is_symlink():  # what Python 3.13 and later leave of a loop
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            if mode is not None and stat.S_ISDIR(mode):
                raise LpgenError("is a directory", place=Place(str(path)), hint="name a file to write")
            if mode is not None and not stat.S_ISREG(mode):
                path.write_bytes(raw)
            else:
                if mode is not None and not os.access(target, os.W_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
                handle, name = tempfile.mkstemp(prefix=".lpgen.", suffix=".new", dir=target.parent)
                temporary = Path(name)
                with os.fdopen(handle, "wb") as file:
                    file.write(raw)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.chmod(stat.S_IMODE(mode) if mode is not None else 0o666 & ~_umask())
        yield temporary, target
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn what the system says into one line that names ``path``."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        hint = "make the directory first" if not path.parent.exists() else None
        raise LpgenError(f"cannot be written: {_reason(error)}", place=Place(str(path)), hint=hint) from error
    except RuntimeError as error:  # what Python before 3.13 raises for a loop
        raise LpgenError(f"cannot be written: {os.strerror(errno.ELOOP).lower()}", place=Place(str(path))) from error


def _write_stdout(raw: bytes) -> None:
    stream = sys.stdout.buffer
    try:
        stream.write(raw)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise LpgenError(f"standard output cannot be written: {_reason(error)}") from error


def _raw(data: str | bytes) -> bytes:
    return data.encode("utf-8") if isinstance(data, str) else data


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
