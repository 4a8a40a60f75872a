"""Data sets in Parquet that are built on FLEURS: SIB-FLEURS, Belebele-FLEURS, 2M-Belebele; local and from a hub."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from babelscope import corpora
from babelscope.audio import load_audio
from babelscope.corpora import Corpus
from babelscope.errors import DataError, FetchError, UsageError
from fleurs_fixture import RATE, Reading, speech, spoil_sound, tones, write
from hub_server import COMMIT, point_the_client_to, serving
from slu_fixture import WRITERS, link_of, write_2m, write_belebele, write_sib

LANGUAGES = ["en_us", "it_it"]
NAMES = tuple(WRITERS)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BABELSCOPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _copy(name: str, folder: Path) -> Path:
    return WRITERS[name](folder, tones(LANGUAGES))


def _same_sound(corpus: Corpus, sentence: str, number: int) -> None:
    for language in LANGUAGES:
        expected = [each for each in tones([*LANGUAGES])[language]["test"] if each.sentence == number]
        heard = [load_audio(each) for each in corpus.recordings(sentence, language)]
        assert len(heard) == len(expected)
        assert all(np.array_equal(samples, each.samples) for samples, each in zip(heard, expected, strict=True))


def test_sib_fleurs_has_topics_documents_and_speakers(tmp_path: Path) -> None:
    corpus = corpora.load("sib-fleurs", path=write_sib(tmp_path / "sib", tones(LANGUAGES), rows=4))
    assert corpus.languages == ("en_us", "it_it")
    assert corpus.sentences == ("1000", "1001", "1002", "1003", "1004", "1005")
    assert corpus.text("1003", "it_it") == "Sentence 3, in it_it."
    assert corpus.clusters == {str(1000 + number): link_of(number) for number in range(6)}
    assert corpus.readers["en_us"] == ("en_us female 4", "en_us male 7")
    assert corpus.labels.loc["1003"].to_dict() == {
        "category": "travel", "domain": "wikinews", "topic": "Topic 1", "fleurs_id": 3,
    }  # fmt: skip
    assert corpus.licence == "CC-BY-SA-4.0" and "Schmidt" in corpus.attribution and corpus.problems == ()
    _same_sound(corpus, "1003", 3)
    union = corpora.load("sib-fleurs", path=tmp_path / "sib", languages=["it"], splits="train+validation")
    assert len(union) == 12 and union.languages == ("it_it",)
    first = corpora.load("sib-fleurs", path=tmp_path / "sib", recording="male", others=False)
    assert first.readers["en_us"] == ("en_us male 7",)


def test_belebele_fleurs_has_passages_and_questions(tmp_path: Path) -> None:
    corpus = corpora.load("belebele-fleurs", path=_copy("belebele-fleurs", tmp_path / "belebele"))
    assert corpus.sentences == ("0", "1", "2", "3", "4", "5")
    assert corpus.clusters["4"] == link_of(4) and len(set(corpus.clusters.values())) == 2
    labels = corpus.labels.loc["4"]
    assert labels["question_2"] == "Question 2 in en_us?" and labels["correct_1"] == 2
    assert json.loads(str(labels["answers_1"]))[1] == "Answer 2 in en_us"
    assert corpus.labels["question_2"].notna().tolist() == [False, False, False, True, True, True]
    _same_sound(corpus, "3", 3)
    # Its sentences are FLEURS's: where FLEURS is loaded, the passages are its documents.
    copy = write(tmp_path / "fleurs", tones(LANGUAGES))
    assert corpora.load("fleurs", path=copy, documents=tmp_path / "belebele").clusters == corpus.clusters
    write_sib(tmp_path / "sib", tones(["it_it"]))
    assert corpora.load("fleurs", path=copy, documents=tmp_path / "sib").clusters == corpus.clusters


def test_2m_belebele_reads_lists_of_samples(tmp_path: Path) -> None:
    corpus = corpora.load("2m-belebele", path=write_2m(tmp_path / "2m", tones(LANGUAGES), unmatched=2))
    names = [f"en.wikinews.org/wiki/Article_{number // 3}#{number % 3 + 1}" for number in range(6)]
    assert list(corpus.sentences) == names
    assert corpus.clusters[names[4]] == link_of(4) and corpus.labels.loc[names[4], "place"] == 2
    assert corpus.readers["it_it"] == ("it_it female", "it_it male")
    assert corpus.text(names[2], "it_it") and not corpus.recordings(names[2], "it_it")
    assert len(corpus.select()) == 5
    _same_sound(corpus, names[3], 3)


@pytest.mark.parametrize("name", NAMES)
def test_texts_alone_leave_sound_unread(name: str, tmp_path: Path, cache: Path) -> None:
    copy = _copy(name, tmp_path / "copy")
    whole = corpora.load(name, path=copy)
    for path in copy.rglob("*.parquet"):
        spoil_sound(path)
    texts = corpora.load(name, path=copy, modalities=["text"])
    assert texts.sentences == whole.sentences and texts.clusters == whole.clusters
    assert texts.describe()["recordings"].sum() == 0
    with pytest.raises(DataError, match=r"\.parquet cannot be read"):
        corpora.load(name, path=copy)


@pytest.mark.parametrize("name", NAMES)
def test_sound_is_packed_once(name: str, tmp_path: Path, cache: Path) -> None:
    copy = _copy(name, tmp_path / "copy")
    first = corpora.load(name, path=copy)
    zips = {each: each.stat().st_mtime_ns for each in (cache / "corpora" / name).glob("*.zip")}
    assert len(zips) == 2
    assert corpora.load(name, path=copy).fingerprint() == first.fingerprint()
    assert {each: each.stat().st_mtime_ns for each in (cache / "corpora" / name).glob("*.zip")} == zips


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_the_hub_gives_what_a_local_copy_gives(
    name: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = _copy(name, tmp_path / "copy")
    local = corpora.load(name, path=copy)
    monkeypatch.setenv("BABELSCOPE_CACHE", str(tmp_path / "another"))
    repository = {"2m-belebele": "facebook/2M-Belebele"}.get(name, f"WueNLP/{name}")
    with serving(repository, _files(copy)) as hub:
        point_the_client_to(hub.url, monkeypatch, tmp_path / "hf")
        told = corpora.load(name, languages=["en", "it"], progress=False)
        assert told.fingerprint() == local.fingerprint() and told.clusters == local.clusters
        assert told.labels.equals(local.labels) and any(COMMIT in note for note in told.notes)
        asked = len(hub.asked)
        assert corpora.load(name, languages=["en", "it"], progress=False).fingerprint() == local.fingerprint()
        assert len(hub.asked) == asked
    left = [path for path in (tmp_path / "another" / "downloads").rglob("*") if path.is_file()]
    assert not left  # packed, and gone
    point_the_client_to(hub.url, monkeypatch, offline=True)
    again = corpora.load(name, languages=["en", "it"], progress=False)
    assert again.fingerprint() == local.fingerprint()
    with pytest.raises(FetchError, match=rf"data set {repository} \(v2\) is not here"):
        corpora.load(name, languages=["en"], revision="v2", progress=False)


def _change(path: Path, change: Callable[[dict[str, Any]], None], row: int = 0) -> None:
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows[row])
    pq.write_table(table.from_pylist(rows, schema=table.schema), path)


def test_what_is_broken_is_named(tmp_path: Path) -> None:
    copy = write_sib(tmp_path / "sib", tones(LANGUAGES))
    path = copy / "data" / "eng_Latn" / "test-00000-of-00001.parquet"

    def silence(row: dict[str, Any]) -> None:
        row["audio"][0]["bytes"] = Reading(0, "", np.zeros(RATE, np.float32)).wav

    _change(path, silence, row=1)
    with pytest.raises(DataError, match=r"test-00000-of-00001.parquet, row 2, id 1001: .* is silent") as caught:
        corpora.load("sib-fleurs", path=copy)
    assert "broken='drop'" in str(caught.value) and "\n" not in str(caught.value)
    dropped = corpora.load("sib-fleurs", path=copy, broken="drop")
    assert not dropped.recordings("1001", "en_us") and any("1 broken rows" in note for note in dropped.notes)
    _change(path, lambda row: row.update(sentence=" "), row=2)
    with pytest.raises(DataError, match=r"row 3 has a sentence without a text"):
        corpora.load("sib-fleurs", path=copy)

    table = pq.read_table(path)
    pq.write_table(table.rename_columns(["index" if name == "index_id" else name for name in table.column_names]), path)
    with pytest.raises(DataError, match=r"test-00000-of-00001.parquet has no column 'index_id': did you mean 'index'"):
        corpora.load("sib-fleurs", path=copy)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"test-00000-of-00001.parquet cannot be read as Parquet"):
        corpora.load("sib-fleurs", path=copy)
    path.unlink()
    with pytest.raises(
        DataError, match=r"language 'en_us' has no split 'test': .*data/eng_Latn/test-\*.parquet is miss"
    ):
        corpora.load("sib-fleurs", path=copy, languages=["en"])
    with pytest.raises(UsageError, match=r"has no language with test"):
        corpora.load("sib-fleurs", path=tmp_path)
    with pytest.raises(UsageError, match=r"needs languages"):
        corpora.load("sib-fleurs")
    with pytest.raises(UsageError, match=r"no split 'tets': did you mean 'test'"):
        corpora.load("sib-fleurs", path=copy, splits="tets")


def test_a_field_or_a_file_that_is_missing(tmp_path: Path) -> None:
    copy = write_belebele(tmp_path / "belebele", tones(LANGUAGES), rows=1)
    second = copy / "data" / "ita_Latn" / "test-00001-of-00003.parquet"
    _change(second, lambda row: row.update(correct_answer_num="b"))
    with pytest.raises(DataError, match=r"test-00001-of-00003.parquet, row 1 is not as WueNLP/belebele-fleurs has its"):
        corpora.load("belebele-fleurs", path=copy)
    second.unlink()
    with pytest.raises(DataError, match=r"ita_Latn has 2 files like test-00000-of-00003.parquet, of 3: get the rest"):
        corpora.load("belebele-fleurs", path=copy)


@pytest.mark.assets
@pytest.mark.parametrize("name", NAMES)
def test_real_speech_in_the_true_layout(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as real:
        real.delenv("BABELSCOPE_CACHE")
        dataset = speech(12)
    corpus = corpora.load(name, path=WRITERS[name](tmp_path / "copy", dataset))
    assert corpus.languages == ("en_us", "es_419", "fr_fr", "it_it", "ru_ru") and len(corpus) == 6
    assert len(corpus.select()) == 6 and corpus.problems == () and len(set(corpus.clusters.values())) >= 2
    number = min(each.sentence for each in dataset["it_it"]["test"])
    readings = [each for each in dataset["it_it"]["test"] if each.sentence == number]
    heard = [load_audio(each) for each in corpus.recordings(corpus.sentences[0], "it_it")]
    assert len(heard) == len(readings)
    assert all(np.array_equal(samples, each.samples) for samples, each in zip(heard, readings, strict=True))
