"""Vectors of texts and recordings in one space: the last point that a model's two sides share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelscope.audio import SAMPLE_RATE, SILENCE_PEAK, Samples, decode, load_audio
from babelscope.capture import Capture
from babelscope.capture.jobs import by_length
from babelscope.errors import DataError, UsageError
from babelscope.models.base import Modality, Model
from babelscope.search.items import Item

Vectors = NDArray[np.float32]


class Embedder:
    """A model for search: it gives the vectors of one point, of length 1.

    Parameters
    ----------
    model : Model
        With two sides that share a point, or with one side.
    load : dict, optional
        How it was loaded (name, weights, options), recorded in an index; JSON-able.
    batch_size : int
        Most items in one forward pass.

    Attributes
    ----------
    point : str
        The last point that both sides have; of a single side its last.
    width : int

    Raises
    ------
    UsageError
        If the two sides share no point.
    """

    def __init__(self, model: Model, load: dict[str, Any] | None = None, batch_size: int = 8) -> None:
        if len(model.sides) > 1 and not model.shared_points:
            raise UsageError(
                f"model {model.name}: its two sides share no space, so that text cannot be compared with speech; use "
                f"one that has a shared space (pocket, sonar), or one side alone"
            )
        by_length([], batch_size)
        side = next(iter(model.sides.values()))
        self.point = model.shared_points[-1] if len(model.sides) > 1 else side.points[-1].name
        self.model = model.select_points([self.point])
        self.load = load or {"name": model.name}
        self.width = next(point.width for point in side.points if point.name == self.point)
        self.batch_size = batch_size

    @property
    def identity(self) -> dict[str, Any]:
        """What must be equal for two vectors to be in one space."""
        return {
            "model": self.model.name,
            "revision": self.model.revision,
            "options": dict(self.model.options),
            "point": self.point,
            "width": self.width,
        }

    def text(self, text: str, language: str = "") -> Vectors:
        """Return the vector of a text: shape (width,).

        Raises
        ------
        UsageError
            If the model has no text side, or wants a language that is not given.
        DataError
            If the text is empty or too long.
        """
        vector: Vectors = self.vectors("text", language, [text], [f"text {text!r}"])[0]
        return vector

    def speech(self, samples: Samples, language: str = "", name: str = "the recording") -> Vectors:
        """Return the vector of a recording (mono, 16 kHz): shape (width,).

        Raises
        ------
        UsageError
            If the model has no speech side, or wants a language that is not given.
        DataError
            If the recording is too short or too long.
        """
        vector: Vectors = self.vectors("speech", language, [samples], [name])[0]
        return vector

    def items(self, items: Sequence[Item]) -> tuple[list[Item], Vectors]:
        """Return the vectors of items, and which items they are: silent windows are excluded.

        Returns
        -------
        kept : list of Item
            By kind and language, else in the order of `items`.
        vectors : ndarray, shape (kept, width), float32
            Of length 1.

        Raises
        ------
        UsageError, DataError
            As :meth:`text` and :meth:`speech`; the message names the item.
        """
        kept: list[Item] = []
        blocks: list[Vectors] = []
        sides = sorted(items, key=lambda item: (item.kind, item.language))
        for (kind, language), group in groupby(sides, key=lambda item: (item.kind, item.language)):
            contents = list(_contents(list(group)))
            if contents:
                those, made = zip(*contents, strict=True)
                kept += those
                blocks.append(self.vectors(kind, language, made, list(map(str, those))))
        return kept, np.concatenate(blocks) if blocks else np.empty((0, self.width), dtype=np.float32)

    def vectors(self, kind: Modality, language: str, contents: Sequence[Any], names: Sequence[str]) -> Vectors:
        """Return the vectors of texts, or of recordings' samples, in their order: shape (contents, width).

        Utterances of similar length are batched together; one by one where the model's outputs depend on the batch.

        Parameters
        ----------
        kind : {"text", "speech"}
        language : str
            Of all of them; empty if it is not known.
        contents : sequence of str or ndarray
        names : sequence of str
            For messages.

        Raises
        ------
        UsageError, DataError
            As :meth:`text` and :meth:`speech`.
        """
        if kind not in self.model.sides:
            raise UsageError(f"model {self.model.name} takes no {kind}: take one that does, or leave {names[0]} out")
        side = self.model.sides[kind].for_language(language)
        prepared = []
        for content, name in zip(contents, names, strict=True):
            try:
                if kind == "text" and not str(content).strip():
                    raise DataError("the text is empty")
                item = side.prepare(content, language)
                if min(item.positions_at(point) for point in side.points) < 1:
                    raise DataError(f"{item.length} {side.unit} are too short for this model")
            except DataError as error:
                raise DataError(f"{name}: {error}") from error
            prepared.append(item)
        vectors = np.empty((len(prepared), self.width), dtype=np.float32)
        with Capture(side) as capture:
            for batch in by_length([item.length for item in prepared], self.batch_size if side.exact_in_batches else 1):
                caught = capture.run(side.collate([prepared[index] for index in batch]))
                vectors[batch] = caught[self.point].cpu().numpy()
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        bad = np.flatnonzero(~np.isfinite(lengths[:, 0]) | (lengths[:, 0] == 0))
        if bad.size:
            raise DataError(f"{names[int(bad[0])]}: its vector at {self.point} is not finite or zero; try float32")
        return np.asarray(vectors / lengths, dtype=np.float32)


def _contents(items: Sequence[Item]) -> Iterator[tuple[Item, Any]]:
    """Yield items with their text or samples; a recording that is cut into windows is decoded once."""
    last: tuple[str, str] | None = None
    samples = np.empty(0, dtype=np.float32)
    for item in items:
        if item.kind == "text":
            yield item, item.text
            continue
        if last != (item.audio, item.member):
            samples, last = load_audio(item.recording), (item.audio, item.member)
        clip = samples if item.whole else samples[round(item.start * SAMPLE_RATE) : round(item.end * SAMPLE_RATE)]
        if item.whole or (clip.size and float(np.abs(clip - clip.mean()).max()) >= SILENCE_PEAK):
            yield item, clip


def read_recording(path: str) -> Samples:
    """Return a recording's samples, for a query; DataError if it is missing or damaged."""
    return decode(path)
