"""Probes: a few sentences as speech and as text, encoded by the model in its present state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from babelscope.audio import load_audio
from babelscope.capture.hooks import Capture
from babelscope.capture.jobs import by_length
from babelscope.capture.pooling import pooling_named
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError
from babelscope.gaps.comparisons import Place
from babelscope.models.base import MODALITIES, Model, Prepared, Side

#: What a side may be given as: vectors by point, the same by language, or a function without arguments that returns
#: either.
Source: TypeAlias = Callable[[], Mapping[str, Any]] | Mapping[str, Any]

#: The language of a probe that names none.
ONE_LANGUAGE = "all"

#: Sentences of a corpus that a probe uses by default.
SENTENCES = 32


class Probe(ABC):
    """Paired sentences, and how to encode them with the present model.

    Attributes
    ----------
    modules : tuple of torch.nn.Module
        The modules under training that :meth:`read` runs; their state is kept.
    """

    modules: tuple[nn.Module, ...] = ()

    @abstractmethod
    def read(self) -> Mapping[Place, NDArray[np.float32]]:
        """Encode the sentences with the model in its present state.

        Called without gradients and with :attr:`modules` in evaluation mode.

        Returns
        -------
        mapping of Place to ndarray, shape (sentences, features)
            Each (modality, point, language), the points of a modality in their order.
        """

    def describe(self) -> dict[str, Any]:
        """Return what identifies the probe, JSON-able: a log of another probe is not continued."""
        return {}


class FunctionProbe(Probe):
    """A probe of functions, for any model that a training script can run.

    Parameters
    ----------
    speech, text : mapping or callable
        The vectors of the probe's sentences, the same sentences in the same order on both sides: point -> array
        (sentences x features; NumPy or torch), or language -> (point -> array), or a function without arguments that
        returns either. A side that is not trained can be given as its arrays. Points with the same name on both sides
        are taken as one space, and are compared with each other; other speech points with the text side's last.
    modules : iterable of torch.nn.Module
        The modules that the functions run, whose state is kept.

    Examples
    --------
    >>> import torch
    >>> from babelscope.monitor import FunctionProbe
    >>> speech, text, student = torch.randn(32, 8), torch.randn(32, 4), torch.nn.Linear(8, 4)
    >>> probe = FunctionProbe(lambda: {"output": student(speech)}, {"output": text}, modules=[student])
    >>> [place.modality for place in probe.read()]
    ['speech', 'text']
    """

    def __init__(self, speech: Source, text: Source, *, modules: Iterable[nn.Module]) -> None:
        self.sources = {"speech": speech, "text": text}
        self.modules = tuple(modules)
        for module in self.modules:
            if not isinstance(module, nn.Module):
                raise UsageError(f"modules: {type(module).__name__} is not a torch.nn.Module")

    def read(self) -> dict[Place, NDArray[np.float32]]:
        """Call the functions, and bring what they return to NumPy."""
        return {
            Place(modality, str(point), language): _array(vectors, f"{modality}/{point}/{language}")
            for modality, source in self.sources.items()
            for language, points in _by_language(source, modality).items()
            for point, vectors in points.items()
        }


def _by_language(source: Source, modality: str) -> dict[str, Mapping[str, Any]]:
    """Return language -> (point -> array), however the source was given."""
    given = source() if callable(source) else source
    if not isinstance(given, Mapping) or not given:
        raise UsageError(f"the probe's {modality} gave {type(given).__name__}, not a mapping of point to array")
    inner = [callable(value) or isinstance(value, Mapping) for value in given.values()]
    if not any(inner):
        return {ONE_LANGUAGE: given}
    if not all(inner):
        raise UsageError(f"the probe's {modality} mixes points and languages: {', '.join(map(str, given))}")
    vectors: dict[str, Mapping[str, Any]] = {}
    for language, value in given.items():
        points = value() if callable(value) else value
        if not isinstance(points, Mapping) or not points:
            raise UsageError(f"the probe's {modality} in {language!r} is not a mapping of point to array")
        vectors[str(language)] = points
    return vectors


def _array(vectors: Any, label: str) -> NDArray[np.float32]:
    if isinstance(vectors, torch.Tensor):
        vectors = vectors.detach().float().cpu().numpy()
    try:
        return np.asarray(vectors, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the probe's {label} is no array of numbers: {error}") from error


class ModelProbe(Probe):
    """A probe of a :class:`~babelscope.models.Model` whose weights are being trained, at its points.

    The utterances are prepared once; only the forward passes are repeated.

    Parameters
    ----------
    model : Model
        Its sides' modules are those under training. Each point costs time: narrow them with
        :meth:`Model.select_points`.
    corpus : Corpus
        The same sentences in each language, as text and as recordings.
    sentences : int or None
        How many to take, the same whatever the training's seed; None takes all.
    pooling : {"mean", "max", "first", "last"}
    batch_size : int
        Utterances in one forward pass.
    modules : iterable of torch.nn.Module, optional
        Further modules whose state is kept.

    Raises
    ------
    DataError
        If a text or recording is missing or cannot be taken by the model.
    """

    def __init__(
        self,
        model: Model,
        corpus: Corpus,
        *,
        sentences: int | None = SENTENCES,
        pooling: str = "mean",
        batch_size: int = 8,
        modules: Iterable[nn.Module] = (),
    ) -> None:
        pooling_named(pooling)
        self.pooling, self.batch_size = pooling, batch_size
        if sentences is not None and sentences < len(corpus.sentences):
            corpus = corpus.select(n=sentences, seed=0, modalities=model.modalities)
        self.name, self.corpus = model.name, corpus
        self.sides: list[tuple[str, str, Side, list[Prepared]]] = []
        for modality in MODALITIES:
            if modality in model.sides:
                for language in corpus.languages:
                    side = model.sides[modality].for_language(language)
                    self.sides.append((modality, language, side, _prepared(side, corpus, language)))
        self.modules = tuple(dict.fromkeys([*(side.root for _, _, side, _ in self.sides), *modules]))

    def read(self) -> dict[Place, NDArray[np.float32]]:
        """Run every utterance, and pool it at every point."""
        pooled: dict[Place, NDArray[np.float32]] = {}
        for modality, language, side, prepared in self.sides:
            vectors = {point.name: np.empty((len(prepared), point.width), dtype=np.float32) for point in side.points}
            lengths = [item.length for item in prepared]
            with Capture(side, self.pooling) as capture:
                for batch in by_length(lengths, self.batch_size if side.exact_in_batches else 1):
                    caught = capture.run(side.collate([prepared[index] for index in batch]), training=True)
                    for point, tensor in caught.items():
                        vectors[point][batch] = tensor.cpu().numpy()
            pooled |= {Place(modality, point, language): rows for point, rows in vectors.items()}
        return pooled

    def describe(self) -> dict[str, Any]:
        """Return the model's name, its points, and the sentences."""
        return {
            "model": self.name,
            "points": sorted({point.name for _, _, side, _ in self.sides for point in side.points}),
            "pooling": self.pooling,
            "corpus": self.corpus.fingerprint(),
            "sentences": list(self.corpus.sentences),
        }


def _prepared(side: Side, corpus: Corpus, language: str) -> list[Prepared]:
    out: list[Prepared] = []
    speech = side.modality == "speech"
    for sentence in corpus.sentences:
        recordings = corpus.recordings(sentence, language) if speech else ()
        text = "" if speech else corpus.text(sentence, language) or ""
        what = f"sentence {sentence!r}, {side.modality} in {language!r}"
        if not (recordings or text.strip()):
            lacking = "recording" if speech else "text"
            raise DataError(f"{what}: there is no {lacking}; exclude the sentence or the language")
        try:
            out.append(side.prepare(load_audio(recordings[0]) if recordings else text, language))
        except DataError as error:
            raise DataError(f"{what}: {error}") from error
    return out
