"""Headless Chromium, driven by selenium: opening a page, working it by keys and mouse, reading what it shows."""

from __future__ import annotations

import base64
import json
import os
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

PROGRAMS = ("chromium", "chromedriver")
MISSING = [program for program in PROGRAMS if which(program) is None]
REASON = "apt-get install chromium chromium-driver"
SCREENSHOTS = "LPGEN_SCREENSHOTS"

# What the page shows of a step: the picture's parts by the data- attributes that tie them to addresses.
SEEN = """
const number = (element, name) => Number(element.getAttribute(name));
const svg = document.querySelector("#picture svg");
const edge = (one) => ({ top: number(one, "y"), bottom: number(one, "y") + number(one, "height") });
const tip = (one) => Number(/^M[^ ]+ ([-0-9.]+)/.exec(one.querySelector(".head").getAttribute("d"))[1]);
return {
  counter: document.getElementById("counter").textContent,
  now: document.getElementById("now").textContent,
  current: [...document.querySelectorAll("#steps [aria-current=step]")].map((one) => Number(one.dataset.n)),
  desc: svg.querySelector("desc").textContent,
  text: [...svg.querySelectorAll("text")].map((one) => one.textContent),
  frames: [...svg.querySelectorAll("[data-frame]")].map((one) => ({ address: one.dataset.frame, ...edge(one),
    title: one.nextElementSibling.textContent, size: one.nextElementSibling.nextElementSibling.textContent })),
  folds: [...svg.querySelectorAll("[data-fold]")].map((one) => one.dataset.fold),
  rows: [...svg.querySelectorAll("[data-at]:not(:has(.cell))")].map((one) => ({ at: one.dataset.at,
    offset: one.children[0].textContent, name: one.children[1].textContent, value: one.children[2].textContent,
    dead: one.classList.contains("dead"), now: one.children[1].classList.contains("on") })),
  cells: [...svg.querySelectorAll("[data-at]:has(.cell)")].map((one) => ({ at: one.dataset.at,
    title: one.querySelector("title").textContent, set: one.querySelector(".cell").classList.contains("set"),
    now: one.querySelector(".cell").classList.contains("now"), loaded: Boolean(one.querySelector(".loaded")),
    text: one.querySelector("text").textContent })),
  livepatch: [...svg.querySelectorAll("[data-livepatch]")].map((one) => ({ n: Number(one.dataset.livepatch),
    dead: one.hasAttribute("fill-opacity"), ...edge(one) })),
  pointers: Object.fromEntries(
    [...svg.querySelectorAll("[data-pointer]")].map((one) => [one.dataset.pointer, tip(one)])),
  loaded: svg.querySelectorAll(".loaded").length,
  registers: [...document.querySelectorAll("#registers .regs > div")].map((one) => ({ name: one.children[0].textContent,
    text: one.children[1].textContent, value: one.title, changed: one.classList.contains("changed") })),
  line: [...document.querySelectorAll("#emitted li.now")].map((one) => one.value),
  template: [...document.querySelectorAll("#source li.now")].map((one) =>
    ({ name: one.parentElement.dataset.name, line: one.value, hidden: one.parentElement.hidden })),
};
"""
SLIDE = """
const slider = document.getElementById("slider");
const see = () => { %s };
return arguments[0].map((step) => {
  slider.value = String(step);
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  return %s;
});
"""
PICTURE = "[document.getElementById('picture').innerHTML, document.getElementById('registers').innerHTML].join()"
# Texts of the picture that reach out of it, out of what is drawn around them, or into one another.
CROWDED = """
const svg = document.querySelector("#picture svg"), all = svg.getBoundingClientRect();
const texts = [...svg.querySelectorAll("text")].filter((one) => one.textContent);
const boxes = texts.map((one) => one.getBoundingClientRect());
const wrong = [];
for (const [n, box] of boxes.entries()) {
  if (box.left < all.left - 1 || box.right > all.right + 1 || box.top < all.top - 1 || box.bottom > all.bottom + 1)
    wrong.push(["out of the picture", texts[n].textContent]);
  for (let m = 0; m < n; m++) {
    const other = boxes[m];
    const wide = Math.min(box.right, other.right) - Math.max(box.left, other.left);
    const high = Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top);
    if (wide > 1 && high > 3) wrong.push(["overlap", texts[m].textContent, texts[n].textContent]);
  }
}
for (const cell of svg.querySelectorAll(".cell")) {
  const text = cell.parentElement.querySelector("text").getBoundingClientRect(), box = cell.getBoundingClientRect();
  if (text.left < box.left || text.right > box.right) wrong.push(["out of its cell", cell.parentElement.textContent]);
}
return wrong;
"""


class Browser:
    """One browser; no name leads anywhere in it."""

    def __init__(self, screenshots: Path, *, script: bool = True) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = str(which(PROGRAMS[0]))
        for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars",
                         "host-resolver-rules=MAP * ~NOTFOUND", "disable-background-networking"):  # fmt: skip
            options.add_argument(f"--{argument}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        if not script:
            options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
        self.driver = webdriver.Chrome(options=options, service=Service(str(which(PROGRAMS[1]))))
        self.driver.set_page_load_timeout(60)
        self.screenshots = screenshots
        self.size(1400, 1000)

    def quit(self) -> None:
        self.driver.quit()

    def size(self, width: int, height: int) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    def media(self, **features: str) -> None:
        named = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.command("Emulation.setEmulatedMedia", features=named)

    def command(self, name: str, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(name, parameters)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def open(self, page: Path, fragment: str = "") -> None:
        """Open a page anew, and forget what was logged of others."""
        self.driver.get("about:blank")
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(page.as_uri() + fragment)

    def complaints(self) -> list[Any]:
        """Return what the page logged since it was opened, and what it asked for besides itself."""
        said: list[Any] = [entry["message"] for entry in self.driver.get_log("browser")]
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith(("file:", "data:,", "about:")) or message["params"]["type"] != "Document":
                    said += [] if url == "data:," else [url]
        return said

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def keys(self, *keys: str, on: str | None = None) -> None:
        """Press keys, where the focus is or on the element ``on``."""
        if on is not None:
            self.run("document.querySelector(arguments[0]).focus()", on)
        self.driver.switch_to.active_element.send_keys(*keys)

    def until(self, condition: str) -> None:
        """Wait until a condition holds in the page."""
        WebDriverWait(self.driver, 20, poll_frequency=0.05).until(
            lambda driver: driver.execute_script(f"return {condition}")
        )

    def seen(self) -> dict[str, Any]:
        found: dict[str, Any] = self.run(SEEN)
        return found

    def slide(self, steps: list[int], what: str = "see()") -> list[Any]:
        """Move the slider to each of ``steps`` and return what is seen there."""
        found: list[Any] = self.run(SLIDE % (SEEN, what), steps)
        return found

    @property
    def step(self) -> int:
        return int(self.find("#counter").text.split()[0])

    def screenshot(self, name: str) -> Path:
        self.screenshots.mkdir(parents=True, exist_ok=True)
        path = self.screenshots / f"{name}.png"
        path.write_bytes(base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"]))
        return path


def screenshots(otherwise: Path) -> Path:
    return Path(os.environ.get(SCREENSHOTS) or otherwise)


def axe() -> str:
    """Return axe-core, the accessibility checker that runs in a page. The package is not imported."""
    spec = find_spec("axe_playwright_python")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")


__all__ = ["CROWDED", "MISSING", "PICTURE", "REASON", "Browser", "Keys", "axe", "screenshots"]
