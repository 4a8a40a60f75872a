"""Dots to look at: the principal axes, the same every time, and few enough for a report."""

from __future__ import annotations

from itertools import pairwise
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
from babelscope.gaps.projection import chosen_sentences, principal_axes, projection_table, spread
from babelscope.gaps.result import TABLE_COLUMNS
from babelscope.models import Model
from babelscope.testing import Planted, planted_activations

POINTS = {"shared.0": Planted(meaning=0.3), "shared.1": Planted(meaning=0.6), "shared.2": Planted(meaning=0.61)}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Activations:
    return planted_activations(
        tmp_path_factory.mktemp("planted") / "a.zarr", POINTS, n=30, languages=[f"x{letter}" for letter in "abcde"]
    )


@settings(max_examples=40, deadline=None)
@given(n=st.integers(3, 30), d=st.integers(1, 40), seed=st.integers(0, 999))
def test_they_are_the_axes_of_the_singular_value_decomposition(n: int, d: int, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((n, d)) + 7
    scores, shares = principal_axes(x)
    left, size, right = np.linalg.svd(x - x.mean(0), full_matrices=False)
    for axis in range(min(2, d)):
        sign = np.sign(right[axis, np.argmax(np.abs(right[axis]))])
        np.testing.assert_allclose(scores[:, axis], sign * left[:, axis] * size[axis], atol=1e-6)
        assert shares[axis] == pytest.approx(size[axis] ** 2 / (size**2).sum())
    assert shares.sum() <= 1 + 1e-12 and shares[0] >= shares[1]


def test_many_rows_and_features_give_the_same_as_few() -> None:
    """Beyond a certain size only two eigenvectors are computed, in another way."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((400, 300)) @ np.diag(0.97 ** np.arange(300)) - 3
    scores, shares = principal_axes(x)
    left, size, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs(scores), np.abs(left[:, :2] * size[:2]), atol=1e-7)
    np.testing.assert_allclose(shares, size[:2] ** 2 / (size**2).sum())
    np.testing.assert_array_equal(principal_axes(x)[0], scores)


def test_one_direction_has_no_second_axis() -> None:
    scores, shares = principal_axes(np.outer(np.arange(5.0), [1.0, -2.0, 0.5]))
    np.testing.assert_allclose(shares, [1, 0], atol=1e-12)
    assert (scores[:, 1] == 0).all() and scores[0, 0] > scores[4, 0]  # the largest weight is that of -2


@pytest.mark.parametrize("x", [np.full((4, 3), 0.1), np.ones((1, 3)), np.array([[1.0, np.nan], [0, 0]]), np.ones(4)])
def test_what_has_no_axis_is_refused(x: Any) -> None:
    with pytest.raises(DataError, match="principal_axes"):
        principal_axes(x)


def test_the_table_shows_speech_and_text_together(planted: Activations) -> None:
    table = projection_table(planted)
    assert tuple(table.columns) == TABLE_COLUMNS["projection"]
    assert len(table) == 3 * 2 * 5 * 30 and not table.duplicated(["point", "modality", "language", "sentence"]).any()
    for point, rows in table.groupby("point"):
        vectors = np.stack(
            [
                planted.matrix(str(point), modality, language)[planted.sentences.index(sentence)]
                for modality, language, sentence in zip(
                    rows["modality"], rows["language"], rows["sentence"], strict=True
                )
            ]
        )
        scores, shares = principal_axes(vectors)
        np.testing.assert_allclose(np.abs(rows[["x", "y"]].to_numpy()), np.abs(scores), atol=1e-6)
        assert (rows["share_x"].iloc[0], rows["share_y"].iloc[0]) == pytest.approx(tuple(shares))
    pd.testing.assert_frame_equal(projection_table(planted), table)


def test_layers_do_not_flip(planted: Activations) -> None:
    by_point = [rows[["x", "y"]].to_numpy() for _, rows in projection_table(planted).groupby("point", sort=False)]
    for before, after in pairwise(by_point):
        assert ((before * after).sum(0) >= 0).all()


def test_a_cap_takes_the_same_sentences_everywhere(planted: Activations) -> None:
    table = projection_table(planted, most_sentences=7, most_languages=3, seed=5)
    assert len(table) == 3 * 2 * 3 * 7
    assert set(table["language"]) == {"xa", "xc", "xe"}
    per_cell = table.groupby(["point", "modality", "language"])["sentence"].agg(tuple)
    assert per_cell.nunique() == 1
    other = projection_table(planted, most_sentences=7, most_languages=3, seed=6)
    assert set(other["sentence"]) != set(table["sentence"])
    with pytest.raises(UsageError, match="shows nothing"):
        projection_table(planted, most_sentences=1)


def test_the_default_cap_is_what_it_says() -> None:
    rows = chosen_sentences(647)
    assert len(rows) == 200 and (np.diff(rows) > 0).all() and rows.max() < 647
    assert chosen_sentences(150).tolist() == list(range(150))
    names = [str(number) for number in range(102)]
    assert len(spread(names, 12)) == 12 and spread(names, 12)[0] == "0" and spread(names, 12)[-1] == "101"
    assert spread(names[:4], 12) == names[:4]


def test_two_towers_show_points_of_their_own(tiny_model: Model, tones: Corpus, tmp_path: Path) -> None:
    activations = encode(tiny_model, tones, tmp_path / "a.zarr")
    table = projection_table(activations)
    shown = table.groupby("point")["modality"].agg(set)
    assert set(shown.map(len)) == {1}
    for modality in ("text", "speech"):
        own = activations.points(modality)
        assert {own[0], own[-1]} <= set(shown.index) and shown[own[0]] == {modality}
    only = projection_table(activations, points=["text.pooled"])
    assert set(only["point"]) == {"text.pooled"}
    with pytest.raises(UsageError, match=r"did you mean 'text.pooled'"):
        projection_table(activations, points=["text.poled"])
