"""Engines: where models run and pairs are compared. All give the same bits.

``local`` is this process. ``ray`` is any number of processes on any number of machines (:mod:`babelscope.engines.ray`),
of which some may die on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from babelscope.errors import UsageError, did_you_mean
from babelscope.lazy_imports import public_names
from babelscope.progress import Progress
from babelscope.similarity.blocks import BlockExecutor

if TYPE_CHECKING:  # comparing needs no torch
    from babelscope.capture.jobs import Encoder
    from babelscope.models.base import Model

__all__ = ["ENGINES", "Engine", "Local", "check_engine", "open_engine"]

__dir__ = public_names(__name__)

ENGINES: dict[str, str] = {"local": "this process", "ray": "the machines of a Ray cluster"}


class Engine(Protocol):
    """What a study needs of an engine.

    Attributes
    ----------
    has_weights : bool
        Whether the models that :meth:`load_model` gives can be run in this process.
    """

    has_weights: bool

    @property
    def encoder(self) -> Encoder | None:
        """What runs the jobs of encoding; None: the process that asks."""

    @property
    def executor(self) -> BlockExecutor | None:
        """What computes blocks of pairs; None: the process that asks."""

    def load_model(self, load: Callable[[], Model], device: str = "cpu") -> Model:
        """Return the model that a function loads, wherever the engine runs it.

        Raises
        ------
        BabelscopeError
            Whatever is wrong with the model, or with whoever should load it.
        """


class Local:
    """The engine of this process."""

    has_weights = True
    encoder: Encoder | None = None
    executor: BlockExecutor | None = None

    def load_model(self, load: Callable[[], Model], device: str = "cpu") -> Model:
        """Load the model here and now."""
        return load()


def check_engine(name: str) -> None:
    """Check the name of an engine.

    Raises
    ------
    UsageError
        If it is unknown.
    """
    if name not in ENGINES:
        raise UsageError(f"{name!r} is unknown; {did_you_mean(name, ENGINES)}")


@contextmanager
def open_engine(
    name: str = "local", *, address: str | None = None, replicas: int | None = None, tell: Progress | None = None
) -> Iterator[Engine]:
    """Start an engine, and end all that it started with the ``with`` block.

    Parameters
    ----------
    name : {"local", "ray"}
    address : str, optional
        Of the Ray cluster to join, such as ``10.0.0.1:6379`` or ``auto``; that of ``$RAY_ADDRESS`` if left out, and
        without it a cluster of this machine alone, which ends with the block.
    replicas : int, optional
        How many copies of the model run; one a GPU if left out, or for a model on the processor as many as there is
        room for.
    tell : callable, optional
        Called with what is waited for.

    Raises
    ------
    UsageError
        If the name is unknown, an option is not this engine's, Ray is not installed, or nobody answers.
    """
    check_engine(name)
    if name == "local":
        for option, given in (("address", address), ("replicas", replicas)):
            if given is not None:
                raise UsageError(f"{option}: the local engine takes none; leave it out, or choose engine = 'ray'")
        yield Local()
        return
    from babelscope.engines.ray import Ray

    with Ray(address, replicas, tell) as engine:
        yield engine
