"""Recordings that are cut off are found among real ones, and whole ones are not accused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from babelscope import corpora
from babelscope.corpora.truncation import too_short

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "artikulate"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/artikulate")


def _recorded(corpus: corpora.Corpus, language: str) -> pd.DataFrame:
    table = corpus.table
    return table[(table["language"] == language) & table["audio"].notna() & table["text"].notna()]


@needs_real
@pytest.mark.parametrize("language", ["pl", "el", "bn", "fr"])
def test_words_phrases_and_paragraphs_of_one_reader(language: str) -> None:
    rows = _recorded(corpora.load("artikulate", path=REAL, languages=[language]), language)
    sentences, texts, seconds = (rows[column].tolist() for column in ("sentence", "text", "seconds"))
    assert not too_short(sentences, texts, seconds).any()
    cut = np.array(seconds)
    places = np.random.default_rng(0).choice(len(cut), size=10, replace=False)
    cut[places] /= 6
    found = too_short(sentences, texts, cut.tolist())
    assert found[places].sum() >= 9 and not np.delete(found, places).any()


@pytest.mark.assets
def test_prompts_of_which_the_recording_says_less() -> None:
    asterisk = corpora.load("asterisk")
    for language, most in (("en", 0), ("es", 0), ("fr", 0), ("ru", 0), ("it", 12)):
        rows = _recorded(asterisk, language)
        found = too_short(rows["sentence"].tolist(), rows["text"].tolist(), rows["seconds"].tolist())
        assert found.sum() == most
        if most:  # a beep is described, and a comment of the translator stands in the text
            assert "un suono beep di errore" in rows["text"][found].tolist()


def test_another_reader_tells_where_few_sentences_do() -> None:
    text = "A sentence of some length that several people read"
    assert too_short(["a", "a", "a"], [text] * 3, [0.84, 8.3, 10.1]).tolist() == [True, False, False]
    assert not too_short(["a", "b", "c"], [text] * 3, [0.84, 8.3, 10.1]).any()  # nothing to compare with
    assert too_short([], [], []).tolist() == []
