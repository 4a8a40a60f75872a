"""Tokens: counted without what frames every text, shared by running frequency, and set beside likeness."""

from __future__ import annotations

import json
import shutil
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babelscope.capture import Activations, encode
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError
from babelscope.gaps.result import TABLE_COLUMNS
from babelscope.gaps.tokens import associations, own_tokens, shared_token_share, tokens_per_word, tokens_table
from babelscope.models import Model
from babelscope.testing import Planted, planted_activations

TEXTS = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), min_size=2, max_size=6)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_model: Model, tones: Corpus) -> Activations:
    return encode(tiny_model, tones, tmp_path_factory.mktemp("tokens") / "activations.zarr", block=5)


def arrays(texts: Any) -> Any:
    return [np.array(ids, dtype=np.int64) for ids in texts]


def scores(activations: Activations, **values: float) -> pd.DataFrame:
    """Two measures at two points, plain and controlled, and a modality gap that is no pair of texts."""
    pairs = list(combinations(activations.languages, 2))
    rows = [
        {"kind": kind, "control": control, "point_a": point, "measure": measure, "language_a": a, "language_b": b}
        for kind in ("language_similarity_text", "language_similarity_speech")
        for control in ("none", "shuffled")
        for point in ("text.embeddings", "text.pooled")
        for measure in ("svcca", "linear_cka")
        for a, b in pairs
    ]
    return pd.DataFrame(rows).assign(chance_corrected=[0.01 * index for index in range(len(rows))])


def test_a_frame_around_every_text_is_not_counted() -> None:
    texts = arrays([[0, 50, 7, 8, 9, 1, 2], [0, 50, 5, 1, 2], [0, 50, 8, 1, 1, 2]])
    assert [ids.tolist() for ids in own_tokens(texts)] == [[7, 8, 9], [5], [8, 1]]
    assert [ids.tolist() for ids in own_tokens(arrays([[1, 2, 3], [1, 2, 3]]))] == [[3], [3]]
    assert own_tokens([]) == []


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS, front=st.lists(st.integers(20, 29), max_size=3), back=st.lists(st.integers(30, 39), max_size=3))
def test_whatever_the_frame_the_same_tokens_are_left(texts: Any, front: list[int], back: list[int]) -> None:
    unlike = [[10 * place, *ids, 10 * place] for place, ids in enumerate(texts, start=5)]
    framed = own_tokens(arrays([[*front, *ids, *back] for ids in unlike]))
    assert [ids.tolist() for ids in framed] == unlike


@settings(max_examples=60, deadline=None)
@given(first=TEXTS, second=TEXTS)
def test_the_shared_share_is_one_less_the_total_variation(first: Any, second: Any) -> None:
    share = shared_token_share(arrays(first), arrays(second))
    assert share == pytest.approx(shared_token_share(arrays(second), arrays(first)))
    p, q = (
        np.bincount(np.concatenate(arrays(texts)), minlength=10) / sum(map(len, texts)) for texts in (first, second)
    )
    assert share == pytest.approx(1 - np.abs(p - q).sum() / 2)
    assert shared_token_share(arrays(first), arrays(first * 3)) == pytest.approx(1)
    assert shared_token_share(arrays(first), [ids + 10 for ids in arrays(second)]) == 0


def test_without_a_token_there_is_no_share() -> None:
    with pytest.raises(DataError, match="no token"):
        shared_token_share(arrays([[1]]), [])


def test_tokens_are_kept_and_counted_by_words(whole: Activations, tones: Corpus, tiny_model: Model) -> None:
    """The tiny tokenizer cuts into letters, and every word begins with one token more."""
    side = tiny_model.sides["text"]
    for language in whole.languages:
        ids, texts = whole.token_ids(language), whole.texts(language)
        assert ids is not None
        for own, text in zip(ids, texts, strict=True):
            assert own.tolist() == side.prepare(text, language).inputs["input_ids"].tolist()
        np.testing.assert_array_equal([len(one) for one in ids], whole.lengths("text", language))
        words = sum(len(text.split()) for text in texts)
        letters = sum(len(text.replace(" ", "")) for text in texts)
        assert tokens_per_word(whole)[language] == pytest.approx((letters + words - len(texts)) / words, abs=0.3)


def test_the_table_sets_them_beside_the_likeness_of_texts(whole: Activations) -> None:
    given_scores = scores(whole)
    table = tokens_table(whole, given_scores)
    assert tuple(table.columns) == TABLE_COLUMNS["tokens"]
    assert len(table) == 3 * 2 * 2
    assert table["chance_corrected"].tolist() == [0.01 * index for index in range(12)]
    first = table.iloc[0]
    held = [own_tokens(whole.token_ids(language) or []) for language in ("xa", "xb")]
    assert first["shared_token_share"] == shared_token_share(*held)
    assert 0.5 < first["shared_token_share"] < 1
    assert first["tokens_per_word_b"] == tokens_per_word(whole)["xb"]
    assert tokens_table(whole, given_scores[given_scores["kind"] == "language_similarity_speech"]).empty


def test_a_store_without_tokens_has_no_table(tmp_path: Path) -> None:
    planted = planted_activations(tmp_path / "a.zarr", {"shared.0": Planted(meaning=0.5)}, n=10)
    assert planted.token_ids("xa") is None
    assert tokens_table(planted, scores(planted)).empty
    assert all(np.isnan(value) for value in tokens_per_word(planted).values())


def test_a_store_from_before_tokens_were_kept_is_read(whole: Activations, tmp_path: Path) -> None:
    old = tmp_path / "old.zarr"
    shutil.copytree(whole.path, old)
    shutil.rmtree(old / "token_ids")
    root = old / "zarr.json"
    held = json.loads(root.read_text())
    del held["consolidated_metadata"]["metadata"]["token_ids"]
    root.write_text(json.dumps(held))
    read = Activations(old)
    assert read.complete and read.token_ids("xa") is None
    np.testing.assert_array_equal(read.matrix("text.pooled", "text", "xb"), whole.matrix("text.pooled", "text", "xb"))


def _made_up(languages: int, seed: int, slope: float) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    where = generator.standard_normal(languages)
    rows = [
        {
            "language_a": f"x{a}",
            "language_b": f"x{b}",
            "tokens_per_word_a": 1.5,
            "tokens_per_word_b": 1.5,
            "shared_token_share": float(np.exp(-abs(where[a] - where[b]))),
            "point": "text.layer.0",
            "measure": "linear_cka",
        }
        for a, b in combinations(range(languages), 2)
    ]
    table = pd.DataFrame(rows)
    other = generator.standard_normal(languages)
    of_languages = [
        abs(other[int(a[1:])] - other[int(b[1:])])
        for a, b in zip(table["language_a"], table["language_b"], strict=True)
    ]
    return table.assign(chance_corrected=slope * table["shared_token_share"] + 0.2 * np.array(of_languages))


def test_an_association_is_found_where_there_is_one() -> None:
    found = associations(_made_up(9, 0, 5.0), permutations=499)
    assert found["predictor"].tolist() == ["shared_token_share"]  # the other does not vary
    assert found["rho"][0] > 0.7 and found["p"][0] <= 0.01
    assert (found["languages"][0], found["pairs"][0]) == (9, 36)
    assert found["low"][0] < found["rho"][0] < found["high"][0] <= 1 and found["low"][0] > 0
    assert associations(_made_up(4, 0, 5.0))["low"].isna().all()
    assert associations(_made_up(3, 0, 5.0)).empty
    with pytest.raises(UsageError, match="at least 19"):
        associations(_made_up(9, 0, 5.0), permutations=5)


def test_unrelated_tokens_and_likeness_are_found_no_more_often_than_p_says() -> None:
    """Both are distances between languages, so that pairs are far from independent."""
    ps = [associations(_made_up(8, seed, 0.0), permutations=99, seed=seed)["p"][0] for seed in range(120)]
    assert np.mean(np.array(ps) <= 0.1) < 0.1 + 3 * (0.09 / 120) ** 0.5
    assert 0.4 < np.mean(ps) < 0.6
