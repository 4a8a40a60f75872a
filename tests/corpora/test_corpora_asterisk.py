"""The real recordings: what the corpus claims is what is there."""

from __future__ import annotations

import numpy as np
import pytest

from babelscope import corpora
from babelscope.audio import SAMPLE_RATE, load_audio
from babelscope.corpora import Corpus

pytestmark = pytest.mark.assets


@pytest.fixture(scope="module")
def asterisk() -> Corpus:
    return corpora.load("asterisk")


def test_counts_and_minutes(asterisk: Corpus) -> None:
    table = asterisk.describe()
    assert table["pairs"].to_dict() == {"en": 551, "es": 477, "fr": 509, "it": 580, "ru": 554}
    assert table["readers"].to_dict() == {"en": 1, "es": 1, "fr": 1, "it": 2, "ru": 1}
    assert table["minutes"].drop("it").between(22, 29).all()
    common = asterisk.select()
    assert len(common) == 441
    assert sum(len(common.recordings(sentence, "it")) == 2 for sentence in common.sentences) == 437


def test_transcripts(asterisk: Corpus) -> None:
    assert asterisk.text("activated", "it") == "Attivato."  # the first line behind the byte order mark and comments
    assert asterisk.text("agent-pass", "ru") == "Введите пароль и нажмите решетку."
    assert asterisk.text("digits/0", "es") == "cero"
    assert asterisk.text("letters/at", "en") == "at"
    for text in asterisk.table["text"]:
        assert text and "[" not in text and not text.startswith(("(", "<", ";")) and "\ufeff" not in text
    assert not {"beep", "tt-monkeys", "silence/1", "confbridge-join"} & set(asterisk.select().sentences)


def test_filters(asterisk: Corpus) -> None:
    longer = asterisk.select(min_words=4)
    assert len(longer) == 172
    assert len(asterisk.select(min_words=4, distinct=True)) == 154
    drawn = asterisk.select(languages=["en", "it"], min_words=4, max_seconds=8, n=20, seed=1)
    assert len(drawn) == 20 and drawn.languages == ("en", "it")
    assert max(drawn.recordings(sentence, "it")[0].seconds for sentence in drawn.sentences) <= 8


def test_recordings_decode_to_what_their_headers_say(asterisk: Corpus) -> None:
    drawn = asterisk.select(n=6, seed=3)
    for sentence in drawn.sentences:
        for language in drawn.languages:
            for recording in drawn.recordings(sentence, language):
                samples = load_audio(recording)
                assert len(samples) / SAMPLE_RATE == pytest.approx(recording.seconds, abs=0.002)
                assert 0.01 < np.abs(samples).max() <= 1.0


def test_the_second_reader_says_the_same_at_another_length(asterisk: Corpus) -> None:
    pairs = [
        cell
        for sentence in asterisk.select(min_words=4).sentences
        if len(cell := asterisk.recordings(sentence, "it")) == 2
    ]
    seconds = np.array([[recording.seconds for recording in cell] for cell in pairs])
    assert len(pairs) > 160
    assert np.corrcoef(np.log(seconds.T))[0, 1] > 0.9
    assert not np.allclose(seconds[:, 0], seconds[:, 1], atol=0.05)


def test_the_fingerprint_is_the_content(asterisk: Corpus) -> None:
    drawn = asterisk.select(languages=["en"], n=10)
    assert drawn.fingerprint() == corpora.load("asterisk").select(languages=["en"], n=10).fingerprint()
    assert drawn.fingerprint() != asterisk.select(languages=["en"], n=10, seed=1).fingerprint()
