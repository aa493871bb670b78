"""How a report page looks: nothing crowded or cut, light and dark, narrow and printed, without a mouse or a script."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report.browser import CROWDED, PICTURE, Browser, axe
from tests.report.pages import KERNELS, Pages, embedded

WIDTHS = (360, 768, 1400)
AXE = """
const done = arguments[0];
axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] }).then((said) => done([said.passes.length,
  said.violations.map((one) => [one.id, one.nodes.map((node) => node.html.slice(0, 200) + node.failureSummary)])]));
"""
TO_CALLS = "document.getElementById('calls').scrollIntoView()"


@pytest.mark.parametrize("name", KERNELS)
def test_nothing_is_crowded(name: str, pages: Pages, browser: Browser) -> None:
    page = pages(*KERNELS[name])
    browser.open(page)
    for n, call in enumerate(embedded(page)["calls"]):
        browser.find(f"#tab{n}").click()
        steps = [event["number"] for event in call["trace"]["events"] if "frames" in event or event["kind"] == "enter"]
        for step, wrong in zip(steps, browser.slide(steps[::5] or steps, f"(() => {{ {CROWDED} }})()"), strict=False):
            assert wrong == [], (call["title"], step)
    for width in WIDTHS:
        browser.size(width, 900)
        assert browser.run("return document.documentElement.scrollWidth") <= width
    browser.run(TO_CALLS)
    browser.size(1400, 1500)
    browser.screenshot(f"call_{name}".replace(" ", "_"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["6.18", "wrong"])
def test_accessible(name: str, scheme: str, pages: Pages, browser: Browser, wrong: Path) -> None:
    page = wrong if name == "wrong" else pages(*KERNELS[name])
    for width in (1400, 360):
        browser.size(width, 1000)
        browser.media(prefers_color_scheme=scheme)
        browser.open(page, "#c1s60")
        browser.run("for (const one of document.querySelectorAll('details')) one.open = true")
        browser.run(axe())
        found = browser.driver.execute_async_script(AXE)
        assert found[0] > 15
        assert found[1] == []
        browser.screenshot(f"page_{name}_{scheme}_{width}")


@pytest.fixture(scope="session")
def wrong(pages: Pages) -> Path:
    """The page of a trampoline that is wrong."""
    from tests.contract.must_fail import ALL

    path = pages.directory / "handler_loses_r2.S"
    path.write_text(next(one for one in ALL if one.name == path.stem).text())
    return pages(str(path), "--kernel", "4.7", "--no-prove", code=1)


def test_the_theme_is_chosen_and_kept(pages: Pages, browser: Browser) -> None:
    page = pages(*KERNELS["4.7"])
    ground = "return getComputedStyle(document.body).backgroundColor"
    browser.media(prefers_color_scheme="light")
    browser.open(page)
    light = browser.run(ground)
    browser.find("#theme").click()
    dark = browser.run(ground)
    assert dark != light
    browser.open(page)
    assert browser.run(ground) == dark
    browser.media(prefers_color_scheme="dark")
    browser.find("#theme").click()
    assert browser.find("#theme").text == "Theme: light"
    assert browser.run(ground) == light
    browser.find("#theme").click()
    assert browser.run(ground) == dark
    assert browser.complaints() == []


def test_where_storage_throws(pages: Pages, browser: Browser) -> None:
    script = (
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } });"
    )
    made = browser.command("Page.addScriptToEvaluateOnNewDocument", source=script)
    try:
        browser.open(pages(*KERNELS["4.7"]), "#c0s3")
        assert browser.run("try { return localStorage } catch { return 'throws' }") == "throws"
        assert browser.step == 3
        browser.find("#theme").click()
        assert browser.find("#theme").text == "Theme: dark"
        assert browser.complaints() == []
    finally:
        browser.command("Page.removeScriptToEvaluateOnNewDocument", identifier=made["identifier"])


def test_forced_colors_and_reduced_motion(pages: Pages, browser: Browser) -> None:
    browser.media(forced_colors="active", prefers_reduced_motion="reduce", prefers_color_scheme="dark")
    browser.open(pages(*KERNELS["4.7"]), "#c1s100")
    texts, ground = browser.run(
        "return [[...document.querySelectorAll('#picture text')].map((one) => getComputedStyle(one).fill),"
        " getComputedStyle(document.body).backgroundColor]"
    )
    assert texts
    assert ground not in texts
    current = browser.run("return getComputedStyle(document.querySelector('#steps [aria-current]')).outlineStyle")
    assert current != "none", "without colours the step is marked by its edge"
    browser.run(TO_CALLS)
    browser.screenshot("forced_colors")
    assert browser.slide([5, 6], PICTURE)[0] != ""


@pytest.fixture(scope="session")
def without_script(chromium: Browser) -> Iterator[Browser]:
    made = Browser(chromium.screenshots, script=False)
    yield made
    made.quit()


def test_without_a_script(pages: Pages, without_script: Browser) -> None:
    page = pages(*KERNELS["6.18"])
    without_script.open(page)
    text = without_script.find("body").text
    assert "Stepping through a call takes JavaScript" in text
    for part in (
        "Verdict by statement",
        "Cost of each way",
        "Proof for all inputs",
        "Since kernel 6.12",
        "livepatch_handler",
    ):
        assert part in text
    assert not without_script.find("#player").is_displayed()
    assert not without_script.find("#theme").is_displayed()
    assert without_script.complaints() == []


def test_printed(pages: Pages, browser: Browser, tmp_path: Path) -> None:
    browser.media(prefers_color_scheme="dark")
    browser.open(pages(*KERNELS["6.18"]), "#c1s100")
    raw = base64.b64decode(browser.command("Page.printToPDF", printBackground=True)["data"])
    path = browser.screenshots / "printed.pdf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)
    count = raw.count(b"/Type /Page\n") + raw.count(b"/Type /Page ")
    assert 5 <= count < 40
    if shutil.which("pdftotext"):
        done = subprocess.run(
            ["pdftotext", "-layout", path, "-"], capture_output=True, text=True, check=True, timeout=60
        )
        for part in (
            "Verdict by statement",
            "Calls, step by step",
            "livepatch_sp",
            "Cost of each way",
            "What it rests on",
            "Since kernel",
        ):
            assert part in done.stdout
