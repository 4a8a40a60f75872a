"""Runs a job: its utterances in batches of like length, on the processor several batches at once, to the same bits.

Each batch has one thread: threads that share an operation wait for each other behind each, and most operations of a
forward pass are too small for that; batches have nothing to wait for. One thread alone also computes the same bits on
any number of cores.
"""

from __future__ import annotations

import ctypes
import math
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from contextlib import ExitStack
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from babelscope.audio import SAMPLE_RATE
from babelscope.capture.hooks import Capture
from babelscope.capture.jobs import EncodeConfig, Job
from babelscope.capture.journal import Journal, KeptBatches
from babelscope.capture.layout import Block
from babelscope.capture.preparing import Utterance, prepare_job
from babelscope.capture.replicate import replicate
from babelscope.capture.threads import SingleThreads
from babelscope.corpora import Corpus
from babelscope.errors import DataError
from babelscope.models.base import Model, Prepared, Side

#: What an error that one sentence is to blame for says of the remedy.
SKIP_HINT = "--skip-bad leaves such sentences out"

#: Seconds after which batches that ran on a GPU are brought to the host to be kept: it waits for nothing before.
KEEP_SECONDS = 10.0

#: How much speech runs at once, in square seconds: utterances x the square of the longest's seconds. Attention's tables
#: grow so, and with them the memory that a run takes.
MOST_SQUARE_SECONDS = 600.0

#: From how many on a batch's memory is given back when it has run.
HEAVY_SQUARE_SECONDS = 60.0

#: Most batches that run at once: each holds activations of its own, and all of them read the same weights.
MOST_STREAMS = 8


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
    """Run one job; what it gives are plain arrays and lists, to be sent to whoever writes.

    Parameters
    ----------
    prepared : sequence of Utterance or DataError, optional
        What :meth:`~babelscope.capture.preparing.Prefetcher.take` gives; prepared here, to the same bits, if left out.
    streams : int, optional
        As for :func:`run_batches`.
    kept : KeptBatches, optional
        Batches that an earlier run of the job computed, which are taken; those that run now are kept there.

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
    activations = _activations(side, items, config, streams, KeptBatches(None, "") if kept is None else kept, rows)
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
    of_row = dict(good)
    whole = [None if row in skipped else of_row[row] for row in range(len(sentences))]
    tokenized = modality == "text" and bool(items) and all("input_ids" in item.inputs for item in items)
    return Block(
        vectors,
        {point.name: [each.prepared.positions_at(point) if each else 0 for each in whole] for point in side.points},
        [each.amount if each else math.nan for each in whole],
        [token_ids(each.prepared) if each else [] for each in whole] if tokenized else (),
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


def _activations(
    side: Side,
    items: Sequence[Prepared],
    config: EncodeConfig,
    streams: int | None,
    kept: KeptBatches,
    rows: Sequence[int],
) -> dict[str, NDArray[np.float32]]:
    """Run utterances in batches of like length; one array a point. `rows` are the items' in the job, as in `kept`."""
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


def token_ids(prepared: Prepared) -> list[int]:
    """Return the tokens of a text where the side calls them what transformers does; else nothing."""
    ids = prepared.inputs.get("input_ids")
    return [] if ids is None else [int(token) for token in ids.flatten().tolist()]


def run_batches(
    side: Side,
    batches: Sequence[Sequence[Prepared]],
    pooling: str,
    streams: int | None = None,
    keep: Callable[[int, Tensor], None] | None = None,
    weights: Sequence[float] | None = None,
) -> list[Tensor]:
    """Run batches with every point captured; return one array a batch, shape (utterances, widths of all points).

    On the processor several batches run at once, torch having one thread for each. Elsewhere they run one after the
    other in the thread that calls, and nothing is waited for.

    Parameters
    ----------
    streams : int, optional
        How many run at once on the processor: as many as torch has threads if left out, at most :data:`MOST_STREAMS`.
        It does not change the numbers.
    keep : callable, optional
        Given each batch's number and what it gave, on the host, as soon as it has run; on a GPU every
        :data:`KEEP_SECONDS` those that ran meanwhile. It may be called in several threads at once.
    weights : sequence of float, optional
        One a batch, in square seconds. On the processor those that run at once weigh :data:`MOST_SQUARE_SECONDS`
        together at most; one that weighs more runs alone. The heaviest begin first, with lighter ones at the same time.

    Raises
    ------
    Exception
        What the first batch raised that failed. Those that had been begun were waited for, and no other was begun.
    """
    if not (on_the_processor(side) and side.runs_beside):
        with Capture(side, pooling) as capture:
            return _one_after_another(capture, batches, keep)
    count = min(torch.get_num_threads() if streams is None else streams, MOST_STREAMS, len(batches))
    turns = _Turns(weights or [0.0] * len(batches))
    computed: dict[int, Tensor] = {}
    failed: dict[int, BaseException] = {}

    def work(capture: Capture) -> None:
        while (number := turns.take()) is not None:
            try:
                computed[number] = _run(capture, batches[number])
                if keep:
                    keep(number, computed[number])
            except BaseException as error:
                failed[number] = error
                turns.close()
            finally:
                turns.give_back(number)
            if weights and weights[number] >= HEAVY_SQUARE_SECONDS:
                give_back_memory = _trim()
                give_back_memory(0)  # some milliseconds

    # All replicas are made before any of the side's modules has a hook of ours, which they would have, too.
    with ExitStack() as stack:
        captures = [stack.enter_context(Capture(copied, pooling)) for copied in sides_beside(side, count)]
        pool = stack.enter_context(SingleThreads(len(captures), "babelscope-stream"))
        stack.callback(turns.close)  # before the threads are waited for: nothing is begun after Ctrl-C
        ended = [pool.submit(work, capture) for capture in captures]
        wait(ended)
    if failed:
        raise failed[min(failed)]
    for copied in ended:
        copied.result()
    return [computed[number] for number in range(len(batches))]


class _Turns:
    """Which batch comes next, by the weight of each, for several threads that ask."""

    def __init__(self, weights: Sequence[float]) -> None:
        self._weights = weights
        self._left = sorted(range(len(weights)), key=lambda number: -weights[number])
        self._running: list[int] = []
        self._changed = threading.Condition()

    def take(self) -> int | None:
        """Return the next batch that may run while others do, waiting for one; None if none is left."""
        with self._changed:
            while self._left:
                room = MOST_SQUARE_SECONDS - sum(self._weights[number] for number in self._running)
                for number in self._left:
                    if not self._running or self._weights[number] <= room:
                        self._left.remove(number)
                        self._running.append(number)
                        return number
                self._changed.wait()
            return None

    def give_back(self, number: int) -> None:
        """Say that a batch has run."""
        with self._changed:
            self._running.remove(number)
            self._changed.notify_all()

    def close(self) -> None:
        """Begin none that was not begun."""
        with self._changed:
            self._left.clear()
            self._changed.notify_all()


def _one_after_another(
    capture: Capture, batches: Sequence[Sequence[Prepared]], keep: Callable[[int, Tensor], None] | None
) -> list[Tensor]:
    computed: list[Tensor] = []
    first, last = 0, time.monotonic()  # of those that are not kept yet; when some were kept
    for batch in batches:
        computed.append(_run(capture, batch))
        if keep and time.monotonic() - last >= KEEP_SECONDS:
            for number in range(first, len(computed)):
                keep(number, computed[number].cpu())
            first, last = len(computed), time.monotonic()
    return computed


def on_the_processor(side: Side) -> bool:
    """Whether all weights of a side are in the host's memory."""
    return all(parameter.device.type == "cpu" for parameter in side.root.parameters())


def sides_beside(side: Side, count: int) -> list[Side]:
    """Return so many sides that can run at once; fewer if the side cannot be copied."""
    replicas = (replicate(side) for _ in range(count - 1))
    return [side, *(replica for replica in replicas if replica is not None)]


def _run(capture: Capture, batch: Sequence[Prepared]) -> Tensor:
    caught = capture.run(capture.side.collate(batch))
    if len({tensor.device for tensor in caught.values()}) == 1:
        return torch.cat(list(caught.values()), dim=1)
    # a model that is spread over several devices
    return torch.cat([tensor.cpu() for tensor in caught.values()], dim=1)


@cache
def _trim() -> Callable[[int], object]:
    """Return the function of the C library that gives back memory that was freed, where there is one.

    glibc keeps what a thread has freed for the next allocation, in pieces: after batches of many sizes in two threads a
    process held 1.2 GB, where 0.2 GB were left once it was made to give back.
    """
    if sys.platform != "linux":
        return lambda kept: None
    # Not every C library has it.
    trim: Callable[[int], object] = getattr(ctypes.CDLL(None), "malloc_trim", lambda kept: None)
    return trim
