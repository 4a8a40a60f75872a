"""The page: whole, self-contained, escaped, quick, the same each time."""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import json
import re
import struct
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from babelscope.audio import Recording
from babelscope.errors import DataError
from babelscope.gaps.headline import headline
from babelscope.gaps.result import Result
from babelscope.report import Heard, embed, print_pdf, references, render, write_markdown, write_report
from babelscope.report.sections import methods
from babelscope.report.told import Sentence, of_parts
from synthetic import LANGUAGES, MEASURES, synthetic_result
from synthetic_tables import crossed, with_tables

SECTIONS = ("headline", "reading", "curves", "maps", "retrieval", "caveats", "methods", "provenance", "files")
EVIL = "<script>alert(1)</script>"
#: The kinds that the synthetic result holds.
DRAWN = ("modality_similarity", "language_similarity_text", "language_similarity_speech")
THREE = len(DRAWN)


class Document(HTMLParser):
    """Collects what a browser would see: elements with attributes, and text outside scripts and styles."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.inside: list[str] = []
        self.scripts: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag in ("script", "style"):
            self.inside.append(tag)
            self.scripts += [""] if tag == "script" else []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data: str) -> None:
        if not self.inside:
            self.text += data
        elif self.inside[-1] == "script":
            self.scripts[-1] += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def small(languages: tuple[str, ...] = ("en", "fr"), **options: Any) -> Result:
    """A result that is drawn quickly: two points a side, one measure."""
    return synthetic_result(languages, **{"speech": 2, "text": 2, "measures": MEASURES[1:2], **options})


@pytest.fixture(scope="module")
def result() -> Result:
    return synthetic_result()


@pytest.fixture(scope="module")
def written(result: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    result.save(folder)
    assert write_report(result, folder) == folder / "report.html"
    return folder


@pytest.fixture(scope="module")
def document(written: Path) -> Document:
    return Document((written / "report.html").read_text(encoding="utf-8"))


def packed_data(document: Document) -> Any:
    return json.loads(document.scripts[0])


def test_every_section_is_there(document: Document) -> None:
    there = [attributes["id"] for attributes in document.all("section") if attributes.get("id") in SECTIONS]
    assert there == list(SECTIONS)


def test_nothing_is_loaded(written: Path, document: Document) -> None:
    source = (written / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(?:https?:)?//[a-z0-9]", source.replace(document.scripts[0], ""), flags=re.IGNORECASE)
    assert not re.search(r"@import|url\(", source)
    for tag, attributes in document.elements:
        assert "src" not in attributes, tag
        assert tag not in ("link", "iframe", "object", "embed", "base")
        if "href" in attributes:
            assert attributes["href"].startswith("#") or (written / attributes["href"]).is_file()


def test_the_browser_is_told_to_load_nothing(document: Document) -> None:
    policy = next(one["content"] for one in document.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "unsafe-inline' " not in policy.split("script-src")[1].split(";")[0]


def test_a_panel_for_each_kind_and_measure_has_its_null(document: Document) -> None:
    panels = [one for one in document.all("figure") if "data-panel" in one]
    assert len(panels) == THREE * len(MEASURES)
    layers = [one.get("class") for one in document.all("g")]
    assert layers.count("layer-null") == len(panels)
    assert layers.count("layer-mean") == len(panels)
    assert layers.count("layer-regressed") == len(panels)


def test_a_panel_has_a_line_for_each_language_and_pair(document: Document, result: Result) -> None:
    lines = [one["data-group"] for one in document.all("path") if one.get("data-group") in set(result.curves["group"])]
    assert {line for line in lines if "-" not in line} == set(LANGUAGES)
    assert lines.count("en-fr") == 2 * len(MEASURES)


def test_pictures_have_a_text(document: Document) -> None:
    pictures = [one for one in document.all("svg") if one.get("aria-hidden") != "true"]
    assert len(pictures) > THREE * len(MEASURES)
    assert all(one["role"] == "img" and one["aria-labelledby"] for one in pictures)
    assert "Similarity of speech and text, Linear CKA, debiased: the mean over 5 languages is" in document.text


def test_identifiers_are_unique(document: Document) -> None:
    names = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(names) == len(set(names))


def test_what_was_run_is_told(document: Document, result: Result) -> None:
    for told in (
        "whisper-base+e5-small", "Asterisk core prompts", "en, es, fr, it and ru", "2026-11-23 14:05 UTC",
        *result.meta["headline"], *(caveat["text"] for caveat in result.meta["caveats"]), "905e5bf8" * 8, "c0ffee" * 8,
        "torch 2.13.0", "CC-BY-SA-3.0", "200 permutations", "The seed was 7",
        "every speech point against the text side's output",
    ):  # fmt: skip
        assert told in document.text, told


def test_a_saturated_measure_is_called_so() -> None:
    drowned = small(n=20, measures=MEASURES[:1])
    curves = drowned.curves.assign(null_mean=0.99, calibrated=0.0)
    text = " ".join(Document(render(dataclasses.replace(drowned, curves=curves))).text.split())
    assert text.count("At n = 20 this measure gives 0.99 to unrelated data: it says nothing here.") == THREE


def test_a_measure_that_is_not_saturated_is_not_called_so() -> None:
    assert "this measure gives" not in Document(render(small())).text


def test_the_retrieval_table_shows_the_scores(document: Document, result: Result) -> None:
    scores = result.scores
    picked = scores[
        (scores["measure"] == "retrieval()") & (scores["language_a"] == "en") & (scores["language_b"] == "it")
        & (scores["kind"] == "language_similarity_text")
    ]  # fmt: skip
    last = picked[picked["point_a"] == "text.pooled"].set_index("control")["value"]
    lengths = result.tables["baselines"].query("measure == 'retrieval()' and kind == 'language_similarity_text'")
    last["baseline"] = lengths.set_index("group")["value"]["en-it"]
    row = re.search(r"en – it([\s\d.<]+)", document.text)
    assert row is not None
    numbers = [float(found) for found in re.findall(r"\d\.\d+", row.group(1))]
    assert numbers[1:5] == [round(last[name], 2) for name in ("none", "length_regressed", "baseline", "shuffled")]


def unpacked(packed: dict[str, Any]) -> Any:
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    places = int(packed["digits"])
    codes = np.array([digits.index(letter) for letter in packed["cells"]]).reshape(-1, places)
    joined = codes @ (64 ** np.arange(places)[::-1])
    return float(packed["low"]) + joined / (64**places - 2) * (packed["high"] - packed["low"])


def test_the_maps_carry_the_scores(document: Document, result: Result) -> None:
    data = packed_data(document)["heat"]
    scores = result.scores
    for modality, kind in (
        ("text", "language_similarity_text"),
        ("speech", "language_similarity_speech"),
        ("text-speech", "modality_similarity"),
    ):
        part = scores[(scores["kind"] == kind) & (scores["measure"] == MEASURES[1]) & (scores["control"] == "none")]
        for quantity in ("value", "null_mean", "chance_corrected", "p"):
            found = unpacked(data["cells"][f"{MEASURES[1]} none"][modality][quantity])
            np.testing.assert_allclose(found, part[quantity], atol=5e-6)


def test_the_curves_carry_the_scores(document: Document, result: Result) -> None:
    data = packed_data(document)["curves"]
    curves = result.curves
    part = curves[
        (curves["kind"] == "modality_similarity") & (curves["measure"] == MEASURES[1]) & (curves["control"] == "none")
    ]
    panel = data["panels"]["modality_similarity 1"]
    mean = part[part["group"] == "mean"]
    for quantity in ("value", "null_mean", "null_q95", "chance_corrected"):
        np.testing.assert_allclose(np.array(panel["none"][quantity]) / 1000, mean[quantity], atol=6e-4)
    italian = part[part["group"] == "it"]["value"]
    np.testing.assert_allclose(np.array(panel["each"]["value"][LANGUAGES.index("it")]) / 1000, italian, atol=6e-4)


def test_a_shared_layer_is_shown_against_itself_and_a_speech_layer_against_the_deepest_text() -> None:
    plain = synthetic_result(speech=3, text=3, measures=MEASURES[1:2], controls=("none",))
    every = plain.scores[plain.scores["kind"] == "modality_similarity"]
    curves = plain.curves[plain.curves["kind"] == "modality_similarity"]
    both = dataclasses.replace(
        plain,
        scores=pd.concat([plain.scores, every.assign(point_b="text.embeddings", depth_b=0.0, value=0.999)]),
        curves=pd.concat([plain.curves, curves.assign(against="text.embeddings", value=0.999)]),
    )
    assert packed_data(Document(render(both)))["curves"] == packed_data(Document(render(plain)))["curves"]


def test_everything_from_the_data_is_escaped(tmp_path: Path) -> None:
    evil = f"{EVIL}\"'><img src=x onerror=alert(2)>]]>"
    result = small((evil, "en", "fr"), measures=MEASURES[2:])

    def poisoned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: poisoned(one) for key, one in value.items()}
        if isinstance(value, list):
            return [poisoned(one) for one in value]
        return f"{value} {evil}" if isinstance(value, str) else value

    meta = poisoned(result.meta) | {"options": result.meta["options"] | {"pooling": evil, "match_text": evil}}
    meta["corpus"]["languages"] = [evil, "en", "fr"]
    renamed = {"speech.conv1": f"speech.{evil}", "text.embeddings": f"text.{evil}"}
    scores = result.scores.assign(
        point_a=result.scores["point_a"].replace(renamed),
        measure=result.scores["measure"] + evil,
        convention=evil,
        stage_a=evil,
    )
    curves = result.curves.assign(
        point=result.curves["point"].replace(renamed), measure=result.curves["measure"] + evil, stage=evil
    )
    page = write_report(Result(scores, curves, meta), tmp_path)
    document = Document(page.read_text(encoding="utf-8"))
    assert len(document.scripts) == 2
    assert "alert(1)" not in document.scripts[1]
    assert not document.all("img")
    assert EVIL in document.text
    assert evil in packed_data(document)["heat"]["languages"]
    assert not any(name.startswith("on") for _, attributes in document.elements for name in attributes)
    for picture in (tmp_path / "figures").glob("*.svg"):
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(picture).iter()}
        assert not tags & {"script", "img", "foreignObject"}, picture.name


PARTS = ("study", "model", "corpus", "options", "versions", "headline", "caveats")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_the_provenance_may_be_missing(part: str) -> None:
    result = small(kinds=("modality_similarity",))
    document = Document(render(dataclasses.replace(result, meta={**result.meta, part: None})))
    assert {attributes.get("id") for attributes in document.all("section")} >= set(SECTIONS)


@pytest.mark.parametrize("shape", ["a text", 3, [None, 1], {"name": 3, "sides": "x", "weights": [1], "languages": 2}])
def test_provenance_of_another_shape_does_not_break_the_page(shape: Any) -> None:
    document = Document(
        render(dataclasses.replace(small(kinds=("modality_similarity",)), meta=dict.fromkeys(PARTS, shape)))
    )
    assert {attributes.get("id") for attributes in document.all("section")} >= set(SECTIONS)


def test_without_any_provenance_the_page_still_stands() -> None:
    document = Document(render(dataclasses.replace(small(("en", "es", "fr", "it", "ru")), meta={})))
    assert {attributes.get("id") for attributes in document.all("section")} >= set(SECTIONS)
    assert "en, es, fr, it and ru" in document.text


def test_one_language_has_no_language_gap() -> None:
    document = Document(render(small(("it",))))
    assert {one["data-panel"].split()[0] for one in document.all("figure") if "data-panel" in one} == {
        "modality_similarity"
    }
    assert [one["data-map"] for one in document.all("figure") if "data-map" in one] == ["text-speech"]


def test_text_alone_has_no_modality_similarity(tmp_path: Path) -> None:
    result = small(kinds=("language_similarity_text",))
    document = Document(write_report(result, tmp_path).read_text(encoding="utf-8"))
    assert {one["data-panel"].split()[0] for one in document.all("figure") if "data-panel" in one} == {
        "language_similarity_text"
    }
    assert not (tmp_path / "figures" / "layer_curves.modality_similarity.svg").exists()


def test_an_empty_result_says_so(tmp_path: Path) -> None:
    document = Document(write_report(synthetic_result(kinds=()), tmp_path).read_text(encoding="utf-8"))
    assert "This result holds no comparison" in document.text
    assert "Retrieval was not among the measures" in document.text


def test_a_measure_that_could_not_be_taken_says_so() -> None:
    result = small(measures=("retrieval()",))
    numbers = ["value", "null_mean", "null_q95", "chance_corrected", "p"]

    def without(frame: Any) -> Any:
        return frame.assign(
            **{
                name: frame[name].where((frame["kind"] != "modality_similarity") | (frame["measure"] != "retrieval()"))
                for name in numbers
            }
        )

    document = Document(render(Result(without(result.scores), without(result.curves), result.meta)))
    assert "Not measured: it needs text and speech in one space" in document.text
    assert "There is no retrieval between text and speech" in document.text


def test_intervals_are_drawn_where_there_are_any() -> None:
    result = small()
    curves = result.curves.assign(low=result.curves["value"] - 0.05, high=result.curves["value"] + 0.05)
    document = Document(render(dataclasses.replace(result, curves=curves)))
    assert [one.get("class") for one in document.all("g")].count("layer-interval") == THREE


def test_the_figures_are_what_they_are_called(written: Path) -> None:
    names = {path.name for path in (written / "figures").iterdir()}
    stems = (
        {f"layer_curves.{kind}" for kind in DRAWN}
        | {f"retrieval.{kind}" for kind in DRAWN}
        | {"heat_map.text", "heat_map.speech", "heat_map.text-speech"}
    )
    assert names == {f"{stem}.{suffix}" for stem in stems for suffix in ("svg", "png", "csv")}
    for stem in stems:
        root = ElementTree.parse(written / "figures" / f"{stem}.svg").getroot()
        assert root.get("role") == "img"
        assert root.get("aria-label")
        png = (written / "figures" / f"{stem}.png").read_bytes()
        assert png.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", png[16:24])
        assert (width, height) == (2 * int(float(root.get("width", 0))), 2 * int(float(root.get("height", 0))))


def test_files_beside_the_page_are_linked(document: Document) -> None:
    links = {attributes["href"] for attributes in document.all("a")}
    assert {"scores.parquet", "scores.csv", "curves.csv", "result.json", "figures/heat_map.text.png"} <= links


def test_a_result_read_back_gives_the_same_page(tmp_path: Path) -> None:
    result = small(("en", "fr", "it"))
    assert render(Result.load(result.save(tmp_path))) == render(result)


def test_the_same_result_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_report(small(measures=MEASURES[2:]), tmp_path / name)
    there = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(there) == 1 + 3 * (3 + 3 + 3)
    for path in there:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes(), path


def test_a_small_study_gives_a_small_file(written: Path) -> None:
    assert (written / "report.html").stat().st_size < 500_000


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "report.html"
    blocked.mkdir()
    with pytest.raises((DataError, OSError)):
        write_report(small(kinds=("modality_similarity",)), tmp_path, figures=False)
    assert not list(tmp_path.glob(".report*"))


# -- findings, numbers and their places --------------------------------------------------------------


@pytest.fixture(scope="module")
def whole() -> Result:
    """A result with every table, and every speech point held against every text point."""
    made = with_tables(crossed(synthetic_result(("en", "es", "fr", "it"), speech=5, text=5, measures=MEASURES[:2])))
    said = headline(made.curves, made.scores, made.meta, made.tables)
    parts = {"headline": [str(one) for one in said], "headline_parts": [one.parts() for one in said]}
    return dataclasses.replace(made, meta={**made.meta, **parts})


@pytest.fixture(scope="module")
def source(whole: Result) -> str:
    return render(whole)


@pytest.fixture(scope="module")
def told(source: str) -> Document:
    return Document(source)


def place(result: Result, table: str) -> pd.DataFrame:
    return {"scores": result.scores, "curves": result.curves}.get(table, result.tables.get(table, pd.DataFrame()))


def test_verdicts_come_first(told: Document) -> None:
    order = [one["id"] for one in told.all("section") if one.get("id")]
    assert order[:4] == ["headline", "findings", "diagnosis", "reading"]
    assert {"classes", "maps", "cross", "variance", "points", "languages"} <= set(order)


def test_a_number_in_a_sentence_stands_where_it_says(told: Document, whole: Result) -> None:
    numbers = told.all("data")
    assert len(numbers) > 100
    seen = set()
    for one in numbers:
        rows = [int(row) for row in one["data-rows"].split()]
        frame = place(whole, one["data-table"])
        seen.add(one["data-table"])
        if one["data-column"] == "rows":
            assert float(one["value"]) == len(rows)
            assert all(0 <= row < len(frame) for row in rows)
        else:
            assert float(frame[one["data-column"]].iloc[rows].mean()) == pytest.approx(float(one["value"])), one
    assert seen >= {"scores", "curves", *whole.tables} - {"centroids"}


def test_the_number_written_is_the_number_that_stands_there(source: str) -> None:
    pattern = (
        r'<data value="([^"]+)" data-table="[^"]+" data-rows="[^"]+" data-column="([^"]+)" title="[^"]+">([^<]+)</data>'
    )
    found = re.findall(pattern, source)
    assert len(found) == source.count("<data ")
    for value, column, text in found:
        written = text.replace("−", "-").replace(" %", "")
        if written.startswith("&lt;"):
            assert column in ("p", "p_adjusted") and float(value) < 0.001
            continue
        digits = len(written.partition(".")[2])
        exact = float(value) * (100 if "%" in text else 1)
        assert float(written) == pytest.approx(exact, abs=0.5001 * 10**-digits), (value, column, text)


def test_no_number_of_the_headline_lacks_its_place(source: str, whole: Result) -> None:
    told = re.findall(r'<p class="headline">(.*?)</p>', source)
    assert len(told) == len(whole.meta["headline"]) == 2
    for sentence in told:
        assert sentence.count("<data ") >= 3
        assert not re.search(r"\d\.\d", re.sub(r"<data .*?</data>", "", sentence)), sentence


def test_parts_that_do_not_make_up_their_sentence_are_not_shown() -> None:
    evil = {"value": 1, "table": '"><script>', "rows": [0], "column": "x", "text": "0.50"}
    assert of_parts("It is 0.50.", ["It is ", {**evil, "text": "0.90"}, "."]) == "It is 0.50."
    assert of_parts("It is 0.50.", None) == of_parts("It is 0.50.", [3]) == "It is 0.50."
    assert of_parts("It is 0.50.", ["It is ", {"text": "0.50"}, "."]) == "It is 0.50."
    shown = of_parts("It is 0.50.", ["It is ", evil, "."])
    assert isinstance(shown, Sentence) and "<script>" not in shown.__html__()


LEADS = re.compile(r'<(?:p|ul) class="lead">(.*?)</(?:p|ul)>', re.DOTALL)


def test_no_number_of_a_leading_sentence_lacks_its_place(source: str, whole: Result) -> None:
    leads = LEADS.findall(source)
    assert len(leads) >= 8
    for lead in leads:
        bare = re.sub(r"<data .*?</data>", "", lead)
        for name in {
            "95 in 100",
            *(point["name"] for side in whole.meta["model"]["sides"] for point in side["points"]),
        }:
            bare = bare.replace(name, "")
        assert not re.search(r"\d", re.sub(r"<[^>]*>", "", bare)), bare


def test_a_verdict_unfolds_to_the_rows_that_it_rests_on(source: str, whole: Result) -> None:
    for _, finding in whole.tables["findings"].drop_duplicates("id").iterrows():
        assert str(finding["statement"]) in source
    item = json.loads(str(whole.tables["findings"]["evidence"].iloc[0]))[0]
    keep = np.ones(len(whole.curves), dtype=bool)
    for column, value in item["where"].items():
        keep &= (whole.curves[column] == value).to_numpy()
    first = re.search(r'<div class="evidence">(.*?)</div>\s*</div>', source, re.DOTALL)
    assert first is not None
    rows = [int(row) for row in re.findall(r'<tr><th scope="row">(\d+)</th>', first.group(1))]
    assert rows == np.flatnonzero(keep).tolist()[:12]
    assert "curves.csv" in first.group(1)


def test_a_reading_that_calibration_changes_is_told(told: Document) -> None:
    assert told.text.count("On raw SVCCA this would read “holds”.") == 2


def test_methods_cite_what_was_used_and_nothing_else(told: Document) -> None:
    keys = {one["id"].removeprefix("ref-") for one in told.all("li") if one.get("id", "").startswith("ref-")}
    assert {"raghu2017svcca", "kornblith2019similarity", "murphy2024correcting", "radford2023whisper"} <= keys
    assert "wang2024multilingual" in keys
    assert not keys & {"conneau2022fleurs", "duquenne2023sonar", "huh2024platonic", "kargaran2024mexa"}
    text = " ".join(told.text.split())
    assert "SVCCA, variance 0.99 (Raghu et al., 2017)" in text
    assert "arXiv:1706.05806" in text and "@misc{raghu2017svcca," in text


def test_fleurs_and_its_model_are_cited() -> None:
    result = small(kinds=("modality_similarity",))
    model = {"name": "seamless-m4t-v2-large"}
    meta = {**result.meta, "corpus": result.meta["corpus"] | {"name": "fleurs"}, "model": model}
    text = methods.section(dataclasses.replace(result, meta=meta))["bibtex"]
    assert "2205.12446" in text and "2312.05187" in text and "2212.04356" not in text


def test_every_reference_has_what_a_list_needs() -> None:
    for one in references.REFERENCES.values():
        assert one.line.startswith(one.authors) and str(one.year) in one.line
        assert one.bibtex.count("{") == one.bibtex.count("}")
        assert re.fullmatch(r"(\d{4}\.\d{5})?", one.arxiv)


def test_the_cross_layer_map_carries_the_means(told: Document, whole: Result) -> None:
    cross = packed_data(told)["cross"]
    mean = whole.curves[
        (whole.curves["kind"] == "modality_similarity") & (whole.curves["group"] == "mean")
        & (whole.curves["measure"] == MEASURES[1]) & (whole.curves["control"] == "none")
    ]  # fmt: skip
    table = mean.pivot(index="point", columns="against", values="chance_corrected")
    table = table.loc[[point[0] for point in cross["speech"]], [point[0] for point in cross["text"]]]
    found = unpacked(cross["cells"][MEASURES[1]]["mean"]["chance_corrected"])
    np.testing.assert_allclose(found, table.to_numpy().ravel(), atol=1e-5)


def test_languages_are_ordered_by_what_is_known_of_them(told: Document, whole: Result) -> None:
    orders = packed_data(told)["heat"]["orders"]
    assert set(orders) == {"corpus", "family", "script", "resource class"}
    names = list(whole.meta["corpus"]["languages"])
    classes = whole.tables["languages"].set_index("language")["resource_class"]
    ordered = [classes[names[index]] for index in orders["resource class"]["order"]]
    assert ordered == sorted(ordered, key=["high", "medium", "low"].index)
    assert [tuple(run) for run in orders["resource class"]["groups"]] == [
        ("high", 0, 2),
        ("medium", 2, 1),
        ("low", 3, 1),
    ]


def test_orders_come_from_the_codes_where_there_is_no_table() -> None:
    orders = packed_data(Document(render(small(("en", "ru", "sw")))))["heat"]["orders"]
    assert [run[0] for run in orders["script"]["groups"]] == ["Latn", "Cyrl"]


def test_everything_from_the_tables_is_escaped(whole: Result, tmp_path: Path) -> None:
    evil = f"{EVIL}\"'><img src=x onerror=alert(2)><!--<script>"
    tables = {}
    for name, table in whole.tables.items():
        texts = [
            str(column)
            for column in table
            if table[column].dtype.kind not in "fiub"
            and column not in ("id", "group", "basis", "verdict", "kind", "part", "component", "evidence", "caveats")
        ]
        tables[name] = table.assign(**{column: table[column].astype(str) + evil for column in texts})
    item = [{"table": evil, "where": {evil: evil}, "column": evil, "value": evil, "of": evil, "weight": evil}]
    tables["findings"] = tables["findings"].assign(
        verdict=evil, group=evil, id=evil, caveats=json.dumps([{"id": evil, "text": evil}]), evidence=json.dumps(item)
    )
    heard = [Heard(evil, evil, evil, evil, 1.0, "data:audio/mpeg;base64,AAAA")]
    result = dataclasses.replace(whole, tables=tables)
    source = write_report(result, tmp_path, heard=heard).read_text(encoding="utf-8")
    document = Document(source)
    assert len(document.scripts) == 2
    assert "alert(1)" not in document.scripts[1]
    assert not document.all("img")
    assert not any(name.startswith("on") for _, attributes in document.elements for name in attributes)
    assert "<!--" not in source.split("<body>")[1].replace(document.scripts[1], "")
    text = write_markdown(result, tmp_path, figures=False).read_text(encoding="utf-8")
    assert "<script" not in text and "<img" not in text and "<!--" not in text
    for picture in (tmp_path / "figures").glob("*.svg"):
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(picture).iter()}
        assert not tags & {"script", "img", "foreignObject"}, picture.name


def test_recordings_are_carried_only_if_asked_for(told: Document) -> None:
    assert not told.all("audio")
    sound = "data:audio/mpeg;base64,AAAA"
    document = Document(
        render(small(kinds=("modality_similarity",)), heard=[Heard("s1", "en", "Press <1> now", "June", 2.5, sound)])
    )
    assert [one["src"] for one in document.all("audio")] == [sound]
    assert "Press <1> now" in document.text and "CC-BY-SA-3.0 (en, fr, es)" in document.text


def test_recordings_are_embedded_whole_sentences_at_a_time(tmp_path: Path) -> None:
    cells = []
    for sentence in ("one", "two"):
        for language in ("en", "fr"):
            path = tmp_path / f"{sentence}.{language}.wav"
            tone = np.sin(np.arange(16_000) / 16_000 * 2 * np.pi * 300) * 0.3
            soundfile.write(path, tone, 16_000)
            cells.append((f"{sentence} in {language}", Recording(path, None, 1.0, "somebody", sentence, language)))
    every = embed(cells)
    assert [(one.sentence, one.language, one.text) for one in every] == [
        ("one", "en", "one in en"), ("one", "fr", "one in fr"), ("two", "en", "two in en"), ("two", "fr", "two in fr"),
    ]  # fmt: skip
    assert all(one.seconds == pytest.approx(1.0) for one in every)
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(every[0].sound.partition(",")[2])))
    assert rate == 16_000 and len(samples) >= 15_000 and 0.2 < np.abs(samples).max() < 0.4
    enough = sum(one.size for one in every[:3])
    assert [one.sentence for one in embed(cells, enough)] == ["one", "one"]


def test_markdown_and_figures_show_what_the_page_says(whole: Result, tmp_path: Path) -> None:
    text = write_markdown(whole, tmp_path).read_text(encoding="utf-8")
    for sentence in whole.meta["headline"]:
        assert f"\n> {sentence}\n" in html.unescape(text), "spaces around numbers stay"
    for heading in (
        "Findings",
        "Diagnosis",
        "Along the layers",
        "Layer by layer, speech and text",
        "Languages",
        "Method",
    ):
        assert f"## {heading}" in text, heading
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert len(pictures) >= 12
    assert all((tmp_path / picture).is_file() for picture in pictures)
    best = whole.tables["languages"].sort_values("rank").iloc[0]
    assert f"| {best['name']} ({best['language']}) |" in text
    found = pd.read_csv(tmp_path / "figures" / "decomposition.all.csv")
    source = whole.tables["decomposition"].iloc[found["row"]]
    assert (source["part"] == "all").all() and len(found) == (whole.tables["decomposition"]["part"] == "all").sum()
    np.testing.assert_allclose(found["share"], source["share"], rtol=1e-5)
    cross = pd.read_csv(tmp_path / "figures" / "cross_layer.csv")
    assert len(cross) == 25
    np.testing.assert_allclose(
        cross["chance_corrected"], whole.curves.iloc[cross["row"]]["chance_corrected"], rtol=1e-5
    )


def test_without_a_browser_the_pdf_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match=r"Chromium or Chrome, and neither is here: open .*report\.html"):
        print_pdf(tmp_path / "report.html", tmp_path / "report.pdf")
