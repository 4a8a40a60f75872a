"""A real browser for the tests of pages: the system's Chromium without a window, driven by Playwright."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from babelscope.report.pdf import find_browser

PROGRAM = find_browser()
needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="needs Chromium")

WINDOW = ViewportSize(width=1200, height=900)


# Not for a whole session: while Playwright runs, this thread has a running event loop, and other tests may start one.
@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium; nothing is downloaded."""
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=PROGRAM) as browser:
        yield browser


class Watched:
    """A page, with the errors of its console and the requests that it makes.

    Attributes
    ----------
    page : playwright.sync_api.Page
        The page, in a window of 1200 x 900; blank where no path is given.
    errors : list of str
        What its console and its scripts report as an error.
    requests : list of str
        Addresses that it asks for, its own first.
    """

    def __init__(self, browser: Browser, path: Path | None = None, *, scripts: bool = True) -> None:
        self.page: Page = browser.new_page(viewport=WINDOW, java_script_enabled=scripts)
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        self.page.on("request", lambda request: self.requests.append(request.url))
        if path is not None:
            self.page.goto(path.resolve().as_uri())
