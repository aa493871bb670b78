"""Files that ship with lpgen: the templates and the data files, out of a checkout, an installed wheel or a zip."""

from __future__ import annotations

import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

# How a place in a shipped template starts.
SHIPPED = "templates/"
# An editable install has templates/ beside the package; a wheel carries the same files as lpgen/templates.
_CHECKOUT_TEMPLATES = Path(__file__).parent.parent / "templates"


def read_data(name: str) -> str:
    """Return the text of a data file of the package, ``name`` relative to lpgen/ (for example ``kernel/data/g1.toml``).

    Raises FileNotFoundError (or OSError from a zip) when there is none.
    """
    data = pkgutil.get_data("lpgen", name)
    if data is None:
        raise FileNotFoundError(name)
    return data.decode("utf-8")


def data_names(directory: str) -> list[str]:
    """Return the names of the data files in a directory of the package and below it, sorted, relative to it."""
    from importlib.resources import files

    return sorted(_files_in(files("lpgen").joinpath(*directory.split("/"))))


def read_template(name: str) -> str:
    """Return the text of the shipped template ``name``, relative to templates/.

    The checkout's own templates/ wins over a copy in the package, so that an edit is seen at once. Raises
    FileNotFoundError (or OSError from a zip) when there is none.
    """
    if _in_checkout() and (beside := _CHECKOUT_TEMPLATES / name).is_file():
        return beside.read_text(encoding="utf-8")
    return read_data(f"templates/{name}")


def template_path(name: str) -> Path | None:
    """Return where the shipped template ``name`` is on disk; None where it is in no file of its own (a zip)."""
    places = (_CHECKOUT_TEMPLATES / name,) if _in_checkout() else ()
    return next((path for path in (*places, Path(__file__).parent / "templates" / name) if path.is_file()), None)


def checkout_templates() -> Path | None:
    """Return the directory of the shipped templates in a checkout, None for an installed copy."""
    return _CHECKOUT_TEMPLATES if _in_checkout() else None


def template_names() -> list[str]:
    """Return the names of the shipped templates, sorted, as ``read_template`` takes them."""
    if _in_checkout():
        return _names_in(_CHECKOUT_TEMPLATES)
    from importlib.resources import files

    return _names_in(files("lpgen") / "templates")


def _in_checkout() -> bool:
    return (_CHECKOUT_TEMPLATES / "entry_64.S.j2").is_file()


def _names_in(directory: Traversable) -> list[str]:
    return sorted(name for name in _files_in(directory) if name.endswith(".j2"))


def _files_in(directory: Traversable, prefix: str = "") -> list[str]:
    names = []
    for entry in directory.iterdir():
        if entry.is_dir():
            names += _files_in(entry, f"{prefix}{entry.name}/")
        else:
            names.append(prefix + entry.name)
    return names
