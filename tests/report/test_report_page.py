"""The page: whole, self-contained, escaped, quick, the same each time."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
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
from babelscope.report import Heard, embed, methods, print_pdf, references, render, write_markdown, write_report
from babelscope.report.figure import vega_script
from babelscope.report.page import Report
from babelscope.report.section import figures_of, gather
from babelscope.report.sentences import Sentence, of_parts
from synthetic import LANGUAGES, MEASURES, synthetic_result
from synthetic_tables import crossed, with_tables

EVIL = "<script>alert(1)</script>"
#: The kinds that the synthetic result holds.
DRAWN = ("modality_similarity", "language_similarity_text", "language_similarity_speech")


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


@pytest.fixture(scope="module")
def whole() -> Result:
    """A result with every table, and every speech point compared with every text point."""
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


def carried(document: Document) -> Any:
    """What the page carries for its script."""
    return json.loads(document.scripts[1])


def place(result: Result, table: str) -> pd.DataFrame:
    return {"scores": result.scores, "curves": result.curves}.get(table, result.tables.get(table, pd.DataFrame()))


# -- the page as a whole ------------------------------------------------------------------------------


def test_the_answer_comes_first_and_then_the_questions(told: Document) -> None:
    sections = [one["id"] for one in told.all("section") if one.get("id")]
    assert sections == ["answer", "where", "languages", "adaptation", "claims", "trust"]
    links = [one["href"] for one in told.all("a") if one.get("href", "").startswith("#")]
    assert links[1:] == [f"#{name}" for name in sections[1:]]


def test_nothing_is_loaded(written: Path, document: Document) -> None:
    source = (written / "report.html").read_text(encoding="utf-8")
    for script in document.scripts:
        source = source.replace(script, "")
    source = re.sub(r'xmlns(:xlink)?="[^"]*"', "", source)
    assert not re.search(r"(?:https?:)?//[a-z0-9]", source, flags=re.IGNORECASE)
    assert not re.search(r"@import|url\((?!#)", source)
    for tag, attributes in document.elements:
        assert "src" not in attributes, tag
        assert tag not in ("link", "iframe", "object", "embed", "base")
        if "href" in attributes:
            assert attributes["href"].startswith("#") or (written / attributes["href"]).is_file()


def test_the_browser_runs_the_two_scripts_of_this_package_and_evaluates_nothing(document: Document) -> None:
    policy = next(one["content"] for one in document.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    scripts = policy.split("script-src")[1].split(";")[0].split()
    assert policy.startswith("default-src 'none'")
    hashed = [base64.b64encode(hashlib.sha256(document.scripts[at].encode()).digest()).decode() for at in (2, 0)]
    assert scripts == [f"'sha256-{one}'" for one in hashed]
    assert document.scripts[0] == vega_script()


def test_pictures_have_a_text(told: Document) -> None:
    pictures = told.all("svg")
    assert len(pictures) >= 8  # each in two widths
    assert all(one["role"] == "img" and len(one["aria-label"]) > 30 for one in pictures)
    assert any("mean over 4 languages is" in one["aria-label"] for one in pictures)


def test_identifiers_are_unique(told: Document) -> None:
    names = [attributes["id"] for _, attributes in told.elements if "id" in attributes]
    assert len(names) == len(set(names))


def test_what_was_run_is_told(document: Document, result: Result) -> None:
    for said in (
        "whisper-base+e5-small", "Asterisk core prompts", "en, es, fr, it and ru", "2026-11-23 14:05 UTC",
        *(caveat["text"] for caveat in result.meta["caveats"]), "905e5bf8" * 8, "c0ffee" * 8,
        "torch 2.13.0", "CC-BY-SA-3.0", "200 permutations", "The seed was 7",
        "every speech point against the text side's output",
    ):  # fmt: skip
        assert said in document.text, said


def test_a_saturated_measure_is_called_so_and_not_drawn() -> None:
    drowned = small(n=20, measures=MEASURES[:2])
    full = drowned.curves["measure"] == MEASURES[0]
    curves = drowned.curves.assign(
        null_mean=drowned.curves["null_mean"].where(~full, 0.99),
        calibrated=drowned.curves["calibrated"].where(~full, 0.0),
    )
    shown = dataclasses.replace(drowned, curves=curves)
    text = " ".join(Document(render(shown)).text.split())
    said = "SVCCA, variance 0.99 is not drawn: at n = 20 it gives 0.99 to unrelated sentences, so it says nothing here."
    assert text.count(said) == len(DRAWN)
    sheet = next(one for one in figures_of(gather(shown)) if one.name == "layer_curves.modality_similarity")
    assert [panel["title"]["text"] for panel in sheet.spec()["concat"]] == ["Linear CKA, debiased"]


def test_a_measure_that_is_not_saturated_is_not_called_so() -> None:
    assert "to unrelated sentences" not in Document(render(small())).text


def test_one_language_has_no_other_to_be_compared_with() -> None:
    document = Document(render(small(("it",))))
    assert "languages" not in [one.get("id") for one in document.all("section")]
    assert set(carried(document)["figures"]) == {"similarity", "layer_curves.modality_similarity"}


def test_text_alone_asks_nothing_about_speech(tmp_path: Path) -> None:
    result = small(kinds=("language_similarity_text",))
    document = Document(write_report(result, tmp_path).read_text(encoding="utf-8"))
    assert "How does similarity change with depth?" in document.text
    assert "Where do speech and text meet?" not in document.text
    assert not (tmp_path / "figures" / "layer_curves.modality_similarity.svg").exists()
    assert (tmp_path / "figures" / "similarity.svg").exists()


def test_an_empty_result_says_so(tmp_path: Path) -> None:
    document = Document(write_report(synthetic_result(kinds=()), tmp_path).read_text(encoding="utf-8"))
    assert [one.get("class") for one in document.all("p")].count("verdict") == 1
    assert "nothing" in document.text.lower() or "no comparison" in document.text


def test_what_has_one_class_is_not_drawn(whole: Result, told: Document) -> None:
    assert any(one.name.startswith("by_class.") for one in figures_of(gather(whole)))
    same = {
        "by_class": whole.tables["by_class"].query("group in ('all', 'high')"),
        "languages": whole.tables["languages"].assign(resource_class="high"),
    }
    alike = dataclasses.replace(whole, tables=whole.tables | same)
    assert not any(one.name.startswith("by_class.") for one in figures_of(gather(alike)))
    assert "resources" in told.text and "resources" not in Document(render(alike)).text


# -- figures ------------------------------------------------------------------------------------------


def layers(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {layer["name"]: layer for layer in spec["layer"] if "name" in layer}


def test_the_hero_names_interval_null_n_model_and_corpus(result: Result) -> None:
    curves = result.curves.assign(low=result.curves["value"] - 0.05, high=result.curves["value"] + 0.05)
    hero = Report.of(dataclasses.replace(result, curves=curves)).hero
    assert hero is not None
    spec = hero.spec()
    there = layers(spec)
    assert {"null", "interval", "each", "mean", "regressed", "baseline", "stages", "key", "languages"} <= set(there)
    said = there["key"]["encoding"]["stroke"]["scale"]["domain"]
    assert said[0] == "mean over 5 languages"
    assert {"95 % interval of the mean", "null (mean to 95th percentile)", "mean after regressing out length"} <= set(
        said
    )
    assert any(name.startswith("strongest baseline: length alone, 0.") for name in said)
    assert there["languages"]["encoding"]["stroke"]["scale"]["domain"] == list(LANGUAGES)
    assert (
        " ".join(spec["title"]["subtitle"]) == "Linear CKA, debiased; n = 40 sentences; whisper-base+e5-small; asterisk"
    )
    y = there["mean"]["encoding"]["y"]
    assert y["axis"]["title"] == "similarity (Linear CKA, debiased)" and y["scale"]["domain"] == [0.0, 1.0]


@pytest.mark.parametrize("width", [520, 250])
def test_every_stage_is_named_and_no_name_runs_into_another(result: Result, width: int) -> None:
    hero = Report.of(result).hero
    assert hero is not None
    labels = hero.spec(width)
    names = layers(labels)["stagelabels"]["data"]["name"]
    rows = labels["datasets"][names]
    assert [row["label"] for row in rows] == ["front end", "encoder"]
    for lane in {row["lane"] for row in rows}:
        here = [row for row in rows if row["lane"] == lane]
        ends = [
            (row["middle"] - 2.5 * len(row["label"]) / width, row["middle"] + 2.5 * len(row["label"]) / width)
            for row in here
        ]
        assert all(left >= 0 and right <= 1 for left, right in ends)
        assert all(ends[index][1] <= ends[index + 1][0] for index in range(len(ends) - 1))


def test_the_axis_starts_below_zero_only_where_a_line_does() -> None:
    plain = small()

    def domain(curves: pd.DataFrame) -> Any:
        hero = Report.of(dataclasses.replace(plain, curves=curves)).hero
        assert hero is not None
        return hero.spec()["layer"][0]["encoding"]["y"]["scale"]["domain"]

    values = plain.curves["value"]
    assert domain(plain.curves.assign(low=-0.4)) == [0.0, 1.0]
    assert domain(plain.curves.assign(value=values.where(plain.curves["group"] != "en", -0.12))) == [-0.15, 1.0]


def test_the_figures_are_what_they_are_called(written: Path) -> None:
    names = {path.name for path in (written / "figures").iterdir()}
    stems = (
        {"similarity", "baselines"} & {name.rpartition(".")[0] for name in names}
        | {"similarity"}
        | {f"layer_curves.{kind}" for kind in DRAWN}
        | {f"retrieval.{kind}" for kind in DRAWN}
        | {"heat_map.text", "heat_map.speech", "heat_map.text-speech"}
    )
    assert names == {f"{stem}.{suffix}" for stem in stems for suffix in ("svg", "png", "pdf", "csv")}
    for stem in stems:
        root = ElementTree.parse(written / "figures" / f"{stem}.svg").getroot()
        assert root.get("role") == "img"
        assert root.get("aria-label")
        png = (written / "figures" / f"{stem}.png").read_bytes()
        assert png.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", png[16:24])
        assert (width, height) == pytest.approx([2 * float(root.get(side, 0)) for side in ("width", "height")], abs=2)
        assert (written / "figures" / f"{stem}.pdf").read_bytes().startswith(b"%PDF")


def test_a_figures_csv_is_the_rows_of_its_table(whole: Result) -> None:
    for figure in figures_of(gather(whole)):
        found = pd.read_csv(io.StringIO(figure.csv()), keep_default_na=False, na_values=[""])
        assert found["row"].tolist() == figure.data.index.tolist() and len(found), figure.name
    curves = next(one for one in figures_of(gather(whole)) if one.name == "cross_layer")
    source = whole.curves.iloc[curves.data.index]
    np.testing.assert_allclose(curves.data["chance_corrected"], source["chance_corrected"])


def test_the_page_carries_what_its_figures_draw(told: Document, whole: Result) -> None:
    data = carried(told)
    entry = data["figures"]["similarity"]
    packed = data["data"][entry["rows"]]
    decoded = {
        name: [column["levels"][code] for code in column["codes"]] if isinstance(column, dict) else column
        for name, column in packed.items()
    }
    rows = pd.DataFrame(decoded)
    mean = whole.curves[
        (whole.curves["kind"] == "modality_similarity") & (whole.curves["measure"] == MEASURES[1])
        & (whole.curves["control"] == "none") & (whole.curves["against"] == "text.pooled")
    ]  # fmt: skip
    here = mean[mean["group"] != "mean"]
    np.testing.assert_allclose(sorted(rows["value"]), sorted(here["value"]), rtol=1e-4)
    names = set(re.findall(r'"name": "(data-[0-9a-f]+)"', json.dumps(data["figures"])))
    assert names == set(data["data"])
    assert "#1c2127" not in json.dumps(data["figures"])  # in the page's colours, light or dark


def test_the_tokens_are_one_dot_a_pair(whole: Result) -> None:
    figure = next(one for one in figures_of(gather(whole)) if one.name == "shared_tokens")
    assert len(figure.data) == 6 == len(figure.data.drop_duplicates(["language_a", "language_b"]))
    assert figure.data["measure"].nunique() == figure.data["point"].nunique() == 1


def test_a_shared_layer_is_shown_against_itself_and_a_speech_layer_against_the_deepest_text() -> None:
    plain = synthetic_result(speech=3, text=3, measures=MEASURES[1:2], controls=("none",))
    every = plain.scores[plain.scores["kind"] == "modality_similarity"]
    curves = plain.curves[plain.curves["kind"] == "modality_similarity"]
    both = dataclasses.replace(
        plain,
        scores=pd.concat([plain.scores, every.assign(point_b="text.embeddings", depth_b=0.0, value=0.999)]),
        curves=pd.concat([plain.curves, curves.assign(against="text.embeddings", value=0.999)]),
    )
    heroes = [Report.of(one).hero for one in (plain, both)]
    assert heroes[0] is not None and heroes[1] is not None
    assert heroes[0].spec() == heroes[1].spec()


def test_of_many_layers_some_are_drawn_evenly_spread_and_the_page_says_so() -> None:
    kinds = ("language_similarity_text",)
    only_text: dict[str, Any] = {"controls": ("none",), "measures": MEASURES[1:2], "kinds": kinds}
    many_pairs = synthetic_result([f"l{index:02}" for index in range(30)], speech=2, text=40, **only_text)
    many_sentences = with_tables(synthetic_result(("en", "fr", "es"), speech=20, text=20, **only_text), sentences=200)
    for result, name, some in ((many_pairs, "heat_map.text", 17), (many_sentences, "point_map", 20)):
        sections = gather(result)
        spec = next(figure for figure in figures_of(sections) if figure.name == name).spec()
        blocks = [str(block) for section in sections for evidence in section.evidence for block in evidence.blocks]
        (menu,) = (one["bind"]["options"] for one in spec["params"] if "options" in one.get("bind", {}))
        points = [str(point["name"]) for side in result.meta["model"]["sides"] for point in side["points"]]
        (rows,) = spec["datasets"].values()
        assert {row["point"] for row in rows} == set(menu) and len(menu) == some
        assert menu[-1] == points[-1] and np.ptp(np.diff([points.index(point) for point in menu])) <= 1
        assert any(f"has {some} of 40 layers, evenly spread" in block for block in blocks)


def test_files_beside_the_page_are_linked(document: Document) -> None:
    links = {attributes["href"] for attributes in document.all("a")}
    assert {"scores.parquet", "scores.csv", "curves.csv", "result.json", "figures/heat_map.text.pdf"} <= links


def test_a_result_read_back_gives_the_same_page(tmp_path: Path) -> None:
    result = small(("en", "fr", "it"))
    assert render(Result.load(result.save(tmp_path))) == render(result)


def test_the_same_result_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_report(small(measures=MEASURES[2:], kinds=DRAWN[:1]), tmp_path / name)
    there = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert {path.suffix for path in there} == {".html", ".svg", ".png", ".pdf", ".csv"}
    for path in there:
        if path.suffix == ".pdf":  # the renderer names its fonts by chance
            continue
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes(), path


def test_a_small_study_gives_a_small_file(written: Path) -> None:
    assert (written / "report.html").stat().st_size < 1_800_000  # of which Vega takes half


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "report.html"
    blocked.mkdir()
    with pytest.raises((DataError, OSError)):
        write_report(small(kinds=("modality_similarity",)), tmp_path, figures=False)
    assert not list(tmp_path.glob(".report*"))


# -- what is in the data stays data -------------------------------------------------------------------


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
    assert len(document.scripts) == 3
    assert "alert(1)" not in document.scripts[0] + document.scripts[2]
    assert not document.all("img")
    assert EVIL in document.text
    assert evil in json.dumps(carried(document)["data"]).replace("\\\\", "\\").replace(
        '\\"', '"'
    ) or EVIL in json.dumps(carried(document))
    assert not any(name.startswith("on") for _, attributes in document.elements for name in attributes)
    for picture in (tmp_path / "figures").glob("*.svg"):
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(picture).iter()}
        assert not tags & {"script", "img", "foreignObject"}, picture.name


PARTS = ("study", "model", "corpus", "options", "versions", "headline", "caveats")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_the_provenance_may_be_missing(part: str) -> None:
    result = small(kinds=("modality_similarity",))
    document = Document(render(dataclasses.replace(result, meta={**result.meta, part: None})))
    assert {attributes.get("id") for attributes in document.all("section")} >= {"answer", "trust"}


@pytest.mark.parametrize("shape", ["a text", 3, [None, 1], {"name": 3, "sides": "x", "weights": [1], "languages": 2}])
def test_provenance_of_another_shape_does_not_break_the_page(shape: Any) -> None:
    document = Document(
        render(dataclasses.replace(small(kinds=("modality_similarity",)), meta=dict.fromkeys(PARTS, shape)))
    )
    assert {attributes.get("id") for attributes in document.all("section")} >= {"answer", "trust"}


def test_without_any_provenance_the_page_still_stands() -> None:
    document = Document(render(dataclasses.replace(small(("en", "es", "fr", "it", "ru")), meta={})))
    assert {attributes.get("id") for attributes in document.all("section")} >= {"answer", "trust"}
    assert "en, es, fr, it and ru" in document.text


# -- sentences, numbers and their places ---------------------------------------------------------------


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


def test_parts_that_do_not_make_up_their_sentence_are_not_shown() -> None:
    evil = {"value": 1, "table": '"><script>', "rows": [0], "column": "x", "text": "0.50"}
    assert of_parts("It is 0.50.", ["It is ", {**evil, "text": "0.90"}, "."]) == "It is 0.50."
    assert of_parts("It is 0.50.", None) == of_parts("It is 0.50.", [3]) == "It is 0.50."
    assert of_parts("It is 0.50.", ["It is ", {"text": "0.50"}, "."]) == "It is 0.50."
    shown = of_parts("It is 0.50.", ["It is ", evil, "."])
    assert isinstance(shown, Sentence) and "<script>" not in shown.__html__()


def test_verdicts_stand_on_rows_that_can_be_looked_up(source: str, whole: Result) -> None:
    for _, finding in whole.tables["findings"].drop_duplicates("id").iterrows():
        assert str(finding["statement"]) in source
    item = json.loads(str(whole.tables["findings"]["evidence"].iloc[0]))[0]
    keep = np.ones(len(whole.curves), dtype=bool)
    for column, value in item["where"].items():
        keep &= (whole.curves[column] == value).to_numpy()
    rows = " ".join(map(str, np.flatnonzero(keep)))
    assert f'data-table="curves" data-rows="{rows}" data-column="{item["column"]}"' in source


def test_a_reading_that_correction_changes_is_told(told: Document) -> None:
    assert told.text.count("On raw SVCCA this would read “holds”.") == 2


LEADS = re.compile(r'<p class="(?:lead|verdict|verdict more)">(.*?)</p>', re.DOTALL)


def test_no_decimal_of_an_answer_lacks_its_place(source: str, whole: Result) -> None:
    leads = LEADS.findall(source)
    assert len(leads) >= 6
    names = {point["name"] for side in whole.meta["model"]["sides"] for point in side["points"]}
    for lead in leads:
        bare = re.sub(r"<data .*?</data>", "", lead)
        for name in names:
            bare = bare.replace(name, "")
        assert not re.search(r"\d\.\d", re.sub(r"<[^>]*>", "", bare)), bare


def test_negative_numbers_have_one_minus(source: str) -> None:
    body = re.sub(r"<(style|script|svg)[ >].*?</\1>", "", source.partition("<body>")[2], flags=re.DOTALL)
    text = html.unescape(re.sub(r"<[^>]*>", " ", body))
    found = re.search(r"(?<![\w.])-\d", text)
    assert found is None, text[found.start() - 60 : found.end() + 20]


def test_p_and_its_correction_are_named_wherever_a_p_is(source: str) -> None:
    text = html.unescape(re.sub(r"<[^>]*>", " ", source.partition("<body>")[2]))
    assert "p, uncorrected" in text or "Retrieval" not in text
    assert "corrected for all claims" in text


def test_methods_cite_what_was_used_and_nothing_else(told: Document) -> None:
    keys = set(re.findall(r"@\w+\{(\w+),", told.text))
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
    assert len(document.scripts) == 3
    assert "alert(1)" not in document.scripts[0] + document.scripts[2]
    assert not document.all("img")
    assert not any(name.startswith("on") for _, attributes in document.elements for name in attributes)
    assert "<!--" not in source.split("<body>")[1]
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
    report = Report.of(whole)
    for sentence in report.first.verdict:
        assert f"\n> {sentence}\n" in html.unescape(text), "spaces around numbers stay"
    for section in report.sections:
        assert f"\n## {section.question}\n" in text
        for evidence in section.evidence:
            assert f"\n### {evidence.title}\n" in html.unescape(text)
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
