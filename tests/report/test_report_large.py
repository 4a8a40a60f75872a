"""The page of a study with 102 languages and 60 layers a side; benchmarks/report_large.py times it."""

from __future__ import annotations

from pathlib import Path

import pytest

from babelscope.report import write_report
from browsing import Watched, chromium, needs_chromium
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


@needs_chromium
def test_it_opens_within_two_seconds_with_everything_in_it(page: Path) -> None:
    with chromium() as browser:
        watched = Watched(browser)
        session = watched.page.context.new_cdp_session(watched.page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        watched.page.goto(page.as_uri())
        assert watched.errors == []
        assert watched.page.evaluate("document.documentElement.classList.contains('live')")
        # Time that the page's own thread computed, whatever else this machine does.
        metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
        assert metrics["TaskDuration"] < 2
        assert watched.page.evaluate("document.getElementsByTagName('*').length") < 60_000
        text = watched.page.evaluate("document.body.textContent")
        assert "l000" in text and "l101" in text
        watched.page.evaluate("document.querySelectorAll('details.evidence').forEach(one => { one.open = true; })")
        assert watched.errors == []
