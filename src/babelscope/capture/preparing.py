"""From a cell of a corpus to what a side takes: read, decoded and checked, ahead of the model, every complaint placed.

Reading, decoding and the computing of features are done by workers, some recordings ahead of the model. They are
threads where the model runs on the processor: decoding, resampling and torch's transforms leave the interpreter free.
They are processes where it runs on a GPU, for features in plain NumPy (SeamlessM4T's) do not, and would hold up whoever
feeds it. The processes are spawned, never forked: a fork of a process that has computed can hang.
"""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import nn

from babelscope.audio import SAMPLE_RATE, load_audio
from babelscope.capture.jobs import Job
from babelscope.capture.threads import SingleThreads, one_thread
from babelscope.corpora import Corpus, Recording
from babelscope.errors import DataError, UsageError
from babelscope.models.base import Modality, Model, Prepared, Side

#: Recordings that are read ahead of the model at most, for each of which features are held.
MOST_AHEAD = 128


@dataclass(frozen=True)
class Utterance:
    """A text or recording as the side takes it, and its amount: tokens of a text, seconds of a recording."""

    prepared: Prepared
    amount: float


def default_workers(device: torch.device) -> int:
    """Return how many workers prepare where nobody says: one a thread of torch's on the processor, four at most."""
    return max(1, min(4, torch.get_num_threads() if device.type == "cpu" else (os.cpu_count() or 2) - 1))


def item_of(corpus: Corpus, modality: Modality, sentence: str, language: str) -> str | Recording:
    """Return the text or the primary recording of a cell; a DataError says that there is none."""
    if modality == "speech":
        recordings = corpus.recordings(sentence, language)
        if not recordings:
            raise DataError(f"sentence {sentence!r} has no recording in {language!r}: leave it or the language out")
        return recordings[0]
    text = corpus.text(sentence, language)
    if not text or not text.strip():
        raise DataError(f"sentence {sentence!r} has no text in {language!r}: leave it or the language out")
    return text


def prepare(side: Side, item: str | Recording, sentence: str, language: str) -> Utterance:
    """Return one utterance as the side of its language takes it; a DataError says why it cannot."""
    loaded: str | NDArray[np.float32] = item if isinstance(item, str) else load_audio(item)
    try:
        prepared = side.prepare(loaded, language)
    except DataError as error:
        what = "text" if isinstance(item, str) else "recording"
        raise DataError(f"sentence {sentence!r}, {what} in {language!r}: {error}") from error
    return Utterance(prepared, prepared.length if isinstance(item, str) else len(loaded) / SAMPLE_RATE)


def known_columns(corpus: Corpus, language: str, sentences: Sequence[str]) -> dict[str, list[str]]:
    """Return what is known of a language's cells before anything runs: texts; recordings' names, readers, contents."""
    first = [next(iter(corpus.recordings(sentence, language)), None) for sentence in sentences]
    return {
        "text": [corpus.text(sentence, language) or "" for sentence in sentences],
        "recording": [(recording.member or recording.path.name) if recording else "" for recording in first],
        "reader": [(recording.reader or "") if recording else "" for recording in first],
        "content": [corpus.content(sentence, language) for sentence in sentences],
    }


def prepare_job(model: Model, corpus: Corpus, job: Job) -> list[Utterance | DataError]:
    """Prepare a job's utterances here and now: what could not be read is the error itself, in its place."""
    side = model.sides[job.modality].for_language(job.language)
    utterances: list[Utterance | DataError] = []
    with one_thread(), threadpool_limits(1, user_api="blas"):
        for sentence in corpus.sentences[job.rows]:
            try:
                item = item_of(corpus, job.modality, sentence, job.language)
                utterances.append(prepare(side, item, sentence, job.language))
            except DataError as error:
                utterances.append(error)
    return utterances


class Prefetcher:
    """Prepares the recordings of jobs in their order, in workers, for as long as the ``with`` block lasts.

    Parameters
    ----------
    jobs : iterable of Job
        In the order in which they will be asked for.
    workers : int, optional
        0: nothing is done ahead. :func:`default_workers` if left out. It does not change the numbers.
    """

    def __init__(self, model: Model, corpus: Corpus, jobs: Iterable[Job], workers: int | None = None) -> None:
        self.model, self.corpus = model, corpus
        side = model.sides.get("speech")
        if workers is not None and workers < 0:
            raise UsageError(f"workers: {workers} is below 0")
        self.workers = 0 if side is None else default_workers(side.device) if workers is None else workers
        self._coming = self._recordings([job for job in jobs if job.modality == "speech"])
        self._given: deque[tuple[str, str, Future[Utterance] | Future[_Packed]]] = deque()
        self._executor: Executor | None = None
        self._blas = ExitStack()
        if side is not None and self.workers:
            self._executor = _executor(side, sorted({job.language for job in jobs}), self.workers)

    def __enter__(self) -> Prefetcher:
        self._blas.enter_context(threadpool_limits(1, user_api="blas"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._blas:
            if self._executor is not None:
                self._executor.shutdown(wait=True, cancel_futures=True)

    def take(self, job: Job) -> list[Utterance | DataError]:
        """Return a job's utterances in the order of its sentences: what could not be read is the error in its place."""
        if self._executor is None or job.modality == "text":
            return prepare_job(self.model, self.corpus, job)
        utterances: list[Utterance | DataError] = []
        for sentence in self.corpus.sentences[job.rows]:
            self._fill()
            expected = (job.language, sentence)
            language, taken, future = self._given.popleft()
            if (language, taken) != expected:
                raise RuntimeError(f"asked for {expected} where {(language, taken)} was to come")
            try:
                given = future.result()
                utterances.append(given if isinstance(given, Utterance) else _unpacked(*given))
            except DataError as error:
                utterances.append(error)
            except BrokenProcessPool as error:
                raise DataError(
                    "a worker process that prepares recordings died (was it killed, or is memory short?): run again, "
                    "it resumes from here, or choose workers = 0"
                ) from error
        self._fill()
        return utterances

    def _recordings(self, jobs: Sequence[Job]) -> Iterator[tuple[str, str]]:
        return ((job.language, sentence) for job in jobs for sentence in self.corpus.sentences[job.rows])

    def _fill(self) -> None:
        while len(self._given) < MOST_AHEAD and (coming := next(self._coming, None)) is not None:
            self._given.append((*coming, self._submit(*coming)))

    def _submit(self, language: str, sentence: str) -> Future[Utterance] | Future[_Packed]:
        assert self._executor is not None
        try:
            recording = item_of(self.corpus, "speech", sentence, language)
            if isinstance(self._executor, ProcessPoolExecutor):
                return self._executor.submit(_prepare_there, recording, sentence, language)
        except (DataError, BrokenProcessPool) as error:  # reported by take(), when it comes to this recording
            failed: Future[Utterance] = Future()
            failed.set_exception(error)
            return failed
        side = self.model.sides["speech"].for_language(language)
        return self._executor.submit(prepare, side, recording, sentence, language)


def _executor(side: Side, languages: Sequence[str], workers: int) -> Executor:
    if side.device.type != "cpu":
        try:
            bare = {language: _without_weights(side.for_language(language)) for language in languages}
            pickle.dumps(bare)
        except (pickle.PicklingError, AttributeError, TypeError):  # a side that holds a function: threads will do
            pass
        else:
            context = multiprocessing.get_context("spawn")
            return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_there, initargs=(bare,))
    return SingleThreads(workers, "babelscope-prepare")


def _without_weights(side: Side) -> Side:
    bare = copy.copy(side)
    bare.root, bare.points = nn.Identity(), ()
    return bare


_sides_there: dict[str, Side] = {}


def _begin_there(sides: dict[str, Side]) -> None:
    """Begin in a worker process: one thread, deaf to Ctrl-C (the main process ends it), not left over by a kill."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")
    _sides_there.update(sides)
    parent = multiprocessing.parent_process()

    def ends_with_its_parent() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=ends_with_its_parent, daemon=True).start()


#: What crosses from a process: arrays (tensors would go through shared memory, of which containers have little), and
#: the utterance without its tensors.
_Packed = tuple[dict[str, NDArray[np.generic]], Utterance]


def _prepare_there(recording: str | Recording, sentence: str, language: str) -> _Packed:
    utterance = prepare(_sides_there[language], recording, sentence, language)
    inputs = {name: tensor.numpy() for name, tensor in utterance.prepared.inputs.items()}
    return inputs, replace(utterance, prepared=replace(utterance.prepared, inputs={}))


def _unpacked(inputs: dict[str, NDArray[np.generic]], bare: Utterance) -> Utterance:
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    return replace(bare, prepared=replace(bare.prepared, inputs=tensors))
