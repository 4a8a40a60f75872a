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

from babelscope.capture.jobs import EncodeConfig, Job
from babelscope.capture.journal import Journal
from babelscope.capture.preparing import Prefetcher, Utterance
from babelscope.capture.running import encode_job, kept_of
from babelscope.capture.storage import storage_of
from babelscope.capture.store import Layout, Writer
from babelscope.corpora import Corpus
from babelscope.errors import BabelscopeError, DataError, UsageError
from babelscope.models.base import Batch, Model, Prepared, Side
from babelscope.plugins.ray.environment import Environment

#: Jobs that a replica has at most: one that is prepared, one that is computed, one that is written.
DEPTH = 3


class DescribedSide(Side):
    """A side without its weights: what a store says of it."""

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
        raise UsageError("the model runs in other processes: give encode the engine that loaded it")

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
    raise UsageError("the model runs in other processes: give encode the engine that loaded it")


@dataclass(frozen=True)
class Session:
    """All that a replica needs to know before its first job."""

    corpus: Corpus
    store: Path | str
    layout: Layout
    config: EncodeConfig
    points: tuple[str, ...]


class JobPrefetcher(Prefetcher):
    """Prepares the recordings of whichever job comes next, in workers that stay: starting them takes seconds on a GPU.

    Parameters
    ----------
    model : Model
    session : Session
    """

    def __init__(self, model: Model, session: Session) -> None:
        languages = enumerate(session.layout.languages)
        none = [Job("speech", language, column, 0, 0) for column, language in languages]
        super().__init__(model, session.corpus, none if "speech" in model.sides else [], session.config.workers)

    def take(self, job: Job) -> list[Utterance | DataError]:
        """Prepare a job, which need not be known before; otherwise as :meth:`Prefetcher.take`."""
        self._given.clear()
        self._coming = self._recordings([job])
        return super().take(job)


class Replica:
    """A model, loaded once. Three jobs may be under way at once, each in another of three steps.

    Parameters
    ----------
    environment : Environment
        Of the process that drives.
    """

    def __init__(self, environment: Environment) -> None:
        self._driver = environment
        self._steps = [threading.Lock() for _ in range(DEPTH)]
        self._model: Model | None = None
        self._session: Session | None = None

    def adopt(self) -> Environment:
        """Adopt the driver's environment, and return that of this process."""
        return self._driver.adopt()

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

    def begin(self, session: Session) -> None:
        """Open the store that is to be written, and choose the points.

        Raises
        ------
        DataError
            If the store is not to be seen from here.
        """
        if not storage_of(session.store).exists("zarr.json"):
            raise DataError(
                f"{session.store} is not to be seen from {socket.gethostname()}: a store that several machines write "
                f"must be in a folder that they share, or on a URL"
            )
        assert self._model is not None
        self._session = session
        self._writer = Writer(session.store, session.layout)
        self._journal = Journal(self._writer.path, self._writer.layout)
        self._narrow = self._model.select_points(session.points)
        self._prefetcher = JobPrefetcher(self._narrow, session).__enter__()

    def run(self, job: Job) -> None:
        """Run one job, and write its block.

        Raises
        ------
        BabelscopeError
            As :func:`babelscope.capture.running.encode_job` and :meth:`babelscope.capture.store.Writer.write_block`.
        """
        session = self._session
        assert session is not None
        preparing, computing, writing = self._steps
        with preparing:
            prepared = self._prefetcher.take(job)
        with computing:
            kept = kept_of(self._journal, self._narrow, job)
            block = encode_job(
                self._narrow, session.corpus, job, session.config, prepared, self._driver.torch_threads, kept
            )
        del prepared
        with writing:
            self._writer.write_block(job.modality, job.column, job.rows, block)
        kept.discard()
