"""Encoding cut into jobs that any engine can run, in any order, in any process, to the same bits.

A job is one block of sentences in one modality of one language: what the store writes at once. Its numbers depend on
the model, the corpus, the job and :class:`EncodeConfig` alone: utterances of two jobs are never in one batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from babelscope.audio import SAMPLE_RATE
from babelscope.capture.batching import by_length
from babelscope.capture.job import Job
from babelscope.capture.journal import Journal, KeptBatches
from babelscope.capture.pooling import pooling_named
from babelscope.capture.preparing import Utterance, prepare_job
from babelscope.capture.store import Block, Layout, Writer
from babelscope.capture.streams import run_batches
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError
from babelscope.models.base import Modality, Model, Prepared, Side

#: Most utterances in one forward pass.
BATCH_SIZE = 32
#: Most tokens and seconds of a padded batch on the processor, where a batch should fit its caches, and on a GPU, which
#: should have much to do at once: chosen by measurement (docs/capturing.md).
BATCH_TOKENS, BATCH_SECONDS = 256, 15.0
GPU_BATCH_TOKENS, GPU_BATCH_SECONDS = 1024, 60.0

#: What an error that one sentence is to blame for says of the remedy.
SKIP_HINT = "--skip-bad leaves such sentences out"


@dataclass(frozen=True)
class EncodeConfig:
    """Settings of encoding: how jobs are run.

    Attributes
    ----------
    pooling : {"mean", "max", "first", "last"}
    batch_size : int
        Most utterances in one forward pass.
    batch_tokens : int, optional
        Most tokens of a padded batch of texts: utterances x longest. :data:`BATCH_TOKENS` if left out, on a GPU
        :data:`GPU_BATCH_TOKENS`.
    batch_seconds : float, optional
        The same for recordings; a model that hears a window of fixed length counts the window. :data:`BATCH_SECONDS` or
        :data:`GPU_BATCH_SECONDS` if left out.
    skip_bad : bool
        Skip sentences that cannot be encoded, with the reason, instead of raising it.
    workers : int, optional
        How many prepare recordings ahead of the model (:class:`babelscope.capture.preparing.Prefetcher`).

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


def open_jobs(layout: Layout, is_done: Callable[[Modality, int, slice], bool]) -> list[Job]:
    """Return the jobs that are not done, language by language.

    Parameters
    ----------
    is_done : callable
        Such as :meth:`babelscope.capture.store.Writer.is_done`.
    """
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
        """Run and write all jobs, in any order; when it returns, all of them are in the store.

        Raises
        ------
        BabelscopeError
            What a job raised; what was written before is kept.
        """


class HasEncoder(Protocol):
    """An engine, as far as encoding needs it."""

    @property
    def encoder(self) -> Encoder | None:
        """What runs jobs; None: the process that asks."""


def kept_of(journal: Journal, model: Model, job: Job) -> KeptBatches:
    """Open what is kept of a job's batches that were computed by the same kind of device."""
    device = model.sides[job.modality].device.type
    by = torch.backends.cpu.get_cpu_capability() if device == "cpu" else device
    return journal.of(job.modality, job.column, job.start, job.stop, by.replace(" ", ""))


def encode_job(
    model: Model,
    corpus: Corpus,
    job: Job,
    config: EncodeConfig,
    prepared: Sequence[Utterance | DataError] | None = None,
    streams: int | None = None,
    kept: KeptBatches | None = None,
) -> Block:
    """Run one job.

    Parameters
    ----------
    prepared : sequence of Utterance or DataError, optional
        What :meth:`babelscope.capture.preparing.Prefetcher.take` gives; prepared here and now if left out, to the same
        bits.
    streams : int, optional
        How many batches run at once on the processor, as for :func:`babelscope.capture.streams.run_batches`: as many as
        torch has threads if left out. It does not change the numbers.
    kept : KeptBatches, optional
        What an earlier run of the job left of its batches, which is taken instead of running them again; and where
        those that run now are kept.

    Returns
    -------
    Block
        Plain arrays and lists, to be sent to whoever writes.

    Raises
    ------
    DataError
        If a text or recording is missing or broken, or gives an activation that is not finite, unless
        ``config.skip_bad``: then its row is skipped, with the reason.
    """
    modality, language = job.modality, job.language
    sentences = corpus.sentences[job.rows]
    side = model.sides[modality].for_language(language)
    taken = list(prepare_job(model, corpus, job) if prepared is None else prepared)
    good: list[tuple[int, Utterance]] = []
    skipped: dict[int, str] = {}
    for row, utterance in enumerate(taken):
        refused = utterance if isinstance(utterance, DataError) else _too_short(side, job, sentences[row], utterance)
        if refused is None and not isinstance(utterance, DataError):
            good.append((row, utterance))
        elif config.skip_bad:
            skipped[row] = str(refused)
        elif refused is not None:
            raise _hinting(refused)
    items = [utterance.prepared for _, utterance in good]
    rows = [row for row, _ in good]
    activations = _run(side, items, config, streams, KeptBatches(None, "") if kept is None else kept, rows)
    vectors = {point.name: np.full((len(sentences), point.width), np.nan, dtype=np.float32) for point in side.points}
    for name, values in activations.items():
        vectors[name][rows] = values
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1)).tolist()
        for row in bad:
            reason = (
                f"sentence {sentences[rows[row]]!r}, {modality} in {language!r}: the activation at {name} is not "
                f"finite, its first ({len(bad)} of {len(rows)} sentences there): {_remedy_of_range(side)}"
            )
            if not config.skip_bad:
                raise _hinting(DataError(reason))
            skipped.setdefault(rows[row], reason)
    for values in vectors.values():
        values[list(skipped)] = np.nan
    whole = {row: utterance for row, utterance in good if row not in skipped}
    tokens = dict(zip(rows, _token_ids(items), strict=False)) if modality == "text" else {}
    return Block(
        vectors,
        {
            point.name: [
                whole[row].prepared.positions_at(point) if row in whole else 0 for row in range(len(sentences))
            ]
            for point in side.points
        },
        [whole[row].amount if row in whole else math.nan for row in range(len(sentences))],
        [tokens[row] if row in whole else [] for row in range(len(sentences))] if tokens else (),
        dict(sorted(skipped.items())),
    )


def _remedy_of_range(side: Side) -> str:
    """Return what to do about an activation that is not finite, by the number format that the model runs in."""
    dtype = next(side.root.parameters()).dtype
    if dtype == torch.float16:
        return "it overflows in float16; set dtype = 'bfloat16', whose range is that of float32, or 'float32'"
    return "set dtype = 'float32'" if dtype == torch.bfloat16 else "check the weights"


def _too_short(side: Side, job: Job, sentence: str, utterance: Utterance) -> DataError | None:
    for point in side.points:
        if utterance.prepared.positions_at(point) < 1:
            length = utterance.prepared.length
            return DataError(
                f"sentence {sentence!r}, {job.modality} in {job.language!r}: {length} {side.unit} leave no position at "
                f"{point.name}: it is too short for this model"
            )
    return None


def _hinting(error: DataError) -> DataError:
    hinting = DataError(f"{error} ({SKIP_HINT})")
    hinting.__cause__ = error.__cause__ or error
    return hinting


def _run(
    side: Side,
    items: Sequence[Prepared],
    config: EncodeConfig,
    streams: int | None,
    kept: KeptBatches,
    rows: Sequence[int],
) -> dict[str, NDArray[np.float32]]:
    """Run utterances in batches of like length; one array a point, its rows in the order of `items`.

    `rows` are the items' in the job: what batches are known by in `kept`.
    """
    if not items:
        return {}
    batches = config.batches(side, [item.length for item in items])
    together = np.empty((len(items), sum(point.width for point in side.points)), dtype=np.float32)
    left: list[list[int]] = []
    for batch in batches:
        computed = kept.take([rows[index] for index in batch], together.shape[1])
        if computed is None:
            left.append(batch)
        else:
            together[batch] = computed

    def keep(number: int, values: Tensor) -> None:
        kept.put([rows[index] for index in left[number]], values.numpy())

    if left:
        listed = [[items[index] for index in batch] for batch in left]
        weights = [_weight(side, [items[index].length for index in batch]) for batch in left]
        parts = run_batches(side, listed, config.pooling, streams, keep if kept.keeps else None, weights)
        # What was caught on a GPU is brought to the host at once, but for what is kept meanwhile in a long block.
        together[[index for batch in left for index in batch]] = torch.cat(parts).cpu().numpy()
    edges = np.cumsum([0, *(point.width for point in side.points)])
    return {
        point.name: together[:, start:stop]
        for point, start, stop in zip(side.points, edges[:-1], edges[1:], strict=True)
    }


def _weight(side: Side, lengths: Sequence[int]) -> float:
    """Return a batch's square seconds: utterances x the longest squared.

    Texts are short, and a window of fixed length is what its model was made for: they weigh nothing.
    """
    if side.modality == "text" or side.fixed_batch_length:
        return 0.0
    return len(lengths) * (max(lengths) / SAMPLE_RATE) ** 2


def _token_ids(prepared: Sequence[Prepared]) -> list[list[int]]:
    """Return the tokens of each text where the side calls them what transformers does; else nothing."""
    if not all("input_ids" in item.inputs for item in prepared):
        return []
    return [[int(token) for token in item.inputs["input_ids"].flatten().tolist()] for item in prepared]
