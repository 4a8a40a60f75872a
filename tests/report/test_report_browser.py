"""The page in a real browser: no errors, no requests, and everything that can be pressed does what it says."""

from __future__ import annotations

import base64
import io
import json
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import axe_core_python  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
import pytest
import soundfile

from babelscope.gaps.result import Result
from babelscope.report import Heard, print_pdf, words, write_report
from chromium import CHROMIUM, Browser
from synthetic import MEASURES, synthetic_result
from synthetic_tables import crossed, with_tables

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

EVIL = "<script>document.title='taken'</script>"
STUDY = "Five-languages-of-prompts"


@pytest.fixture(scope="module")
def result() -> Result:
    return with_tables(crossed(synthetic_result(("en", "es", EVIL), speech=4, text=5)))


@pytest.fixture(scope="module")
def page(result: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    heard = [Heard("s1", "en", "Press <1> now", "June", 1.0, silence())]
    return write_report(result, tmp_path_factory.mktemp("page"), figures=False, heard=heard)


def silence() -> str:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(8000), 16_000, format="MP3", subtype="MPEG_LAYER_III")
    return "data:audio/mpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture(scope="module")
def browser(page: Path) -> Iterator[Browser]:
    with Browser() as browser:
        browser.open(page)
        yield browser


@pytest.fixture(autouse=True)
def fresh(browser: Browser) -> Iterator[None]:
    browser.resize(1200, 900)
    browser.prefer("light")
    yield
    assert browser.errors == []
    assert [url for url in browser.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    browser.resize(1200, 900)
    browser.prefer("light")
    browser.evaluate("document.querySelectorAll('details').forEach(one => { one.open = false; })")


def wait(browser: Browser, script: str) -> object:
    """Wait until an expression is true, and return it."""
    for _ in range(200):
        if found := browser.evaluate(script):
            return found
        time.sleep(0.05)
    raise AssertionError(script)


def test_the_script_runs_and_data_stay_data(browser: Browser) -> None:
    assert browser.evaluate("document.documentElement.classList.contains('live')")
    assert browser.evaluate("document.title") == "Five languages of prompts – babelscope"
    assert EVIL in browser.evaluate("document.body.innerText")
    assert not browser.evaluate("!!window.babelscopeEmbed"), "Vega runs before a figure needs it"


def test_pointing_at_a_figure_makes_it_one_that_answers(browser: Browser, result: Result) -> None:
    drawn = "document.querySelector('[data-figure=similarity]')"
    before = browser.evaluate(f"{drawn}.querySelector('.wide svg').getBoundingClientRect().height")
    browser.move("[data-figure=similarity] .wide svg", 0.5, 0.3)
    wait(browser, f"!!{drawn}.view")
    after = browser.evaluate(f"{drawn}.querySelector('.wide svg').getBoundingClientRect().height")
    assert after == pytest.approx(before, rel=0.1), "it keeps its place"
    assert "mean over 3 languages is" in browser.evaluate(
        f"{drawn}.querySelector('.wide svg').getAttribute('aria-label')"
    )
    at = browser.evaluate(
        f"(() => {{ const all = {drawn}.querySelectorAll('.wide .mark-symbol.role-mark path');"
        " const b = [...all].at(-1).getBoundingClientRect();"
        " return [b.left + b.width / 2, b.top + b.height / 2]; })()"
    )
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=at[0], y=at[1])
    text = str(wait(browser, "document.querySelector('#vg-tooltip-element.visible')?.innerText"))
    curves = result.curves
    row = curves[
        (curves["kind"] == "modality_similarity") & (curves["measure"] == MEASURES[1])
        & (curves["control"] == "none") & (curves["group"] == "mean") & (curves["point"] == "speech.norm")
        & (curves["against"] == "text.pooled")
    ]  # fmt: skip
    assert "speech.norm" in text and words.number(row["value"].item(), 3) in text


def unfold(browser: Browser, figure: str) -> str:
    """Open the evidence that holds a figure and wait until it is drawn; returns JavaScript for the figure."""
    found = f"document.querySelector('[data-figure=\"{figure}\"]')"
    browser.evaluate(f"{found}.closest('details.evidence').open = true")
    wait(browser, f"!!{found}.view")
    return found


def test_every_figure_of_the_evidence_is_drawn_when_it_is_unfolded(browser: Browser) -> None:
    browser.evaluate("document.querySelectorAll('details.evidence').forEach(one => { one.open = true; })")
    every = "[...document.querySelectorAll('.evidence .figure')]"
    wait(browser, f"{every}.every(one => one.view)")
    assert browser.evaluate(f"{every}.length") >= 12
    assert browser.evaluate(f"{every}.filter(one => one.querySelectorAll('svg path, svg line').length < 4).length") == 0
    flat = f"{every}.filter(one => one.querySelector('svg').getBoundingClientRect().height < 90)"
    assert browser.evaluate(f"{flat}.map(one => one.dataset.figure)") == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= 1200


def test_the_layer_of_a_map_can_be_chosen(browser: Browser, result: Result) -> None:
    figure = unfold(browser, "heat_map.text")
    scores = result.scores

    def value(point: str) -> str:
        part = scores[
            (scores["kind"] == "language_similarity_text") & (scores["point_a"] == point)
            & (scores["measure"] == MEASURES[1]) & (scores["control"] == "none")
            & (scores["language_a"] == "en") & (scores["language_b"] == "es")
        ]  # fmt: skip
        return words.number(part["value"].item())

    texts = f"[...{figure}.querySelectorAll('svg text')].map(one => one.textContent)"
    assert value("text.pooled") in browser.evaluate(texts)
    assert browser.evaluate(
        f"{figure}.querySelector('select').labels.length || {figure}.querySelector('label') !== null"
    )
    browser.evaluate(
        f"(() => {{ const s = {figure}.querySelector('select'); s.value = 'text.layer.1';"
        " s.dispatchEvent(new Event('change')); s.dispatchEvent(new Event('input')); })()"
    )
    wait(browser, f"{texts}.includes({json.dumps(value('text.layer.1'))})")


def test_a_table_is_sorted_by_its_headings(browser: Browser, result: Result) -> None:
    table = "[...document.querySelectorAll('table.sortable')].find(t => t.caption.textContent === 'Languages')"
    browser.evaluate(f"{table}.closest('details').open = true")
    head = f"[...{table}.querySelectorAll('th')].find(h => h.textContent.startsWith('tokens a word'))"
    names = f"[...{table}.tBodies[0].rows].map(row => row.cells[0].innerText.match(/Language (\\S+)/)[1])"
    browser.evaluate(f"({head}).querySelector('button').focus()")
    browser.press("Enter")
    there = result.tables["languages"].sort_values("tokens_per_word")["name"].str.removeprefix("Language ")
    assert browser.evaluate(names) == [name.split()[0] for name in there]
    assert browser.evaluate(f"({head}).getAttribute('aria-sort')") == "ascending"
    browser.press("Enter")
    assert browser.evaluate(names) == [name.split()[0] for name in there][::-1]


def test_evidence_unfolds_by_key(browser: Browser) -> None:
    browser.evaluate("document.querySelector('details.evidence summary').focus()")
    browser.press("Enter")
    assert browser.evaluate("document.querySelector('details.evidence').open")
    assert browser.evaluate("document.querySelector('details.evidence p').offsetHeight") > 0
    browser.press("Enter")
    assert not browser.evaluate("document.querySelector('details.evidence').open")


def test_what_is_seen_without_unfolding_anything_can_be_read(browser: Browser) -> None:
    assert browser.evaluate("document.body.innerText.split(/\\s+/).length") <= 1200


def test_the_answer_fits_the_first_screen(browser: Browser) -> None:
    browser.resize(1280, 800)
    below = "(selector) => document.querySelector(selector).getBoundingClientRect().bottom + scrollY"
    assert browser.evaluate(f"({below})('.tiles')") < 450
    assert browser.evaluate(f"({below})('[data-figure=similarity] .wide .role-axis')") < 800


def test_the_last_headline_figure_is_few_tab_stops_away(browser: Browser) -> None:
    browser.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    last = "[...document.querySelectorAll('.drawn')].at(-1)"
    for _ in range(60):
        browser.press("Tab")
        if browser.evaluate(f"{last}.contains(document.activeElement)"):
            return
    raise AssertionError("more than 60 tab stops")


#: Chromium drops a page's eleventh download within one second of the first, without a word.
BETWEEN_DOWNLOADS = 0.15


def saved(browser: Browser, folder: Path, figure: str, kind: str) -> Path:
    """Press a button and wait for the file that it saves."""
    time.sleep(BETWEEN_DOWNLOADS)
    browser.download_to(folder)
    browser.evaluate(f"document.querySelector('[data-figure=\"{figure}\"] [data-save={kind}]').click()")
    path = folder / f"{STUDY}.{figure}.{'vl.json' if kind == 'json' else kind}"
    for _ in range(400):
        if path.is_file() and path.stat().st_size and not list(folder.glob("*.crdownload")):
            return path
        browser.evaluate("0")
        time.sleep(0.05)
    raise AssertionError(f"{path.name} was not saved; there is {[path.name for path in folder.iterdir()]}")


def test_a_figure_is_saved_as_svg_on_white_paper(browser: Browser, tmp_path: Path) -> None:
    browser.prefer("dark")
    for figure in ("similarity", "heat_map.text", "decomposition.all"):
        text = saved(browser, tmp_path, figure, "svg").read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(" not in text and "#ffffff" in text and "#1c2127" in text


def test_a_figure_is_saved_as_png_csv_and_specification(browser: Browser, result: Result, tmp_path: Path) -> None:
    assert saved(browser, tmp_path, "similarity", "png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    table = pd.read_csv(saved(browser, tmp_path, "decomposition.all", "csv"))
    part = result.tables["decomposition"].query("part == 'all'")
    np.testing.assert_allclose(table["share"], part["share"], rtol=1e-4)
    spec = json.loads(saved(browser, tmp_path, "similarity", "json").read_text(encoding="utf-8"))
    assert (
        spec["layer"] and spec["config"] and all(rows and isinstance(rows, list) for rows in spec["datasets"].values())
    )


def test_a_recording_can_be_played(browser: Browser) -> None:
    assert browser.evaluate(
        "new Promise(done => { const a = document.querySelector('audio'); a.preload = 'auto';"
        " a.addEventListener('loadedmetadata', () => done(a.duration > 0.4));"
        " a.addEventListener('error', () => done(0));"
        " a.load(); })"
    )


def test_light_and_dark(browser: Browser) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    title = "getComputedStyle(document.querySelector('[data-figure=similarity] .wide .role-title-text text')).fill"
    light = browser.evaluate(paper), browser.evaluate(title)
    browser.prefer("dark")
    dark = browser.evaluate(paper), browser.evaluate(title)
    assert light == ("rgb(255, 255, 255)", "rgb(28, 33, 39)")
    assert dark == ("rgb(21, 24, 28)", "rgb(228, 231, 234)")
    browser.evaluate("document.querySelector('#theme').click()")
    assert (browser.evaluate(paper), browser.evaluate(title)) == light
    browser.evaluate("delete document.documentElement.dataset.theme")


@pytest.mark.parametrize("width", [390, 768])
def test_a_narrow_screen_does_not_scroll_sideways(browser: Browser, width: int) -> None:
    browser.resize(width, 800)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    shown = "getComputedStyle(document.querySelector('[data-figure=similarity] .narrow')).display"
    assert (browser.evaluate(shown) == "block") == (width == 390)
    browser.evaluate("document.querySelectorAll('details.evidence').forEach(one => { one.open = true; })")
    wait(browser, "[...document.querySelectorAll('.evidence .figure')].every(one => one.view)")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("opened", [False, True])
def test_axe_finds_nothing(browser: Browser, scheme: str, opened: bool) -> None:
    browser.prefer(scheme)
    if opened:
        browser.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        wait(browser, "[...document.querySelectorAll('.evidence .figure')].every(one => one.view)")
    browser.evaluate((Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8") + ";0")
    found = browser.evaluate(
        "axe.run().then(r => r.violations.map(v => [v.id, v.nodes.slice(0, 3).map(n => n.html.slice(0, 200))]))"
    )
    assert found == []


def test_it_prints_the_answers_and_leaves_the_evidence_out(page: Path, tmp_path: Path) -> None:
    data = print_pdf(page, tmp_path / "report.pdf").read_bytes()
    assert len(data) > 20_000
    assert 1 <= data.count(b"/Type /Page\n") + data.count(b"/Type /Page ") + data.count(b"/Type /Page/") <= 10


def test_without_a_script_the_answers_are_there(browser: Browser, page: Path) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(page)
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert browser.evaluate("getComputedStyle(document.querySelector('.save')).display") == "none"
    assert browser.evaluate("document.querySelectorAll('.drawn .wide svg').length") >= 4
    assert len(browser.evaluate("document.querySelector('main').innerText")) > 1500
    browser.evaluate("document.querySelector('details.evidence').open = true")
    assert browser.evaluate("document.querySelector('.noscript').offsetHeight") > 0
