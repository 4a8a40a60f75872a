"""The data of a run: recordings' features, their texts' embeddings, and which share a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from babelscope.corpora import Corpus
from babelscope.errors import DataError
from training.pocket.features import Features, features
from training.pocket.split import Split, held_out_wordings, load_corpora
from training.pocket.synthetic import NAME as WORDS
from training.pocket.synthetic import spoken_words
from training.pocket.teacher import Targets, Teacher
from training.pocket.utterances import Utterance, utterances

Progress = Callable[[str, int, int], None]


@dataclass
class Material:
    """Everything that training and judging read.

    Attributes
    ----------
    utterances : list of Utterance
        Without the broken and the dropped ones.
    features : Features
    index : ndarray of int
        Place of each utterance among the features.
    texts : list of str
        Every text once.
    text_of : ndarray of int
        Which text each utterance says.
    targets : Targets
        Of the texts.
    corpora : dict
    split : Split
    teacher : Teacher
    """

    utterances: list[Utterance]
    features: Features
    index: NDArray[np.int64]
    texts: list[str]
    text_of: NDArray[np.int64]
    targets: Targets
    corpora: dict[str, Corpus]
    split: Split
    teacher: Teacher

    def speech(self, utterance: int) -> Tensor:
        """Return the features of one utterance, (positions, width)."""
        return torch.from_numpy(self.features[int(self.index[utterance])].astype(np.float32))

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Positions of each utterance."""
        return np.array([self.features.length(int(index)) for index in self.index])

    def chosen(self, part: str, *, fillets: bool = True, words: bool = False) -> NDArray[np.int64]:
        """Return the utterances of one part of the split; the acted and the synthesised ones only if wanted."""
        left_out = {name for name, wanted in (("fillets", fillets), (WORDS, words)) if not wanted}
        return np.array(
            [
                number
                for number, each in enumerate(self.utterances)
                if each.part == part and each.corpus not in left_out
            ],
            dtype=np.int64,
        )

    def text_number(self, text: str) -> int:
        """Return which text that is."""
        return self._numbers[text]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {text: number for number, text in enumerate(self.texts)}


@dataclass(frozen=True)
class Bank:
    """The candidate texts of the contrastive loss, and which of them are translations of each other.

    Attributes
    ----------
    texts : ndarray of int
        Among the material's.
    place : dict
        Text to its column.
    alike : dict
        Sentence to the columns of its translations.
    """

    texts: NDArray[np.int64]
    place: dict[int, int]
    alike: dict[str, NDArray[np.int64]]


def bank_of(material: Material, chosen: NDArray[np.int64]) -> Bank:
    """Collect the texts of some utterances."""
    texts = np.unique(material.text_of[chosen])
    place = {int(text): column for column, text in enumerate(texts)}
    alike: dict[str, set[int]] = {}
    sentences_of: dict[int, set[str]] = {}
    for number in chosen:
        sentence, column = material.utterances[number].sentence_key, place[int(material.text_of[number])]
        alike.setdefault(sentence, set()).add(column)
        sentences_of.setdefault(column, set()).add(sentence)
    # A text that two sentences share makes the other sentence's translations right as well.
    joined = {
        sentence: set().union(*(alike[other] for column in columns for other in sentences_of[column]))
        for sentence, columns in alike.items()
    }
    return Bank(texts, place, {key: np.array(sorted(columns), dtype=np.int64) for key, columns in joined.items()})


def gather(
    split: Split,
    folder: Path,
    *,
    loaded: dict[str, Corpus] | None = None,
    weights: Mapping[str, str] | None = None,
    words: bool = False,
    progress: Progress | None = None,
) -> Material:
    """Read recordings and texts through the frozen models, or take from the cache what was read before.

    Parameters
    ----------
    split : Split
    folder : Path
        What was read is kept here.
    loaded : dict, optional
        Corpora by name; all three by default.
    weights : mapping, optional
        Folders in place of the fetched ``whisper-base`` and ``e5-small``.
    words : bool
        Whether synthesised words are added, as a corpus of their own.
    progress : callable, optional

    Raises
    ------
    DataError
        If more than one recording in a hundred is broken.
    """
    loaded = dict(loaded or load_corpora())
    if words:
        loaded[WORDS] = spoken_words(folder / WORDS, held_out_wordings(loaded, split), progress)
    heard = utterances(loaded, split)
    weights = weights or {}
    features_of = features(heard, folder / "features", weights=weights.get("whisper-base"), progress=progress)
    if len(features_of.broken) * 100 > len(heard):
        raise DataError(
            f"{len(features_of.broken)} recordings are broken, first: {next(iter(features_of.broken.values()))}"
        )
    used = [number for number, each in enumerate(heard) if each.part != "dropped"]
    index = np.array([number for number in used if number not in features_of.broken], dtype=np.int64)
    kept = [heard[number] for number in index]
    texts = sorted({heard[number].text for number in used} | set(_held_out_texts(loaded, split)))
    teacher = Teacher(weights.get("e5-small"))
    targets = teacher.targets(texts, folder / "targets", progress)
    numbers = {text: number for number, text in enumerate(texts)}
    text_of = np.array([numbers[utterance.text] for utterance in kept], dtype=np.int64)
    return Material(kept, features_of, index, texts, text_of, targets, loaded, split, teacher)


def _held_out_texts(loaded: dict[str, Corpus], split: Split) -> Sequence[str]:
    """Texts of held-out sentences in every language that is read, spoken there or not."""
    return [
        text
        for name in loaded
        for ids in (split.test.get(name, ()), split.validation.get(name, ()))
        for sentence in ids
        if sentence in loaded[name].sentences
        for language in loaded[name].languages
        if (text := loaded[name].text(sentence, language))
    ]
