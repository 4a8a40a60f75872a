"""The store of activations: one Zarr v3 group that ``xarray.open_zarr`` alone makes sense of.

``activation`` has the dimensions modality, point, language, sentence, feature. Points differ in width and towers in
their points: what does not exist is NaN, and takes no space (chunks of nothing but NaN are not written). ``width`` says
how many features of a point are real. A cell is valid when ``done`` says so, which is written last: a run that was
killed is taken up where ``done`` ends, and no half-written block is ever read.
"""

from __future__ import annotations

import datetime
import json
import os
import secrets
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from babelscope.cache import naming_the_disk
from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.models.base import MODALITIES, Modality, Stage

SCHEMA = 1
_PACKAGES = ("babelscope", "torch", "transformers", "numpy", "scipy", "xarray", "zarr")


def versions() -> dict[str, str]:
    """Return the versions of the packages that numbers depend on."""
    return {name: version(name) for name in _PACKAGES}


@dataclass(frozen=True)
class Layout:
    """What a store will hold: its labels, and the identity of everything that determines its numbers."""

    sentences: tuple[str, ...]
    languages: tuple[str, ...]
    modalities: tuple[Modality, ...]
    points: tuple[dict[str, Any], ...]
    block: int
    identity: Mapping[str, Any]
    provenance: Mapping[str, Any]

    @property
    def blocks(self) -> list[slice]:
        """The runs of sentences that are written together."""
        return [
            slice(start, min(start + self.block, len(self.sentences)))
            for start in range(0, len(self.sentences), self.block)
        ]


@dataclass(frozen=True)
class Block:
    """Some sentences of one language in one modality, encoded.

    Attributes
    ----------
    vectors : mapping of point to ndarray, shape (sentences, width)
    positions : mapping of point to the number of valid positions of each sentence
    amounts : sequence of float
        Tokens of each text, or seconds of each recording.
    token_ids : sequence of sequence of int
        The tokens of each text, special ones included, as numbers of the model's vocabulary; empty for recordings, and
        for a text side that does not tell.
    """

    vectors: Mapping[str, NDArray[np.float32]]
    positions: Mapping[str, Sequence[int]]
    amounts: Sequence[float]
    token_ids: Sequence[Sequence[int]] = ()


class Activations:
    """Pooled activations of a model on a corpus, read lazily.

    Parameters
    ----------
    path : Path or str
        A store that :func:`babelscope.encode` made.

    Attributes
    ----------
    dataset : xarray.Dataset
        Lazily loaded; see the module's docstring for its shape.

    Raises
    ------
    DataError
        If there is no store at `path`, or it is of another kind.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not (self.path / "zarr.json").is_file():
            raise DataError(f"{self.path} is not a store of activations (no zarr.json): run 'babelscope encode' first")
        try:
            self.dataset = xr.open_zarr(self.path, consolidated=False, chunks=None)
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"the store {self.path} is damaged ({error}): delete it and encode again") from error
        if self.dataset.attrs.get("schema") != SCHEMA or "activation" not in self.dataset:
            raise DataError(f"{self.path} is not a store of activations of schema {SCHEMA}: encode again")
        self.meta: dict[str, Any] = json.loads(self.dataset.attrs["provenance"])
        self._rows = {
            (modality, point): (row, int(width), Stage(stage), float(depth))
            for row, (modality, point, width, stage, depth) in enumerate(
                zip(
                    *(self._strings(name) for name in ("point_modality", "point", "width", "stage", "depth")),
                    strict=True,
                )
            )
            for modality in (MODALITIES if modality == "both" else (modality,))
        }

    @cached_property
    def _done(self) -> NDArray[np.int8]:
        return np.asarray(self.dataset["done"].values)

    @cached_property
    def _activation(self) -> Any:
        """The Zarr array itself: reading a row of it is ten times as quick as a labelled selection."""
        return zarr.open_group(self.path, mode="r")["activation"]

    def _strings(self, name: str) -> list[str]:
        return [str(value) for value in self.dataset[name].values]

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """Ids of the sentences, in the order of the rows."""
        return tuple(self._strings("sentence"))

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """Language codes."""
        return tuple(self._strings("language"))

    @cached_property
    def modalities(self) -> tuple[Modality, ...]:
        """Modalities that were encoded."""
        return cast("tuple[Modality, ...]", tuple(self._strings("modality")))

    def points(self, modality: str) -> tuple[str, ...]:
        """Names of a modality's points, in the order of depth."""
        named = [point for (of, point) in self._rows if of == modality]
        return tuple(sorted(named, key=lambda point: self._rows[modality, point][3]))  # older stores: as they came

    def stage(self, point: str, modality: str) -> Stage:
        """What the point is for."""
        return self._row(point, modality)[2]

    def depth(self, point: str, modality: str) -> float:
        """Where the point is within its side, from 0 to 1."""
        return self._row(point, modality)[3]

    @property
    def shared_points(self) -> tuple[str, ...]:
        """Points where the same weights see both modalities."""
        speech = set(self.points("speech"))
        return tuple(point for point in self.points("text") if point in speech)

    @property
    def complete(self) -> bool:
        """Whether every cell has been encoded."""
        return bool(self._done.all())

    def _row(self, point: str, modality: str) -> tuple[int, int, Stage, float]:
        if modality not in self.modalities:
            raise UsageError(
                f"{self.path.name} has no modality {modality!r}; {did_you_mean(modality, self.modalities)}"
            )
        if (modality, point) not in self._rows:
            raise UsageError(
                f"{self.path.name} has no {modality} point {point!r}; {did_you_mean(point, self.points(modality))}"
            )
        return self._rows[modality, point]

    def matrix(self, point: str, modality: str, language: str) -> NDArray[np.float32]:
        """Return the activations of one point in one modality of one language.

        Parameters
        ----------
        point, modality, language : str

        Returns
        -------
        ndarray, shape (sentences, width)
            In float32; row i is sentence i of :attr:`sentences`.

        Raises
        ------
        UsageError
            If one of the three is unknown.
        DataError
            If the store is not complete there, or a chunk cannot be read.
        """
        row, width, _, _ = self._row(point, modality)
        if language not in self.languages:
            raise UsageError(f"{self.path.name} has no language {language!r}; {did_you_mean(language, self.languages)}")
        cell = self.modalities.index(cast(Modality, modality)), self.languages.index(language)
        if not self._done[cell].all():
            raise DataError(
                f"{modality} in {language!r} is not wholly encoded in {self.path}: run 'babelscope encode' again, it "
                f"goes on from there"
            )
        try:
            values = np.asarray(self._activation[cell[0], row, cell[1]], dtype=np.float32)[:, :width]
        except (OSError, ValueError, RuntimeError) as error:
            raise DataError(
                f"the store {self.path} is damaged at {point} of {modality} in {language!r} ({error}): encode again"
            ) from error
        if not np.isfinite(values).all():
            bad = self.sentences[int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])]
            raise DataError(
                f"sentence {bad!r} has no finite activations at {point} of {modality} in {language!r}: the store is "
                f"damaged, encode again"
            )
        return values

    def lengths(self, modality: str, language: str) -> NDArray[np.float64]:
        """Return each sentence's seconds (speech) or tokens (text): shape (sentences,)."""
        name = "seconds" if modality == "speech" else "tokens"
        return np.asarray(self.dataset[name].sel(language=language).values, dtype=np.float64)

    def token_ids(self, language: str) -> list[NDArray[np.int64]] | None:
        """Return the tokens of each text as numbers of the model's vocabulary, special ones included.

        None where the store does not hold them: it was made before they were kept, or the text side does not tell.
        """
        if "token_ids" not in self.dataset:
            return None
        held = [str(value).split() for value in self.dataset["token_ids"].sel(language=language).values]
        return [np.array(ids, dtype=np.int64) for ids in held] if all(held) else None

    def texts(self, language: str) -> list[str]:
        """Return the sentences' texts in a language."""
        return [str(text) for text in self.dataset["text"].sel(language=language).values]

    def __repr__(self) -> str:
        return (
            f"<Activations {self.path.name}: {self.meta['model']['name']} on {self.meta['corpus']['name']}, "
            f"{len(self.sentences)} sentences x "
            f"{len(self.languages)} languages x {'/'.join(self.modalities)}, {len(self._rows)} points>"
        )


def open_activations(path: Path | str) -> Activations:
    """Open a store of activations; the same as :class:`Activations`."""
    return Activations(path)


class Writer:
    """A store that is being filled, block by block.

    Parameters
    ----------
    path : Path
    layout : Layout
    overwrite : bool
        Delete a store of other contents that stands at `path`.

    Raises
    ------
    UsageError
        If a store of other contents stands there and `overwrite` is false.
    DataError
        If something else stands there, the disk is full, or another run is writing.
    """

    def __init__(self, path: Path, layout: Layout, *, overwrite: bool = False) -> None:
        self.path, self.layout = path, layout
        if path.exists() and not self._resumable(overwrite):
            shutil.rmtree(path)
        if not path.exists():
            self._create()
        self._group = zarr.open_group(path, mode="r+")
        held = Activations(path)
        self._modalities = list(held.modalities)
        # A store that another version began may have them in another order.
        self._points = {str(name): row for row, name in enumerate(held.dataset["point"].values)}

    def _resumable(self, overwrite: bool) -> bool:
        if not (self.path / "zarr.json").is_file():
            if self.path.is_dir() and not any(self.path.iterdir()):
                return False
            raise DataError(f"{self.path} exists and is not a store of activations: choose another output")
        held = json.loads(Activations(self.path).dataset.attrs["identity"])
        wanted = json.loads(json.dumps(self.layout.identity))
        changed = sorted(key for key in wanted.keys() | held.keys() if wanted.get(key) != held.get(key))
        if not changed:
            return True
        if overwrite:
            return False
        raise UsageError(
            f"{self.path} holds activations made with another {', '.join(changed)}: choose another output, or pass "
            f"--overwrite to replace it"
        )

    def _create(self) -> None:
        layout = self.layout
        modalities, languages, sentences = list(layout.modalities), list(layout.languages), list(layout.sentences)
        width = max(point["width"] for point in layout.points)
        cells = (len(languages), len(sentences))
        block = min(layout.block, len(sentences))
        dims = ("modality", "point", "language", "sentence")

        def strings(values: Sequence[str]) -> NDArray[Any]:
            return np.array(values, dtype=object)

        shape = (len(modalities), len(layout.points), *cells)
        dataset = xr.Dataset(
            data_vars={
                "activation": (
                    (*dims, "feature"),
                    _empty((*shape, width), np.nan, np.float32),
                    {"long_name": "pooled activation"},
                ),
                "positions": (dims, _empty(shape, 0, np.int32), {"long_name": "valid positions that were pooled"}),
                "done": (
                    ("modality", "language", "sentence"),
                    _empty((len(modalities), *cells), 0, np.int8),
                    {"long_name": "1 where encoded"},
                ),
                "text": (("language", "sentence"), np.full(cells, "", dtype=object), {"long_name": "what is written"}),
                "recording": (
                    ("language", "sentence"),
                    np.full(cells, "", dtype=object),
                    {"long_name": "what is heard"},
                ),
                "reader": (("language", "sentence"), np.full(cells, "", dtype=object), {"long_name": "who speaks"}),
                "seconds": (
                    ("language", "sentence"),
                    np.full(cells, np.nan),
                    {"units": "s", "long_name": "duration of the recording"},
                ),
                "tokens": (
                    ("language", "sentence"),
                    np.full(cells, np.nan),
                    {"long_name": "tokens of the text, special ones included"},
                ),
                "token_ids": (
                    ("language", "sentence"),
                    np.full(cells, "", dtype=object),
                    {"long_name": "these tokens as numbers of the model's vocabulary, spaces between"},
                ),
            },
            coords={
                "modality": strings(modalities),
                "language": strings(languages),
                "sentence": strings(sentences),
                "point": strings([point["name"] for point in layout.points]),
                "point_modality": ("point", strings([point["modality"] for point in layout.points])),
                "stage": ("point", strings([point["stage"] for point in layout.points])),
                "depth": ("point", np.array([point["depth"] for point in layout.points], dtype=np.float64)),
                "width": ("point", np.array([point["width"] for point in layout.points], dtype=np.int32)),
                "module": ("point", strings([point["module"] for point in layout.points])),
            },
            attrs={
                "title": "babelscope activations",
                "schema": SCHEMA,
                "identity": json.dumps(layout.identity, ensure_ascii=False),
                "provenance": json.dumps(layout.provenance, ensure_ascii=False),
            },
        )
        encoding: dict[str, dict[str, Any]] = {
            "activation": {"chunks": (1, 1, 1, block, width), "_FillValue": np.float32(np.nan)},
            "positions": {"chunks": (1, len(layout.points), 1, block)},
            "done": {"chunks": (1, 1, block)},
        }
        for name in ("text", "recording", "reader"):
            encoding[name] = {"chunks": (1, len(sentences))}
        for name in ("seconds", "tokens", "token_ids"):
            encoding[name] = {"chunks": (1, block)}
        making = self.path.with_name(f".{self.path.name}.{secrets.token_hex(6)}")
        with naming_the_disk(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                dataset.to_zarr(making, mode="w", zarr_format=3, consolidated=False, encoding=encoding, compute=True)
                with warnings.catch_warnings():  # xarray looks for it, zarr says that other readers may not
                    warnings.simplefilter("ignore")
                    zarr.consolidate_metadata(making)
                making.replace(self.path)
            finally:
                shutil.rmtree(making, ignore_errors=True)

    def is_done(self, modality: Modality, language: int, block: slice) -> bool:
        """Whether a block of sentences has been written whole."""
        return bool(np.all(self._array("done")[self._modalities.index(modality), language, block] == 1))

    def write_language(self, language: int, columns: Mapping[str, Sequence[str]]) -> None:
        """Write what is known of a language's sentences beforehand: text, recording, reader."""
        with naming_the_disk(self.path):
            for name, values in columns.items():
                self._array(name)[language, :] = np.array(values, dtype=object)

    def write_block(self, modality: Modality, language: int, part: slice, block: Block) -> None:
        """Write one block at all points, and only then mark it done.

        Parameters
        ----------
        modality : {"text", "speech"}
        language : int
            Index of the language.
        part : slice
            Which sentences; one of the layout's blocks.
        block : Block
        """
        row = self._modalities.index(modality)
        activation, size = self._array("activation"), part.stop - part.start
        counts = np.zeros((len(self.layout.points), size), dtype=np.int32)
        with naming_the_disk(self.path):
            for point in self.layout.points:
                if point["modality"] not in (modality, "both"):
                    continue
                index = self._points[point["name"]]
                padded = np.full((size, activation.shape[-1]), np.nan, dtype=np.float32)
                padded[:, : point["width"]] = block.vectors[point["name"]]
                activation[row, index, language, part] = padded
                counts[index] = block.positions[point["name"]]
            self._array("positions")[row, :, language, part] = counts
            self._array("tokens" if modality == "text" else "seconds")[language, part] = np.array(block.amounts)
            if block.token_ids and "token_ids" in self._group:  # a store that was begun before they were kept has none
                written = [" ".join(str(token) for token in ids) for ids in block.token_ids]
                self._array("token_ids")[language, part] = np.array(written, dtype=object)
            self._array("done")[row, language, part] = np.ones(size, dtype=np.int8)

    def _array(self, name: str) -> Any:
        return self._group[name]


def _empty(shape: tuple[int, ...], value: float, dtype: Any) -> NDArray[Any]:
    """Return a constant array that takes no memory; chunks equal to the fill value are not written either."""
    return np.broadcast_to(np.array(value, dtype=dtype), shape)


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the store for one writer.

    Raises
    ------
    DataError
        If a living process holds it. The lock of a dead one is taken over.
    """
    file = path.with_name(f".{path.name}.lock")
    with naming_the_disk(file):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = file.open("a+", encoding="ascii")
    try:
        import fcntl

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.seek(0)
            raise DataError(
                f"{path} is being written by process {handle.read().strip() or '?'}: wait for it, or choose another "
                f"output"
            ) from error
    except ImportError:  # a system without flock: one writer is the user's care
        pass
    try:
        handle.seek(0)
        handle.truncate()
        handle.write(str(os.getpid()))
        handle.flush()
        yield
    finally:
        handle.close()  # the file stays: removing it would race with whoever waits for it


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
