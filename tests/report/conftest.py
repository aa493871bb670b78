from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.report.browser import MISSING, REASON, Browser, screenshots
from tests.report.pages import Pages


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return Pages(tmp_path_factory.mktemp("report pages"))


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests of a worker."""
    if MISSING:
        pytest.skip(f"{REASON}: no {', '.join(MISSING)}")
    made = Browser(screenshots(tmp_path_factory.mktemp("screenshots")))
    yield made
    made.quit()


@pytest.fixture
def browser(chromium: Browser) -> Browser:
    """The browser as it was at the begin."""
    chromium.size(1400, 1000)
    chromium.media()
    return chromium
