"""Models and corpora as mteb takes them: its own mock tasks run, recordings are whole, batches change nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

mteb = pytest.importorskip("mteb")

from babelscope import corpora, models  # noqa: E402
from babelscope.corpora import Corpus  # noqa: E402
from babelscope.errors import DataError, UsageError  # noqa: E402
from babelscope.models import Model  # noqa: E402
from babelscope.mteb_adapter import Encoder, samples_of, speech_bitext_mining  # noqa: E402
from conftest import tone, write_manifest  # noqa: E402


@pytest.fixture(scope="module")
def model(pocket_folder: Path) -> Model:
    return models.load("pocket", weights=str(pocket_folder))


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("spoken")
    return corpora.load("manifest", path=write_manifest(folder, sentences=6, languages=("en", "fr")))


class _Task:
    name = "a task"
    hf_subsets_to_langscripts = {"default": ["eng-Latn"]}  # noqa: RUF012


def _encode(encoder: Encoder, batches: list[dict[str, Any]]) -> np.ndarray:
    return encoder.encode(batches, task_metadata=_Task, hf_split="test", hf_subset="default")


def test_mtebs_own_mock_tasks_run(model: Model) -> None:
    encoder = Encoder("pocket", model=dataclasses.replace(model, sides={"text": model.sides["text"]}))
    wanted = ("MockBitextMiningTask", "MockMultilingualParallelBitextMiningTask", "MockSTSTask", "MockRetrievalTask")
    tasks = [task for task in mteb.mocks.ALL_MOCK_TASK_TEST_GRID if task.metadata.name in wanted]
    assert len(tasks) == len(wanted)
    results = mteb.evaluate(encoder, tasks, cache=None, raise_error=True)
    assert len(results.task_results) == len(wanted)
    assert encoder.mteb_model_meta.name == "babelscope/pocket" and encoder.mteb_model_meta.modalities == ["text"]


def test_batches_and_their_order_change_no_vector(model: Model) -> None:
    encoder = Encoder("pocket", model=model)
    audio = [{"array": tone(0.4 + 0.3 * number, 200 + 90 * number), "sampling_rate": 16_000} for number in range(5)]
    together = _encode(encoder, [{"audio": audio}])
    single = np.concatenate([_encode(encoder, [{"audio": [each]}]) for each in reversed(audio)])[::-1]
    np.testing.assert_allclose(together, single, atol=1e-5)
    texts = ["a", "a long text with many words", "some words"]
    np.testing.assert_allclose(
        _encode(encoder, [{"text": texts}]), _encode(encoder, [{"text": texts[:1]}, {"text": texts[1:]}]), atol=1e-5
    )
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)


def test_recordings_are_heard_whole_at_whatever_rate_they_come(model: Model) -> None:
    encoder = Encoder("pocket", model=model)
    long = tone(7, 300)
    long[6 * 16_000 :] = tone(1, 900)
    changed = long.copy()
    changed[6 * 16_000 :] = tone(1, 1500)  # behind the fifth second, where mteb would have cut
    recordings = [{"array": each, "sampling_rate": 16_000} for each in (long, changed)]
    first, second = _encode(encoder, [{"audio": recordings}])
    assert np.abs(first - second).max() > 1e-4
    np.testing.assert_allclose(_encode(encoder, [{"audio": recordings[:1]}])[0], first, atol=1e-6)
    stereo = samples_of({"array": np.stack([tone(1, 300)] * 2).repeat(3, axis=1), "sampling_rate": 48_000})
    assert stereo.shape == (16_000,) and stereo.dtype == np.float32

    class Decoder:
        """As torchcodec gives it."""

        def get_all_samples(self) -> Any:
            return type("Decoded", (), {"data": np.stack([tone(1, 300)] * 2), "sample_rate": 16_000})

    np.testing.assert_array_equal(samples_of(Decoder()), tone(1, 300))
    with pytest.raises(DataError, match="no array with a sampling rate"):
        samples_of({"path": "a.wav"})


def test_what_has_both_gets_the_mean(model: Model) -> None:
    encoder = Encoder("pocket", model=model)
    audio = [{"array": tone(1, 300), "sampling_rate": 16_000}]
    text, speech = _encode(encoder, [{"text": ["a"]}]), _encode(encoder, [{"audio": audio}])
    np.testing.assert_allclose(_encode(encoder, [{"text": ["a"], "audio": audio}]), (text + speech) / 2, atol=1e-6)


def test_two_towers_share_no_space_and_that_is_one_line(tiny_model: Model) -> None:
    with pytest.raises(UsageError, match="share no space"):
        Encoder("whisper-base+e5-small", model=tiny_model)


@pytest.mark.parametrize("sides", [("speech", "text"), ("speech", "speech")])
def test_speech_bitext_mining_is_retrieval_by_cosine(model: Model, spoken: Corpus, sides: Any) -> None:
    encoder = Encoder("pocket", model=model)
    task = speech_bitext_mining(spoken, pairs=[("en", "fr")], sides=sides)
    assert task.metadata.eval_langs == {"en-fr": ["eng-Latn", "fra-Latn"]}
    assert task.metadata.category == ("a2t" if sides[1] == "text" else "a2a")
    results = mteb.evaluate(encoder, task, cache=None, raise_error=True)
    (scores,) = results.task_results[0].scores["test"]
    embedder = encoder.embedder
    vectors = []
    for language, side in zip(("en", "fr"), sides, strict=True):
        if side == "text":
            vectors.append([embedder.text(str(spoken.text(sentence, language))) for sentence in spoken.sentences])
        else:
            heard = [corpora_audio(spoken, sentence, language) for sentence in spoken.sentences]
            vectors.append([embedder.speech(samples) for samples in heard])
    nearest = (np.stack(vectors[0]) @ np.stack(vectors[1]).T).argmax(axis=1)
    assert scores["accuracy"] == pytest.approx(float((nearest == np.arange(len(nearest))).mean()))
    assert scores["hf_subset"] == "en-fr" and scores["main_score"] == scores["f1"]


def corpora_audio(corpus: Corpus, sentence: str, language: str) -> np.ndarray:
    from babelscope.audio import load_audio

    return load_audio(corpus.recordings(sentence, language)[0])
