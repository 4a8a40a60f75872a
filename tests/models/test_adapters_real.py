"""Real weights by rules: what Whisper-base and E5-small give by name, a folder of them gives through the adapters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from babelscope import corpora, models
from babelscope.audio import load_audio
from babelscope.capture import Capture
from babelscope.fetch import asset_folder
from babelscope.models import Model
from babelscope.models.catalogue import CATALOGUE
from babelscope.sides import Modality

pytestmark = [pytest.mark.assets, pytest.mark.slow]


@pytest.fixture(scope="module")
def whisper_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import WhisperFeatureExtractor

    from babelscope.tokens.transcriber import Transcriber

    folder = tmp_path_factory.mktemp("whisper-base")
    Transcriber().model.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def e5_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of sentence-transformers, whose prompt for every sentence is E5's prefix."""
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("e5-small")
    encoder: Any = models.load("e5-small").sides["text"].root
    encoder.save_pretrained(folder)
    tokens = asset_folder("e5-small") / "tokenizer.json"
    PreTrainedTokenizerFast(tokenizer_file=str(tokens), pad_token="<pad>").save_pretrained(folder)
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    (folder / "modules.json").write_text(json.dumps([{"path": path, "type": kind} for path, kind in kinds.items()]))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    prompts = {"prompts": {"query": CATALOGUE["e5-small"].prefix}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    return folder


def _same(ours: Model, theirs: Model, modality: Modality) -> None:
    corpus = corpora.load("asterisk").select(languages=["en", "ru"], n=3, min_words=4, max_seconds=8)
    sides = [model.sides[modality] for model in (ours, theirs)]
    assert [(point.name, point.width) for point in sides[0].points] == [
        (point.name, point.width) for point in sides[1].points
    ]
    for language in corpus.languages:
        items: list[object] = [
            corpus.text(sentence, language)
            if modality == "text"
            else load_audio(corpus.recordings(sentence, language)[0])
            for sentence in corpus.sentences
        ]
        vectors = []
        for side in sides:
            prepared = [side.prepare(item, language) for item in items]  # type: ignore[arg-type]
            with Capture(side) as capture:
                vectors.append(capture.run(side.collate(prepared)))
            assert all(item.positions_at(point) > 0 for item in prepared for point in side.points)
        for name, expected in vectors[0].items():
            torch.testing.assert_close(vectors[1][name], expected, atol=1e-6, rtol=0)


def test_whisper_base_by_rules_is_whisper_base_by_name(whisper_folder: Path) -> None:
    _same(models.load("whisper-base"), models.load(f"hf:{whisper_folder}"), "speech")


def test_e5_small_by_rules_is_e5_small_by_name(e5_folder: Path) -> None:
    _same(models.load("e5-small"), models.load(f"hf:{e5_folder}"), "text")
