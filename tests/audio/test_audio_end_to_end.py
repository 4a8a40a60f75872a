"""The same recordings in many formats: as long, and as near to their texts, as in WAV."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soxr

from babelscope import models
from babelscope.audio import SAMPLE_RATE, load_audio
from babelscope.capture import encode
from babelscope.corpora import Corpus, load
from babelscope.models import Model
from babelscope.similarity import retrieval
from sound_files import FORMATS

pytestmark = [pytest.mark.slow, pytest.mark.assets]

LANGUAGES = ("en", "fr")
POINT = "shared.pooled"
#: Hz at which each is written: that of such files. MP3 of telephone recordings is up to a tenth of a second longer.
RATES = {
    "MP3 with a Xing header, CBR": 48_000,
    "MP3 with a Xing header, VBR": 48_000,
    "MP3 without a header, CBR": 48_000,
    "MP3 without a header, VBR": 48_000,
    "Ogg Opus": 48_000,
    "WebM, Opus": 48_000,
    "AAC (ADTS)": 48_000,
    "M4A, AAC": 48_000,
    "FLAC": 16_000,
    "WMA 2": 44_100,
    "AMR-WB": 16_000,
}


@pytest.fixture(scope="module")
def spoken() -> Corpus:
    """24 sentences that the model never heard, in two languages."""
    held_out = set(models.held_out("pocket", "asterisk"))
    corpus = load("asterisk").select(languages=LANGUAGES, min_words=4, max_seconds=8, distinct=True)
    return corpus.select(ids=[sentence for sentence in corpus.sentences if sentence in held_out][:24])


@pytest.fixture(scope="module")
def pocket() -> Model:
    return models.load("pocket").select_points([POINT])


def _written(spoken: Corpus, name: str, rate: int, folder: Path) -> Corpus:
    """Return the corpus with its first recordings in another format, read from a manifest without durations."""
    entry = FORMATS[name]
    with (folder / "m.csv").open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out)
        rows.writerow(["sentence", "language", "text", "audio"])
        for sentence in spoken.sentences:
            for language in LANGUAGES:
                samples = load_audio(spoken.recordings(sentence, language)[0]).astype(np.float64)
                samples = samples if rate == SAMPLE_RATE else soxr.resample(samples, SAMPLE_RATE, rate, "VHQ")
                path = folder / f"{sentence.replace('/', '-')}-{language}{entry.suffix}"
                path.write_bytes(entry.encode(np.clip(samples, -1, 1), rate))
                rows.writerow([sentence, language, spoken.text(sentence, language), path.name])
    return load("manifest", folder / "m.csv")


def _nearness(model: Model, corpus: Corpus, folder: Path) -> float:
    store = encode(model, corpus, folder / "a.zarr")
    return float(
        np.mean([
            retrieval(store.matrix(POINT, "speech", language), store.matrix(POINT, "text", language))
            for language in LANGUAGES
        ])
    )  # fmt: skip


@pytest.fixture(scope="module")
def as_wav(spoken: Corpus, pocket: Model, tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, float]:
    folder = tmp_path_factory.mktemp("wav")
    corpus = _written(spoken, "WAV, 16 bit", SAMPLE_RATE, folder)
    return corpus, _nearness(pocket, corpus, folder)


@pytest.mark.parametrize(("name", "rate"), [*RATES.items(), ("MP3 without a header, VBR", 16_000)])
def test_a_format_changes_neither_length_nor_meaning(
    name: str, rate: int, spoken: Corpus, pocket: Model, as_wav: tuple[Corpus, float], tmp_path: Path
) -> None:
    wav, near = as_wav
    assert near > 0.8
    corpus = _written(spoken, name, rate, tmp_path)
    allowed = 0.06 if rate == RATES[name] else 0.12
    for sentence in spoken.sentences:
        for language in LANGUAGES:
            here, there = (one.recordings(sentence, language)[0] for one in (corpus, wav))
            assert here.seconds == pytest.approx(there.seconds, abs=allowed)
            assert here.seconds == pytest.approx(len(load_audio(here)) / SAMPLE_RATE, abs=1 / SAMPLE_RATE)
    assert _nearness(pocket, corpus, tmp_path) == pytest.approx(near, abs=0.05)
