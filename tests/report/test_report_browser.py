"""The page in a real browser: no errors, no requests, and every control does what it says."""

from __future__ import annotations

import base64
import csv
import io
import json
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

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


def mean(result: Result, point: str, kind: str = "modality_similarity", control: str = "none") -> str:
    curves = result.curves
    part = curves[
        (curves["kind"] == kind) & (curves["measure"] == MEASURES[1]) & (curves["control"] == control)
        & (curves["point"] == point) & (curves["group"] == "mean")
        & ((curves["against"] == "text.pooled") | (curves["kind"] != "modality_similarity"))
    ]  # fmt: skip
    return words.number(part["value"].item())


def test_the_script_runs_and_data_stay_data(browser: Browser) -> None:
    assert browser.evaluate("document.documentElement.classList.contains('live')")
    assert browser.evaluate("document.title") == "Five languages of prompts – babelscope"
    assert EVIL in browser.evaluate("document.body.innerText")


def test_pointing_at_a_panel_reads_its_numbers(browser: Browser, result: Result) -> None:
    browser.move('[data-panel="modality_similarity 1"] svg', 0.98)
    text = browser.evaluate("document.querySelector('#tip').innerText")
    assert "speech.norm" in text
    assert mean(result, "speech.norm") in text
    assert mean(result, "speech.norm", control="length_regressed") in text
    assert EVIL in text


def test_arrow_keys_read_a_panel(browser: Browser, result: Result) -> None:
    browser.evaluate("document.querySelector('[data-panel=\"language_similarity_text 1\"]').focus()")
    browser.press("Home")
    browser.press("ArrowRight")
    text = browser.evaluate("document.querySelector('#tip').innerText")
    assert "text.layer.0" in text
    assert mean(result, "text.layer.0", "language_similarity_text") in text
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


def cell(result: Result, point: str, measure: str, control: str = "none", quantity: str = "value") -> str:
    scores = result.scores
    part = scores[
        (scores["kind"] == "language_similarity_text") & (scores["point_a"] == point) & (scores["measure"] == measure)
        & (scores["control"] == control) & (scores["language_a"] == "en") & (scores["language_b"] == "es")
    ]  # fmt: skip
    return words.number(part[quantity].item())


def shown(modality: str, row: int, column: int, size: int = 3) -> str:
    """JavaScript for the number that is written into a cell."""
    return (
        f"document.querySelectorAll('[data-map={modality}] .texts text')[{row * size + column}]"
        ".textContent.replace(/[()]/g, '')"
    )


def choose(browser: Browser, name: str, value: str) -> None:
    browser.evaluate(
        f"(() => {{ const s = document.querySelector('{name}'); s.value = '{value}';"
        " s.dispatchEvent(new Event('change')); s.dispatchEvent(new Event('input')); })()"
    )


def test_the_slider_chooses_the_layer(browser: Browser, result: Result) -> None:
    assert browser.evaluate(shown("text", 0, 1)) == cell(result, "text.pooled", MEASURES[1])
    browser.evaluate("document.querySelector('[data-map=text] input').focus()")
    browser.press("Home")
    for _ in range(3):
        browser.press("ArrowRight")
    assert browser.evaluate("document.querySelector('[data-map=text] .point').innerText") == "text.layer.2"
    there = cell(result, "text.layer.2", MEASURES[1])
    assert browser.evaluate(shown("text", 0, 1)) == browser.evaluate(shown("text", 1, 0)) == there
    assert "text.layer.2" in browser.evaluate(
        "document.querySelector('[data-map=text] input').getAttribute('aria-valuetext')"
    )


def test_measure_score_control_and_order_of_the_maps_can_be_chosen(browser: Browser, result: Result) -> None:
    last = "document.querySelector('[data-map=text] input').max"
    choose(browser, "[data-map=text] input", str(browser.evaluate(last)))
    choose(browser, "#heat-measure", MEASURES[2])
    choose(browser, "#heat-control", "length_regressed")
    assert browser.evaluate(shown("text", 0, 1)) == cell(result, "text.pooled", MEASURES[2], "length_regressed")
    assert browser.evaluate("document.querySelector('#heat-name').innerText") == "Retrieval P@1"
    choose(browser, "#heat-quantity", "chance_corrected")
    assert browser.evaluate(shown("text", 0, 1)) == cell(
        result, "text.pooled", MEASURES[2], "length_regressed", "chance_corrected"
    )
    choose(browser, "#heat-order", "script")
    names = browser.evaluate("[...document.querySelectorAll('[data-map=text] .rows text')].map(t => t.textContent)")
    scripts = result.tables["languages"].set_index("language")["script"]
    assert [scripts[name] for name in ("en", "es")] == ["Latn", "Cyrl"]
    assert names.index("es") < names.index("en")  # alphabetical by script where groups are of one size
    at = names.index("en"), names.index("es")
    assert browser.evaluate(shown("text", *at)) == cell(
        result, "text.pooled", MEASURES[2], "length_regressed", "chance_corrected"
    )
    marks = browser.evaluate("[...document.querySelectorAll('[data-map=text] .groups text')].map(t => t.textContent)")
    assert marks[:2] == ["Arab", "Cyrl"]
    for name, value in (("quantity", "value"), ("order", "corpus"), ("control", "none"), ("measure", MEASURES[1])):
        choose(browser, f"#heat-{name}", value)
    assert browser.evaluate(shown("text", 0, 1)) == cell(result, "text.pooled", MEASURES[1])


def test_keys_read_the_cells_of_a_map(browser: Browser) -> None:
    browser.evaluate("document.querySelector('[data-map=speech] .plot').focus()")
    browser.press("ArrowDown")
    browser.press("ArrowRight")
    text = browser.evaluate("document.querySelector('[data-map=speech] .readout').innerText")
    assert text.startswith("Language en (en) – Language es (es): 0.")
    assert "null" in text and "p = 0.001" in text
    browser.press("Escape")
    assert browser.evaluate("document.querySelector('[data-map=speech] .readout').innerText").startswith(
        "Null over all"
    )


def test_the_cross_layer_map_reads_a_pair_of_layers_and_a_language(browser: Browser, result: Result) -> None:
    browser.evaluate("document.querySelector('[data-cross] .plot').focus()")
    browser.press("ArrowDown")

    def said(group: str) -> None:
        curves = result.curves
        row = curves[
            (curves["kind"] == "modality_similarity") & (curves["measure"] == MEASURES[1])
            & (curves["control"] == "none")
            & (curves["group"] == group) & (curves["point"] == "speech.conv1") & (curves["against"] == "text.pooled")
        ]  # fmt: skip
        text = browser.evaluate("document.querySelector('[data-cross] .readout').innerText")
        assert text.startswith("speech at speech.conv1, text at text.pooled:")
        assert f"chance-corrected {words.number(row['chance_corrected'].item(), 3)}" in text

    said("mean")
    choose(browser, "#cross-language", "language es")
    said("es")
    choose(browser, "#cross-language", "mean")


def test_shares_of_the_variance_are_read_by_keys(browser: Browser, result: Result) -> None:
    browser.evaluate("document.querySelector('[data-variance=all] .plot').focus()")
    browser.press("End")
    text = browser.evaluate("document.querySelector('[data-variance=all] .readout').innerText")
    table = result.tables["decomposition"]
    row = table[(table["part"] == "all") & (table["point"] == "speech.norm") & (table["component"] == "sentence")]
    assert text.startswith(f"speech.norm: meaning (sentence) {words.number(100 * row['share'].item(), 1)} %")


def test_points_are_redrawn_at_another_layer_and_a_language_is_lifted_out(browser: Browser, result: Result) -> None:
    drawn = "document.querySelector('[data-points] [data-cloud=\"0 0\"]').getAttribute('d')"
    before = browser.evaluate(drawn)
    browser.evaluate("document.querySelector('#points-at').focus()")
    browser.press("Home")
    name = browser.evaluate("document.querySelector('[data-points] .point').innerText")
    table = result.tables["projection"]
    assert browser.evaluate(drawn) != before
    there = table[(table["point"] == name) & (table["language"] == "en")]
    cloud = f"document.querySelector('[data-points] [data-cloud=\"{int(there['modality'].iloc[0] == 'speech')} 0\"]')"
    assert browser.evaluate(f"(({cloud}).getAttribute('d').match(/M/g) || []).length") == len(there)
    choose(browser, "#points-language", "1")
    assert browser.evaluate("document.querySelectorAll('[data-points] .faint').length") == 4
    choose(browser, "#points-language", "")


def table_names(browser: Browser) -> list[str]:
    found: list[str] = browser.evaluate(
        "[...document.querySelectorAll('#language-table tbody tr')].filter(r => !r.hidden)"
        ".map(r => r.cells[0].dataset.sort)"
    )
    return found


def test_the_table_of_languages_sorts_and_filters(browser: Browser, result: Result) -> None:
    table = result.tables["languages"]
    assert table_names(browser) == table.sort_values("rank")["name"].tolist()
    head = "[...document.querySelectorAll('#language-table th')].find(h => h.textContent.startsWith('tokens a word'))"
    browser.evaluate(f"({head}).querySelector('button').focus()")
    browser.press("Enter")
    assert table_names(browser) == table.sort_values("tokens_per_word")["name"].tolist()
    assert browser.evaluate(f"({head}).getAttribute('aria-sort')") == "ascending"
    browser.press("Enter")
    assert table_names(browser) == table.sort_values("tokens_per_word", ascending=False)["name"].tolist()
    choose(browser, "#language-filter", "cyrl")
    assert table_names(browser) == ["Language es"]
    assert browser.evaluate("document.querySelector('#language-count').innerText") == "1 of 3 languages"
    choose(browser, "#language-filter", "")
    choose(browser, "#language-class", "high")
    assert table_names(browser) == ["Language en"]
    choose(browser, "#language-class", "")


def test_a_finding_unfolds_by_key(browser: Browser) -> None:
    browser.evaluate("document.querySelector('.finding details summary').focus()")
    assert not browser.evaluate("document.querySelector('.finding details').open")
    browser.press("Enter")
    assert browser.evaluate("document.querySelector('.finding details').open")
    assert browser.evaluate("document.querySelector('.finding .evidence tbody th').offsetHeight") > 0
    browser.press("Enter")


#: Chromium drops a page's eleventh download within one second of the first, without a word.
BETWEEN_DOWNLOADS = 0.15


def saved(browser: Browser, folder: Path, script: str, name: str) -> Path:
    """Press a button and wait for the file that it saves."""
    time.sleep(BETWEEN_DOWNLOADS)
    browser.download_to(folder)
    browser.evaluate(script)
    path = folder / name
    for _ in range(400):
        if path.is_file() and path.stat().st_size and not list(folder.glob("*.crdownload")):
            return path
        browser.evaluate("0")
        time.sleep(0.05)
    raise AssertionError(f"{name} was not saved; there is {[path.name for path in folder.iterdir()]}")


STUDY = "Five-languages-of-prompts"


def button(figure: str, kind: str) -> str:
    return f"document.querySelector('[data-figure=\"{figure}\"] [data-save={kind}]').click()"


def test_a_figure_is_saved_as_svg_with_its_colours_written_out(browser: Browser, tmp_path: Path) -> None:
    browser.prefer("dark")
    for figure in ("heat_map.text", "curves.modality_similarity.Linear-CKA-debiased", "decomposition.all", "point_map"):
        path = saved(browser, tmp_path, button(figure, "svg"), f"{STUDY}.{figure}.svg")
        text = path.read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg" and root.get("aria-label")
        assert "var(" not in text and 'class="cursor"' not in text
        assert root[0].get("fill") == "#ffffff"  # paper stays white when the page is dark
        drawn = [one for one in root.iter() if one.tag.endswith("path") and one.get("d")]
        assert len(drawn) >= 3 and all(one.get("fill") and one.get("stroke") for one in drawn)


def test_a_figure_is_saved_as_png(browser: Browser, tmp_path: Path) -> None:
    path = saved(browser, tmp_path, button("heat_map.text", "png"), f"{STUDY}.heat_map.text.png")
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    box = browser.evaluate("document.querySelector('[data-map=text] svg').getAttribute('viewBox')").split()
    assert int.from_bytes(data[16:20]) == 2 * int(box[2])
    assert int.from_bytes(data[20:24]) == 2 * (int(box[3]) + 26)


def read_csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def test_the_numbers_of_a_map_are_saved(browser: Browser, result: Result, tmp_path: Path) -> None:
    table = read_csv(saved(browser, tmp_path, button("heat_map.speech", "csv"), f"{STUDY}.heat_map.speech.csv"))
    scores = result.scores
    part = scores[
        (scores["kind"] == "language_similarity_speech") & (scores["measure"] == MEASURES[1])
        & (scores["control"] == "none") & (scores["point_a"] == "speech.norm")
    ]  # fmt: skip
    assert set(zip(table["language_a"], table["language_b"], strict=True)) == set(
        zip(part["language_a"], part["language_b"], strict=True)
    )
    for quantity in ("value", "chance_corrected", "p", "null_mean"):
        np.testing.assert_allclose(table[quantity], part[quantity], atol=2e-5)


def test_the_numbers_of_other_figures_are_saved(browser: Browser, result: Result, tmp_path: Path) -> None:
    name = "curves.modality_similarity.Linear-CKA-debiased"
    table = read_csv(saved(browser, tmp_path, button(name, "csv"), f"{STUDY}.{name}.csv"))
    mean_here = table[(table["group"] == "mean") & (table["control"] == "none")].set_index("point")
    assert words.number(mean_here.loc["speech.norm", "value"]) == mean(result, "speech.norm")
    assert set(table["group"]) == {"mean", "en", "es", EVIL}
    table = read_csv(saved(browser, tmp_path, button("decomposition.all", "csv"), f"{STUDY}.decomposition.all.csv"))
    source = result.tables["decomposition"].iloc[table["row"]]
    np.testing.assert_allclose(table["share"], source["share"], rtol=1e-5)
    table = read_csv(saved(browser, tmp_path, button("cross_layer", "csv"), f"{STUDY}.cross_layer.csv"))
    assert len(table) == 4 * 5
    table = read_csv(saved(browser, tmp_path, button("point_map", "csv"), f"{STUDY}.point_map.csv"))
    assert len(table) == (result.tables["projection"]["point"] == table["point"].iloc[0]).sum()
    press = "document.querySelector('[data-save-table]').click()"
    with saved(browser, tmp_path, press, f"{STUDY}.language-table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    at = rows[0].index("tokens a word")
    found = {row[0].split()[1]: float(row[at]) for row in rows[1:] if row[0].startswith("Language e")}
    exact = result.tables["languages"].set_index("language")["tokens_per_word"]
    assert found == {name: exact[name] for name in ("en", "es")}


def test_a_recording_can_be_played(browser: Browser) -> None:
    assert browser.evaluate(
        "new Promise(done => { const a = document.querySelector('audio'); a.preload = 'auto';"
        " a.addEventListener('loadedmetadata', () => done(a.duration > 0.4));"
        " a.addEventListener('error', () => done(0));"
        " a.load(); })"
    )


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


def test_it_prints(page: Path, tmp_path: Path) -> None:
    assert print_pdf(page, tmp_path / "report.pdf").stat().st_size > 20_000


def test_without_a_script_everything_but_the_controls_is_there(browser: Browser, result: Result, page: Path) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(page)
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert browser.evaluate("getComputedStyle(document.querySelector('.slider')).display") == "none"
    assert browser.evaluate("getComputedStyle(document.querySelector('.save')).display") == "none"
    assert browser.evaluate(shown("text", 0, 1)) == cell(result, "text.pooled", MEASURES[1])
    assert browser.evaluate("document.querySelectorAll('.layer-mean path').length") == 9
    for part in ("[data-cross] .cells path[d^=M]", "[data-variance] path[data-name]", "[data-points] path[d^=M]"):
        assert browser.evaluate(f"document.querySelectorAll({json.dumps(part)}).length") >= 3, part
    assert len(browser.evaluate("document.querySelector('#findings').innerText")) > 500
