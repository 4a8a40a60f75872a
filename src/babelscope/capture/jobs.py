"""Encoding cut into jobs that any engine can run, in any order, in any process, to the same bits.

A job is one block of sentences in one modality of one language: what the store writes at once. Its numbers depend on
the model, the corpus, the job and :class:`EncodeConfig` alone: utterances of two jobs are never in one batch.
:func:`babelscope.capture.running.encode_job` runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from babelscope.audio import SAMPLE_RATE
from babelscope.capture.layout import Layout
from babelscope.capture.pooling import pooling_named
from babelscope.capture.store import Writer
from babelscope.corpora import Corpus
from babelscope.errors import UsageError
from babelscope.models.base import Modality, Model, Side

#: Most utterances in one forward pass.
BATCH_SIZE = 32
#: Most tokens and seconds of a padded batch on the processor, where a batch should fit its caches, and on a GPU, which
#: should have much to do at once: chosen by measurement (docs/capturing.md).
BATCH_TOKENS, BATCH_SECONDS = 256, 15.0
GPU_BATCH_TOKENS, GPU_BATCH_SECONDS = 1024, 60.0


@dataclass(frozen=True)
class Job:
    """Some sentences (`start` to `stop`) in one modality of one language, whose index in the store is `column`."""

    modality: Modality
    language: str
    column: int
    start: int
    stop: int

    @property
    def rows(self) -> slice:
        """The sentences as a slice."""
        return slice(self.start, self.stop)

    def __len__(self) -> int:
        return self.stop - self.start

    def __str__(self) -> str:
        return f"{self.modality} {self.language}"


@dataclass(frozen=True)
class EncodeConfig:
    """Settings of encoding: how jobs are run; each is that of :func:`babelscope.encode`.

    Raises
    ------
    UsageError
        If one of them is wrong.
    """

    pooling: str = "mean"
    batch_size: int = BATCH_SIZE
    batch_tokens: int | None = None
    batch_seconds: float | None = None
    skip_bad: bool = False
    workers: int | None = None

    def __post_init__(self) -> None:
        pooling_named(self.pooling)
        by_length([], self.batch_size)
        for name in ("batch_tokens", "batch_seconds"):
            if not (getattr(self, name) is None or getattr(self, name) > 0):
                raise UsageError(f"{name}: {getattr(self, name)} is not a positive number")

    def batches(self, side: Side, lengths: Sequence[int]) -> list[list[int]]:
        """Return which utterances of a job run together; lengths are in the side's unit."""
        if side.runs_alone:
            return by_length(lengths, 1)
        on_gpu = side.device.type != "cpu"
        if side.modality == "text":
            tokens = self.batch_tokens or (GPU_BATCH_TOKENS if on_gpu else BATCH_TOKENS)
            return by_length(lengths, self.batch_size, tokens)
        budget = round((self.batch_seconds or (GPU_BATCH_SECONDS if on_gpu else BATCH_SECONDS)) * SAMPLE_RATE)
        if side.fixed_batch_length and side.window is not None:
            # padding costs what speech does: nothing is saved by batching similar lengths
            return by_length(lengths, min(self.batch_size, max(1, budget // int(side.window))))
        return by_length(lengths, self.batch_size, budget)


def by_length(lengths: Sequence[int], size: int, budget: int | None = None) -> list[list[int]]:
    """Group utterances into batches of like length, longest first; the same input gives the same batches.

    At most `size` utterances are in a batch, and, padded, at most `budget` units (utterances x longest); one that is
    longer than the budget runs alone.
    """
    if size < 1:
        raise UsageError(f"batch_size: {size} is not a positive number")
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        current = batches[-1] if batches else []
        fits = budget is None or (len(current) + 1) * lengths[current[0] if current else index] <= budget
        if current and len(current) < size and fits:
            current.append(index)
        else:
            batches.append([index])
    return batches


def open_jobs(layout: Layout, is_done: Callable[[Modality, int, slice], bool]) -> list[Job]:
    """Return the jobs that are not done, language by language; `is_done` is such as that of the store's writer."""
    return [
        Job(modality, language, column, rows.start, rows.stop)
        for column, language in enumerate(layout.languages)
        for modality in layout.modalities
        for rows in layout.blocks
        if not is_done(modality, column, rows)
    ]


@dataclass(frozen=True)
class Work:
    """What an engine is given to do: jobs, all that they need, and what to call on progress.

    Attributes
    ----------
    jobs : sequence of Job
        In the order in which they are best begun.
    writer : Writer
        Of the store, which is locked for this process. Other processes may open the same store and write blocks of it.
    describe : callable
        Takes a language's column, gives the write of what is known of it beforehand, to be done before any of its
        blocks; None if it was given before.
    report : callable
        To be called with a job and False when it begins, True once it is computed.
    """

    model: Model
    corpus: Corpus
    jobs: Sequence[Job]
    config: EncodeConfig
    writer: Writer
    describe: Callable[[int], Callable[[], None] | None]
    report: Callable[[Job, bool], None]


class Encoder(Protocol):
    """Runs jobs."""

    def encode(self, work: Work) -> None:
        """Run all jobs, in any order: when it returns, all of them are in the store.

        What a job raises is raised, and what was written before is kept.
        """


class HasEncoder(Protocol):
    """An engine, as far as encoding needs it."""

    @property
    def encoder(self) -> Encoder | None:
        """What runs jobs; None: the process that asks."""
