"""The page in a real browser: no errors, no requests, and every control does what it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from babelscope.gaps.result import Result
from babelscope.report import words, write_report
from chromium import CHROMIUM, Browser
from synthetic import MEASURES, synthetic_result

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

EVIL = "<script>document.title='taken'</script>"


@pytest.fixture(scope="module")
def result() -> Result:
    return synthetic_result(("en", "es", EVIL), speech=4, text=5)


@pytest.fixture(scope="module")
def page(result: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(result, tmp_path_factory.mktemp("page"), figures=False)


@pytest.fixture(scope="module")
def browser(page: Path) -> Iterator[Browser]:
    with Browser() as browser:
        browser.open(page)
        yield browser


@pytest.fixture(autouse=True)
def fresh(browser: Browser) -> Iterator[None]:
    yield
    assert browser.errors == []
    assert [url for url in browser.requests if not url.startswith("file:")] == []
    browser.resize(1200, 900)
    browser.prefer("light")


def mean(result: Result, point: str, kind: str = "modality_gap", control: str = "none") -> str:
    curves = result.curves
    part = curves[
        (curves["kind"] == kind) & (curves["measure"] == MEASURES[1]) & (curves["control"] == control)
        & (curves["point"] == point) & (curves["group"] == "mean")
    ]  # fmt: skip
    return words.number(part["value"].item())


def test_the_script_runs_and_data_stay_data(browser: Browser) -> None:
    assert browser.evaluate("document.documentElement.classList.contains('live')")
    assert browser.evaluate("document.title") == "Five languages of prompts – babelscope"
    assert EVIL in browser.evaluate("document.body.innerText")


def test_pointing_at_a_panel_reads_its_numbers(browser: Browser, result: Result) -> None:
    browser.move('[data-panel="modality_gap 1"] svg', 0.98)
    text = browser.evaluate("document.querySelector('#tip').innerText")
    assert "speech.norm" in text
    assert mean(result, "speech.norm") in text
    assert mean(result, "speech.norm", control="length_regressed") in text
    assert EVIL in text


def test_arrow_keys_read_a_panel(browser: Browser, result: Result) -> None:
    browser.evaluate("document.querySelector('[data-panel=\"language_gap_text 1\"]').focus()")
    browser.press("Home")
    browser.press("ArrowRight")
    text = browser.evaluate("document.querySelector('#tip').innerText")
    assert "text.layer.0" in text
    assert mean(result, "text.layer.0", "language_gap_text") in text
    browser.press("Escape")
    assert browser.evaluate("document.querySelector('#tip').hidden")


def test_a_language_is_highlighted_in_every_panel(browser: Browser) -> None:
    browser.evaluate("document.querySelector('.chip[data-language=es]').click()")
    on = browser.evaluate("[...document.querySelectorAll('.layer-each path.on')].map(path => path.dataset.group)")
    assert set(on) == {"es", "en-es", f"es-{EVIL}"}
    browser.evaluate("document.querySelector('.chip[data-language=es]').click()")
    assert not browser.evaluate("document.documentElement.classList.contains('picked')")


def test_the_length_control_can_be_hidden(browser: Browser) -> None:
    shown = "getComputedStyle(document.querySelector('.layer-regressed')).display"
    assert browser.evaluate(shown) != "none"
    browser.evaluate("document.querySelector('#regressed').click()")
    assert browser.evaluate(shown) == "none"
    browser.evaluate("document.querySelector('#regressed').click()")


def cell(result: Result, point: str, measure: str, control: str = "none") -> str:
    scores = result.scores
    part = scores[
        (scores["kind"] == "language_gap_text") & (scores["point_a"] == point) & (scores["measure"] == measure)
        & (scores["control"] == control) & (scores["language_a"] == "en") & (scores["language_b"] == "es")
    ]  # fmt: skip
    return words.number(part["value"].item())


def test_the_slider_chooses_the_layer(browser: Browser, result: Result) -> None:
    shown = "document.querySelector('[data-map=text] tbody').rows[0].cells[2].innerText.replace(/[()]/g, '')"
    mirrored = "document.querySelector('[data-map=text] tbody').rows[1].cells[1].innerText.replace(/[()]/g, '')"
    assert browser.evaluate(shown) == cell(result, "text.pooled", MEASURES[1])
    browser.evaluate("document.querySelector('[data-map=text] input').focus()")
    browser.press("Home")
    for _ in range(3):
        browser.press("ArrowRight")
    assert browser.evaluate("document.querySelector('[data-map=text] .point').innerText") == "text.layer.2"
    assert browser.evaluate(shown) == browser.evaluate(mirrored) == cell(result, "text.layer.2", MEASURES[1])
    assert "text.layer.2" in browser.evaluate(
        "document.querySelector('[data-map=text] input').getAttribute('aria-valuetext')"
    )


def test_measure_and_control_of_the_maps_can_be_chosen(browser: Browser, result: Result) -> None:
    def choose(name: str, value: str) -> None:
        browser.evaluate(
            f"(() => {{ const s = document.querySelector('{name}'); s.value = '{value}';"
            " s.dispatchEvent(new Event('change')); })()"
        )

    browser.evaluate(
        "(() => { const s = document.querySelector('[data-map=text] input'); s.value = s.max;"
        " s.dispatchEvent(new Event('input')); })()"
    )
    choose("#heat-measure", MEASURES[2])
    choose("#heat-control", "length_regressed")
    shown = browser.evaluate(
        "document.querySelector('[data-map=text] tbody').rows[0].cells[2].innerText.replace(/[()]/g, '')"
    )
    assert shown == cell(result, "text.pooled", MEASURES[2], "length_regressed")
    assert browser.evaluate("document.querySelector('#heat-name').innerText") == "Retrieval P@1"
    choose("#heat-measure", MEASURES[1])
    choose("#heat-control", "none")


def test_a_cell_tells_its_null_and_p(browser: Browser) -> None:
    browser.move("[data-map=speech] tbody tr:nth-child(1) td:nth-of-type(2)")
    text = browser.evaluate("document.querySelector('[data-map=speech] .readout').innerText")
    assert text.startswith("en – es: 0.")
    assert "null" in text
    assert "p = 0.001" in text


def test_light_and_dark(browser: Browser) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    line = "getComputedStyle(document.querySelector('.layer-mean path')).stroke"
    light = browser.evaluate(paper), browser.evaluate(line)
    browser.prefer("dark")
    dark = browser.evaluate(paper), browser.evaluate(line)
    assert light == ("rgb(255, 255, 255)", "rgb(28, 33, 39)")
    assert dark == ("rgb(21, 24, 28)", "rgb(228, 231, 234)")
    browser.evaluate("document.querySelector('#theme').click()")
    assert (browser.evaluate(paper), browser.evaluate(line)) == light
    browser.evaluate("delete document.documentElement.dataset.theme")


@pytest.mark.parametrize("width", [380, 768])
def test_a_narrow_screen_does_not_scroll_sideways(browser: Browser, width: int) -> None:
    browser.resize(width, 800)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_it_prints(browser: Browser, tmp_path: Path) -> None:
    browser.prefer("dark")
    assert browser.pdf(tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_without_a_script_everything_but_the_controls_is_there(browser: Browser, result: Result, page: Path) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(page)
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert browser.evaluate("getComputedStyle(document.querySelector('.slider')).display") == "none"
    assert cell(result, "text.pooled", MEASURES[1]) in browser.evaluate(
        "document.querySelector('[data-map=text]').innerText"
    )
    assert browser.evaluate("document.querySelectorAll('.layer-mean path').length") == 9
