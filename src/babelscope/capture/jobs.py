"""Encoding cut into jobs that any engine can run, in any order, in any process, to the same bits.

A job is one block of sentences in one modality of one language: what the store writes at once. Its numbers depend on
the model, the corpus, the job and :class:`How` alone: utterances of two jobs are never in one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from babelscope.capture.batching import by_length
from babelscope.capture.hooks import Capture
from babelscope.capture.pooling import pooling_named
from babelscope.capture.preparing import prepare
from babelscope.capture.store import Block, Layout
from babelscope.corpora import Corpus
from babelscope.errors import DataError
from babelscope.models.base import Modality, Model, Prepared


@dataclass(frozen=True)
class How:
    """How jobs are run.

    Attributes
    ----------
    pooling : {"mean", "max", "first", "last"}
    batch_size : int
        Most utterances in one forward pass.

    Raises
    ------
    UsageError
        If one of them is wrong.
    """

    pooling: str = "mean"
    batch_size: int = 8

    def __post_init__(self) -> None:
        pooling_named(self.pooling)
        by_length([], self.batch_size)


@dataclass(frozen=True)
class Job:
    """A block of sentences in one modality of one language.

    Attributes
    ----------
    modality : {"text", "speech"}
    language : str
    column : int
        Index of the language in the store.
    start, stop : int
        Which sentences of the corpus.
    """

    modality: Modality
    language: str
    column: int
    start: int
    stop: int

    @property
    def part(self) -> slice:
        """The sentences as a slice."""
        return slice(self.start, self.stop)

    def __len__(self) -> int:
        return self.stop - self.start

    def __str__(self) -> str:
        return f"{self.modality} {self.language}"


def open_jobs(layout: Layout, is_done: Callable[[Modality, int, slice], bool]) -> list[Job]:
    """Return the jobs that are not done, language by language.

    Parameters
    ----------
    layout : Layout
    is_done : callable
        Such as :meth:`babelscope.capture.store.Writer.is_done`.
    """
    return [
        Job(modality, language, column, part.start, part.stop)
        for column, language in enumerate(layout.languages)
        for modality in layout.modalities
        for part in layout.blocks
        if not is_done(modality, column, part)
    ]


def encode_job(model: Model, corpus: Corpus, job: Job, how: How) -> Block:
    """Run one job.

    Parameters
    ----------
    model : Model
    corpus : Corpus
    job : Job
    how : How

    Returns
    -------
    Block
        Plain arrays and lists, to be sent to whoever writes.

    Raises
    ------
    DataError
        If a text or recording is missing or broken, or gives an activation that is not finite.
    """
    modality, language = job.modality, job.language
    sentences = corpus.sentences[job.part]
    side = model.sides[modality].for_language(language)
    both = [prepare(corpus, side, modality, sentence, language) for sentence in sentences]
    prepared, amounts = [item for item, _ in both], [amount for _, amount in both]
    vectors = {point.name: np.empty((len(sentences), point.width), dtype=np.float32) for point in side.points}
    with Capture(side, how.pooling) as capture:
        for batch in by_length([item.length for item in prepared], how.batch_size if side.exact_in_batches else 1):
            caught = capture.run(side.collate([prepared[index] for index in batch]))
            for name, tensor in caught.items():
                vectors[name][batch] = tensor.cpu().numpy()
    for name, values in vectors.items():
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if bad.size:
            raise DataError(
                f"sentence {sentences[int(bad[0])]!r}, {modality} in {language!r}: the activation at {name} is not "
                f"finite; try dtype = 'float32', or check the weights"
            )
    return Block(
        vectors,
        {point.name: [point.length(item.length) for item in prepared] for point in side.points},
        amounts,
        _token_ids(prepared) if modality == "text" else (),
    )


def _token_ids(prepared: Sequence[Prepared]) -> list[list[int]]:
    """Return the tokens of each text where the side calls them what transformers does; else nothing."""
    if not all("input_ids" in item.inputs for item in prepared):
        return []
    return [[int(token) for token in item.inputs["input_ids"].flatten().tolist()] for item in prepared]
