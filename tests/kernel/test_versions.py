"""Kernel versions: read, refused, compared."""

from __future__ import annotations

import pytest

from lpgen.errors import LpgenError
from lpgen.kernel.versions import in_span, parse_version, previous_release, span_text, version_text


@pytest.mark.parametrize(
    ("text", "version", "normal"),
    [
        ("4.7", (4, 7, 0), "4.7"),
        ("v4.7", (4, 7, 0), "4.7"),
        ("4.7-rc1", (4, 7, 0), "4.7"),
        ("4.7.0", (4, 7, 0), "4.7"),
        (" 4.11 ", (4, 11, 0), "4.11"),
        ("4.9.337", (4, 9, 337), "4.9.337"),
        ("v6.1.192", (6, 1, 192), "6.1.192"),
    ],
)
def test_a_version_is_read(text: str, version: tuple[int, int, int], normal: str) -> None:
    assert parse_version(text) == version
    assert version_text(version) == normal


@pytest.mark.parametrize(
    "text", ["", "4", "4.", "4.7.1.2", "four", "4.7-foo", "V4.7", "4,7", "-4.7", "4.٧", "4." + "9" * 5000, "4.7\n5"]
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(LpgenError, match="is not a kernel version") as caught:
        parse_version(text)
    assert caught.value.hint == "give it as 4.7, v4.7, 4.9.337 or 4.7-rc1"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "last"), [("4.21", "4.20"), ("5.20", "5.19"), ("3.20", "3.19")])
def test_a_version_that_never_was(text: str, last: str) -> None:
    with pytest.raises(LpgenError, match=f"series ended with {last}"):
        parse_version(text)


@pytest.mark.parametrize(
    ("version", "first", "last", "inside"),
    [
        ("4.7", "4.7", "4.11", True),
        ("4.11.12", "4.7", "4.11", True),
        ("4.12", "4.7", "4.11", False),
        ("4.6.7", "4.7", "4.11", False),
        ("4.10", "4.7", "4.11", True),
        ("6.18", "6.2", None, True),
        ("4.14.333", "4.14.334", "4.14", False),
        ("4.14.334", "4.14.334", "4.14", True),
        ("4.14.336", "4.14.334", "4.14.335", False),
    ],
)
def test_spans_include_both_ends(version: str, first: str, last: str | None, inside: bool) -> None:
    assert in_span(parse_version(version), first, last) is inside


@pytest.mark.parametrize(
    ("version", "before"), [("4.20", "4.19"), ("6.18.3", "6.17"), ("5.0", "4.20"), ("6.0", "5.19"), ("5.1", "5.0")]
)
def test_the_release_before(version: str, before: str) -> None:
    assert version_text(previous_release(parse_version(version))) == before


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        ("4.7", "4.11", "4.7-4.11"),
        ("4.12", "4.12", "4.12"),
        ("6.13", None, "6.13-"),
        ("4.14.334", "4.14", "4.14.334-4.14.y"),
    ],
)
def test_a_span_is_shown(first: str, last: str | None, text: str) -> None:
    assert span_text(first, last) == text
