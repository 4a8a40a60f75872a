"""The demonstration on real recordings and real weights: what ``pocket`` does to sentences that it never heard."""

from __future__ import annotations

import pandas as pd
import pytest

from babelscope import models
from babelscope.study import Outcome, Study, run

pytestmark = [pytest.mark.assets, pytest.mark.plugins]

UNTRAINED, RIDGE = "pocket (adapter untrained)", "pocket (adapter ridge)"
SENTENCES = 20
CHANCE = 1 / SENTENCES


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The study of ``babelscope demo`` on two of its five languages, with the cross gap and few permutations."""
    study = Study.preset("demo")
    corpus = study.corpus.model_copy(update={"languages": ["en", "ru"]})
    return run(
        study.model_copy(
            update={
                "corpus": corpus,
                "kinds": ["modality_similarity", "cross_similarity"],
                "output": tmp_path_factory.mktemp("demo"),
                "measures": ["linear_cka", "retrieval"],
                "controls": ["none"],
                "permutations": 19,
                "intervals": False,
            }
        )
    )


def _curve(curves: pd.DataFrame, kind: str, measure: str = "retrieval") -> pd.Series:
    rows = curves[
        (curves["kind"] == kind)
        & (curves["measure"] == measure)
        & (curves["control"] == "none")
        & (curves["group"] == "mean")
    ]
    return rows.set_index("point")["value"]


def _beside(outcome: Outcome, label: str) -> pd.DataFrame:
    table = outcome.result.tables["beside"]
    return table[table["model"] == label]


def test_no_sentence_of_it_was_trained_on(outcome: Outcome) -> None:
    held_out = models.held_out("pocket", "asterisk")
    sentences = outcome.result.meta["corpus"]["n"]
    assert sentences == SENTENCES
    assert not any("not held out" in note for note in outcome.result.meta["model"]["notes"])
    from babelscope.capture import Activations
    from babelscope.gaps.folder import STORE

    assert set(Activations(outcome.folder / STORE).sentences) <= set(held_out)


def test_speech_finds_its_text_and_the_text_of_other_languages(outcome: Outcome) -> None:
    same, across = (_curve(outcome.result.curves, kind) for kind in ("modality_similarity", "cross_similarity"))
    assert same["shared.pooled"] >= 0.75, same
    assert across["shared.pooled"] >= 0.6, across
    assert same["shared.input"] < same["shared.pooled"]


def test_neither_control_does_as_well(outcome: Outcome) -> None:
    own = _curve(outcome.result.curves, "cross_similarity")["shared.pooled"]
    untrained, ridge = (
        _curve(_beside(outcome, label), "cross_similarity")["shared.pooled"] for label in (UNTRAINED, RIDGE)
    )
    assert untrained < 4 * CHANCE and untrained < ridge < own, (untrained, ridge, own)


def test_the_means_come_together_and_not_so_in_the_untrained_control(outcome: Outcome) -> None:
    def fall(table: pd.DataFrame) -> float:
        means = table[table["kind"] == "modality_gap"].groupby("point")["distance"].mean()
        return float(means["shared.pooled"] / means["shared.input"])

    tables = outcome.result.tables
    others = tables["beside_centroids"]
    assert fall(tables["centroids"]) < 0.35
    assert fall(others[others["model"] == UNTRAINED]) > 0.4


def test_the_report_shows_the_controls(outcome: Outcome) -> None:
    page = outcome.report.read_text(encoding="utf-8")
    assert 'id="models"' in page and UNTRAINED in page and RIDGE in page
    assert "speech.before_adaptation" in page and "speech.after_adaptation" in page
