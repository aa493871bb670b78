"""A report page in a real browser: every step of every call is there, and the picture says what the trace says."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from lpgen.cli import run
from tests.contract.must_fail import ALL
from tests.report.browser import PICTURE, Browser, Keys
from tests.report.pages import FRAME, KERNELS, At, Pages, embedded, number, walk

GPRS = [f"r{n}" for n in range(32)]
CELL = re.compile(r"\d+: pt_regs\.gpr\[(\d+)\] = (.*)", re.DOTALL)


def _named(at: At, text: str, value: int) -> bool:
    """True if ``text`` says ``value``: as a number, or by a name that the trace gives to it."""
    return text in (f"{value:#x}", str(value)) or text in [name[:40] for name in at.names.get(value, ())]


def check_step(trace: dict[str, Any], at: At, seen: dict[str, Any]) -> None:
    """Compare what the page shows with what the trace says."""
    event, stack = at.event, at.stack(trace)
    assert seen["counter"] == f"{event['number']} of {len(trace['events']) - 1}"
    assert event["text"] in seen["now"]
    assert seen["current"] == [event["number"]]
    _check_registers(at, seen)
    _check_frames(trace, at, seen, stack)
    _check_slots(trace, at, seen)
    _check_livepatch(trace, at, seen, stack)


def _check_registers(at: At, seen: dict[str, Any]) -> None:
    shown = {one["name"]: one for one in seen["registers"]}
    assert list(shown) == [*GPRS, "lr", "ctr", "cr", "xer"]
    for name, one in shown.items():
        assert number(one["value"]) == at.registers[name]
        assert _named(at, one["text"], at.registers[name]), (name, one)
    changed = {change["register"] for change in at.event.get("registers", ())}
    assert {name for name, one in shown.items() if one["changed"]} == changed & set(shown)


def _check_frames(trace: dict[str, Any], at: At, seen: dict[str, Any], stack: dict[str, Any]) -> None:
    base, top = number(stack["base"]), number(stack["top"])
    here = [frame for frame in at.frames if base <= number(frame["address"]) < top]
    expected = [(number(f["address"]), f["name"], f"{trace['layouts'][f['layout']]['size']} bytes") for f in here]
    shown = [(number(one["address"]), one["title"], one["size"]) for one in seen["frames"]]
    folded = sum(int(re.sub(r"\D*(\d+) more frames.*", r"\1", fold)) for fold in seen["folds"] if "frames" in fold)
    assert len(shown) + folded == len(expected)
    assert shown == expected if not folded else shown == [one for one in expected if one in shown]
    assert expected[:1] + expected[-1:] == shown[:1] + shown[-1:]
    addresses = [address for address, _, _ in shown]
    assert addresses == sorted(addresses, reverse=True)
    edges = [edge for one in seen["frames"] for edge in (one["top"], one["bottom"])]
    assert edges == sorted(edges)
    r1 = number(at.event["r1"])
    pointed = [one for one in seen["frames"] if number(one["address"]) == r1]
    for one in pointed:
        assert seen["pointers"]["r1"] == one["bottom"]
        assert f"{one['title']}, {one['size']}, r1 points to it." in seen["desc"]
    assert ("r1 points to it" in seen["desc"]) == bool(pointed)
    assert pointed or r1 not in addresses


def _check_slots(trace: dict[str, Any], at: At, seen: dict[str, Any]) -> None:
    rows, cells = {number(row["at"]): row for row in seen["rows"]}, {number(one["at"]): one for one in seen["cells"]}
    for frame in at.frames:
        address, layout = number(frame["address"]), trace["layouts"][frame["layout"]]
        since = 0 if layout["kind"] == "a" else at.since[address, frame["layout"]]
        for slot in layout["slots"]:
            where = address + slot["offset"]
            known = since == 0 or at.stored_since(where & ~7, since)
            value = at.memory.get(where & ~7, 0) & (1 << 8 * slot["size"]) - 1
            if where in rows and rows[where]["offset"] == str(slot["offset"]):
                row = rows[where]
                assert row["now"] == (where & ~7 in at.changed_by("store"))
                assert (row["value"] == "") == (not known), (frame, slot, row)
                assert not known or _named(at, row["value"], value), (frame, slot, row, hex(value))
            elif where in cells:
                one = cells[where]
                said = CELL.fullmatch(one["title"])
                assert said is not None
                assert slot["name"] == f"pt_regs.gpr[{said[1]}]"
                assert one["text"].strip("()") == f"r{said[1]}"
                assert one["set"] == known == (not one["text"].startswith("("))
                assert one["now"] == (where in at.changed_by("store"))
                assert one["loaded"] == (where in at.changed_by("load"))
                assert _named(at, said[2], value) if known else said[2] == "not stored"
    innermost = at.frames[-1:] if number(at.event["r1"]) == number(at.frames[-1]["address"]) else []
    for frame in innermost:
        layout = trace["layouts"][frame["layout"]]
        must = {
            slot["offset"] for slot in layout["slots"] if slot["name"] in ("back chain", "pt_regs.nip", "pt_regs.link")
        }
        must |= {slot["offset"] for slot in layout["slots"] if re.fullmatch(r"a\d+|LR save", slot["name"])}
        touched = any("pt_regs.nip" in a["name"] for e in trace["events"] for a in e.get("memory", ()))
        missing = {offset for offset in must if number(frame["address"]) + offset not in rows}
        assert not missing or not touched, (frame, missing)


def _check_livepatch(trace: dict[str, Any], at: At, seen: dict[str, Any], stack: dict[str, Any]) -> None:
    start, sp = number(stack["livepatch_stack"]), number(at.event["livepatch_sp"])
    live, part = divmod(sp - start, FRAME)
    rows = {number(row["at"]): row for row in seen["rows"]}
    shown = {one["n"]: one for one in seen["livepatch"]}
    for n, one in shown.items():
        assert one["dead"] == (n >= live)
        for offset, name in ((0, "r2"), (8, "return address"), (16, "STACK_END_MAGIC")):
            row = rows[start + FRAME * n + offset]
            assert (row["name"], row["offset"], row["dead"]) == (name, str(offset - FRAME), one["dead"])
            if row["value"]:
                assert _named(at, row["value"], at.memory[start + FRAME * n + offset]), row
            else:
                assert start + FRAME * n + offset not in at.stored
    hidden = sum(int(re.sub(r"\D*(\d+) more$", r"\1", fold)) for fold in seen["folds"] if fold.endswith(" more"))
    assert len([n for n in shown if n < live]) + hidden == live
    assert f"The livepatch stack has {live} {'frame' if live == 1 else 'frames'}." in seen["desc"]
    if not part:
        above = [one["bottom"] for n, one in shown.items() if n == live]
        below = [one["top"] for n, one in shown.items() if n == live - 1]
        for edge in above + below:
            assert seen["pointers"]["livepatch_sp"] == edge
    assert any(_named(at, text, sp) for text in seen["text"])


def _steps(name: str, events: list[dict[str, Any]]) -> list[int]:
    """All steps on two pages; on the others those where something begins or ends, and some between."""
    between = {"4.7": 1, "6.18": 1, "deep": 40}.get(name, 9)
    return [
        event["number"]
        for event in events
        if event["number"] % between == 0 or (between < 40 and ("frames" in event or event["kind"] != "instruction"))
    ]


@pytest.mark.parametrize("name", KERNELS)
def test_the_picture_at_each_step(name: str, pages: Pages, browser: Browser) -> None:
    page = pages(*KERNELS[name])
    data = embedded(page)
    browser.open(page)
    for n, call in enumerate(data["calls"]):
        browser.find(f"#tab{n}").click()
        trace = call["trace"]
        steps = _steps(name, trace["events"])
        forward = dict(zip(steps, browser.slide(steps, f"[see(), {PICTURE}]"), strict=True))
        for at in walk(trace):
            if at.event["number"] in forward:
                check_step(trace, at, forward[at.event["number"]][0])
                _check_line(data, at, forward[at.event["number"]][0])
        backward = browser.slide(steps[::-1], PICTURE)
        assert backward == [forward[step][1] for step in steps[::-1]]
        assert len(set(backward)) > len(steps) // 2
    assert browser.complaints() == []


def _check_line(data: dict[str, Any], at: At, seen: dict[str, Any]) -> None:
    """The code's line that is lit is the one of the instruction, beside its template's."""
    event = at.event
    if event["kind"] not in ("instruction", "stop", "interrupt"):
        assert seen["line"] == []
        return
    row = data["rows"].get(event.get("address"))
    assert seen["line"] == ([] if row is None else [row])
    if row is not None and "template" in event:
        place, _, line = event["template"].rpartition(":")
        assert seen["template"] == [{"name": place, "line": int(line), "hidden": False}]


def test_the_page_has_the_traces_of_lpgen_trace(pages: Pages, capsys: pytest.CaptureFixture[str]) -> None:
    page = pages(*KERNELS["6.12"])
    for call in embedded(page)["calls"]:
        found = re.search(r"--plan '(.*)'$", call["trace"]["command"])
        assert found is not None
        capsys.readouterr()
        assert run(["trace", "--kernel", "6.12", "--plan", found[1], "--json"]) == 0
        trace = json.loads(capsys.readouterr().out)
        for part in ("registers", "stacks", "layouts", "events", "functions"):
            assert trace[part] == call["trace"][part]


# By keys and mouse


def test_keys(pages: Pages, browser: Browser) -> None:
    page = pages(*KERNELS["4.7"])
    events = embedded(page)["calls"][0]["trace"]["events"]
    functions = [event["number"] for event in events if event["kind"] != "instruction"]
    browser.open(page)
    assert browser.step == 0
    browser.keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert browser.step == 2
    for where in ("#picture", "#steps", "[data-go=on]", "#slider"):
        browser.keys(Keys.END, on=where)
        assert browser.step == len(events) - 1, where
        browser.keys(Keys.ARROW_LEFT, on=where)
        assert browser.step == len(events) - 2, where
        browser.keys(Keys.HOME, on=where)
        assert browser.step == 0, where
        browser.keys("n", on=where)
        assert browser.step == functions[1], where
        browser.keys(Keys.ARROW_RIGHT, on=where)
        assert browser.step == functions[1] + 1, where
    browser.keys(Keys.HOME, Keys.ARROW_LEFT, on="#picture")
    assert browser.step == 0
    browser.keys(Keys.END, Keys.ARROW_RIGHT, on="#picture")
    assert browser.step == len(events) - 1
    assert browser.complaints() == []


def test_keys_that_are_the_pages_own_outside_of_the_player(pages: Pages, browser: Browser) -> None:
    """WCAG 2.1.4: a letter works only where the focus is; Home, End and the space bar scroll the page."""
    browser.open(pages(*KERNELS["4.7"]), "#c0s7")
    for key in ("n", Keys.END, Keys.SPACE):
        browser.keys(key, on="nav a")
        assert browser.step == 7
    browser.keys(Keys.ARROW_RIGHT, Keys.END, on="#emitted")
    assert browser.step == 7
    assert browser.run("return document.getElementById('emitted').scrollTop") > 100


def test_play(pages: Pages, browser: Browser) -> None:
    browser.open(pages(*KERNELS["4.7"]), "#c0s90")
    browser.keys(" ", on="#picture")
    assert browser.find("#play").text == "stop"
    browser.until("parseInt(document.getElementById('counter').textContent) > 93")
    browser.keys(" ", on="#picture")
    assert browser.find("#play").text == "play"
    browser.find("[data-go=last]").click()
    browser.find("#play").click()
    assert browser.step < 10
    browser.keys(Keys.ARROW_RIGHT, on="#picture")
    assert browser.find("#play").text == "play"


def test_buttons_tabs_and_links(pages: Pages, browser: Browser) -> None:
    page = pages(*KERNELS["4.7"])
    calls = embedded(page)["calls"]
    browser.open(page, "#c1s57")
    selected = "return [...document.querySelectorAll('[role=tab]')].map((tab) => [tab.ariaSelected, tab.tabIndex])"
    assert browser.step == 57
    assert browser.find("#tab1").get_attribute("aria-selected") == "true"
    for button, step in (("on", 58), ("back", 57), ("last", len(calls[1]["trace"]["events"]) - 1), ("first", 0)):
        browser.find(f"[data-go={button}]").click()
        assert browser.step == step
    browser.keys(Keys.ARROW_RIGHT, on="#tab1")
    assert browser.run(selected) == [["true", 0] if n == 2 else ["false", -1] for n in range(len(calls))]
    assert browser.driver.switch_to.active_element.get_attribute("id") == "tab2"
    browser.keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    last = len(calls) - 1
    browser.until(f"location.hash === '#c{last}s0'")
    browser.keys(Keys.HOME)
    assert browser.driver.switch_to.active_element.get_attribute("id") == "tab0"
    browser.keys(Keys.END)
    assert browser.driver.switch_to.active_element.get_attribute("id") == f"tab{last}"
    browser.run("location.hash = '#c0s12'")
    browser.until("document.getElementById('counter').textContent.startsWith('12 of')")
    browser.open(page, "#c99s99999")
    assert browser.step == 0
    browser.open(page, "#c0s99999")
    assert browser.step == len(calls[0]["trace"]["events"]) - 1
    assert browser.complaints() == []


def test_a_click_on_a_step_and_on_a_line(pages: Pages, browser: Browser) -> None:
    page = pages(*KERNELS["6.18"])
    browser.open(page, "#c0s0")
    for step in (5, 40):
        browser.run(
            "document.querySelector(arguments[0]).scrollIntoView({ block: 'center' })", f"#steps [data-n='{step}']"
        )
        browser.find(f"#steps [data-n='{step}']").click()
        assert browser.step == step
    line = browser.find("#emitted li.later[data-t]")
    browser.run("arguments[0].scrollIntoView({ block: 'center' })", line)
    line.click()
    seen = browser.seen()["template"]
    assert seen == [{"name": line.get_attribute("data-t"), "line": int(line.get_attribute("data-l")), "hidden": False}]
    source = browser.run(
        "const one = document.querySelector('#source li.now').getBoundingClientRect(),"
        " pane = document.getElementById('source').getBoundingClientRect();"
        " return one.top >= pane.top && one.bottom <= pane.bottom"
    )
    assert source is True


# What is wrong is shown


@pytest.mark.parametrize("name", ["handler_loses_r2", "handler_frame_of_32_bytes", "caller_misaligns_r1_for_a_moment"])
def test_a_wrong_trampoline(name: str, pages: Pages, browser: Browser) -> None:
    wrong = next(one for one in ALL if one.name == name)
    path = pages.directory / f"{name}.S"
    path.write_text(wrong.text())
    page = pages(str(path), "--kernel", wrong.version, "--no-prove", code=1)
    data = embedded(page)
    browser.open(page)
    marks = [one.text for one in browser.driver.find_elements("css selector", "tr.broken .mark")]
    assert marks
    assert set(marks) == {"BROKEN"}
    first = data["calls"][0]
    assert first["title"] == f"{wrong.breaks[0]} broken"
    assert browser.find("#tab0").text == first["title"]
    guilty = [event["number"] for event in first["trace"]["events"] if "broken" in event]
    shown = browser.run("return [...document.querySelectorAll('#steps .broken')].map((one) => Number(one.dataset.n))")
    assert shown == guilty
    for step in guilty:
        assert "broken here" in browser.slide([step])[0]["now"]
    for call in data["calls"][:2]:
        trace = call["trace"]
        browser.find(f"#tab{data['calls'].index(call)}").click()
        for at, seen in zip(walk(trace), browser.slide(list(range(len(trace["events"])))), strict=True):
            _check_registers(at, seen)
            _check_slots(trace, at, seen) if at.frames else None
            _check_livepatch(trace, at, seen, at.stack(trace))
            assert "r1" in seen["pointers"]
    assert browser.complaints() == []
