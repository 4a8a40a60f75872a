"""Positions of a few utterances, not pooled: read from the store next to that of the pooled activations.

``activations.tokens/`` holds ``index.json`` (labels, identity and provenance) and one file an utterance (safetensors):
``<modality>/<language>/<number>.safetensors`` with its positions at all points, in float16 or bfloat16, and what is
known of them: tokens of a text, seconds of a recording, what rounding did, a CRC-32 a point. ``.skipped`` stands in its
place where an utterance could not be encoded. :mod:`babelscope.capture.position_encoding` makes it.
"""

from __future__ import annotations

import functools
import json
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from babelscope.capture.storage import LOCK_KEY, Folder, Storage, is_url, storage_of
from babelscope.capture.store import Skipped
from babelscope.errors import BabelscopeError, DataError, UsageError, did_you_mean
from babelscope.stages import MODALITIES, Modality

SCHEMA = 1
INDEX = "index.json"


def parsed_index(path: Path | str, content: bytes) -> dict[str, Any]:
    """Return the index of a store.

    Raises
    ------
    DataError
        If it is damaged, or of another version.
    """
    try:
        index: dict[str, Any] = json.loads(content)
        if index["schema"] != SCHEMA:
            raise DataError(f"{path} was made by another version of babelscope: choose another output")
        dict(index["identity"])
    except BabelscopeError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"the store {path} is damaged ({error}): delete it and run again") from error
    return index


def listed(place: Storage) -> set[str]:
    """Return the keys of all utterances that are there, skipped ones included."""
    return {key for key in place.keys() if key not in (INDEX, LOCK_KEY)}  # noqa: SIM118


def key_of_utterance(modality: str, language: str, row: int) -> str:
    """Return where an utterance is in a store."""
    return f"{modality}/{language}/{row:05d}.safetensors"


def place_of_positions(store: Path | str) -> Path | str:
    """Return where positions are kept, next to a store of pooled activations."""
    whole = f"{str(store).rstrip('/').removesuffix('.zarr')}.tokens"
    return whole if is_url(store) else Path(whole)


@dataclass(frozen=True)
class Utterance:
    """What a store knows of one utterance.

    Attributes
    ----------
    modality : {"text", "speech"}
    text : str
        Empty for a recording.
    seconds : float
        Of a recording; NaN for a text.
    token_ids : tuple of int
        Of a text, those around it included.
    pieces : tuple of str or None
        The same as the tokenizer writes them; None if the model does not tell.
    """

    sentence: str
    language: str
    modality: Modality
    points: tuple[str, ...]
    text: str
    seconds: float
    token_ids: tuple[int, ...]
    pieces: tuple[str, ...] | None
    _told: Mapping[str, Any] = field(repr=False, compare=False)

    def around(self, point: str) -> tuple[int, int]:
        """Return how many positions at the front and at the end are none of the utterance itself."""
        front, back = self._told["around"][point]
        return int(front), int(back)

    def tokens_at(self, point: str) -> tuple[int, int] | None:
        """Return which of the token ids stand at the positions of a point; None where positions are no tokens."""
        span = self._told.get("token_span", {}).get(point)
        return None if span is None else (int(span[0]), int(span[1]))


class Positions:
    """Positions of a few sentences at the chosen points, read from a store when they are asked for.

    Parameters
    ----------
    path : Path or str
        A store that :func:`encode_positions` made.

    Attributes
    ----------
    path : Path or str
    languages, sentences : tuple of str
    modalities : tuple of str
    identity, meta : dict
        What determines the numbers; what they were made from.

    Raises
    ------
    DataError
        If there is no store at `path`, or it is damaged.

    Examples
    --------
    >>> positions = Positions("results/activations.tokens")  # doctest: +SKIP
    >>> positions.read("speech", "it", "s0012", "shared.layer.6")  # doctest: +SKIP
    <xarray.DataArray (position: 21, feature: 384)>
    """

    def __init__(self, path: Path | str) -> None:
        self.storage = storage_of(path)
        self.path = self.storage.location
        content = self.storage.read(INDEX)
        if content is None:
            raise DataError(f"{self.path} is not a store of positions (no {INDEX}): run a study with [tokens] first")
        index = parsed_index(self.path, content)
        self.identity: dict[str, Any] = index["identity"]
        self.meta: dict[str, Any] = index["provenance"]
        self.languages = tuple(self.identity["languages"])
        self.sentences = tuple(self.identity["sentences"])
        self.modalities = cast(
            "tuple[Modality, ...]", tuple(modality for modality in MODALITIES if modality in self.identity["points"])
        )
        self.dtype = str(self.identity["dtype"])
        self._clusters: dict[str, str] = index.get("clusters", {})
        self._rows = {sentence: row for row, sentence in enumerate(self.sentences)}
        self._heads: dict[str, tuple[dict[str, Any], int]] = {}

    def points(self, modality: str) -> tuple[str, ...]:
        """Names of a modality's points, in the order in which they are computed."""
        return tuple(self.identity["points"].get(modality, ()))

    @property
    def clusters(self) -> NDArray[np.int64]:
        """The cluster (document, family) of each sentence, numbered; one of its own where none is known."""
        numbers: dict[str, int] = {}
        names = [self._clusters.get(sentence) or f"\0{sentence}" for sentence in self.sentences]
        return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)

    @functools.cached_property
    def skipped(self) -> tuple[Skipped, ...]:
        """What could not be encoded, and why."""
        lines: list[Skipped] = []
        for key in sorted(listed(self.storage)):
            if not key.endswith(".skipped"):
                continue
            modality, language, name = key.split("/")
            reason = json.loads(self.storage.read(key) or b"{}").get("reason", "")
            lines.append(Skipped(self.sentences[int(name.partition(".")[0])], language, modality, reason))
        return tuple(lines)

    @property
    def complete(self) -> bool:
        """Whether every utterance is there, or known to be skipped."""
        expected = len(self.modalities) * len(self.languages) * len(self.sentences)
        return len({key.removesuffix(".skipped") for key in listed(self.storage)}) == expected

    def has(self, modality: str, language: str, sentence: str) -> bool:
        """Whether an utterance was encoded."""
        return self.storage.exists(self._key(modality, language, sentence))

    def utterance(self, modality: str, language: str, sentence: str) -> Utterance:
        """Return what is known of one utterance.

        Raises
        ------
        UsageError, DataError
            As :meth:`read`.
        """
        head, _ = self._head(modality, language, sentence)
        described = head["told"]
        pieces = described.get("pieces")
        return Utterance(
            sentence,
            language,
            cast(Modality, modality),
            self.points(modality),
            str(described.get("text", "")),
            float(described.get("seconds", math.nan)),
            tuple(described.get("ids", ())),
            None if pieces is None else tuple(pieces),
            described,
        )

    def read(self, modality: str, language: str, sentence: str, point: str) -> xr.DataArray:
        """Read the positions of one utterance at one point.

        Parameters
        ----------
        modality : {"text", "speech"}
        language, sentence, point : str

        Returns
        -------
        xarray.DataArray, dims (position, feature)
            float32. Coordinates of ``position``: ``own`` (whether it is the utterance's own, not of what the model puts
            around every one), for a text ``token`` (as the tokenizer writes it; ``#12`` of a model that does not tell;
            empty where positions are no tokens), for a recording ``seconds`` (the middle of the stretch that the
            position covers, positions being equally long).

        Raises
        ------
        UsageError
            If there is no such label.
        DataError
            If the utterance is not there, or damaged.
        """
        values = self.values(modality, language, sentence, point)
        utterance = self.utterance(modality, language, sentence)
        front, back = utterance.around(point)
        own = np.ones(len(values), dtype=bool)
        own[:front], own[len(values) - back :] = False, False
        coords: dict[str, Any] = {"own": ("position", own)}
        if modality == "text":
            coords["token"] = ("position", np.array(self._tokens(utterance, point, len(values)), dtype=object))
        else:
            count = max(int(own.sum()), 1)
            middles = (np.arange(len(values)) - front + 0.5) * (utterance.seconds / count)
            coords["seconds"] = ("position", np.where(own, middles, np.nan))
        return xr.DataArray(
            values,
            dims=("position", "feature"),
            coords=coords,
            name="activation",
            attrs={"modality": modality, "language": language, "sentence": sentence, "point": point}
            | ({"seconds": utterance.seconds} if modality == "speech" else {"text": utterance.text}),
        )

    def values(self, modality: str, language: str, sentence: str, point: str) -> NDArray[np.float32]:
        """Return the same as a plain array, shape (positions, width)."""
        if point not in self.points(modality):
            raise UsageError(f"point {point!r} is not in {self.path}; {did_you_mean(point, self.points(modality))}")
        head, body = self._head(modality, language, sentence)
        entry = head[point]
        start, stop = entry["data_offsets"]
        raw = self._bytes(self._key(modality, language, sentence), body + start, stop - start)
        if zlib.crc32(raw) != head["told"]["crc32"][point]:
            raise self._damaged(modality, language, sentence, "its checksum is wrong")
        if entry["dtype"] == "BF16":
            halves = np.frombuffer(raw, dtype="<u2").astype(np.uint32) << 16
            return halves.view(np.float32).reshape(entry["shape"])
        return np.frombuffer(raw, dtype="<f2").astype(np.float32).reshape(entry["shape"])

    def rounding(self) -> pd.DataFrame:
        """Return what rounding did: modality, point, mean and largest over utterances and positions.

        The error of a position is the norm of what rounding changed over the position's norm.
        """
        rows: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for modality in self.modalities:
            for language in self.languages:
                for sentence in self.sentences:
                    if self.has(modality, language, sentence):
                        head, _ = self._head(modality, language, sentence)
                        for point, (mean, largest) in head["told"]["rounding"].items():
                            rows.setdefault((modality, point), []).append((mean, largest))
        return pd.DataFrame(
            [
                {
                    "modality": modality,
                    "point": point,
                    "dtype": self.dtype,
                    "mean": float(np.mean([mean for mean, _ in rows[modality, point]])),
                    "largest": max(largest for _, largest in rows[modality, point]),
                }
                for modality in self.modalities
                for point in self.points(modality)
                if (modality, point) in rows
            ]
        )

    def verify(self) -> list[str]:
        """Read everything, and return a line on whatever is damaged."""
        lines: list[str] = []
        for modality in self.modalities:
            for language in self.languages:
                for sentence in self.sentences:
                    if not self.has(modality, language, sentence):
                        continue
                    try:
                        for point in self.points(modality):
                            self.values(modality, language, sentence, point)
                    except DataError as error:
                        lines.append(str(error))
        return lines

    def _tokens(self, utterance: Utterance, point: str, count: int) -> list[str]:
        span = utterance.tokens_at(point)
        if span is None:
            return [""] * count
        written = utterance.pieces or tuple(f"#{number}" for number in utterance.token_ids)
        return list(written[span[0] : span[1]])

    def _key(self, modality: str, language: str, sentence: str) -> str:
        for what, name, known in (
            ("modality", modality, self.modalities),
            ("language", language, self.languages),
            ("sentence", sentence, self._rows),
        ):
            if name not in known:
                raise UsageError(f"{what} {name!r} is not in {self.path}; {did_you_mean(name, dict.fromkeys(known))}")
        return key_of_utterance(modality, language, self._rows[sentence])

    def _damaged(self, modality: str, language: str, sentence: str, what: str) -> DataError:
        key = key_of_utterance(modality, language, self._rows[sentence])
        return DataError(
            f"sentence {sentence!r}, {modality} in {language!r}: {self.path}/{key} is damaged ({what}): delete it "
            f"and run again"
        )

    def _head(self, modality: str, language: str, sentence: str) -> tuple[dict[str, Any], int]:
        """Return the header of an utterance's file, and where its numbers begin."""
        key = self._key(modality, language, sentence)
        if key not in self._heads:
            try:
                (size,) = struct.unpack("<Q", self._bytes(key, 0, 8))
                head = json.loads(self._bytes(key, 8, size))
                head["told"] = json.loads(head.pop("__metadata__")["babelscope"])
            except FileNotFoundError:
                reason = next(
                    (skipped.reason for skipped in self.skipped if skipped[:3] == (sentence, language, modality)),
                    "run again",
                )
                raise DataError(
                    f"sentence {sentence!r}, {modality} in {language!r}: its positions are not there: {reason}"
                ) from None
            except BabelscopeError:
                raise
            except (struct.error, ValueError, KeyError, TypeError) as error:
                raise self._damaged(modality, language, sentence, str(error)) from error
            self._heads[key] = head, 8 + size
        return self._heads[key]

    def _bytes(self, key: str, start: int, count: int) -> bytes:
        if isinstance(self.storage, Folder):
            with (self.storage.location / key).open("rb") as handle:
                handle.seek(start)
                return handle.read(count)
        content = self.storage.read(key)
        if content is None:
            raise FileNotFoundError(key)
        return content[start : start + count]
