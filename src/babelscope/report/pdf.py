"""The report as PDF, printed by a Chromium without a window."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from babelscope.cache import write_atomically
from babelscope.errors import DataError

#: Programs that can print, in the order in which they are looked for.
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")

#: Seconds after which printing is given up.
PATIENCE = 300


def find_browser() -> str | None:
    """Return the path of a browser that can print, or None."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def print_pdf(page: Path, target: Path) -> Path:
    """Print a page of this package to PDF.

    Parameters
    ----------
    page : Path
        An HTML file that loads nothing.
    target : Path
        Replaced whole.

    Returns
    -------
    Path
        `target`.

    Raises
    ------
    DataError
        If there is no browser, or it does not print.
    """
    browser = find_browser()
    if browser is None:
        raise DataError(
            f"a PDF is printed by Chromium or Chrome, and neither is here: open {page} in any browser and print it"
        )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        printed = Path(folder) / "report.pdf"
        command = [
            browser,
            "--headless",
            "--disable-gpu",
            "--no-pdf-header-footer",
            "--disable-background-networking",
            "--no-first-run",
            f"--user-data-dir={folder}/profile",
            f"--print-to-pdf={printed}",
            # Chromium's own sandbox does not start for root; the page may load nothing and run no foreign script.
            *(["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []),
            page.resolve().as_uri(),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)  # noqa: S603 - a fixed command
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DataError(f"{browser} did not print {page} ({error}): print it by hand") from error
        if done.returncode != 0 or not printed.is_file() or not printed.read_bytes().startswith(b"%PDF"):
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise DataError(f"{browser} did not print {page} ({last}): print it by hand")
        data = printed.read_bytes()
    return write_atomically(target, lambda path: path.write_bytes(data))
