"""Assembling the text of one kernel: its asm-offsets.h and its options stand behind the #includes."""

from __future__ import annotations

from collections.abc import Mapping

from lpgen.assembly import Unit, assemble
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel
from lpgen.kernel.options import known_options
from lpgen.source.render import Rendered

# What a kernel with livepatch needs (Kconfig), and lpgen's machine is: on without a .config that says otherwise.
_NEEDED = (
    *("SMP", "MODULES", "SYSFS", "KALLSYMS", "KALLSYMS_ALL", "FTRACE", "TRACING", "STACKTRACE"),
    *("FUNCTION_TRACER", "DYNAMIC_FTRACE", "DYNAMIC_FTRACE_WITH_REGS", "BUG", "GENERIC_BUG"),
)
_PATCHABLE = "CONFIG_ARCH_USING_PATCHABLE_FUNCTION_ENTRY"


def headers(kernel: Kernel) -> dict[str, str]:
    """Return the include files that a build of ``kernel`` generates, by the name in the #include."""
    return {"asm/asm-offsets.h": kernel.offsets.header_text()}


def defines(kernel: Kernel, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the macros that a build of ``kernel`` has, and those that a person has ``given``, which win.

    All of its .config's, as autoconf.h has them; without a .config those of the options that lpgen knows, and what such
    a kernel has in any case. Raises LpgenError for a given one that contradicts an option.
    """
    autoconf = kernel.autoconf
    made = {} if autoconf is not None and autoconf.whole else _defaults(kernel)
    if autoconf is not None:
        made = {name: value for name, value in {**made, **autoconf.macros}.items() if value is not None}
    for name, on in kernel.options.items():
        for each in filter(None, (name, known_options()[name].alias)):
            if on:
                made[each] = "1"
            else:
                made.pop(each, None)
    made |= {name: str(value) for name, value in kernel.numbers.items()}
    for name, value in (given or {}).items():
        _check(kernel, name, value)
    return made | dict(given or {})


def _defaults(kernel: Kernel) -> dict[str, str]:
    """Return the macros of a kernel whose .config is not known."""
    on = [f"CONFIG_{name}" for name in _NEEDED]
    # struct bug_entry has 32-bit distances or addresses; file and line if it is verbose.
    entry = kernel.offsets.get("BUG_ENTRY_SIZE")
    if entry in (12, 24):
        on.append("CONFIG_DEBUG_BUGVERBOSE")
    if entry in (8, 12):
        on.append("CONFIG_GENERIC_BUG_RELATIVE_POINTERS")
    if not kernel.options.get(_PATCHABLE):
        # The macro is what Makefiles defined before there was the option.
        on += ["CONFIG_MPROFILE_KERNEL", "CC_USING_MPROFILE_KERNEL"]
    return dict.fromkeys(on, "1") | {"CONFIG_THREAD_SHIFT": str(kernel.thread_shift)}


def _check(kernel: Kernel, name: str, value: str) -> None:
    """Check that a macro that a person gave does not contradict an option of ``kernel``."""
    option = kernel.option_of(name)
    if option in kernel.numbers:
        has: bool | int = kernel.numbers[option]
        same = value == str(has)
    elif option in kernel.options:
        has = kernel.options[option]
        same = has and value in ("", "1")
    else:
        return
    if not same:
        said = has if option in kernel.numbers else "y" if has else "n"
        raise LpgenError(f"-D {name}={value} contradicts {option}={said}", hint=f"set {option} with --config")


def assemble_source(kernel: Kernel, rendered: Rendered, *, name: str, isolated: bool) -> Unit:
    """Assemble what was rendered for ``kernel``; ``isolated`` for text that a person had a hand in.

    Raises LpgenError with the line in ``name`` and, where known, in the template.
    """
    return assemble(
        rendered.text,
        name=name,
        headers=headers(kernel),
        defines=defines(kernel),
        origins=rendered.origins,
        isolated=isolated,
    )
