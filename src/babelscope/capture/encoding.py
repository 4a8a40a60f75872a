"""From a corpus and a model to a store of activations: block by block, so that a killed run goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelscope.audio import SAMPLE_RATE, load_audio
from babelscope.capture.batching import by_length
from babelscope.capture.hooks import Capture
from babelscope.capture.pooling import pooling_named
from babelscope.capture.store import Activations, Block, Layout, Writer, lock, now, versions
from babelscope.corpora import Corpus, Recording
from babelscope.errors import DataError, UsageError
from babelscope.models.base import Modality, Model, Prepared, Side

#: Sentences that are written together: what a killed run loses at most, a modality and language.
BLOCK = 32

#: Called with what is being done ("speech en"), how many utterances are done, and how many there are.
Progress = Callable[[str, int, int], None]


def encode(
    model: Model,
    corpus: Corpus,
    path: Path | str,
    *,
    pooling: str = "mean",
    batch_size: int = 8,
    block: int = BLOCK,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Activations:
    """Run a model on a corpus and store one vector an utterance at every point.

    Parameters
    ----------
    model : Model
        All its points are stored; narrow them with :meth:`Model.select_points`.
    corpus : Corpus
        Complete in the modalities that the model takes: every sentence in every language. Of several recordings the
        first is used.
    path : Path or str
        The store. One of the same contents is taken up where it ends; another is refused unless `overwrite`.
    pooling : {"mean", "max", "first", "last"}
        Over the valid positions of an utterance, in float32.
    batch_size : int
        Most utterances in one forward pass. It does not change the numbers (to 1e-5).
    block : int
        Sentences written together.
    overwrite : bool
        Replace a store of other contents.
    progress : callable, optional

    Returns
    -------
    Activations

    Raises
    ------
    DataError
        If a text or recording is missing, broken, or gives an activation that is not finite; what was finished before
        is kept.
    UsageError
        If the store holds something else, or an option is wrong.
    """
    path = Path(path)
    pooling_named(pooling)
    if block < 1:
        raise UsageError(f"block: {block} is not a positive number")
    by_length([], batch_size)
    if not corpus.sentences:
        raise DataError(f"corpus {corpus.name} has no sentence left after its filters: loosen them")
    layout = _layout(model, corpus, pooling, block)
    total = len(layout.modalities) * len(layout.languages) * len(layout.sentences)
    with lock(path):
        writer = Writer(path, layout, overwrite=overwrite)
        finished = 0
        for column, language in enumerate(layout.languages):
            cells = _Cells(corpus, language)
            open_blocks = [
                (modality, part)
                for modality in layout.modalities
                for part in layout.blocks
                if not writer.is_done(modality, column, part)
            ]
            if open_blocks:
                writer.write_language(column, cells.columns(layout.sentences))
            finished += len(layout.modalities) * len(layout.sentences) - sum(
                part.stop - part.start for _, part in open_blocks
            )
            for modality, part in open_blocks:
                label = f"{modality} {language}"
                if progress:
                    progress(label, finished, total)
                encoded = _encode_block(
                    model.sides[modality], modality, cells, layout.sentences[part], pooling, batch_size
                )
                writer.write_block(modality, column, part, encoded)
                finished += part.stop - part.start
                if progress:
                    progress(label, finished, total)
    return Activations(path)


class _Cells:
    """The texts and recordings of one language, with the place named in every complaint."""

    def __init__(self, corpus: Corpus, language: str) -> None:
        self.corpus, self.language = corpus, language

    def text(self, sentence: str) -> str:
        text = self.corpus.text(sentence, self.language)
        if not text or not text.strip():
            raise DataError(f"sentence {sentence!r} has no text in {self.language!r}: leave it or the language out")
        return text

    def recording(self, sentence: str) -> Recording:
        recordings = self.corpus.recordings(sentence, self.language)
        if not recordings:
            raise DataError(
                f"sentence {sentence!r} has no recording in {self.language!r}: leave it or the language out"
            )
        return recordings[0]

    def prepare(self, side: Side, modality: Modality, sentence: str) -> tuple[Prepared, float]:
        """Return what the side takes, and how long it is: tokens of a text, seconds of a recording."""
        item: str | NDArray[np.float32]
        item = self.text(sentence) if modality == "text" else load_audio(self.recording(sentence))
        try:
            prepared = side.prepare(item, self.language)
            return prepared, prepared.length if modality == "text" else len(item) / SAMPLE_RATE
        except DataError as error:
            what = "text" if modality == "text" else "recording"
            raise DataError(f"sentence {sentence!r}, {what} in {self.language!r}: {error}") from error

    def columns(self, sentences: Sequence[str]) -> dict[str, list[str]]:
        """Return what is known before anything runs: texts, names of recordings, readers."""
        first = [next(iter(self.corpus.recordings(sentence, self.language)), None) for sentence in sentences]
        return {
            "text": [self.corpus.text(sentence, self.language) or "" for sentence in sentences],
            "recording": [(one.member or Path(one.path).name) if one else "" for one in first],
            "reader": [(one.reader or "") if one else "" for one in first],
        }


def _encode_block(
    side: Side, modality: Modality, cells: _Cells, sentences: Sequence[str], pooling: str, batch_size: int
) -> Block:
    side = side.for_language(cells.language)
    both = [cells.prepare(side, modality, sentence) for sentence in sentences]
    prepared, amounts = [item for item, _ in both], [amount for _, amount in both]
    for point in side.points:
        for sentence, item in zip(sentences, prepared, strict=True):
            if point.length(item.length) < 1:
                raise DataError(
                    f"sentence {sentence!r}, {modality} in {cells.language!r}: {item.length} {side.unit} leave no "
                    f"position at {point.name}: "
                    "it is too short for this model"
                )
    vectors = {point.name: np.empty((len(sentences), point.width), dtype=np.float32) for point in side.points}
    with Capture(side, pooling) as capture:
        for batch in by_length([item.length for item in prepared], batch_size if side.exact_in_batches else 1):
            caught = capture.run(side.collate([prepared[index] for index in batch]))
            for name, tensor in caught.items():
                vectors[name][batch] = tensor.cpu().numpy()
    for name, values in vectors.items():
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if bad.size:
            raise DataError(
                f"sentence {sentences[int(bad[0])]!r}, {modality} in {cells.language!r}: the activation at {name} is "
                f"not finite; "
                "try dtype = 'float32', or check the weights"
            )
    return Block(
        vectors,
        {point.name: [point.length(item.length) for item in prepared] for point in side.points},
        amounts,
        _token_ids(prepared) if modality == "text" else (),
    )


def _token_ids(prepared: Sequence[Prepared]) -> list[list[int]]:
    """Return the tokens of each text where the side calls them what transformers does; else nothing."""
    if not all("input_ids" in item.inputs for item in prepared):
        return []
    return [[int(token) for token in item.inputs["input_ids"].flatten().tolist()] for item in prepared]


def _in_order(model: Model) -> tuple[dict[str, Any], ...]:
    """Return the points of both sides by depth, each side's in its own order, a shared one once and as "both"."""
    shared = set(model.shared_points)
    sides = [[row for row in model.describe() if row["modality"] == modality] for modality in model.modalities]
    ordered: list[dict[str, Any]] = []
    while heads := [side[0] for side in sides if side]:
        # A shared point waits until it is the next one on both sides.
        own = [row for row in heads if row["name"] not in shared]
        row = min(own or heads, key=lambda each: each["depth"])
        ordered.append(row if row["name"] not in shared else row | {"modality": "both"})
        sides = [[each for each in side if each["name"] != row["name"]] for side in sides]
    return tuple(ordered)


def _layout(model: Model, corpus: Corpus, pooling: str, block: int) -> Layout:
    points = _in_order(model)
    weights = [vars(file) for file in model.weights]
    identity = {
        "model": model.name,
        "weights": [file.sha256 for file in model.weights],
        "model options": dict(model.options),
        "points": sorted(point["name"] for point in points),
        "pooling": pooling,
        "corpus": corpus.fingerprint(),
        "languages": list(corpus.languages),
        "sentences": hashlib.sha256("\0".join(corpus.sentences).encode()).hexdigest(),
        "block": block,
    }
    provenance = {
        "model": {
            "name": model.name,
            "revision": model.revision,
            "licence": model.licence,
            "options": dict(model.options),
            "notes": list(model.notes),
            "shared": bool(model.shared_points),
            "weights": weights,
            "sides": [
                {
                    "modality": modality,
                    "family": side.family,
                    "unit": side.unit,
                    "parameters": side.parameters,
                    "weights_by_language": side.weights_by_language,
                    "points": [row for row in model.describe() if row["modality"] == modality],
                }
                for modality, side in model.sides.items()
            ],
        },
        "corpus": {
            "name": corpus.name,
            "title": corpus.title,
            "fingerprint": identity["corpus"],
            "languages": list(corpus.languages),
            "n": len(corpus.sentences),
            "licence": corpus.licence,
            "attribution": corpus.attribution,
            "notes": list(corpus.notes),
        },
        "pooling": pooling,
        "batch_size_independent_to": 1e-5,
        "created": now(),
        "versions": versions(),
    }
    json.dumps(provenance)
    return Layout(
        tuple(corpus.sentences),
        tuple(corpus.languages),
        model.modalities,
        points,
        block,
        identity,
        provenance,
    )
