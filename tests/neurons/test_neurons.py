"""Selective features: planted ones are named, noise is not, and documents exchange their labels together."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

import babelscope.neurons.selective as module
from babelscope.errors import DataError, UsageError
from babelscope.neurons import (
    MATCH_COLUMNS,
    OVERLAP_COLUMNS,
    SELECTIVITY_COLUMNS,
    TOP_COLUMNS,
    NeuronOptions,
    match_table,
    neuron_tables,
    overlap_table,
    selectivity,
)
from babelscope.neurons.selective import Cell
from babelscope.testing.selective import selective_vectors

QUICK = NeuronOptions(permutations=199)
OF_LANGUAGE = {"xa": (3, 4, 5), "xb": (6, 7, 8), "xc": (9, 10, 11), "xd": (12, 13, 14)}


def test_auc_is_that_of_mann_and_whitney() -> None:
    planted = selective_vectors(n=20, width=4, of_speech=(1,))
    found = selectivity(planted, QUICK)
    speech, text = (planted.matrix("p2", of, "xb")[:, 1] for of in ("speech", "text"))
    expected = mannwhitneyu(speech, text).statistic / 20**2
    assert found.auc[Cell("modality", "p2", "speech", "xb")][1] == pytest.approx(expected)
    others = np.concatenate([planted.matrix("p0", "text", other)[:, 2] for other in ("xa", "xc", "xd")])
    expected = mannwhitneyu(planted.matrix("p0", "text", "xb")[:, 2], others).statistic / (20 * 60)
    assert found.auc[Cell("language", "p0", "text", "xb")][2] == pytest.approx(expected)


def test_ties_count_half() -> None:
    planted = selective_vectors(n=20, width=3)
    for values in planted.vectors.values():
        values[:, 0] = 0.0
    found = selectivity(planted, QUICK)
    assert {float(auc[0]) for auc in found.auc.values()} == {0.5}


def test_planted_features_are_named_and_no_other() -> None:
    tables = neuron_tables(selective_vectors(of_speech=(0, 1), of_language=OF_LANGUAGE), QUICK)
    assert tuple(tables["neurons"].columns) == SELECTIVITY_COLUMNS
    assert tuple(tables["neurons_top"].columns) == TOP_COLUMNS
    told = tables["neurons"].set_index(["question", "point", "modality", "language"])
    top = tables["neurons_top"]
    for language, features in OF_LANGUAGE.items():
        for modality in ("text", "speech"):
            row = told.loc[[("language", "p2", modality, language)]].iloc[0]
            assert row["up"] == 3 and row["down"] == 0 and row["p_adjusted"] <= 0.05
            own = top.query("question == 'language' and point == 'p2' and modality == @modality")
            assert set(own[own["language"] == language].nlargest(3, "auc")["feature"]) == set(features)
        assert told.loc[[("modality", "p2", "speech", language)]]["up"].item() == 2
    assert not told.loc[[row for row in told.index if row[1] != "p2"], ["up", "down"]].to_numpy().any()


def test_overlap_of_text_and_speech_is_that_which_was_planted() -> None:
    tables = neuron_tables(selective_vectors(of_speech=(0, 1), of_language=OF_LANGUAGE), QUICK)
    overlap, match = tables["neurons_overlap"], tables["neurons_match"]
    assert tuple(overlap.columns) == OVERLAP_COLUMNS and tuple(match.columns) == MATCH_COLUMNS
    across = overlap[overlap["modality_a"] != overlap["modality_b"]]
    assert (across["overlap"] == 3).all() and len(across) == 4
    # 3 of 32 features and 3 of 32: all three in common in one of C(32, 3) = 4960 draws
    assert across["p"].to_numpy() == pytest.approx(1 / 4960)
    within = overlap.query("question == 'language' and language_a != language_b")
    assert (within["overlap"] == 0).all() and (within["p"] == 1).all()
    assert match["point"].tolist() == ["p2"]
    assert match["same"].item() == 1 and match["others"].item() == 0
    assert match["p"].item() == pytest.approx(1 / 24)  # all orders of four languages


def test_features_of_other_languages_in_speech_do_not_match() -> None:
    swapped = dict(zip(OF_LANGUAGE, [*list(OF_LANGUAGE.values())[1:], OF_LANGUAGE["xa"]], strict=True))
    found = selectivity(selective_vectors(of_language=OF_LANGUAGE, in_speech=swapped), QUICK)
    assert match_table(found)["same"].item() == 0 and match_table(found)["p"].item() > 0.3
    overlap = overlap_table(found)
    assert (overlap[overlap["modality_a"] != overlap["modality_b"]]["overlap"] == 0).all()


@pytest.mark.parametrize("clustered", [False, True])
def test_noise_says_something_at_most_as_often_as_promised(clustered: bool) -> None:
    """300 studies of noise: 5 % of them is 15; 25 or more would come by in 1 % of runs."""
    clusters = [row // 3 for row in range(36)] if clustered else None
    said = 0
    for seed in range(300):
        planted = selective_vectors(
            n=36, width=6, languages=("xa", "xb"), points=2, clusters=clusters, together=0.9 * clustered, seed=seed
        )
        codes = None if clusters is None else np.array(clusters)
        found = selectivity(planted, NeuronOptions(permutations=199, auc=0.501), clusters=codes, seed=seed)
        said += any(len(side) for cell in found.auc for side in found.selective(cell))
    assert said < 25


def test_clusters_that_are_not_known_would_make_noise_selective() -> None:
    clusters = [row // 6 for row in range(60)]
    said = 0
    for seed in range(10):
        planted = selective_vectors(
            width=16, languages=("xa", "xb"), points=1, clusters=clusters, together=0.95, seed=seed
        )
        found = selectivity(planted, NeuronOptions(permutations=199, auc=0.501), seed=seed)
        said += any(len(side) for cell in found.auc for side in found.selective(cell))
    assert said >= 5


def test_groups_of_features_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = selective_vectors(n=20, of_speech=(0, 20))
    whole = selectivity(planted, QUICK)
    monkeypatch.setattr(module, "MEMORY", 4 * 20 * 8 * 4 * 5)  # five features at a time
    parts = selectivity(planted, QUICK)
    assert whole.table().equals(parts.table())


def test_memory_is_bounded_however_wide_a_point_is(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = selective_vectors(n=60, width=4000, languages=[f"x{number}" for number in range(8)], points=1)
    held = 8 * 60 * 4000 * 8  # the vectors of a point, stacked
    monkeypatch.setattr(module, "MEMORY", 8e6)
    tracemalloc.start()
    try:
        selectivity(planted, NeuronOptions(permutations=99))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < held + 3 * 8e6


def test_a_stopped_run_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    planted = selective_vectors(n=20, of_speech=(0,))
    whole = selectivity(planted, QUICK)

    def kill(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        selectivity(planted, QUICK, checkpoint=tmp_path / "kept", progress=kill)
    assert len(list((tmp_path / "kept").glob("group-*.npz"))) == 3
    resumed = selectivity(planted, QUICK, checkpoint=tmp_path / "kept")
    assert whole.table().equals(resumed.table())
    with pytest.raises(UsageError, match="another run"):
        selectivity(planted, QUICK, checkpoint=tmp_path / "kept", seed=1)


def test_what_cannot_be_told_apart_is_said_in_a_line() -> None:
    with pytest.raises(DataError, match="5 sentences are too few to permute labels"):
        selectivity(selective_vectors(n=5), QUICK)
    with pytest.raises(DataError, match="4 clusters of sentences are too few"):
        selectivity(selective_vectors(n=40), QUICK, clusters=np.arange(40) // 10)
    with pytest.raises(UsageError, match="no point 'p9'"):
        selectivity(selective_vectors(), NeuronOptions(points=["p9"]))
