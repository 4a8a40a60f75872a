"""The page: whole, self-contained, escaped, quick, the same each time."""

from __future__ import annotations

import dataclasses
import json
import re
import struct
import time
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from babelscope.errors import DataError
from babelscope.gaps.result import KINDS, Result
from babelscope.report import render, write_report
from synthetic import LANGUAGES, MEASURES, synthetic_result

SECTIONS = ("headline", "reading", "curves", "maps", "retrieval", "caveats", "methods", "provenance", "files")
EVIL = "<script>alert(1)</script>"


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
    assert len(panels) == len(KINDS) * len(MEASURES)
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
    assert len(pictures) == len(KINDS) * len(MEASURES)
    assert all(one["role"] == "img" and one["aria-labelledby"] for one in pictures)
    assert "Modality gap, Linear CKA, debiased: the mean over 5 languages is" in document.text


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
    assert text.count("At n = 20 this measure gives 0.99 to unrelated data: it says nothing here.") == len(KINDS)


def test_a_measure_that_is_not_saturated_is_not_called_so() -> None:
    assert "this measure gives" not in Document(render(small())).text


def test_the_retrieval_table_shows_the_scores(document: Document, result: Result) -> None:
    scores = result.scores
    picked = scores[
        (scores["measure"] == "retrieval()") & (scores["language_a"] == "en") & (scores["language_b"] == "it")
        & (scores["kind"] == "language_gap_text")
    ]  # fmt: skip
    last = picked[(picked["point_a"] == "text.pooled") | (picked["control"] == "length_only")].set_index("control")[
        "value"
    ]
    row = re.search(r"en – it([\s\d.<]+)", document.text)
    assert row is not None
    numbers = [float(found) for found in re.findall(r"\d\.\d+", row.group(1))]
    assert numbers[1:5] == [round(last[name], 2) for name in ("none", "length_regressed", "length_only", "shuffled")]


def unpacked(packed: dict[str, Any]) -> Any:
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    codes = [digits.index(letter) for letter in packed["cells"]]
    joined = np.array(codes[::2]) * 64 + np.array(codes[1::2])
    return float(packed["low"]) + joined / 4094 * (packed["high"] - packed["low"])


def test_the_maps_carry_the_scores(document: Document, result: Result) -> None:
    data = packed_data(document)["heat"]
    scores = result.scores
    for modality, kind in (
        ("text", "language_gap_text"),
        ("speech", "language_gap_speech"),
        ("text-speech", "modality_gap"),
    ):
        part = scores[(scores["kind"] == kind) & (scores["measure"] == MEASURES[1]) & (scores["control"] == "none")]
        for quantity in ("value", "null_mean", "calibrated", "p"):
            found = unpacked(data["cells"][f"{MEASURES[1]} none"][modality][quantity])
            np.testing.assert_allclose(found, part[quantity], atol=3e-4)


def test_the_curves_carry_the_scores(document: Document, result: Result) -> None:
    data = packed_data(document)["curves"]
    curves = result.curves
    part = curves[
        (curves["kind"] == "modality_gap") & (curves["measure"] == MEASURES[1]) & (curves["control"] == "none")
    ]
    panel = data["panels"]["modality_gap 1"]
    mean = part[part["group"] == "mean"]
    for quantity in ("value", "null_mean", "null_q95", "calibrated"):
        np.testing.assert_allclose(np.array(panel["none"][quantity]) / 1000, mean[quantity], atol=6e-4)
    italian = part[part["group"] == "it"]["value"]
    np.testing.assert_allclose(np.array(panel["each"]["value"][LANGUAGES.index("it")]) / 1000, italian, atol=6e-4)


def test_a_shared_layer_is_shown_against_itself_and_a_speech_layer_against_the_deepest_text() -> None:
    plain = synthetic_result(speech=3, text=3, measures=MEASURES[1:2], controls=("none",))
    every = plain.scores[plain.scores["kind"] == "modality_gap"]
    curves = plain.curves[plain.curves["kind"] == "modality_gap"]
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
    result = small(kinds=("modality_gap",))
    document = Document(render(dataclasses.replace(result, meta={**result.meta, part: None})))
    assert {attributes.get("id") for attributes in document.all("section")} >= set(SECTIONS)


@pytest.mark.parametrize("shape", ["a text", 3, [None, 1], {"name": 3, "sides": "x", "weights": [1], "languages": 2}])
def test_provenance_of_another_shape_does_not_break_the_page(shape: Any) -> None:
    document = Document(render(dataclasses.replace(small(kinds=("modality_gap",)), meta=dict.fromkeys(PARTS, shape))))
    assert {attributes.get("id") for attributes in document.all("section")} >= set(SECTIONS)


def test_without_any_provenance_the_page_still_stands() -> None:
    document = Document(render(dataclasses.replace(small(("en", "es", "fr", "it", "ru")), meta={})))
    assert {attributes.get("id") for attributes in document.all("section")} >= set(SECTIONS)
    assert "en, es, fr, it and ru" in document.text


def test_one_language_has_no_language_gap() -> None:
    document = Document(render(small(("it",))))
    assert {one["data-panel"].split()[0] for one in document.all("figure") if "data-panel" in one} == {"modality_gap"}
    assert [one["data-map"] for one in document.all("figure") if "data-map" in one] == ["text-speech"]


def test_text_alone_has_no_modality_gap(tmp_path: Path) -> None:
    result = small(kinds=("language_gap_text",))
    document = Document(write_report(result, tmp_path).read_text(encoding="utf-8"))
    assert {one["data-panel"].split()[0] for one in document.all("figure") if "data-panel" in one} == {
        "language_gap_text"
    }
    assert not (tmp_path / "figures" / "layer_curves.modality_gap.svg").exists()


def test_an_empty_result_says_so(tmp_path: Path) -> None:
    document = Document(write_report(synthetic_result(kinds=()), tmp_path).read_text(encoding="utf-8"))
    assert "This result holds no comparison" in document.text
    assert "Retrieval was not among the measures" in document.text


def test_a_measure_that_could_not_be_taken_says_so() -> None:
    result = small(measures=("retrieval()",))
    numbers = ["value", "null_mean", "null_q95", "calibrated", "p"]

    def without(frame: Any) -> Any:
        return frame.assign(
            **{
                name: frame[name].where((frame["kind"] != "modality_gap") | (frame["measure"] != "retrieval()"))
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
    assert [one.get("class") for one in document.all("g")].count("layer-interval") == len(KINDS)


def test_the_figures_are_what_they_are_called(written: Path) -> None:
    names = {path.name for path in (written / "figures").iterdir()}
    stems = (
        {f"layer_curves.{kind}" for kind in KINDS}
        | {f"retrieval.{kind}" for kind in KINDS}
        | {"heat_map.text", "heat_map.speech"}
    )
    assert names == {f"{stem}.{suffix}" for stem in stems for suffix in ("svg", "png")}
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
    assert len(there) == 1 + 2 * (3 + 2 + 3)
    for path in there:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes(), path


def test_a_small_study_gives_a_small_file(written: Path) -> None:
    assert (written / "report.html").stat().st_size < 500_000


def test_102_languages_and_60_layers_stay_below_5_megabytes(tmp_path: Path) -> None:
    large = synthetic_result(
        [f"l{index:03}" for index in range(102)], speech=60, text=60, n=200, measures=MEASURES[1:2], controls=("none",)
    )
    start = time.perf_counter()
    page = write_report(large, tmp_path, figures=False)
    assert time.perf_counter() - start < 60
    assert page.stat().st_size < 5_000_000
    document = Document(page.read_text(encoding="utf-8"))
    assert "5151 pairs: only their mean is drawn." in document.text
    assert len(packed_data(document)["heat"]["cells"][f"{MEASURES[1]} none"]["text"]["value"]["cells"]) == 2 * 60 * 5151


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "report.html"
    blocked.mkdir()
    with pytest.raises((DataError, OSError)):
        write_report(small(kinds=("modality_gap",)), tmp_path, figures=False)
    assert not list(tmp_path.glob(".report*"))
