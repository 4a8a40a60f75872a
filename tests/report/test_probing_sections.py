"""Sections of features, patches and readings: there only where a study asked, with numbers that know their place."""

from __future__ import annotations

import pandas as pd

from babelscope.gaps.result import Result
from babelscope.report.sections.lens import lens
from babelscope.report.sections.neurons import neurons
from babelscope.report.sections.patch import patch


def result(**tables: pd.DataFrame) -> Result:
    return Result(pd.DataFrame(), pd.DataFrame(), {}, tables)


def reading(excess: float, p: float) -> pd.DataFrame:
    place = {"point": "shared.<b>", "language": "mean", "of": "transcript", "k": 5, "by": "output layer"}
    scores = {"share": 0.05 + excess, "other_sentences": 0.05, "excess": excess, "low": excess - 0.02}
    row = place | scores | {"high": excess + 0.02, "p_adjusted": p}
    return pd.DataFrame([row, row | {"of": "neither"}])


def test_nothing_is_shown_where_nobody_asked() -> None:
    assert lens(result()) is None and patch(result()) is None and neurons(result()) is None


def test_a_reading_is_told_with_its_null_and_noise_as_nothing() -> None:
    told = lens(result(lens=reading(0.2, 0.001)))
    assert told is not None and "25 % of the positions of speech read as a word of the transcript" in str(
        told.sentences[0]
    )
    assert "&lt;b&gt;" in told.sentences[0].__html__() and 'data-table="lens"' in told.sentences[0].__html__()
    nothing = lens(result(lens=reading(0.001, 0.6)))
    assert nothing is not None and str(nothing.sentences[0]).startswith("Nowhere do positions of speech read as words")


def test_a_patch_is_told_with_how_many_outcomes_improve() -> None:
    row = {"kind": "centroid", "point": "shared.layer.4", "language": "mean", "plain": 0.5, "change": 0.1, "low": 0.02,
           "high": 0.18, "random": -0.1, "p_adjusted": 0.048, "closes": True}  # fmt: skip
    table = pd.DataFrame(
        [row | {"outcome": "retrieval_across"}, row | {"outcome": "cosine_same", "closes": False, "change": -0.1}]
    )
    told = patch(result(patch=table))
    assert told is not None and str(told.sentences[0]).startswith("1 of 2 outcomes improve at the output")
    assert "is 0.10 (95 % 0.02 to 0.18), with speech moved to the text's centroid" in str(told.sentences[1])


def test_features_are_told_with_their_share_and_none_as_none() -> None:
    row = {"question": "language", "point": "p", "modality": "text", "language": "xa", "share": 0.25, "threshold": 0.8,
           "largest_auc": 0.97, "p_adjusted": 0.01}  # fmt: skip
    told = neurons(result(neurons=pd.DataFrame([row])))
    assert told is not None and "25 % of them tell a language from the others in text" in str(told.sentences[0])
    none = neurons(result(neurons=pd.DataFrame([row | {"share": 0.0}])))
    assert none is not None and str(none.sentences[0]).startswith("No single feature tells")
