"""What patches do at the output: planted gaps are closed, random directions do not, and noise says nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import babelscope.interventions.effects as effects
from babelscope import corpora
from babelscope.capture.encoding import encode
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError
from babelscope.interventions import PATCH_COLUMNS, PatchOptions, patch_table, plan_patch, points_to_patch
from babelscope.interventions.fitting import fit, folds_of
from babelscope.models.base import Model
from babelscope.testing.joint import joint_model
from conftest import write_manifest


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return corpora.load("manifest", path=write_manifest(tmp_path_factory.mktemp("tones"), 24)).select(
        languages=["xa", "xb"]
    )


def patched(model: Model, corpus: Corpus, folder: Path, **options: object) -> pd.DataFrame:
    asked = PatchOptions.model_validate({"points": ["shared.layer.0"]} | options)
    return patch_table(model, corpus, encode(model, corpus, folder / "a.zarr"), asked)


def row(table: pd.DataFrame, kind: str, outcome: str) -> pd.Series:
    (found,) = [
        one for _, one in table.query("kind == @kind and outcome == @outcome and language == 'mean'").iterrows()
    ]
    return found


def test_moving_the_centroid_closes_a_planted_offset(corpus: Corpus, tmp_path: Path) -> None:
    table = patched(joint_model(corpus, offset=12.0, unembeds=True), corpus, tmp_path, kinds=["centroid", "language"])
    assert tuple(table.columns) == PATCH_COLUMNS
    for outcome, least in (("retrieval_same", 0.5), ("retrieval_across", 0.5), ("cosine_same", 0.4)):
        told = row(table, "centroid", outcome)
        assert told["closes"] and told["change"] > least and told["random_high"] < told["change"], outcome
        assert told["p"] == pytest.approx(1 / 21) and told["low"] < told["change"] < told["high"]
    kl = row(table, "centroid", "kl")
    assert kl["closes"] and kl["patched"] < 0.5 * kl["plain"]
    # A centred score never saw the offset but for what the layers' bends made of it.
    assert not row(table, "language", "retrieval_across")["closes"]
    assert set(table["language"]) == {"mean", "xa", "xb"}
    assert table.query("language != 'mean'")["p"].isna().all()


def test_taking_a_language_out_brings_languages_together(corpus: Corpus, tmp_path: Path) -> None:
    table = patched(joint_model(corpus, of_language=9.0), corpus, tmp_path, kinds=["centroid", "language"])
    told = row(table, "language", "cosine_across")
    assert told["closes"] and told["change"] > 0.2
    assert not row(table, "centroid", "cosine_across")["closes"]
    assert "kl" not in set(table["outcome"])


def test_swapping_the_subspace_closes_an_offset_too(corpus: Corpus, tmp_path: Path) -> None:
    table = patched(joint_model(corpus, offset=12.0), corpus, tmp_path, kinds=["subspace"], directions=1)
    assert row(table, "subspace", "cosine_same")["closes"]


@pytest.mark.slow
def test_noise_says_something_at_most_as_often_as_promised(corpus: Corpus, tmp_path: Path) -> None:
    """Of 60 studies of noise 5 % is 3; 8 or more would come by in 1 % of runs."""
    said = 0
    for seed in range(60):
        model = joint_model(corpus, heard_as="noise", unembeds=True, seed=seed)
        said += bool(patched(model, corpus, tmp_path / str(seed))["closes"].any())
    assert said < 8


def test_a_sentence_is_moved_by_what_others_say() -> None:
    """With a sentence of its own in the fit, a wild recording would pull its own centroid along."""
    generator = np.random.default_rng(0)
    folds = folds_of(np.arange(30), 5, 0)
    speech, text = generator.standard_normal((2, 30, 6))
    wild = speech.copy()
    wild[0] += 1_000
    for kind in ("centroid", "subspace"):
        plain, changed = (
            fit(kind, {"xa": one}, {"xa": text}, folds, 2, 20, 0)[0].edits["xa", int(folds[0])]
            for one in (speech, wild)
        )
        assert all(
            np.array_equal(getattr(plain, name), getattr(changed, name)) for name in vars(plain) if name != "size_of"
        )


def test_folds_keep_clusters_together_and_are_of_like_size() -> None:
    clusters = np.repeat(np.arange(12), 3)
    folds = folds_of(clusters, 5, 0)
    assert all(len(set(folds[clusters == cluster])) == 1 for cluster in range(12))
    assert np.ptp(np.bincount(folds)) <= 3


def test_a_stopped_run_goes_on_to_the_same_numbers(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = joint_model(corpus, offset=5.0)
    activations = encode(model, corpus, tmp_path / "a.zarr")
    options = PatchOptions(points=["shared.layer.0", "shared.layer.1"], kinds=["centroid"], n=10)
    whole = patch_table(model, corpus, activations, options)

    def kill(done: int, total: int) -> None:
        assert total == 4
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        patch_table(model, corpus, activations, options, checkpoint=tmp_path / "kept", progress=kill)
    measured: list[tuple[str, str]] = []
    run = effects._Chosen.measured

    def counted(self: effects._Chosen, name: str, language: str, *rest: object) -> object:
        measured.append((name, language))
        return run(self, name, language, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(effects._Chosen, "measured", counted)
    resumed = patch_table(model, corpus, activations, options, checkpoint=tmp_path / "kept")
    assert measured == [("shared.layer.1", "xb")]
    pd.testing.assert_frame_equal(whole, resumed)


def test_what_cannot_be_patched_is_said_in_a_line(corpus: Corpus, tmp_path: Path, tiny_model: Model) -> None:
    model = joint_model(corpus)
    assert points_to_patch(model, None) == ("shared.input", "shared.layer.1", "shared.layer.2")
    with pytest.raises(UsageError, match=r"patch.points: 'shared.pooled' is no shared point with positions"):
        points_to_patch(model, ["shared.pooled"])
    with pytest.raises(UsageError, match="share no layers: there is nothing to patch"):
        points_to_patch(tiny_model, None)
    activations = encode(model, corpus, tmp_path / "max.zarr", pooling="max")
    with pytest.raises(DataError, match="centroids are fitted on means over positions, not on pooling = 'max'"):
        patch_table(model, corpus, activations)
    few = corpus.select(ids=list(corpus.sentences[:6]))
    with pytest.raises(DataError, match="6 clusters of sentences are too few"):
        patch_table(model, few, encode(model, few, tmp_path / "few.zarr"))
    one = corpus.select(languages=["xa"])
    lines: list[str] = []
    table = patch_table(
        model,
        one,
        encode(model, one, tmp_path / "one.zarr"),
        PatchOptions(n=8, points=["shared.input"]),
        notice=lines.append,
    )
    assert set(table["kind"]) == {"centroid", "subspace"} and "retrieval_across" not in set(table["outcome"])
    assert lines[0] == "patch: with one language there is no vector of a language to take out"
    assert lines[1].endswith("has no output layer over a vocabulary here: the next token is not compared")


def test_the_plan_counts_passes(corpus: Corpus) -> None:
    plan = plan_patch(joint_model(corpus), PatchOptions(n=10), 24, 2)
    assert plan.passes == 10 * 2 * 3 * (1 + 3 * 21) and plan.sentences == 10
