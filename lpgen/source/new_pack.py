"""A pack of templates to start from: a small Python project that overrides one shipped template, as yet harmlessly."""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import jinja2

from lpgen import __version__, resources
from lpgen.errors import LpgenError
from lpgen.kernel.generations import DEFAULT_VERSION, Kernel, kernel, spans, versions_of
from lpgen.kernel.names import closest
from lpgen.kernel.versions import parse_version
from lpgen.source.emit import emit_source

SUFFIX = ".S.j2"
DEFAULT_TEMPLATE = "livepatch_handler.S.j2"
_DATA = "source/data/pack"
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_BLOCK = re.compile(r"^\{%-?\s*block (\w+)\s*-?%\}\n(.*?)^\{%-?\s*endblock\b[^%]*%\}", re.DOTALL | re.MULTILINE)
_INSTRUCTION = re.compile(r"^\t[a-z]", re.MULTILINE)
_HEADER = "header"
_TESTS = "tests"


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a template: its ``name``, and the ``body`` between its tags."""

    name: str
    body: str


def assembly_templates() -> list[str]:
    """Return the names of the shipped templates of the assembly."""
    return [name for name in resources.template_names() if name.endswith(SUFFIX)]


def blocks_of(template: str) -> list[Block]:
    """Return the blocks of a shipped template, in its order."""
    return [Block(*match.groups()) for match in _BLOCK.finditer(resources.read_template(template))]


def chosen_block(blocks: list[Block]) -> Block | None:
    """Return the block that a pack starts with: the last that has instructions of its own, else the first with code."""
    own = [block for block in blocks if block.name != _HEADER]
    whole = [block for block in own if _INSTRUCTION.search(block.body) and "{% include" not in block.body]
    return whole[-1] if whole else own[0] if own else None


def users_of(template: str) -> list[str]:
    """Return of each generation the first version whose assembly has lines of ``template``."""
    found = []
    for generation, _, _ in spans():
        found += [version for version in versions_of(generation) if _uses(kernel(version), template)][:1]
    return found


def pack_files(name: str, template: str = DEFAULT_TEMPLATE, version: str | None = None) -> dict[str, str]:
    """Return the files of a new pack: path to text.

    ``name`` is the distribution's and the pack's, ``template`` the shipped one to override, ``version`` the kernel that
    it is mostly for; None is lpgen's default, or the first that uses the template. Raises LpgenError.
    """
    package = _package(name)
    shipped = assembly_templates()
    if template not in shipped:
        near = closest(template.removesuffix(SUFFIX), [each.removesuffix(SUFFIX) for each in shipped], cutoff=0.5)
        hint = f"did you mean {near}{SUFFIX}?" if near else f"there are {', '.join(shipped)}"
        raise LpgenError(f"lpgen has no template {template!r} of the assembly", hint=hint)
    users = users_of(template)
    if version is None:
        facts = kernel(DEFAULT_VERSION if DEFAULT_VERSION in users else users[0])
    else:
        facts = kernel(version)
        if not _uses(facts, template):
            raise LpgenError(
                f"the assembly of kernel {facts.version} has nothing of {template}",
                hint=f"give one of these, or leave out --kernel: {', '.join(users)}",
            )
    blocks = blocks_of(template)
    block = chosen_block(blocks)
    context: dict[str, object] = {
        "name": name,
        "package": package,
        "template": template,
        "lpgen_version": __version__,
        "kernel": facts.version,
        "file_name": facts.file_name,
        "kernels": sorted({*users, facts.version}, key=parse_version),
        "block": None if block is None else block.name,
        "others": [each.name for each in blocks if each is not block],
        "body": resources.read_template(template) if block is None else block.body,
    }
    return {
        path: _rendered(data, context)
        for path, data in (
            ("pyproject.toml", "pyproject.toml"),
            ("README.md", "README.md"),
            (f"{package}/__init__.py", "__init__.py"),
            (f"{package}/templates/{template}", "copy" if block is None else "override"),
            (f"{_TESTS}/test_kernels.py", "test_kernels.py"),
        )
    }


def _package(name: str) -> str:
    """Return the package's name for a distribution ``name``. Raises LpgenError for one that makes none."""
    package = re.sub(r"[-.]+", "_", name).lower()
    if not _NAME.fullmatch(name) or not package.isidentifier():
        raise LpgenError(
            f"{name!r} cannot be the name of a pack",
            hint="--name takes letters, digits, - and _, with a letter first and no sign last",
        )
    taken = {*sys.stdlib_module_names, "lpgen", _TESTS}
    if keyword.iskeyword(package) or package in taken:
        raise LpgenError(f"a pack cannot be called {name!r}: Python has another use for it", hint="use --name")
    return package


def _uses(facts: Kernel, template: str) -> bool:
    return any(place is not None and Path(place.file).name == template for place in emit_source(facts).origins)


def _rendered(data: str, context: dict[str, object]) -> str:
    # The files hold Jinja of their own.
    environment = jinja2.Environment(
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.from_string(resources.read_data(f"{_DATA}/{data}.j2")).render(context)
