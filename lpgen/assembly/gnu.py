"""GNU as and the C preprocessor of gcc, for text that lpgen's own assembler does not know.

Both run with a list of arguments, a time limit and limits on memory and output, in a directory of their own that is
gone afterwards, Ctrl-C and SIGTERM or not. Their complaints come back as one LpgenError with the person's own file and
line.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from lpgen.assembly.model import Unit
from lpgen.assembly.preprocess import SourceLine, definitions, shipped_headers
from lpgen.assembly.read_object import read_object
from lpgen.elf.file import ElfFile
from lpgen.errors import LpgenError, Place

PREFIX = "powerpc64le-linux-gnu-"
PACKAGES = {"as": "binutils-powerpc64le-linux-gnu", "gcc": "gcc-powerpc64le-linux-gnu"}
SECONDS = 60
_MEMORY = 2 << 30
_OUTPUT = 128 << 20
# Of what a tool says this much is read: its first error is near the beginning.
_SAID = 64 << 10
# The names of files in a text may hold anything: the tool gets these instead.
_ALIAS = "lpgen-file-"
# FILE:LINE: Error: ..., or without the line, or without both.
_ERROR = re.compile(
    r"^(?:(.*?):(?:(\d+):(?:\d+:)?)? *)?(?:[Ff]atal |[Ii]nternal )?[Ee]rror: *(.*)$",
    re.MULTILINE,
)
_BANNER = "Assembler messages:"
_MARKER = re.compile(r'# (\d+) "((?:\\.|[^"\\])*)"')
# -many and -mregnames: every instruction, and r3 for 3, whatever the kernel's own flags say. -mpower8 before it, as gcc
# gives it for the kernel's CPU: with -many alone the hints of branches, mftb and padding are those of older CPUs.
_AS_FLAGS = ("-a64", "-mlittle-endian", "-mpower8", "-many", "-mregnames", "-g")


def tool(name: str) -> str | None:
    """Return the path of "as" or "gcc" for ppc64le, None when it is not installed."""
    found = shutil.which(PREFIX + name) or (shutil.which(name) if platform.machine() == "ppc64le" else None)
    return None if found is None else str(Path(found).absolute())


def install_hint(name: str) -> str:
    """Return what a person has to do to have a tool."""
    return f"apt-get install {PACKAGES[name]}"


def _wanted(name: str) -> str:
    found = tool(name)
    if found is None:
        raise LpgenError(f"{PREFIX}{name} is not installed", hint=install_hint(name))
    return found


@cache
def version() -> str:
    """Return what the assembler is called in a report: "GNU as 2.40"."""
    with _folder() as folder:
        said, _ = _run([_wanted("as"), "--version"], folder, "")
    return f"GNU as {(said.splitlines() or ['?'])[0].rpartition(' ')[2]}"


def assemble(
    lines: Iterable[SourceLine], name: str, templates: Sequence[Place | None] | None, directories: Sequence[Path] = ()
) -> Unit:
    """Return what GNU as makes of a preprocessed text ``name``; ``templates`` are the template lines of its lines.

    ``directories``, behind that of the text, are searched for what .include and .incbin name. Raises LpgenError with
    the line of its first error, and when it is not installed or takes too long.
    """
    program = _wanted("as")
    shown = _as_written((Path(name).parent, *directories))
    searched = [word for folder in shown for word in ("-I", str(folder))]
    aliases: dict[str, str] = {}
    text = []
    places = []
    for line, place in lines:
        alias = aliases.setdefault(place.file, f"{_ALIAS}{len(aliases)}")
        text.append(f'# {place.line or 1} "{alias}"\n{line}\n')
        places.append(place)
    names = {alias: file for file, alias in aliases.items()}

    def here(place: Place) -> Place:
        line = place.line or 0
        if place.file == "text.s":
            # Each line of the text is the second of two.
            return places[(line - 1) // 2] if 0 < line <= 2 * len(places) else Place(name)
        return replace(place, file=_shown(place.file, names, shown))

    with _folder() as folder:
        (folder / "text.s").write_text("".join(text), encoding="utf-8")
        _, error = _run([program, *_AS_FLAGS, *searched, "-o", "text.o", "text.s"], folder, "")
        if error is not None:
            raise _complaint(error, "GNU as", name, here)
        try:
            made = (folder / "text.o").read_bytes()
        except OSError as failed:
            reason = f"{program} said that all is well, but left no object: {failed.strerror}"
            raise LpgenError(reason, place=Place(name)) from None
        unit = read_object(ElfFile(BytesIO(made), name))
    for section in unit.sections.values():
        section.lines = [
            replace(line, place=here(line.place), template=_template(line.place, names, name, templates))
            for line in section.lines
        ]
        section.relocations = [replace(r, place=here(r.place)) for r in section.relocations]
    return replace(unit, made_by=version())


def _as_written(folders: Iterable[Path]) -> dict[Path, str]:
    """Return directories as a tool in another directory needs them, with what the person wrote."""
    written: dict[Path, str] = {}
    for folder in folders:
        written.setdefault(folder.absolute(), str(folder))
    return written


def _shown(file: str, names: Mapping[str, str], folders: Mapping[Path, str]) -> str:
    """Return a file as the person named it, or the directory that it was found in."""
    if file in names or not file.startswith("/"):
        return names.get(file, file)
    for folder, written in folders.items():
        if Path(file).is_relative_to(folder):
            return str(Path(written) / Path(file).relative_to(folder))
    return file


def _template(
    place: Place, names: Mapping[str, str], name: str, templates: Sequence[Place | None] | None
) -> Place | None:
    if templates is None or names.get(place.file) != name or not 0 < (place.line or 0) <= len(templates):
        return None
    return templates[(place.line or 1) - 1]


def preprocess(
    text: str, name: str, *, headers: Mapping[str, str], directories: Sequence[Path], defines: Mapping[str, str]
) -> list[SourceLine]:
    """Return the lines of ``text`` after gcc's preprocessor, none empty; what is searched is as in ``assemble``.

    Raises LpgenError with the line of its first error, and when it is not installed or takes too long.
    """
    program = _wanted("gcc")
    with _folder() as folder:
        _write_headers(folder / "own", headers)
        _write_headers(folder / "stubs", shipped_headers())
        macros = "".join(f"#define {macro} {value}\n" for macro, value in definitions(defines).items())
        (folder / "macros.h").write_text(macros, encoding="utf-8")  # they can be too many for a list of arguments
        command = [program, "-E", "-x", "assembler-with-cpp", "-nostdinc", "-undef", "-I", str(folder / "own")]
        beside = [Path(name).parent] if Path(name).is_file() else []
        for directory in beside:
            command += ["-iquote", str(directory.absolute())]
        for directory in (*(d.absolute() for d in directories), folder / "stubs"):
            command += ["-I", str(directory)]
        command += ["-imacros", str(folder / "macros.h")]
        label = re.sub(r"[\x00-\x1f]", "_", name)
        quoted = label.replace("\\", "\\\\").replace('"', '\\"')
        out, error = _run([*command, "-"], folder, f'#line 1 "{quoted}"\n{text}')
        own = {folder / "own": "", folder / "stubs": "", folder / "macros.h": "<macros>"}
        shown = {**own, **_as_written((*beside, *directories))}

        def here(place: Place) -> Place:
            return replace(place, file=_shown(place.file, {label: name}, shown))

        if error is not None:
            raise _complaint(error, "gcc", name, here)
    return list(_marked(out, here))


def _marked(text: str, here: Callable[[Place], Place]) -> Iterator[SourceLine]:
    """Yield the lines of gcc's output with the places that its line markers give."""
    file, number = "", 0
    for line in text.split("\n"):
        marker = _MARKER.match(line)
        if marker is not None:
            number = int(marker[1])
            file = here(Place(re.sub(r"\\(.)", r"\1", marker[2]))).file
            continue
        if line.strip():
            yield SourceLine(line, Place(file, number))
        number += 1


def _write_headers(folder: Path, headers: Mapping[str, str]) -> None:
    folder.mkdir()
    for name, text in headers.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise LpgenError(f"the header {name} has no place below a directory of headers")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _complaint(said: str, tool: str, name: str, here: Callable[[Place], Place]) -> LpgenError:
    """Return the first error in what ``tool`` said, where ``here`` says that the place it names is."""
    found = _ERROR.search(said)
    if found is None:
        lines = (line.strip() for line in said.splitlines() if line.strip() and not line.endswith(_BANNER))
        return LpgenError(f"{tool}: {next(lines, 'it said nothing')}", place=Place(name))
    place = here(Place(found[1], int(found[2]))) if found[2] else Place(name)
    return LpgenError(f"{tool}: {found[3].strip()}", place=place)


def _run(command: list[str], folder: Path, given: str) -> tuple[str, str | None]:
    """Run a tool in ``folder`` with ``given`` on its standard input; return its output, and what it said if it failed.

    Raises LpgenError when it takes too long, KeyboardInterrupt when Ctrl-C ended it.
    """
    name = Path(command[0]).name
    (folder / "stdin").write_text(given, encoding="utf-8", errors="replace")
    with (
        (folder / "stdin").open("rb") as stdin,
        (folder / "stdout").open("wb") as out,
        (folder / "stderr").open("wb") as err,
        _started(command, folder, stdin, out, err) as process,
    ):
        try:
            code = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise LpgenError(f"{name} was not done in {SECONDS} s") from None
    # A shell, of a wrapper, answers with 128 more.
    if code in (-signal.SIGINT, 128 + signal.SIGINT):
        raise KeyboardInterrupt
    with (folder / "stdout").open("rb") as out_:
        output = out_.read().decode("utf-8", "replace")
    with (folder / "stderr").open("rb") as err_:
        said = err_.read(_SAID).decode("utf-8", "replace")
    if code < 0:
        said = said or f"{name} died of signal {-code}: too much memory, time or output"
    return output, said if code else None


@contextmanager
def _started(
    command: list[str], folder: Path, stdin: BinaryIO, out: BinaryIO, err: BinaryIO
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a tool with its limits; it has ended afterwards, whatever came between."""
    # A relative directory in PATH is not meant in the one where the tool runs.
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    environment = {"PATH": os.pathsep.join(map(os.path.abspath, path)), "LC_ALL": "C", "TMPDIR": str(folder)}
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=stdin,
            stdout=out,
            stderr=err,
        )
    except OSError as error:
        raise LpgenError(f"{command[0]} cannot be started: {error.strerror}") from error
    try:
        _limit(process.pid)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _limit(pid: int) -> None:
    try:
        import resource

        # Only Linux has it; elsewhere the time limit has to do.
        prlimit = resource.prlimit
        limits = ((resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_FSIZE, _OUTPUT))
        for what, limit in limits:
            prlimit(pid, what, (limit, limit))
    except (ImportError, AttributeError, OSError, ValueError):
        return


class _Terminated(BaseException):
    pass


@contextmanager
def _folder() -> Iterator[Path]:
    """Make a directory that is gone afterwards; SIGTERM, which would leave it and a tool, waits until it is."""

    def note(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    own = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if own:
        signal.signal(signal.SIGTERM, note)
    try:
        with tempfile.TemporaryDirectory(prefix="lpgen.") as made:
            yield Path(made)
    except _Terminated:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
        raise
    finally:
        if own:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
