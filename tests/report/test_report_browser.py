"""The page in a real browser: no errors, no requests, and everything that can be pressed does what it says."""

from __future__ import annotations

import base64
import io
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import axe_core_python  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
import pytest
import soundfile
from playwright.sync_api import Browser, Page

from babelscope.gaps.result import Result
from babelscope.report import Heard, print_pdf, wording, write_report
from browsing import WINDOW, Watched, chromium, needs_chromium
from synthetic import MEASURES, synthetic_result
from synthetic_tables import crossed, with_tables

pytestmark = needs_chromium

EVIL = "<script>document.title='taken'</script>"
STUDY = "Five-languages-of-prompts"


@pytest.fixture(scope="module")
def result() -> Result:
    return with_tables(crossed(synthetic_result(("en", "es", EVIL), speech=4, text=5)))


@pytest.fixture(scope="module")
def written(result: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    heard = [Heard("s1", "en", "Press <1> now", "June", 1.0, silence())]
    return write_report(result, tmp_path_factory.mktemp("page"), figures=False, heard=heard)


def silence() -> str:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(8000), 16_000, format="MP3", subtype="MPEG_LAYER_III")
    return "data:audio/mpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def watched(browser: Browser, written: Path) -> Watched:
    return Watched(browser, written)


@pytest.fixture
def page(watched: Watched) -> Iterator[Page]:
    """The open page, light, in a window of 1200 x 900; it must have reported no error and loaded nothing."""
    watched.page.set_viewport_size(WINDOW)
    watched.page.emulate_media(color_scheme="light")
    yield watched.page
    assert watched.errors == []
    assert [url for url in watched.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    watched.page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = false; })")


def unfold_all(page: Page, selector: str) -> None:
    page.evaluate(f"document.querySelectorAll('{selector}').forEach(each => {{ each.open = true; }})")
    page.wait_for_function("[...document.querySelectorAll('.evidence .figure')].every(each => each.view)")


def test_the_script_runs_and_data_stay_data(page: Page) -> None:
    assert page.evaluate("document.documentElement.classList.contains('live')")
    assert page.evaluate("document.title") == "Five languages of prompts – babelscope"
    assert EVIL in page.evaluate("document.body.innerText")
    assert not page.evaluate("!!window.babelscopeEmbed"), "Vega runs before a figure needs it"


def test_pointing_at_a_figure_makes_it_one_that_answers(page: Page, result: Result) -> None:
    drawn = "document.querySelector('[data-figure=similarity]')"
    before = page.evaluate(f"{drawn}.querySelector('.wide svg').getBoundingClientRect().height")
    size = page.locator("[data-figure=similarity] .wide svg").bounding_box()
    assert size is not None
    middle = {"x": size["width"] / 2, "y": 0.3 * size["height"]}
    page.hover("[data-figure=similarity] .wide svg", position=middle)  # type: ignore[arg-type]
    page.wait_for_function(f"!!{drawn}.view")
    after = page.evaluate(f"{drawn}.querySelector('.wide svg').getBoundingClientRect().height")
    assert after == pytest.approx(before, rel=0.1), "it keeps its place"
    assert "mean over 3 languages is" in page.evaluate(f"{drawn}.querySelector('.wide svg').getAttribute('aria-label')")
    at = page.evaluate(
        f"(() => {{ const all = {drawn}.querySelectorAll('.wide .mark-symbol.role-mark path');"
        " const b = [...all].at(-1).getBoundingClientRect();"
        " return [b.left + b.width / 2, b.top + b.height / 2]; })()"
    )
    page.mouse.move(*at)
    text = page.locator("#vg-tooltip-element.visible").inner_text()
    curves = result.curves
    row = curves[
        (curves["kind"] == "modality_similarity") & (curves["measure"] == MEASURES[1])
        & (curves["control"] == "none") & (curves["group"] == "mean") & (curves["point"] == "speech.norm")
        & (curves["against"] == "text.pooled")
    ]  # fmt: skip
    assert "speech.norm" in text and wording.number(row["value"].item(), 3) in text


def unfold(page: Page, figure: str) -> str:
    """Open the evidence that holds a figure and wait until it is drawn; returns JavaScript for the figure."""
    found = f"document.querySelector('[data-figure=\"{figure}\"]')"
    page.evaluate(f"{found}.closest('details.evidence').open = true")
    page.wait_for_function(f"!!{found}.view")
    return found


def test_every_figure_of_the_evidence_is_drawn_when_it_is_unfolded(page: Page) -> None:
    unfold_all(page, "details.evidence")
    every = "[...document.querySelectorAll('.evidence .figure')]"
    assert page.evaluate(f"{every}.length") >= 12
    assert page.evaluate(f"{every}.filter(one => one.querySelectorAll('svg path, svg line').length < 4).length") == 0
    flat = f"{every}.filter(one => one.querySelector('svg').getBoundingClientRect().height < 90)"
    assert page.evaluate(f"{flat}.map(one => one.dataset.figure)") == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 1200


def test_the_layer_of_a_map_can_be_chosen(page: Page, result: Result) -> None:
    figure = unfold(page, "heat_map.text")
    scores = result.scores

    def value(point: str) -> str:
        part = scores[
            (scores["kind"] == "language_similarity_text") & (scores["point_a"] == point)
            & (scores["measure"] == MEASURES[1]) & (scores["control"] == "none")
            & (scores["language_a"] == "en") & (scores["language_b"] == "es")
        ]  # fmt: skip
        return wording.number(part["value"].item())

    texts = f"[...{figure}.querySelectorAll('svg text')].map(one => one.textContent)"
    assert value("text.pooled") in page.evaluate(texts)
    assert page.evaluate(f"{figure}.querySelector('select').labels.length || {figure}.querySelector('label') !== null")
    page.evaluate(
        f"(() => {{ const s = {figure}.querySelector('select'); s.value = 'text.layer.1';"
        " s.dispatchEvent(new Event('change')); s.dispatchEvent(new Event('input')); })()"
    )
    page.wait_for_function(f"{texts}.includes({json.dumps(value('text.layer.1'))})")


def test_a_table_is_sorted_by_its_headings(page: Page, result: Result) -> None:
    table = "[...document.querySelectorAll('table.sortable')].find(t => t.caption.textContent === 'Languages')"
    page.evaluate(f"{table}.closest('details').open = true")
    head = f"[...{table}.querySelectorAll('th')].find(h => h.textContent.startsWith('tokens a word'))"
    names = f"[...{table}.tBodies[0].rows].map(row => row.cells[0].innerText.match(/Language (\\S+)/)[1])"
    page.evaluate(f"({head}).querySelector('button').focus()")
    page.keyboard.press("Enter")
    there = result.tables["languages"].sort_values("tokens_per_word")["name"].str.removeprefix("Language ")
    assert page.evaluate(names) == [name.split()[0] for name in there]
    assert page.evaluate(f"({head}).getAttribute('aria-sort')") == "ascending"
    page.keyboard.press("Enter")
    assert page.evaluate(names) == [name.split()[0] for name in there][::-1]


def test_evidence_unfolds_by_key(page: Page) -> None:
    page.evaluate("document.querySelector('details.evidence summary').focus()")
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('details.evidence').open")
    assert page.evaluate("document.querySelector('details.evidence p').offsetHeight") > 0
    page.keyboard.press("Enter")
    assert not page.evaluate("document.querySelector('details.evidence').open")


def test_what_is_seen_without_unfolding_anything_can_be_read(page: Page) -> None:
    assert page.evaluate("document.body.innerText.split(/\\s+/).length") <= 1200


def test_the_answer_fits_the_first_screen(page: Page) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    below = "(selector) => document.querySelector(selector).getBoundingClientRect().bottom + scrollY"
    assert page.evaluate(f"({below})('.tiles')") < 450
    assert page.evaluate(f"({below})('[data-figure=similarity] .wide .role-axis')") < 800


def test_the_last_headline_figure_is_few_tab_stops_away(page: Page) -> None:
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    last = "[...document.querySelectorAll('.drawn')].at(-1)"
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(f"{last}.contains(document.activeElement)"):
            return
    raise AssertionError("more than 60 tab stops")


#: Chromium drops a page's eleventh download within one second of the first, without a word.
BETWEEN_DOWNLOADS = 150


def saved(page: Page, folder: Path, figure: str, kind: str) -> Path:
    """Press a button and wait for the file that it saves."""
    page.wait_for_timeout(BETWEEN_DOWNLOADS)
    with page.expect_download() as download:
        page.evaluate(f"document.querySelector('[data-figure=\"{figure}\"] [data-save={kind}]').click()")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    assert path.name == f"{STUDY}.{figure}.{'vl.json' if kind == 'json' else kind}"
    return path


def test_a_figure_is_saved_as_svg_on_white_paper(page: Page, tmp_path: Path) -> None:
    page.emulate_media(color_scheme="dark")
    for figure in ("similarity", "heat_map.text", "decomposition.all"):
        text = saved(page, tmp_path, figure, "svg").read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(" not in text and "#ffffff" in text and "#1c2127" in text


def test_a_figure_is_saved_as_png_csv_and_specification(page: Page, result: Result, tmp_path: Path) -> None:
    assert saved(page, tmp_path, "similarity", "png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    table = pd.read_csv(saved(page, tmp_path, "decomposition.all", "csv"))
    part = result.tables["decomposition"].query("part == 'all'")
    np.testing.assert_allclose(table["share"], part["share"], rtol=1e-4)
    spec = json.loads(saved(page, tmp_path, "similarity", "json").read_text(encoding="utf-8"))
    assert (
        spec["layer"] and spec["config"] and all(rows and isinstance(rows, list) for rows in spec["datasets"].values())
    )


def test_a_recording_can_be_played(page: Page) -> None:
    assert page.evaluate(
        "new Promise(done => { const a = document.querySelector('audio'); a.preload = 'auto';"
        " a.addEventListener('loadedmetadata', () => done(a.duration > 0.4));"
        " a.addEventListener('error', () => done(0));"
        " a.load(); })"
    )


def test_light_and_dark(page: Page) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    title = "getComputedStyle(document.querySelector('[data-figure=similarity] .wide .role-title-text text')).fill"
    light = page.evaluate(paper), page.evaluate(title)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(paper), page.evaluate(title)
    assert light == ("rgb(255, 255, 255)", "rgb(28, 33, 39)")
    assert dark == ("rgb(21, 24, 28)", "rgb(228, 231, 234)")
    page.evaluate("document.querySelector('#theme').click()")
    assert (page.evaluate(paper), page.evaluate(title)) == light
    page.evaluate("delete document.documentElement.dataset.theme")


@pytest.mark.parametrize("width", [390, 768])
def test_a_narrow_screen_does_not_scroll_sideways(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shown = "getComputedStyle(document.querySelector('[data-figure=similarity] .narrow')).display"
    assert (page.evaluate(shown) == "block") == (width == 390)
    unfold_all(page, "details.evidence")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def violations(page: Page, options: str) -> list[object]:
    """Return what axe-core complains of, with the first elements of each kind."""
    page.evaluate((Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8") + ";0")
    listed: list[object] = page.evaluate(
        f"axe.run({options}).then(run => run.violations)"
        ".then(all => all.map(v => [v.id, v.nodes.slice(0, 3).map(n => n.html.slice(0, 200))]))"
    )
    return listed


def test_axe_finds_nothing_on_the_unfolded_page(page: Page) -> None:
    unfold_all(page, "details")
    assert violations(page, "{resultTypes: ['violations']}") == []
    page.emulate_media(color_scheme="dark")
    assert violations(page, "{resultTypes: ['violations'], runOnly: ['color-contrast']}") == []


@pytest.mark.slow  # what is seen on the folded page is on the unfolded one too
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_page_as_it_opens(page: Page, scheme: Literal["light", "dark"]) -> None:
    page.emulate_media(color_scheme=scheme)
    assert violations(page, "{resultTypes: ['violations']}") == []


def test_it_prints_the_answers_and_leaves_the_evidence_out(written: Path, tmp_path: Path) -> None:
    data = print_pdf(written, tmp_path / "report.pdf").read_bytes()
    assert len(data) > 20_000
    assert 1 <= data.count(b"/Type /Page\n") + data.count(b"/Type /Page ") + data.count(b"/Type /Page/") <= 10


def test_without_a_script_the_answers_are_there(browser: Browser, written: Path) -> None:
    page = Watched(browser, written, scripts=False).page
    assert page.evaluate("getComputedStyle(document.querySelector('.save')).display") == "none"
    assert page.evaluate("document.querySelectorAll('.drawn .wide svg').length") >= 4
    assert len(page.evaluate("document.querySelector('main').innerText")) > 1500
    page.evaluate("document.querySelector('details.evidence').open = true")
    assert page.evaluate("document.querySelector('.noscript').offsetHeight") > 0
