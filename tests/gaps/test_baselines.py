"""Baselines: what they are made of, that they are scored as the model is, and what the headline makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from babelscope.gaps import Result, compare
from babelscope.gaps.baselines import phones
from babelscope.gaps.baselines.ngrams import latin_words, ngram_vectors, ngrams
from babelscope.gaps.result import TABLE_COLUMNS
from babelscope.report import methods
from babelscope.similarity import linear_cka, retrieval
from babelscope.testing import Planted, planted_activations
from spelled import invented_texts, spelled_store

KINDS = ("modality_similarity", "language_similarity_text", "language_similarity_speech")


def _against(result: Result, kind: str, baseline: str) -> pd.Series:
    table = result.tables["against_baselines"]
    rows = table[(table["kind"] == kind) & (table["baseline"] == baseline) & (table["measure"] == "linear_cka")]
    return rows.iloc[-1]


def test_strings_are_compared_in_latin_letters() -> None:
    assert latin_words("Пётр, Straße, 東京!") == ["petr", "strasse", "dongjing"]
    assert list(ngrams("ab")) == [" a", "ab", "b ", " ab", "ab "]
    rows = ngram_vectors({"xa": ["Мария", "nothing in common"], "xb": ["Maria", "?!"]})
    assert rows["xa"].shape == rows["xb"].shape
    assert (rows["xa"][[0]] @ rows["xb"][[0]].T).toarray()[0, 0] > 0.5  # Mariya and Maria
    assert rows["xb"][[1]].count_nonzero() == 0 and np.isclose((rows["xa"].power(2)).sum(1), 1).all()
    assert ngram_vectors({"xa": ["abcdefgh"]}, most=5)["xa"].shape == (1, 5)


def test_strings_retrieve_cognates_and_nothing_without_them() -> None:
    for cognates, least, most in ((0.6, 0.8, 1.0), (0.0, 0.0, 0.1)):
        rows = ngram_vectors(invented_texts(("xa", "xb"), 60, cognates, seed=1))
        score = retrieval(rows["xa"].toarray(), rows["xb"].toarray())
        assert least <= score <= most, (cognates, score)


def test_a_baseline_is_scored_as_a_representation_is(tmp_path: Path) -> None:
    store = spelled_store(tmp_path, n=30)
    result = compare(store, ["linear_cka", "retrieval"], controls=["none"])
    table = result.tables["baselines"]
    assert list(table.columns) == list(TABLE_COLUMNS["baselines"])
    strings = table[(table["baseline"] == "strings") & (table["kind"] == "language_similarity_speech")]
    rows = ngram_vectors({language: store.texts(language) for language in store.languages})
    pair = strings[(strings["measure"] == "linear_cka") & (strings["group"] == "xa-xb")].iloc[0]
    assert pair["value"] == pytest.approx(linear_cka(rows["xa"].toarray(), rows["xb"].toarray()), abs=1e-6)
    assert pair["null_mean"] == pytest.approx(0, abs=0.02) and pair["p"] < 0.01 and pair["low"] < pair["value"]
    mean = strings[(strings["measure"] == "linear_cka") & (strings["group"] == "mean")].iloc[0]
    assert mean["groups"] == 6 and mean["low"] < mean["value"] < mean["high"]
    assert not len(table[(table["baseline"] == "strings") & (table["kind"] == "modality_similarity")])
    lengths = table[table["baseline"] == "lengths"]
    assert set(lengths["kind"]) == {
        "modality_similarity",
        "language_similarity_text",
        "language_similarity_speech",
        "cross_similarity",
    }


def test_the_difference_is_paired_and_the_strongest_is_marked(tmp_path: Path) -> None:
    result = compare(spelled_store(tmp_path, strings=0.3, meaning=0.5), ["linear_cka"], controls=["none"])
    table = result.tables["against_baselines"]
    assert list(table.columns) == list(TABLE_COLUMNS["against_baselines"])
    assert table["difference"].to_numpy() == pytest.approx(
        table["chance_corrected"] - table["baseline_chance_corrected"]
    )
    assert (table.groupby(["kind", "point"])["strongest"].sum() == 1).all()
    row = _against(result, "language_similarity_text", "strings")
    assert row["strongest"] and row["low"] < row["difference"] < row["high"]


def test_the_headline_tells_strings_from_meaning(tmp_path: Path) -> None:
    spelled = compare(spelled_store(tmp_path, strings=0.9, meaning=0.0, seed=1), ["linear_cka"], controls=["none"])
    assert "In text the baseline strings alone gives" in " ".join(spelled.meta["headline"])
    assert "which the model is not found to exceed" in " ".join(spelled.meta["headline"])
    meant = compare(
        spelled_store(tmp_path, cognates=0.15, strings=0.1, meaning=0.8, seed=2), ["linear_cka"], controls=["none"]
    )
    said = " ".join(meant.meta["headline"])
    assert "In text the strongest baseline, strings alone, gives" in said and "which the model exceeds by" in said
    assert "nrelated sentences give" not in said


def test_without_baselines_the_headline_says_so(tmp_path: Path) -> None:
    store = planted_activations(tmp_path / "a.zarr", {"shared.layer.0": Planted(meaning=0.5)}, n=20)
    result = compare(store, ["linear_cka"], controls=["none"], baselines=False)
    assert not {"baselines", "against_baselines"} & set(result.tables)
    assert "No baseline was computed." in " ".join(result.meta["headline"])


def test_sounds_are_absent_with_a_remedy_where_espeak_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phones, "_library", lambda: None)
    store = planted_activations(tmp_path / "a.zarr", {"shared.layer.0": Planted(meaning=0.5)}, n=20)
    result = compare(store, ["linear_cka"], controls=["none"])
    assert "sounds" not in set(result.tables["baselines"]["baseline"])
    (sounds,) = (one for one in result.meta["options"]["baselines"] if one["name"] == "sounds")
    assert "babelscope[phones]" in sounds["note"]


def test_phones_are_broad_and_languages_without_a_voice_are_left_out(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    (first, second) = phones.phones_of(["Maria", "el número"], "es") or ["", ""]
    assert first == "maɾja" and second.startswith("el nume")
    assert phones.phones_of(["text"], "xa") is None and phones.voice_of("en_us") == phones.voice_of("eng_Latn")
    assert phones.phones_of(["日本を押す"], "ja") is None  # the voice does not read kanji
    texts = {
        code: [f"la nota número {word}" for word in ("uno", "dos", "tres", "si", "no", "la")]
        for code in ("es", "it", "xa")
    }
    store = planted_activations(
        tmp_path / "a.zarr", {"shared.layer.0": Planted(meaning=0.5)}, n=6, languages=("es", "it", "xa"), texts=texts
    )
    result = compare(store, ["linear_cka"], controls=["none"], kinds=["language_similarity_speech"])
    table = result.tables["baselines"]
    assert set(table.loc[table["baseline"] == "sounds", "group"]) == {"es-it", "mean"}
    (sounds,) = (one for one in result.meta["options"]["baselines"] if one["name"] == "sounds")
    assert sounds["note"] == "espeak-ng says nothing for xa"


def test_strings_are_regressed_out_of_both_sides(tmp_path: Path) -> None:
    store = spelled_store(tmp_path, strings=0.8, cognates=0.8, n=80, concepts=15)
    result = compare(store, ["linear_cka"], controls=["none", "strings_regressed"], interval=False, baselines=False)
    rows = result.scores[result.scores["kind"] == "language_similarity_text"].groupby("control")
    value, n = rows["value"].mean(), rows["n"].min()
    assert value["strings_regressed"] < value["none"] / 2, value
    assert n["none"] == 80 and n["strings_regressed"] == 60  # a quarter of the sentences' degrees of freedom
    described = result.meta["options"]["regressed"]["strings_regressed"]
    assert described["directions"] == 10 and 0 < described["share"] < 1
    said = " ".join(methods.section(result)["paragraphs"])
    assert (
        f"10 leading directions of each of two languages (twice as many of one language), with {described['share']:.0%}"
        in said
    )


@pytest.mark.slow
@pytest.mark.parametrize(("strings", "meaning"), [(0.9, 0.0), (0.4, 0.5)])
def test_how_often_the_model_is_said_to_exceed_strings(tmp_path: Path, strings: float, meaning: float) -> None:
    """Vectors of strings and noise exceed strings in at most 2.5 % of studies; with meaning planted, in nearly all."""
    exceeded = []
    for seed in range(60):
        store = spelled_store(tmp_path, n=60, cognates=0.3, strings=strings, meaning=meaning, seed=seed)
        result = compare(store, ["linear_cka", "retrieval"], controls=["none"], permutations=19, kinds=KINDS)
        said = result.meta["headline"][1]
        exceeded.append("In text the strongest baseline, strings alone, gives" in said)
    if meaning:
        assert np.mean(exceeded) > 0.9, np.mean(exceeded)
    else:
        assert np.mean(exceeded) <= 0.05, np.mean(exceeded)


@pytest.mark.slow
def test_unrelated_data_are_rejected_as_often_as_promised_with_strings_regressed_out(tmp_path: Path) -> None:
    """Noise, with transcripts of many cognates: 640 scores each of four measures, at .05."""
    measures = ["linear_cka", "svcca(variance=0.9)", "retrieval", "mutual_knn"]
    frames = []
    for seed in range(40):
        store = spelled_store(tmp_path, n=60, cognates=0.8, strings=0.0, seed=seed)
        result = compare(
            store, measures, controls=["strings_regressed"], permutations=199, interval=False, baselines=False
        )
        scores = result.scores
        frames.append(scores[(scores["kind"].isin(KINDS)) & (scores["point_a"] == "shared.layer.0")])
    shares = pd.concat(frames).groupby("measure")["p"].agg(lambda p: (p < 0.05).mean())
    assert (shares <= 0.08).all(), shares.to_dict()
