"""The frozen encoder's features of every recording, computed once and kept in the cache in half precision.

Recordings are processed in blocks of :data:`BLOCK`; a block is written atomically, so that a killed run resumes there.
Each recording is encoded alone in its own window
(:func:`babelscope.plugins.pocket.adapter.window_samples`), and its own positions are kept.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import WhisperFeatureExtractor

from babelscope import models
from babelscope.audio import load_audio
from babelscope.cache import write_atomically
from babelscope.errors import DataError
from babelscope.plugins.pocket.adapter import LONGEST_WINDOW, SAMPLE_RATE, window_samples
from babelscope.plugins.pocket.whisper import HOP, positions
from training.pocket.utterances import Utterance

#: Recordings that are written together.
BLOCK = 128
#: Changes when the numbers would.
VERSION = 1

Progress = Callable[[str, int, int], None]


class Encoder:
    """Whisper's encoder as the adapter is fed by it: one window a recording, the recording's own positions.

    Parameters
    ----------
    weights : str, optional
        A folder in transformers' format in place of the fetched asset.
    """

    def __init__(self, weights: str | None = None) -> None:
        model = models.load("whisper-base", weights=weights, window_seconds=float(LONGEST_WINDOW))
        self.revision = model.revision
        encoder: Any = model.sides["speech"].root
        self._encoder = encoder
        self.width: int = self._encoder.config.d_model
        self._positions = self._encoder.embed_positions.weight.detach().clone()
        self._features = WhisperFeatureExtractor(feature_size=self._encoder.config.num_mel_bins)

    @torch.inference_mode()
    def encode(self, recordings: Sequence[NDArray[np.float32]]) -> list[Tensor]:
        """Return (positions, width) of each recording; all are of one window.

        Raises
        ------
        DataError
            If one is longer than any window.
        """
        (window,) = {window_samples(len(samples)) for samples in recordings}
        mel = torch.stack(
            [
                self._features(
                    samples, sampling_rate=SAMPLE_RATE, return_tensors="pt", max_length=window, truncation=False
                ).input_features[0]
                for samples in recordings
            ]
        )
        kept = window // (2 * HOP)
        self._encoder.config.max_source_positions = kept
        self._encoder.embed_positions.weight = torch.nn.Parameter(self._positions[:kept], requires_grad=False)
        self._encoder.embed_positions.num_embeddings = kept
        hidden: Tensor = self._encoder(mel).last_hidden_state
        return [hidden[row, : positions(len(samples))] for row, samples in enumerate(recordings)]


@dataclass(frozen=True)
class Features:
    """Encoder features of many recordings, read from the disk as they are needed.

    Attributes
    ----------
    where : list of (array, start, stop)
        One a recording.
    broken : dict
        Index of a recording that cannot be used, and why.
    """

    where: list[tuple[NDArray[np.float16], int, int]]
    broken: dict[int, str]

    def __getitem__(self, index: int) -> NDArray[np.float16]:
        """Return (positions, width) of one recording."""
        values, start, stop = self.where[index]
        return values[start:stop]

    def length(self, index: int) -> int:
        """Return how many positions a recording has; 0 if it is broken."""
        _, start, stop = self.where[index]
        return stop - start


def features(
    chosen: Sequence[Utterance],
    folder: Path,
    *,
    weights: str | None = None,
    batch: int = 8,
    progress: Progress | None = None,
) -> Features:
    """Return the features of some recordings, computing what the cache does not hold.

    Parameters
    ----------
    chosen : sequence of Utterance
    folder : Path
        In the cache.
    weights : str, optional
        Of the encoder, in place of the fetched ones.
    batch : int
        Recordings of one window that are encoded together.
    progress : callable, optional
        Gets a label, how many recordings are done and how many there are.
    """
    encoder: list[Encoder] = []
    where: list[tuple[NDArray[np.float16], int, int]] = []
    broken: dict[int, str] = {}
    for block in _blocks(chosen):
        name = hashlib.sha256(json.dumps([VERSION, [each.key for each in block]]).encode()).hexdigest()[:20]
        stored, about = folder / f"{name}.npy", folder / f"{name}.json"
        if not (stored.is_file() and about.is_file()):
            if not encoder:
                encoder.append(Encoder(weights))
            _write_block(encoder[0], block, stored, about, batch)
        record = json.loads(about.read_text(encoding="utf-8"))
        values = np.load(stored, mmap_mode="r", allow_pickle=False)
        if len(values) != sum(record["lengths"]):
            raise DataError(f"features {stored} are not as long as {about.name} says: delete both and run again")
        start = 0
        for length, complaint in zip(record["lengths"], record["complaints"], strict=True):
            if complaint:
                broken[len(where)] = complaint
            where.append((values, start, start + length))
            start += length
        if progress:
            progress("whisper", len(where), len(chosen))
    return Features(where, broken)


def _blocks(chosen: Sequence[Utterance]) -> Iterator[Sequence[Utterance]]:
    """Cut at the ends of a corpus's language too, so that a change of one does not move the others."""
    start = 0
    for index in range(1, len(chosen) + 1):
        ends = index == len(chosen) or (
            (chosen[index].corpus, chosen[index].language) != (chosen[start].corpus, chosen[start].language)
        )
        if ends or index - start == BLOCK:
            yield chosen[start:index]
            start = index


def _write_block(encoder: Encoder, block: Sequence[Utterance], stored: Path, about: Path, batch: int) -> None:
    samples: dict[int, NDArray[np.float32]] = {}
    complaints = [""] * len(block)
    for index, utterance in enumerate(block):
        try:
            samples[index] = load_audio(utterance.recording)
            window_samples(len(samples[index]))
        except DataError as error:
            samples.pop(index, None)
            complaints[index] = str(error)
    arrays: list[NDArray[np.float16]] = [np.zeros((0, encoder.width), dtype=np.float16)] * len(block)
    windows: dict[int, list[int]] = {}
    for index, values in samples.items():
        windows.setdefault(window_samples(len(values)), []).append(index)
    for indices in windows.values():
        for first in range(0, len(indices), batch):
            together = indices[first : first + batch]
            for index, hidden in zip(together, encoder.encode([samples[i] for i in together]), strict=True):
                arrays[index] = hidden.numpy().astype(np.float16)
                if not math.isfinite(float(np.abs(arrays[index]).sum(dtype=np.float64))):
                    raise DataError(f"recording {block[index].recording} gives features that are not finite")
    lengths = [len(values) for values in arrays]
    write_atomically(stored, lambda path: _save(path, np.concatenate(arrays)))
    record = json.dumps({"lengths": lengths, "complaints": complaints, "encoder": encoder.revision})
    write_atomically(about, lambda path: path.write_text(record, encoding="utf-8"))


def _save(path: Path, values: NDArray[np.float16]) -> None:
    with path.open("wb") as handle:
        np.save(handle, values, allow_pickle=False)
