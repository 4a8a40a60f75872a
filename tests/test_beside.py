"""Models beside the one that is studied: run on the same sentences, told with their labels, in folders of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from babelscope import models
from babelscope.capture import encode
from babelscope.errors import RenamedWarning, UsageError
from babelscope.gaps import Result, compare
from babelscope.study import Outcome, Study, build_corpus, build_model, run

UNTRAINED = "pocket (adapter untrained)"


@pytest.fixture(scope="module")
def weights(pocket_folder: Path) -> Path:
    return pocket_folder


def _said(weights: Path, manifest: Path, output: Path) -> dict[str, Any]:
    return {
        "name": "beside",
        "output": str(output),
        "measures": ["linear_cka", "retrieval"],
        "permutations": 19,
        "controls": ["none"],
        "intervals": False,
        "corpus": {"source": "manifest", "path": str(manifest), "languages": ["xa", "xb"]},
        "model": {"name": "pocket", "weights": str(weights)},
        "baselines": [{"name": "pocket", "weights": str(weights), "options": {"adapter": "untrained"}}],
    }


@pytest.fixture(scope="module")
def outcome(weights: Path, manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run(Study.parse(_said(weights, manifest, tmp_path_factory.mktemp("beside"))))


def test_a_model_beside_gives_what_it_gives_alone(
    outcome: Outcome, weights: Path, manifest: Path, tmp_path: Path
) -> None:
    study = Study.parse(_said(weights, manifest, tmp_path))
    activations = encode(
        build_model(study.model_copy(update={"model": study.baselines[0]})), build_corpus(study), tmp_path / "alone"
    )
    alone = compare(activations, study.measures, controls=["none"], permutations=19, interval=False).curves
    beside = outcome.result.tables["beside"]
    assert set(beside["model"]) == {UNTRAINED} and set(beside["control"]) == {"none"}
    keys = ["kind", "measure", "point", "against", "group"]
    both = beside.merge(alone, on=keys, suffixes=("", "_alone"))
    assert len(both) == len(beside) > 0
    pd.testing.assert_series_equal(both["value"], both["value_alone"], check_names=False, atol=1e-9)
    assert set(beside["point"]) == {row["name"] for row in _late(weights)}


def _late(weights: Path) -> list[dict[str, Any]]:
    described = models.load("pocket", weights=str(weights)).describe()
    return [row for row in described if row["stage"] in ("length adaptation", "shared", "pooled")]


def test_speech_beside_is_another_and_the_text_is_the_same(outcome: Outcome) -> None:
    gap = outcome.result.curves.query("kind == 'modality_similarity' and group == 'mean' and measure == 'linear_cka'")
    other = outcome.result.tables["beside"].query("kind == 'modality_similarity' and group == 'mean'")
    both = gap.merge(other.query("measure == 'linear_cka'"), on="point")
    assert (both["value_x"] - both["value_y"]).abs().max() > 1e-3
    assert "language_similarity_text" not in set(outcome.result.tables["beside"]["kind"])


def test_it_is_told_saved_and_taken_up_again(outcome: Outcome, weights: Path, manifest: Path) -> None:
    told = [line for line in outcome.result.meta["headline"] if UNTRAINED in line]
    assert told and outcome.result.meta["beside"][0]["label"] == UNTRAINED
    loaded = Result.load(outcome.folder)
    pd.testing.assert_frame_equal(loaded.tables["beside"], outcome.result.tables["beside"], check_dtype=False)
    folder = outcome.folder / "beside" / "pocket-adapter-untrained"
    created = json.loads((folder / "result.json").read_text())["study"]["created"]
    again = run(Study.parse(_said(weights, manifest, outcome.folder)))
    assert json.loads((folder / "result.json").read_text())["study"]["created"] == created
    assert again.result.meta["headline"] == outcome.result.meta["headline"]


def test_a_wrong_table_is_told_by_its_key(weights: Path, manifest: Path, tmp_path: Path) -> None:
    said = _said(weights, manifest, tmp_path)
    with pytest.raises(UsageError, match=r"baselines: 'pocket \(adapter untrained\)' is listed twice"):
        Study.parse(said | {"baselines": said["baselines"] * 2})
    with pytest.raises(UsageError, match=r"baselines: model 'pockt' is unknown; did you mean 'pocket'"):
        Study.parse(said | {"baselines": [{"name": "pockt"}]})
    with pytest.raises(UsageError, match=r"baselines.0.optoins: there is no such key; did you mean 'options'"):
        Study.parse(said | {"baselines": [{"name": "pocket", "optoins": {}}]})


def test_another_model_of_a_study_leaves_its_controls_behind(weights: Path, manifest: Path, tmp_path: Path) -> None:
    study = Study.parse(_said(weights, manifest, tmp_path))
    assert study.changed(output=tmp_path).baselines and not study.changed(model="sonar").baselines
    asked = study.model_copy(update={"corpus": study.corpus.model_copy(update={"held_out": True})})
    assert asked.changed(model="pocket").corpus.held_out and not asked.changed(model="sonar").corpus.held_out


def test_held_out_sentences_are_chosen_where_a_model_says_which(weights: Path, manifest: Path, tmp_path: Path) -> None:
    said = _said(weights, manifest, tmp_path)
    with pytest.raises(UsageError, match="no sentence of corpus 'manifest' was held out"):
        run(Study.parse(said | {"corpus": said["corpus"] | {"held_out": True}}))
    with pytest.raises(UsageError, match="does not say which"):
        run(Study.parse(said | {"corpus": said["corpus"] | {"held_out": True}, "model": {"name": "e5-small"}}))


@pytest.mark.assets
@pytest.mark.plugins
def test_of_a_corpus_that_was_trained_on_only_the_rest_is_taken() -> None:
    said: dict[str, Any] = {"corpus": {"source": "asterisk", "held_out": True}, "model": {"name": "pocket"}}
    held_out = set(models.held_out("pocket", "asterisk"))
    assert set(build_corpus(Study.parse(said)).sentences) == held_out
    every = build_corpus(Study.parse(said | {"corpus": {"source": "asterisk"}})).sentences
    seen = next(sentence for sentence in every if sentence not in held_out)
    with pytest.raises(UsageError, match="was not held out of the training of pocket"):
        build_corpus(Study.parse(said | {"corpus": {"source": "asterisk", "held_out": True, "ids": [seen]}}))


def test_earlier_spellings_are_read_with_a_line(weights: Path, manifest: Path, tmp_path: Path) -> None:
    said = _said(weights, manifest, tmp_path)
    tables = said.pop("baselines")
    with pytest.warns(RenamedWarning, match="'beside' is now named 'baselines'"):
        study = Study.parse(said | {"beside": tables})
    assert [table.options for table in study.baselines] == [{"adapter": "untrained"}] and study.compute_baselines
    with pytest.raises(UsageError, match="'beside' is the earlier name of 'baselines'"):
        Study.parse(said | {"beside": tables, "baselines": tables})
    off = Study.parse(said | {"baselines": False})
    assert not off.compute_baselines and not off.baselines
    with pytest.warns(RenamedWarning, match="'length_only' is now the baseline 'lengths'"):
        assert Study.parse(said | {"controls": ["none", "length_only"]}).controls == ["none"]
