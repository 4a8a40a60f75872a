"""Artikulate's courses: a small one in their layout, and the real ones where a copy of them is at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from babelscope import corpora
from babelscope.audio import load_audio
from babelscope.cli import app
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError
from babelscope.study import Study, run

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "artikulate"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/artikulate")

#: id, foreignId, text, English, sound, editState
Phrase = tuple[str, str, str, str, str, str]

POLISH: Sequence[Phrase] = (
    ("p1", "f1", "zero", "0", "p1.ogg", "completed"),
    ("p2", "f2", "zielony", "green", "p2.ogg", "completed"),
    ("p3", "f3", "supermarket", "supermarket", "p3.ogg", "completed"),
    ("p4", "f4", "pocket money", "pocket money", "", "unknown"),
    ("p5", "", "żółw", "tortoise", "", "translated"),
)
BENGALI: Sequence[Phrase] = (
    ("b1", "f1", "০", "0", "b1.ogg", "completed"),
    ("b2", "f2", "সবুজ", "green", "b2.ogg", "completed"),
)


def _course(root: Path, name: str, phrases: Sequence[Phrase], authors: Sequence[str]) -> None:
    folder = root / "courses" / "basic" / name
    folder.mkdir(parents=True)
    lines = ["<?xml version='1.0'?>", f"<course><id>{name}</id><language>{name}</language><units><unit>"]
    lines += ["<id>{u}</id><foreignId>{lesson}</foreignId>", f"<title>Lesson in {name}</title><phrases>"]
    for place, (key, foreign, text, english, sound, state) in enumerate(phrases):
        joined = f"<foreignId>{{{foreign}}}</foreignId>" if foreign else ""
        lines.append(
            f"<phrase><id>{{{key}}}</id>{joined}<text>{text}</text>"
            f"<i18nText>{english}</i18nText><soundFile>{sound}</soundFile><type>word</type>"
            f"<editState>{state}</editState></phrase>"
        )
        if sound:
            time = np.arange(44_100) / 44_100
            soundfile.write(folder / sound, 0.3 * np.sin(2 * np.pi * (200 + 30 * place) * time), 44_100)
    (folder / f"{name}.xml").write_text("\n".join([*lines, "</phrases></unit></units></course>"]), encoding="utf-8")
    (folder / "AUTHORS").write_text("".join(f"2013  {author} <a@b>\n" for author in authors), encoding="utf-8")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    _course(tmp_path, "pl", POLISH, ["Maria Nowak"])
    _course(tmp_path, "ba", BENGALI, ["Oindrila Gupta", "Somebody Else"])
    return tmp_path


def _load(path: Path, **options: object) -> Corpus:
    return corpora.load("artikulate", path=path, **options)


def test_phrases_are_parallel_by_the_id_of_the_skeleton(copy: Path) -> None:
    corpus = _load(copy)
    assert corpus.languages == ("bn", "pl")
    assert corpus.sentences == ("f1", "f2", "f3", "p5")  # f4 is English still, p5 is Polish's own
    assert (corpus.text("f1", "bn"), corpus.text("f1", "pl")) == ("০", "zero")
    assert corpus.readers == {"bn": (), "pl": ("Maria Nowak",)}  # two authors: nobody says who reads
    assert corpus.labels.loc["f2"].to_dict() == {
        "unit": "lesson", "unit_title": "Lesson in ba", "type": "word", "english": "green",
    }  # fmt: skip
    assert corpus.clusters == {} and corpus.problems == ()
    assert len(corpus.select()) == 2
    assert load_audio(corpus.recordings("f1", "pl")[0]).shape == (16_000,)
    assert _load(copy / "courses" / "basic").fingerprint() == corpus.fingerprint()


@pytest.mark.parametrize("code", ["pl", "pl_pl", "pol"])
def test_a_language_has_many_codes(copy: Path, code: str) -> None:
    assert _load(copy, languages=[code, "ba"]).languages == ("pl", "bn")


def test_texts_alone_and_a_recording_that_is_not_there(copy: Path) -> None:
    (copy / "courses" / "basic" / "pl" / "p2.ogg").unlink()
    corpus = _load(copy)
    assert corpus.text("f2", "pl") == "zielony" and not corpus.recordings("f2", "pl")
    assert [(each.kind, each.count, each.where) for each in corpus.problems] == [("audio-missing", 1, ("pl/p2.ogg",))]
    texts = _load(copy, modalities=["text"])
    assert texts.describe()["recordings"].sum() == 0 and not texts.problems


BROKEN: Mapping[str, tuple[str, str]] = {
    "cut": ("</unit>", ""),
    "entities": ("<course>", "<!DOCTYPE course [<!ENTITY a 'b'>]><course>"),
    "outside": ("p2.ogg", "../p2.ogg"),
    "twice": ("{f2}", "{f1}"),
}
MESSAGES = {
    "cut": "cannot be read",
    "entities": "refused",
    "outside": "plain name",
    "twice": "the id twice of 'zielony'",
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_course_that_is_damaged(copy: Path, case: str) -> None:
    path = copy / "courses" / "basic" / "pl" / "pl.xml"
    path.write_text(path.read_text(encoding="utf-8").replace(*BROKEN[case]), encoding="utf-8")
    with pytest.raises(DataError, match=MESSAGES[case]) as caught:
        _load(copy)
    assert "pl.xml" in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_or_a_language_that_is_not_there(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no language 'de'"):
        _load(copy, languages=["de"])
    with pytest.raises(UsageError, match=r"is no folder"):
        _load(copy / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"has no course \(looked for .*pl.xml\)"):
        _load(tmp_path / "empty")


@needs_real
def test_the_real_courses() -> None:
    corpus = _load(REAL)
    assert corpus.describe()["pairs"].to_dict() == {"bn": 286, "el": 286, "fr": 98, "pl": 286}
    assert corpus.readers["el"] == ("Dimitris Kardarakos",) and corpus.readers["fr"] == ()
    three = corpus.select(languages=["pl", "el", "bn"])
    assert len(three) == 286 and len(three.select(distinct=True)) == 284
    assert "সবুজ" in set(three.table["text"]) and "supermarket" in set(three.table["text"])
    assert three.labels["unit"].nunique() > 5 and set(three.labels["type"]) <= {
        "word", "expression", "sentence", "paragraph",
    }  # fmt: skip
    for sentence in three.sentences[::40]:
        for language in three.languages:
            recording = three.recordings(sentence, language)[0]
            assert abs(len(load_audio(recording)) / 16_000 - recording.seconds) < 0.06


@needs_real
def test_the_command_line_shows_it() -> None:
    shown = CliRunner().invoke(app, ["corpora", "show", "artikulate", "--path", str(REAL)], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    assert "1391 sentences" in shown.output and "CC-BY-SA-3.0" in shown.output
    assert "recordings that the courses name are not in" in shown.output


@needs_real
@pytest.mark.slow
@pytest.mark.assets
def test_a_study_of_polish_greek_and_bengali(tmp_path: Path) -> None:
    study = Study.parse(
        {
            "name": "artikulate",
            "output": str(tmp_path),
            "measures": ["retrieval"],
            "intervals": False,
            "permutations": 19,
            "corpus": {
                "source": "artikulate",
                "path": str(REAL),
                "languages": ["pl", "el", "bn"],
                "n": 40,
                "max_seconds": 15,
                "distinct": True,
            },
            "model": {"name": "pocket"},
        }
    )
    scores = run(study).result.scores
    rows = scores[(scores["kind"] == "modality_similarity") & (scores["control"] == "none")]
    best = rows.groupby("language_a")["value"].max()
    assert set(best.index) == {"pl", "el", "bn"} and (best > 5 / 40).all()  # chance is 1 / 40
