"""The page of a study with 102 languages and 60 layers a side stays small; benchmarks/report_large.py times it."""

from __future__ import annotations

from pathlib import Path

import pytest

from babelscope.report import write_report
from chromium import CHROMIUM, Browser
from synthetic import MEASURES, synthetic_result
from synthetic_tables import crossed, with_tables

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = [f"l{index:03}" for index in range(102)]
    large = synthetic_result(names, speech=60, text=60, n=200, measures=MEASURES[1:], controls=("none",))
    return write_report(with_tables(crossed(large)), tmp_path_factory.mktemp("large"), figures=False)


def test_it_is_under_five_megabytes(page: Path) -> None:
    assert page.stat().st_size < 5_000_000


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_it_opens_with_everything_in_it_and_few_elements(page: Path) -> None:
    with Browser() as browser:
        browser.open(page)
        assert browser.errors == []
        assert browser.evaluate("document.documentElement.classList.contains('live')")
        # What must be laid out before the page can be used: maps and tables of 102 languages are drawn when asked.
        assert browser.evaluate("document.getElementsByTagName('*').length") < 60_000
        languages = browser.evaluate("document.body.innerText")
        assert "l000" in languages and "l101" in languages
        browser.evaluate(
            "(() => { const slider = document.querySelector('[data-map=text] input[type=range]');"
            " slider.value = Number(slider.value) - 1; slider.dispatchEvent(new Event('input')); })()"
        )
        assert browser.errors == []
