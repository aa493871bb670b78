"""lpgen from Python: `lpgen.verify(...)` judges trampolines and returns a typed result.

import lpgen

result = lpgen.verify("4.7", source="arch/powerpc/kernel/entry_64.S", callers=2000)
assert result.holds, str(result)
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from lpgen.assembly import How, Unit, assemble
from lpgen.assembly.kernel_text import assemble_source, headers
from lpgen.assembly.kernel_text import defines as kernel_defines
from lpgen.assembly.reach import judged, renamed
from lpgen.assembly.read_linked import read_linked
from lpgen.assembly.read_object import read_object
from lpgen.assembly.unit import Which
from lpgen.campaign import parallel
from lpgen.contract.guests import FIRST, pieces
from lpgen.contract.replay import Replay, code_hash
from lpgen.contract.shrink import shrink_failures
from lpgen.contract.suite import Suite, applicable, default_callers
from lpgen.contract.verdict import Verdict
from lpgen.elf.file import MAGIC, ElfFile, is_elf, open_elf
from lpgen.errors import LpgenError, Place
from lpgen.kernel.chosen import choose
from lpgen.kernel.generations import DEFAULT_VERSION, Kernel
from lpgen.kernel.options import Config, setting_text
from lpgen.machine.cases import Case
from lpgen.machine.plan_text import check_plan, parse_plan
from lpgen.report.files import checked_text, read_text
from lpgen.report.result import Result
from lpgen.report.terminal import plain_text
from lpgen.source.emit import STYLES, emit_source
from lpgen.source.origin import template_lines
from lpgen.source.packs import Templates, find_templates

if TYPE_CHECKING:
    from lpgen.report.proof_result import ProofResult

__all__ = ["LpgenError", "Result", "Verdict", "prove", "report", "verify"]

STDIN = "<stdin>"
TEXT = "<text>"


def verify(
    kernel: str | None = None,
    *,
    config: Config | None = None,
    offsets: str | Path | None = None,
    vmlinux: str | Path | None = None,
    build: str | Path | None = None,
    style: str = "kernel",
    templates: str | Templates | None = None,
    source: str | Path | None = None,
    text: str | bytes | None = None,
    entries: Mapping[str, str] | None = None,
    assembler: Which = "auto",
    cpp: bool = False,
    include_dirs: Sequence[str | Path] = (),
    defines: Mapping[str, str] | None = None,
    callers: int | None = None,
    seed: int = 0,
    interrupts: bool = False,
    jobs: int | None = 1,
    shrink: bool = True,
) -> Result:
    """Run trampolines under synthetic callers and judge every contract statement.

    ``kernel`` is a version such as "4.7", the default; ``config`` are options that differ from its default (CONFIG_NAME
    to on or off, or to a number), ``offsets`` is an asm-offsets.h or TOML file of its build. Or all three are those of
    a kernel at hand: of the file ``vmlinux``, or of the directory ``build`` that it was built in; what is given besides
    wins. What is judged is the file ``source`` or the text ``text`` (assembly as in a kernel tree, or for plain GNU as;
    a relocatable object, as a file or its bytes; or a linked kernel, which says itself which kernel it is), or else
    what `lpgen emit` writes with ``style`` and ``templates``, a directory of templates or, as a string, the name of an
    installed pack of them. ``entries`` are the names in
    the file or text of symbols that the contract has another name for, by that name. ``assembler`` is "lpgen", "gnu"
    (GNU as) or "auto": GNU as for what lpgen's own does not know. ``cpp``: gcc preprocesses the text. ``include_dirs``
    are searched for #include, ``defines`` are further C macros.
    ``callers`` is how many callers are sent (None: as many as exercise every statement), ``seed`` which random ones.
    Those from number 4,000 on are judged in the guest, by what they come to (``in_guest`` of the result counts them),
    and in full where they do not pass there.
    ``interrupts``: besides, interrupts at every instruction boundary, in every mode.
    ``jobs`` is the number of processes, None for as many as pay; the result does not depend on it. With more than one,
    a script needs ``if __name__ == "__main__":`` around its work, as for multiprocessing.
    ``shrink``: each failure gets the smallest call found that still shows it.

    ``holds`` of the result tells whether all statements hold, ``broken`` and ``failures`` what does not.
    Raises LpgenError for what is wrong with the input: a version, an option, a file, the assembly.
    """
    if callers is not None and callers < 1:
        raise LpgenError(f"{callers} callers show nothing", hint="send at least 1")
    if jobs is not None and jobs < 1:
        raise LpgenError(f"{jobs} processes do nothing", hint="give at least 1, or None")
    if seed < 0:
        raise LpgenError(f"seed {seed} is negative", hint="give 0 or more")
    how = How(assembler, cpp, tuple(map(str, include_dirs)), dict(defines or {}))
    given = _Given(kernel, config, offsets, vmlinux, build, style, templates, source, text, entries, how)
    facts, unit = given.subject()
    verdict = judge(facts, unit, seed=seed, callers=callers, interrupts=interrupts, jobs=jobs, shrink=shrink)
    return Result.of(verdict, unit, given.command(facts, unit, seed), every_boundary=interrupts)


def prove(
    kernel: str | None = None,
    *,
    config: Config | None = None,
    offsets: str | Path | None = None,
    vmlinux: str | Path | None = None,
    build: str | Path | None = None,
    style: str = "kernel",
    templates: str | Templates | None = None,
    source: str | Path | None = None,
    text: str | bytes | None = None,
    entries: Mapping[str, str] | None = None,
    assembler: Which = "auto",
    cpp: bool = False,
    include_dirs: Sequence[str | Path] = (),
    defines: Mapping[str, str] | None = None,
    replays: bool = True,
) -> ProofResult:
    """Prove every contract statement for all inputs; what is proved, and of which kernel, is as for ``verify``.

    ``replays``: look for a call of the emulated world that shows each refutation.
    ``holds`` of the result tells whether all statements are proved, ``refuted`` and ``shown`` what does not hold.
    Raises LpgenError for what is wrong with the input, for an instruction that is not modelled, and where z3 is not
    installed (pip install z3-solver).
    """
    how = How(assembler, cpp, tuple(map(str, include_dirs)), dict(defines or {}))
    given = _Given(kernel, config, offsets, vmlinux, build, style, templates, source, text, entries, how)
    facts, unit = given.subject()
    result = prove_unit(facts, unit, replays=replays)
    result.command = given.command(facts, unit)
    return result


@dataclass(frozen=True)
class _Given:
    """What ``verify`` and ``prove`` are given to say which kernel and which trampolines."""

    kernel: str | None
    config: Config | None
    offsets: str | Path | None
    vmlinux: str | Path | None
    build: str | Path | None
    style: str
    templates: str | Templates | None
    source: str | Path | None
    text: str | bytes | None
    entries: Mapping[str, str] | None
    how: How

    def subject(self) -> tuple[Kernel, Unit]:
        """Return the kernel and the trampolines."""
        facts = choose(
            self.kernel,
            config=dict(self.config or {}),
            offsets=self.offsets,
            vmlinux=self.vmlinux,
            build=self.build,
            subject=self.source,
        )
        unit = trampolines(
            facts,
            style=self.style,
            templates=self.templates,
            source=self.source,
            text=self.text,
            entries=self.entries,
            how=self.how,
        )
        return facts, unit

    def command(self, facts: Kernel, unit: Unit, seed: int = 0) -> str:
        """Return the `lpgen verify` command line for them."""
        return command_line(
            facts.version if facts.origin is None else self.kernel,
            self.config or {},
            self.offsets,
            self.style,
            self.templates,
            self.source if self.text is None else "-",
            seed,
            self.entries,
            self.how,
            vmlinux=self.vmlinux,
            build=self.build,
            itself=unit.fixed is not None,
        )


def report(result: Result, *, width: int = 80) -> str:
    """Return what `lpgen verify` prints for ``result``, without colours, in lines of ``width`` columns."""
    return plain_text(result, width)


def trampolines(
    kernel: Kernel,
    *,
    style: str = "kernel",
    templates: str | Templates | None = None,
    source: str | Path | None = None,
    text: str | bytes | None = None,
    entries: Mapping[str, str] | None = None,
    how: How | None = None,
) -> Unit:
    """Return the trampolines: of the file ``source``, of ``text``, or what is emitted for ``kernel``.

    A file, and bytes, may be a relocatable object or a linked kernel; anything else is assembled: the asm-offsets.h
    that it includes and the CONFIG_ macros that it sees are the kernel's. ``entries`` maps names of the kernel's
    symbols to those in it; ``how`` is for text alone. Raises LpgenError.
    """
    given = [
        name for name, what in (("a file", source), ("a text", text), ("templates", templates)) if what is not None
    ]
    if len(given) > 1:
        raise LpgenError(f"{' and '.join(given)} exclude each other", hint="what is to be judged is one of them")
    names = [symbol.name for symbol in kernel.symbols]
    for name in entries or {}:
        if name not in names:
            raise LpgenError(f"kernel {kernel.version} has no {name}", hint=f"its symbols are {', '.join(names)}")
    if source is None and text is None:
        if style not in STYLES:
            raise LpgenError(f"there is no style {style!r}", hint=f"there are {' and '.join(STYLES)}")
        found = find_templates(templates) if isinstance(templates, str) else templates
        rendered = emit_source(kernel, style=style, templates_dir=found)
        unit = assemble_source(kernel, rendered, name=kernel.file_name, isolated=templates is not None)
    else:
        unit = _handed_in(kernel, TEXT if source is None else str(source), text, how or How(), entries or {})
        if unit.fixed is not None:
            return unit
    return judged(renamed(unit, entries) if entries else unit, names)


def _handed_in(kernel: Kernel, name: str, content: str | bytes | None, how: How, entries: Mapping[str, str]) -> Unit:
    """Return what a person's file ``name`` is, or ``content`` when it is no file."""

    def read(elf: ElfFile) -> Unit:
        what = "an object" if elf.kind == "object" else "a linked program"
        _for_text(f"{name} is {what}", how)
        return read_object(elf) if elf.kind == "object" else read_linked(elf, kernel, entries)

    if content is None:
        if is_elf(Path(name)):
            with open_elf(Path(name)) as elf:
                return read(elf)
        return assemble_text(kernel, read_text(Path(name)), name, how)
    if isinstance(content, bytes):
        if content.startswith(MAGIC):
            elf = ElfFile(BytesIO(content), name)
            if elf.kind != "object":
                raise LpgenError(
                    "is a linked kernel", place=elf.place, hint="give it as a file, which says which it is"
                )
            return read(elf)
        return assemble_text(kernel, checked_text(content, name), name, how)
    return assemble_text(kernel, checked_text(content.encode(errors="replace"), name), name, how)


def _for_text(what: str, how: How) -> None:
    """Raise LpgenError when something is asked for that is done to text, and ``what`` is none."""
    asked = {"--assembler": how.assembler != "auto", "--cpp": how.cpp, "-I": how.include_dirs, "-D": how.defines}
    names = [name for name, given in asked.items() if given]
    if names:
        raise LpgenError(f"{what}: {' and '.join(names)} {'is' if len(names) == 1 else 'are'} for text")


def assemble_text(kernel: Kernel, text: str, name: str, how: How | None = None) -> Unit:
    """Assemble a person's own text ``name`` as a build of ``kernel`` would; lines of lpgen's own get their template."""
    how = how or How()
    for folder in how.include_dirs:
        if not Path(folder).is_dir():
            raise LpgenError(f"-I {folder}: is no directory")
    return assemble(
        text,
        name=name,
        headers=headers(kernel),
        include_dirs=[Path(folder) for folder in how.include_dirs],
        defines=kernel_defines(kernel, how.defines),
        origins=template_lines(text, kernel=kernel),
        isolated=True,
        assembler=how.assembler,
        cpp=how.cpp,
    )


def work(suite: Suite, callers: int | None, *, interrupts: bool) -> tuple[Iterable[parallel.Work], int, bool]:
    """Return the pieces of work of a run, how many callers they are, and if they should exercise every statement."""
    enough = default_callers(suite.kernel)
    count = enough if callers is None else callers
    items: Iterable[parallel.Work] = chain[parallel.Work](range(min(count, FIRST)), pieces(FIRST, max(count, FIRST)))
    if not interrupts:
        return items, count, count >= enough
    boundaries = list(suite.interrupt_items())
    return chain(items, boundaries), count + len(boundaries), count >= enough


def judge(
    kernel: Kernel,
    unit: Unit,
    *,
    seed: int = 0,
    callers: int | None = None,
    interrupts: bool = False,
    jobs: int | None = 1,
    shrink: bool = True,
    started: Callable[[int], Callable[[int], None]] | None = None,
    check: Callable[[], None] | None = None,
) -> Verdict:
    """Run callers through ``unit`` and return the verdict; the arguments are ``verify``'s.

    ``started`` is told how many pieces of work there are, and returns the function that is told how many more are done.
    ``check`` is called now and then while failures are shrunk; what it raises ends that.
    """
    suite = Suite(kernel, unit, seed=seed)
    items, count, full = work(suite, callers, interrupts=interrupts)
    tick = None if started is None else started(count)
    verdict = parallel.run(kernel, unit, seed, items, parallel.jobs_for(count, jobs), tick, full=full)
    if shrink:
        shrink_failures(suite, verdict, tick=check)
    return verdict


def prove_unit(kernel: Kernel, unit: Unit, *, replays: bool = True) -> ProofResult:
    """Prove every statement of ``unit`` for all inputs.

    ``replays``: look for a call of the emulated world that shows each refutation. Raises LpgenError for an instruction
    that is not modelled, for a unit that lacks what the kernel needs, and where the solver is not installed.
    """
    from lpgen.proof.counterexample import Replayer
    from lpgen.proof.prover import Prover
    from lpgen.report.proof_result import ProofResult, Shown

    prover = Prover(kernel, unit)
    proof = prover.run()
    shown: dict[str, Shown] = {}
    replayer: Replayer | None = None
    for id_ in proof.refuted:
        refutations = proof.statements[id_].refutations
        if not replays:
            shown[id_] = Shown(refutations[0], None, sought=False)
            continue
        replayer = replayer or Replayer(kernel, unit, prover.world, prover.solver)
        shown[id_] = Shown(*replayer.replay(refutations))
    return ProofResult(proof, unit, shown=shown)


def plan_case(kernel: Kernel, text: str) -> Case:
    """Return the call that a plan's text describes, ready to run. Raises LpgenError with the column or the reason."""
    wanted = parse_plan(text)
    plan = wanted.settled(kernel)
    check_plan(plan)
    if "livepatch" not in kernel.features and "patched" in wanted.kinds():
        raise LpgenError("the plan has a patched call, and this kernel has no livepatch", hint="leave out nip=patch")
    for name in ("lean", "early", "disabled", "kprobe", "direct", "graph"):
        if getattr(wanted, name) and not getattr(plan, name):
            raise LpgenError(f"the plan says {name}, which kernel {kernel.version} or the rest of it excludes")
    return Case(-1, "plan", plan)


def replay_case(kernel: Kernel, unit: Unit, replay: Replay) -> Case:
    """Return the call of ``replay``, ready to run through ``unit``.

    Raises LpgenError, with the replay's file, when it is for other trampolines or another kernel.
    """
    place = Place(replay.file) if replay.file else None
    if replay.code != code_hash(unit):
        raise LpgenError(
            f"was made for other code than the .text of {unit.name}",
            place=place,
            hint="give the FILE, --kernel, --config, --offsets, --templates and --style that lpgen prove had",
        )
    if replay.statement not in applicable(kernel):
        raise LpgenError(f"kernel {kernel.version} with these options has no {replay.statement}", place=place)
    with _placed(place):
        return replace(plan_case(kernel, replay.plan), name="replay", values=replay.values)


def judge_replay(kernel: Kernel, unit: Unit, replay: Replay) -> Verdict:
    """Run the one call of ``replay`` through ``unit``, each instruction watched, and judge it by every statement.

    Raises LpgenError, with the replay's file, as ``replay_case``, and when it chooses what is not free to choose.
    """
    case = replay_case(kernel, unit, replay)
    with _placed(Place(replay.file) if replay.file else None):
        return Suite(kernel, unit).run([case], watch_all=True, trace_all=True, full=False)


@contextmanager
def _placed(place: Place | None) -> Iterator[None]:
    """Give an error that has no place ``place``."""
    try:
        yield
    except LpgenError as error:
        if error.place is not None or place is None:
            raise
        raise LpgenError(error.reason, place=place, hint=error.hint) from error


def command_line(
    version: str | None,
    config: Config,
    offsets: str | Path | None = None,
    style: str = "kernel",
    templates: str | Templates | None = None,
    source: str | Path | None = None,
    seed: int = 0,
    entries: Mapping[str, str] | None = None,
    how: How | None = None,
    *,
    vmlinux: str | Path | None = None,
    build: str | Path | None = None,
    itself: bool = False,
    name: str = "verify",
) -> str:
    """Return the command line of `lpgen verify`, or ``name``, that is about the same trampolines, and no more.

    ``itself``: ``source`` says which kernel it is.
    """
    words = ["lpgen", name]
    if source is not None:
        words.append(str(source))
    for option, value in (("--vmlinux", vmlinux), ("--build", build)):
        if value is not None:
            words += [option, str(value)]
    if version is not None or (vmlinux is None and build is None and not itself):
        words += ["--kernel", version or DEFAULT_VERSION]
    for name, setting in config.items():
        words += ["--config", setting_text(name, setting)]
    for option, value in (("--offsets", offsets), ("--templates", None if templates is None else str(templates))):
        if value is not None:
            words += [option, str(value)]
    if style != "kernel":
        words += ["--style", style]
    for name, symbol in (entries or {}).items():
        words += ["--entry", f"{name}={symbol}"]
    if how is not None:
        words += ["--assembler", how.assembler] if how.assembler != "auto" else []
        words += ["--cpp"] if how.cpp else []
        words += [word for folder in how.include_dirs for word in ("-I", folder)]
        words += [word for name, value in how.defines.items() for word in ("-D", f"{name}={value}")]
    if seed:
        words += ["--seed", str(seed)]
    return shlex.join(words)
