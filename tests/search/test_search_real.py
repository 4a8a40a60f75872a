"""Search on real recordings: prompts that nothing in ``pocket`` was trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from babelscope import corpora, models, search
from babelscope.audio import load_audio

#: README, whose commands are run as printed, searches real recordings with the same model.
pytestmark = [pytest.mark.assets, pytest.mark.plugins, pytest.mark.slow]


@pytest.fixture(scope="module")
def embedder() -> search.Embedder:
    return search.Embedder(models.load("pocket"))


def test_french_recordings_find_the_russian_texts(embedder: search.Embedder, tmp_path: Path) -> None:
    ids = models.held_out("pocket", "asterisk")
    index = search.Index.create(tmp_path / "russian", embedder)
    index.add(search.items_of("asterisk", languages=["ru"], modality="text", ids=ids), embedder)
    assert len(index) == len(ids) == 60
    corpus = corpora.load("asterisk").select(languages=["fr", "ru"], ids=ids, max_seconds=4)
    heard = list(corpus.sentences)[:12]
    first = {}
    for sentence in heard:
        samples = load_audio(corpus.recordings(sentence, "fr")[0])
        found = index.find(embedder.speech(samples, "fr"), "speech", k=3)
        first[sentence] = found["sentence"][0] == sentence
    # By chance one in sixty would; these are short, and the text alone does not always find its translation either.
    assert sum(first.values()) >= 6, first
