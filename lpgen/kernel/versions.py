"""Kernel versions: reading them and comparing them. The only place of lpgen that does either."""

from __future__ import annotations

import re

from lpgen.errors import LpgenError

Version = tuple[int, int, int]

# Minor numbers that ended each series: a version beyond them was never released.
_LAST_OF_SERIES = {2: 6, 3: 19, 4: 20, 5: 19}

_VERSION = re.compile(r"v?([0-9]{1,3})\.([0-9]{1,3})(?:\.([0-9]{1,5}))?(?:-rc[0-9]{1,3})?", re.ASCII)


def parse_version(text: str) -> Version:
    """Return (major, minor, point) of ``4.7``, ``v4.7``, ``4.9.337`` or ``4.7-rc1`` (counts as its release).

    Raises LpgenError when ``text`` is not a kernel version, or one that the kernel's numbering never reached.
    """
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        raise LpgenError(f"{text!r} is not a kernel version", hint="give it as 4.7, v4.7, 4.9.337 or 4.7-rc1")
    major, minor, point = (int(part or 0) for part in match.groups())
    last = _LAST_OF_SERIES.get(major)
    if last is not None and minor > last:
        raise LpgenError(
            f"{text!r} is not a kernel version: the {major}.x series ended with {major}.{last}",
            hint="give it as 4.7, v4.7, 4.9.337 or 4.7-rc1",
        )
    return major, minor, point


def version_text(version: Version) -> str:
    """Return ``version`` as the kernel writes it: 4.7, and 4.9.337 for a point release."""
    major, minor, point = version
    return f"{major}.{minor}.{point}" if point else f"{major}.{minor}"


def previous_release(version: Version) -> Version:
    """Return the release before the one that ``version`` belongs to: 5.19 for 6.0."""
    major, minor, _ = version
    return (major, minor - 1, 0) if minor else (major - 1, _LAST_OF_SERIES[major - 1], 0)


def span_text(first: str, last: str | None) -> str:
    """Return a span of kernels as it is shown: 4.7-4.11, 4.12, 6.13-, and 4.14.334-4.14.y to the end of that series."""
    if last is None:
        return f"{first}-"
    return first if first == last else f"{first}-{last}.y" if parse_version(first)[2] else f"{first}-{last}"


def in_span(version: Version, first: str, last: str | None) -> bool:
    """Say whether ``version`` lies in ``first`` .. ``last``, both included.

    A bound without a point release means the whole release: ``last`` 4.11 includes 4.11.12. ``last`` None: no end.
    """
    if version < parse_version(first):
        return False
    if last is None:
        return True
    bound = parse_version(last)
    return version <= bound if bound[2] else version[:2] <= bound[:2]
