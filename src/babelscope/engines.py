"""Engines: where models run and pairs are compared. All give the same bits.

``local`` is this process. Every other engine is a plug-in: an entry point of the group ``babelscope.engines``, such as
``ray``, which comes along. The entry is a class or function that is called with those of the options of
:func:`open_engine` that were given, and ``progress``, and returns a context manager of an :class:`Engine`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Protocol

from babelscope.errors import BabelscopeError, UsageError, did_you_mean
from babelscope.lazy_imports import public_names
from babelscope.progress import Progress, silent
from babelscope.similarity.blocks import BlockExecutor

if TYPE_CHECKING:  # comparing needs no torch
    from babelscope.capture.jobs import Encoder
    from babelscope.models.base import Model

__all__ = ["GROUP", "Engine", "Local", "check_engine", "engines", "open_engine"]

__dir__ = public_names(__name__)

#: Entry-point group in which packages offer engines.
GROUP = "babelscope.engines"


class Engine(Protocol):
    """What a study needs of an engine."""

    has_weights: bool
    """Whether the models that :meth:`load_model` gives can be run in this process."""

    @property
    def encoder(self) -> Encoder | None:
        """What runs the jobs of encoding; None: the process that asks."""

    @property
    def executor(self) -> BlockExecutor | None:
        """What computes blocks of pairs; None: the process that asks."""

    def load_model(self, load: Callable[[], Model], device: str = "cpu") -> Model:
        """Return the model that a function loads, wherever the engine runs it."""


class Local:
    """The engine of this process."""

    has_weights = True
    encoder: Encoder | None = None
    executor: BlockExecutor | None = None

    def load_model(self, load: Callable[[], Model], device: str = "cpu") -> Model:
        """Load the model here and now."""
        return load()


def engines() -> list[str]:
    """Return the names of all engines: that of this process, and those of installed packages."""
    return ["local", *sorted(entry_points(group=GROUP).names - {"local"})]


def check_engine(name: str) -> None:
    """Refuse the name of an unknown engine."""
    if name != "local" and name not in (known := engines()):
        raise UsageError(f"{name!r} is unknown; {did_you_mean(name, known)}")


@contextmanager
def open_engine(
    name: str = "local", *, address: str | None = None, replicas: int | None = None, tell: Progress | None = None
) -> Iterator[Engine]:
    """Start an engine, and end all that it started with the ``with`` block.

    Parameters
    ----------
    name : str
        One of :func:`engines`.
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
    make = None if name == "local" else _loaded(next(iter(entry_points(group=GROUP, name=name))))
    options = {option: given for option, given in (("address", address), ("replicas", replicas)) if given is not None}
    for option in options:
        if make is None or option not in inspect.signature(make).parameters:
            raise UsageError(f"{option}: the {name} engine takes none; leave it out, or choose engine = 'ray'")
    if make is None:
        yield Local()
        return
    with make(**options, progress=tell or silent) as engine:
        yield engine


def _loaded(entry: EntryPoint) -> Callable[..., AbstractContextManager[Engine]]:
    try:
        make: Callable[..., AbstractContextManager[Engine]] = entry.load()
    except BabelscopeError:
        raise
    except Exception as error:  # a plug-in raises whatever its parts do
        raise UsageError(
            f"engine {entry.name!r} ({entry.value}) cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    return make
