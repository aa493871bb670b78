"""The pictures of the README.

Run: python -m tests.report.picture [DIR]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.report.browser import Browser

KERNEL = "6.12"
# Where C is reached, in the second call.
STEP = "#c1s111"
SIZE = (1400, 1480)
TRACE, REPORT = "trace.svg", "report.png"


def make(directory: Path) -> None:
    """Write both into ``directory``."""
    _lpgen("trace", "--kernel", KERNEL, "--patched", "--svg", str(directory / TRACE))
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        _lpgen("report", "--kernel", KERNEL, "--out", str(page))
        browser = Browser(directory)
        try:
            browser.size(*SIZE)
            browser.open(page, STEP)
            browser.driver.save_screenshot(str(directory / REPORT))
        finally:
            browser.quit()


def _lpgen(*args: str) -> None:
    subprocess.run([sys.executable, "-m", "lpgen", *args], check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    make(Path(sys.argv[1] if len(sys.argv) > 1 else "pictures"))
