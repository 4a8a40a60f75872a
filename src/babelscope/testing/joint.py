"""A joint model of speech and text whose vectors are planted: what patching and reading must find is known.

Every word has a vector: what the sentence that it first stands in means, its language, and some of its own. Text goes
through shared layers as the vectors of its words. A recording goes through the same layers as the vectors of the words
that it is said to be heard as, twice each, moved by an offset common to all speech, with noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from babelscope.audio import load_audio
from babelscope.corpora import Corpus
from babelscope.errors import DataError
from babelscope.models.base import (
    Batch,
    Modality,
    Model,
    Point,
    Prepared,
    Side,
    Stage,
    WeightsFile,
    spread_depths_before,
)

#: What a recording is heard as.
HeardAs = Literal["transcript", "translation", "other sentence", "noise"]
POOLED = "shared.pooled"


class Words:
    """A tokenizer of whole words, called as the one of a model is."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self.numbers = {word: number for number, word in enumerate(self.words)}

    def id_to_token(self, number: int) -> str:
        """Return a word as a piece that begins one."""
        return f"▁{self.words[number]}"


class _Config:
    """As much of a configuration as a reader of the output layer asks for."""

    is_encoder_decoder = False
    tie_word_embeddings = False

    def get_text_config(self, decoder: bool = False) -> _Config:
        return self


class _Layer(nn.Module):
    """A position goes on nearly as it is, through a saturating residual."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.mix = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        self.mix.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, hidden: Tensor) -> tuple[Tensor]:
        """Return the position's next state, in a tuple as decoders do."""
        return (hidden + 0.2 * torch.tanh(self.mix(hidden)),)


class _Stack(nn.Module):
    def __init__(self, embeddings: Tensor, weights: Sequence[Tensor], unembeds: bool) -> None:
        super().__init__()
        self.words = nn.Embedding(embeddings.shape[0], embeddings.shape[1], _weight=embeddings)
        self.hearing = nn.Identity()
        self.layers = nn.ModuleList(_Layer(weight) for weight in weights)
        self.config = _Config()
        self.head = nn.Linear(embeddings.shape[1], embeddings.shape[0], bias=False) if unembeds else None
        if self.head is not None:
            self.head.weight = nn.Parameter(embeddings, requires_grad=False)

    def get_output_embeddings(self) -> nn.Module | None:
        """Return the output layer, if it is a language model."""
        return self.head

    def forward(self, hidden: Tensor) -> Tensor:
        """Run the shared layers."""
        for layer in self.layers:
            (hidden,) = layer(hidden)
        return hidden


class _PlantedSide(Side):
    family = "planted"

    def __init__(self, modality: Modality, root: _Stack, tokenizer: Words, heard: Mapping[str, NDArray[np.float32]]):
        self.modality, self.root, self.tokenizer, self.heard = modality, root, tokenizer, heard
        self.unit = "tokens" if modality == "text" else "samples at 16 kHz"
        width = root.words.embedding_dim
        lengths = {} if modality == "text" else {"length": lambda samples: 1}
        counted: dict[str, Any] = {"counted_by": "words", **lengths}
        shared = [Point("shared.input", Stage.SHARED, 0, width, "layers.0", take="input", **counted)]
        shared += [
            Point(f"shared.layer.{index}", Stage.SHARED, 0, width, f"layers.{index}", **counted)
            for index in range(len(root.layers))
        ]
        shared += [Point(POOLED, Stage.POOLED, 0, width, "", layout="bd", length=lambda _: 1, formula="1")]
        own = (
            Point("text.words", Stage.FRONT_END, 0, width, "words", **counted)
            if modality == "text"
            else Point("speech.heard", Stage.FRONT_END, 0, width, "hearing", **counted)
        )
        self.points = spread_depths_before([own], shared, 1)

    def prepare(self, item: str | NDArray[np.float32], language: str) -> Prepared:
        """Look the words of a text, or the vectors of a recording, up."""
        if isinstance(item, str):
            ids = torch.tensor([self.tokenizer.numbers[word] for word in item.split()])
            return Prepared({"input_ids": ids}, len(ids), positions={"words": len(ids)})
        key = _key(item)
        if key not in self.heard:
            raise DataError("the planted model never heard this recording")
        positions = torch.from_numpy(self.heard[key])
        return Prepared({"positions": positions}, len(item), positions={"words": len(positions)})

    def collate(self, items: Sequence[Prepared]) -> Batch:
        """Pad on the right."""
        name = next(iter(items[0].inputs))
        padded = nn.utils.rnn.pad_sequence([item.inputs[name] for item in items], batch_first=True)
        return Batch.of({name: padded}, items)

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Run the shared layers, and return the means over the positions."""
        root = self.root
        assert isinstance(root, _Stack)
        text = "input_ids" in batch.inputs
        hidden = root.words(batch.inputs["input_ids"]) if text else root.hearing(batch.inputs["positions"])
        hidden = root(hidden)
        counts = [item.positions["words"] for item in batch.utterances()]
        return {POOLED: torch.stack([row[:count].mean(0) for row, count in zip(hidden, counts, strict=True)]).float()}


def joint_model(
    corpus: Corpus,
    *,
    heard_as: HeardAs = "transcript",
    offset: float = 0.0,
    of_language: float = 0.0,
    noise: float = 0.3,
    layers: int = 3,
    width: int = 24,
    unembeds: bool = False,
    seed: int = 0,
) -> Model:
    """Return a planted joint model for one corpus.

    Parameters
    ----------
    corpus : Corpus
        Complete in text and speech; only its recordings can be heard.
    heard_as : {"transcript", "translation", "other sentence", "noise"}
        Whose words a recording's positions are: its own; those of the first language's text of the sentence; those of
        another sentence's text in its language; nobody's.
    offset : float
        Length of the vector, common to all speech, that keeps it from text.
    of_language : float
        Length of each language's vector, in text and in speech.
    noise : float
        Standard deviation of what each position has of its own; a word's vector has 1.
    unembeds : bool
        Whether it is a language model, whose output layer is the words' vectors.
    """
    generator = np.random.default_rng(seed)
    meanings = generator.standard_normal((len(corpus.sentences), width))
    languages = {one: of_language * _unit(generator.standard_normal(width)) for one in corpus.languages}
    vectors: dict[str, NDArray[np.float64]] = {}
    words: dict[tuple[str, str], list[str]] = {}
    for row, sentence in enumerate(corpus.sentences):
        for language in corpus.languages:
            words[sentence, language] = (corpus.text(sentence, language) or "").split()
            for word in words[sentence, language]:
                own = 0.6 * generator.standard_normal(width)
                vectors.setdefault(word, 0.8 * meanings[row] + own + languages[language])
    moved = offset * _unit(generator.standard_normal(width))
    heard: dict[str, NDArray[np.float32]] = {}
    shuffled = {one: str(other) for one, other in zip(corpus.sentences, np.roll(corpus.sentences, 1), strict=True)}
    for sentence in corpus.sentences:
        for language in corpus.languages:
            spoken = {
                "translation": words[sentence, corpus.languages[0]],
                "other sentence": words[shuffled[sentence], language],
            }.get(heard_as, words[sentence, language])
            positions = np.repeat([vectors[word] for word in spoken], 2, axis=0)
            if heard_as == "noise":
                positions = 1.3 * generator.standard_normal(positions.shape)
            positions = positions + moved + noise * generator.standard_normal(positions.shape)
            samples = load_audio(corpus.recordings(sentence, language)[0])
            heard[_key(samples)] = positions.astype(np.float32)
    tokenizer = Words(list(vectors))
    weights = [
        torch.from_numpy((generator.standard_normal((width, width)) / width**0.5).astype(np.float32))
        for _ in range(layers)
    ]
    table = torch.from_numpy(np.stack(list(vectors.values())).astype(np.float32))
    root = _Stack(table, weights, unembeds).eval()
    sides: dict[Modality, Side] = {
        "text": _PlantedSide("text", root, tokenizer, {}),
        "speech": _PlantedSide("speech", root, tokenizer, heard),
    }
    settings = {"heard_as": heard_as, "offset": offset, "of_language": of_language, "noise": noise, "seed": seed}
    digest = hashlib.sha256(
        table.numpy().tobytes() + b"".join(vector.tobytes() for vector in heard.values())
    ).hexdigest()
    return Model("planted", sides, (WeightsFile("planted", digest, "planted"),), settings, ("Planted vectors.",))


def _key(samples: NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(samples).tobytes()).hexdigest()


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vector / np.linalg.norm(vector))
