"""A data set that a program holds becomes a corpus: its recordings to the sample, its labels, splits and languages."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import babelscope
from babelscope.audio import load_audio
from babelscope.errors import DataError, UsageError

datasets = pytest.importorskip("datasets")
from datasets import Audio, ClassLabel, Dataset, DatasetDict, Features, Value  # noqa: E402

IDS = [11, 12, 13, 14, 15]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BABELSCOPE_CACHE", str(tmp_path / "cache"))


def wave(language: str, number: int) -> Any:
    generator = np.random.default_rng([len(language), ord(language[0]), number])
    times = np.arange(8000 + 500 * number) / 16000
    noisy = 0.3 * np.sin(2 * np.pi * 220 * times) + 0.05 * generator.normal(size=times.size)
    return np.round(noisy * 2**15) / 2**15


def encoded(samples: Any, kind: str) -> bytes:
    written = io.BytesIO()
    soundfile.write(written, samples, 16000, format=kind)
    return written.getvalue()


def spoken(language: str, *, broken: int | None = None) -> Any:
    """As the hub has them: ids, transcriptions, recordings as bytes, a label for the language."""
    sounds = [{"bytes": encoded(wave(language, number), "FLAC"), "path": f"{number}.flac"} for number in IDS]
    if broken is not None:
        sounds[broken]["bytes"] = b"RIFF no sound at all"
    rows = {
        "id": IDS,
        "transcription": [f"{language} says number {number}" for number in IDS],
        "audio": sounds,
        "lang_id": [0] * len(IDS),
    }
    kinds = {"id": Value("int64"), "transcription": Value("string"), "lang_id": ClassLabel(names=["en_us", "fr_fr"])}
    kinds["audio"] = {"bytes": Value("binary"), "path": Value("string")}
    return Dataset.from_dict(rows, features=Features(kinds)).cast_column("audio", Audio(16000))


def test_one_data_set_a_language_is_one_parallel_corpus() -> None:
    corpus = babelscope.load_corpus({"en": spoken("en"), "fr": spoken("fr")}, name="mine", licence="CC0-1.0")
    assert (corpus.name, corpus.licence, corpus.languages) == ("mine", "CC0-1.0", ("en", "fr"))
    assert corpus.sentences == tuple(map(str, IDS)) and corpus.text("12", "fr") == "fr says number 12"
    for language in ("en", "fr"):
        for number in IDS:
            heard = load_audio(corpus.recordings(str(number), language)[0])
            np.testing.assert_array_equal(np.asarray(heard), wave(language, number).astype(np.float32))
    assert "torchcodec" not in sys.modules
    again = babelscope.load_corpus({"en": spoken("en"), "fr": spoken("fr")}, name="mine")
    assert again.fingerprint() == corpus.fingerprint()


def test_languages_come_from_a_column_of_labels_or_are_named() -> None:
    assert babelscope.load_corpus(spoken("en")).languages == ("en_us",)
    assert babelscope.load_corpus(spoken("en"), language="lang_id").languages == ("en_us",)
    assert babelscope.load_corpus(spoken("en"), language="de").languages == ("de",)


def test_all_splits_are_read_or_one_is_named() -> None:
    parts = DatasetDict({"train": spoken("en").select(range(3)), "test": spoken("en").select(range(3, 5))})
    corpus = babelscope.load_corpus(parts, language="en")
    assert corpus.sentences == tuple(map(str, IDS))
    np.testing.assert_array_equal(np.asarray(load_audio(corpus.recordings("15", "en")[0])), wave("en", 15))
    assert babelscope.load_corpus(parts["test"], language="en").sentences == ("14", "15")


def test_streams_and_chosen_rows_are_read() -> None:
    stream = spoken("en").to_iterable_dataset()
    assert babelscope.load_corpus(stream, language="en").sentences == tuple(map(str, IDS))
    chosen = spoken("en").shuffle(seed=1).filter(lambda number: number > 12, input_columns=["id"])
    corpus = babelscope.load_corpus(chosen, language="en")
    assert sorted(corpus.sentences) == ["13", "14", "15"]
    np.testing.assert_array_equal(np.asarray(load_audio(corpus.recordings("13", "en")[0])), wave("en", 13))


def test_samples_are_kept_exactly() -> None:
    rows = {"name": ["a"], "line": ["hello you"], "sound": [{"array": wave("en", 1), "sampling_rate": 16000}]}
    corpus = babelscope.load_corpus(Dataset.from_dict(rows), sentence="name", text="line", language="en")
    heard = np.asarray(load_audio(corpus.recordings("a", "en")[0]))
    np.testing.assert_array_equal(heard, wave("en", 1).astype(np.float32))


def test_a_broken_recording_is_named_or_left_out() -> None:
    with pytest.raises(DataError, match="dataset, row 3, column 'audio' cannot be used"):
        babelscope.load_corpus(spoken("en", broken=2), language="en")
    corpus = babelscope.load_corpus(spoken("en", broken=2), language="en", skip_bad=True)
    assert corpus.sentences == ("11", "12", "14", "15") and "row 3" in corpus.left_out[0]


def test_what_cannot_be_meant_is_answered() -> None:
    with pytest.raises(UsageError, match="no column 'transcript', named as text: did you mean 'transcription'"):
        babelscope.load_corpus(spoken("en"), text="transcript")
    with pytest.raises(UsageError, match="this is int"):
        babelscope.load_corpus(3)
    with pytest.raises(UsageError, match="takes no 'txt'"):
        babelscope.load_corpus(spoken("en"), txt="transcription")


def test_what_was_saved_to_disk_is_read_by_the_manifest(tmp_path: Path) -> None:
    DatasetDict({"test": spoken("en")}).save_to_disk(str(tmp_path / "saved"))
    corpus = babelscope.load_corpus("manifest", path=tmp_path / "saved", name="saved")
    held = babelscope.load_corpus(spoken("en"), name="held")
    assert (corpus.name, corpus.sentences, corpus.languages) == ("saved", held.sentences, held.languages)
    for sentence in held.sentences:
        one, other = (np.asarray(load_audio(each.recordings(sentence, "en_us")[0])) for each in (corpus, held))
        np.testing.assert_array_equal(one, other)
