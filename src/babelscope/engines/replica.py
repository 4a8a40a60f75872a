"""A model in a process of its own: it loads, prepares, encodes and writes; whoever drives it only says which job.

Blocks are written where they are computed, into the same store, so that activations cross the network once at most. A
block is written whole or not at all, whoever dies; one that two replicas write, because the first was given up too
early, gets the same bits from both.
"""

from __future__ import annotations

import dataclasses
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from babelscope.capture.job import Job
from babelscope.capture.jobs import How, encode_job, kept_of
from babelscope.capture.journal import Journal
from babelscope.capture.places import place_of
from babelscope.capture.preparing import Ahead, Utterance
from babelscope.capture.store import Layout, Writer
from babelscope.corpora import Corpus
from babelscope.engines.setting import Setting
from babelscope.errors import BabelscopeError, DataError, UsageError
from babelscope.models.base import Batch, Model, Prepared, Side

#: Jobs that a replica has at most: one that is prepared, one that is computed, one that is written.
DEPTH = 3


class DescribedSide(Side):
    """A side without its weights: what is told of it in a store."""

    def __init__(self, side: Side) -> None:
        self.modality, self.family, self.unit = side.modality, side.family, side.unit
        self.fixed_batch_length, self.exact_in_batches = side.fixed_batch_length, side.exact_in_batches
        self.weights_by_language = side.weights_by_language
        self.root: nn.Module = nn.Identity()
        # What a length is computed with may hold on to the weights.
        self.points = tuple(dataclasses.replace(point, length=_no_length) for point in side.points)
        self._parameters = side.parameters

    @property
    def parameters(self) -> int:
        """How many numbers the side's weights are, where it has them."""
        return self._parameters

    def _elsewhere(self) -> NoReturn:
        raise UsageError("the model runs in other processes: give encode the engine that summoned it")

    def prepare(self, item: str | NDArray[np.float32], language: str) -> Prepared:
        """Refuse."""
        self._elsewhere()

    def collate(self, items: Sequence[Prepared]) -> Batch:
        """Refuse."""
        self._elsewhere()

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Refuse."""
        self._elsewhere()


def _no_length(length: int) -> int:
    raise UsageError("the model runs in other processes: give encode the engine that summoned it")


@dataclass(frozen=True)
class Began:
    """All that a replica needs to know before its first job."""

    corpus: Corpus
    store: Path | str
    layout: Layout
    how: How
    points: tuple[str, ...]
    workers: int | None


class AheadOfEach(Ahead):
    """Prepares the recordings of whichever job comes next, in workers that stay: starting them takes seconds on a GPU.

    Parameters
    ----------
    model : Model
    began : Began
    """

    def __init__(self, model: Model, began: Began) -> None:
        languages = enumerate(began.layout.languages)
        none = [Job("speech", language, column, 0, 0) for column, language in languages]
        super().__init__(model, began.corpus, none if "speech" in model.sides else [], began.workers)

    def take(self, job: Job) -> list[Utterance | DataError]:
        """Prepare a job, which need not be known before; otherwise as :meth:`Ahead.take`."""
        self._given.clear()
        self._coming = self._recordings([job])
        return super().take(job)


class Replica:
    """A model, loaded once. Three jobs may be under way at once, each in another of three steps.

    Parameters
    ----------
    setting : Setting
        Of the process that drives.
    """

    def __init__(self, setting: Setting) -> None:
        self._asked = setting
        self._steps = [threading.Lock() for _ in range(DEPTH)]
        self._model: Model | None = None
        self._began: Began | None = None

    def place(self) -> Setting:
        """Take over the driver's setting, and return what is so of this process."""
        return self._asked.take_over()

    def load(self, load: Callable[[], Model]) -> Model:
        """Load the model, and return it without its weights.

        Raises
        ------
        BabelscopeError
            Naming the machine.
        """
        try:
            self._model = load()
        except BabelscopeError as error:
            raise type(error)(f"{error} (on {socket.gethostname()}, where a replica was to run)") from None
        return dataclasses.replace(
            self._model, sides={modality: DescribedSide(side) for modality, side in self._model.sides.items()}
        )

    def begin(self, began: Began) -> None:
        """Open the store that is to be written, and choose the points.

        Raises
        ------
        DataError
            If the store is not to be seen from here.
        """
        if not place_of(began.store).exists("zarr.json"):
            raise DataError(
                f"{began.store} is not to be seen from {socket.gethostname()}: a store that several machines write "
                f"must be in a folder that they share, or on a URL"
            )
        assert self._model is not None
        self._began = began
        self._writer = Writer(began.store, began.layout)
        self._journal = Journal(self._writer.path, self._writer.layout)
        self._narrow = self._model.select_points(began.points)
        self._ahead = AheadOfEach(self._narrow, began).__enter__()  # until this process ends, and its workers with it

    def run(self, job: Job) -> None:
        """Run one job, and write its block.

        Raises
        ------
        BabelscopeError
            As :func:`babelscope.capture.jobs.encode_job` and :meth:`babelscope.capture.store.Writer.write_block`.
        """
        began = self._began
        assert began is not None
        preparing, computing, writing = self._steps
        with preparing:
            prepared = self._ahead.take(job)
        with computing:
            kept = kept_of(self._journal, self._narrow, job)
            block = encode_job(self._narrow, began.corpus, job, began.how, prepared, self._asked.torch_threads, kept)
        del prepared
        with writing:
            self._writer.write_block(job.modality, job.column, job.part, block)
        kept.discard()
