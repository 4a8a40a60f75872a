"""The store of activations: one Zarr v3 group that ``xarray.open_zarr`` alone makes sense of.

``activation`` has the dimensions modality, point, language, sentence, feature. Points differ in width and towers in
their points: what does not exist is NaN, and takes no space. ``width`` says how many features of a point are real.
A block of sentences is one file, written whole and last (:mod:`babelscope.capture.layout`): it is done when the file is
there, so a run that was killed is taken up after the last of them, and no half-written block is ever read.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from babelscope.capture.inventory import INVENTORY, digest_of_identity, read_inventory, write_inventory
from babelscope.capture.layout import (
    CHUNK_KEYS,
    CONTENTS,
    LABELS,
    MAY_DIFFER,
    SCHEMA,
    Block,
    Layout,
    cluster_array,
    consolidate,
    contents_of,
    differing,
    digest_of_labels,
    key_of,
    now,
    padded,
    versions,
)
from babelscope.capture.locking import lock
from babelscope.capture.storage import LOCK_KEY, storage_of
from babelscope.capture.text_codec import counting_texts
from babelscope.errors import BabelscopeError, DataError, UsageError, did_you_mean
from babelscope.stages import MODALITIES, Modality, Stage

__all__ = ["Activations", "Block", "Layout", "Writer", "lock", "now", "open_activations", "versions"]

#: Earlier schemas that can still be read. Schema 1 had a chunk a point and block, and an array ``done``.
READABLE = (1, SCHEMA)

#: What is raised where the description or a coordinate of a store is damaged.
_DAMAGE = (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError, OverflowError)
_MARKS = re.compile(r"skipped/c\.(\d+)\.(\d+)\.(\d+)")
_SHARD = re.compile(r"activation/c\.(\d+)\.0\.(\d+)\.(\d+)\.0")


class Skipped(NamedTuple):
    """A text or recording that could not be encoded, and why."""

    sentence: str
    language: str
    modality: str
    reason: str


class DamagedLabelsError(DataError):
    """Names of rows, columns or points are not as they were written; `labels` are the coordinates that are damaged."""

    def __init__(self, path: Path | str, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        super().__init__(
            f"the store {path} is damaged at its coordinate {', '.join(labels)}: {_remedy(path)}: its activations are "
            f"kept"
        )


def _remedy(path: Path | str) -> str:
    return f"run 'babelscope verify {path} --repair', and then encode or run again"


class Activations:
    """Pooled activations of a model on a corpus, read lazily.

    Parameters
    ----------
    path : Path or str
        A store that :func:`babelscope.encode` made: a folder, or a URL such as ``s3://bucket/study.zarr``.

    Attributes
    ----------
    path : Path or str
        The folder, or the URL.
    name : str
        Its last part.
    dataset : xarray.Dataset
        Lazily loaded; see the module's docstring for its shape.

    Raises
    ------
    DataError
        If there is no store at `path`, or it is of another kind.
    """

    def __init__(self, path: Path | str) -> None:
        self._chosen: frozenset[str] | None = None
        self.storage = storage_of(path)
        self.path, self.name = self.storage.location, self.storage.name
        with self.storage.naming():
            if not self.storage.exists("zarr.json"):
                raise DataError(
                    f"{self.path} is not a store of activations (no zarr.json): run 'babelscope encode' first"
                )
            try:
                self._open()
            except BabelscopeError:
                raise
            except _DAMAGE as error:
                if damaged := self._damaged_labels():
                    raise DamagedLabelsError(self.path, damaged) from error
                raise DataError(f"the store {self.path} is damaged ({error}): {_remedy(self.path)}") from error
        self._left = 0
        self._held: dict[tuple[str, str, str], NDArray[np.float32]] = {}

    def _open(self) -> None:
        with counting_texts():
            self.dataset = xr.open_zarr(self.storage.store(), consolidated=True, chunks=None)
        self.schema = int(self.dataset.attrs.get("schema", 0))
        if self.schema not in READABLE or "activation" not in self.dataset:
            raise DataError(f"{self.path} is not a store of activations of schema {SCHEMA}: encode again")
        self._provenance: dict[str, Any] = json.loads(self.dataset.attrs["provenance"])
        self.identity: dict[str, Any] = json.loads(self.dataset.attrs["identity"])
        #: Whether a whole store of this kind has an inventory; those of earlier versions have none.
        self.inventoried = "labels" in self.dataset.attrs
        if damaged := self._damaged_labels():
            raise DamagedLabelsError(self.path, damaged)
        self._rows = self._read_rows()

    def _damaged_labels(self) -> list[str]:
        """Return the coordinates that are not as they were written."""
        damaged = []
        with counting_texts():
            try:
                group = zarr.open_group(self.storage.store(), mode="r")
                digests = json.loads(str(group.attrs.get("labels", "{}")))
                there = set(group.array_keys()) & set(LABELS)
            except _DAMAGE:
                return []  # that is another damage
            for name in sorted(there | digests.keys()):
                try:
                    values = np.asarray(cast(Any, group[name])[:])
                    sound = digest_of_labels(values) == digests[name] if name in digests else _plausible(name, values)
                except _DAMAGE:
                    sound = False
                if not sound:
                    damaged.append(name)
        return damaged

    def hold(self, room: int) -> None:
        """From now on keep what :meth:`matrix` reads, up to `room` bytes, not to read it again; 0 lets all of it go.

        What is kept is the same array for everyone who asks, and read-only.
        """
        self._held.clear()
        self._left = room

    def _read_rows(self) -> dict[tuple[str, str], tuple[int, int, Stage, float]]:
        columns = (self._strings(name) for name in ("point_modality", "point", "width", "stage", "depth"))
        return {
            (modality, point): (row, int(width), Stage(stage), float(depth))
            for row, (modality, point, width, stage, depth) in enumerate(zip(*columns, strict=True))
            for modality in (MODALITIES if modality == "both" else (modality,))
        }

    @property
    def label(self) -> str:
        """The name with that of the folder around it."""
        return "/".join([*re.split(r"[/\\\\]", str(self.path))[-2:-1], self.name])

    @property
    def block(self) -> int:
        """How many sentences a block has."""
        array = self._activation
        return int((array.shards or array.chunks)[3])

    @property
    def store_dtype(self) -> str:
        """The number format that activations are kept in."""
        return str(self.dataset.attrs.get("store_dtype", "float32"))

    @cached_property
    def done(self) -> NDArray[np.bool_]:
        """Which blocks are there: shape (modalities, languages, blocks). Read once."""
        starts = np.arange(0, len(self._all_sentences), self.block)
        finished = np.zeros((len(self.modalities), len(self._all_languages), len(starts)), dtype=bool)
        with self.storage.naming():
            if self.schema == 1:
                return np.logical_and.reduceat(self.dataset["done"].values == 1, starts, axis=2)
            for shard in filter(None, map(_SHARD.fullmatch, self.storage.keys("activation"))):
                finished[tuple(int(place) for place in shard.groups())] = True
        return finished

    @cached_property
    def _activation(self) -> Any:
        """The Zarr array itself: reading a row of it is ten times as quick as a labelled selection."""
        return self.storage.arrays()["activation"]

    def _strings(self, name: str) -> list[str]:
        return [str(value) for value in self.dataset[name].values]

    @contextmanager
    def _naming(self, what: str) -> Iterator[None]:
        """Turn what is complained of while `what` is read into one line with the remedy."""
        try:
            with self.storage.naming():
                yield
        except BabelscopeError:
            raise
        except (OSError, ValueError, RuntimeError) as error:
            raise self.damaged(f"at {what} ({error})") from error

    def damaged(self, what: str) -> DataError:
        """Return the line on a damaged store, with the remedy."""
        return DataError(
            f"the store {self.path} is damaged {what}: {_remedy(self.path)}: only what was damaged is made again"
        )

    @cached_property
    def meta(self) -> dict[str, Any]:
        """What the store was made from. ``corpus.n`` counts :attr:`sentences`; ``corpus.skipped`` lists the others."""
        corpus: dict[str, Any] = self._provenance["corpus"]
        if self.skipped:
            corpus = corpus | {"skipped": [skipped._asdict() for skipped in self.skipped]}
        if len(self.sentences) < len(self._all_sentences):
            corpus = corpus | {"n": len(self.sentences)}
        return self._provenance | {"corpus": corpus | {"languages": list(self.languages)}}

    @cached_property
    def _all_sentences(self) -> tuple[str, ...]:
        return tuple(self._strings("sentence"))

    @cached_property
    def skipped(self) -> tuple[Skipped, ...]:
        """What could not be encoded and was skipped, by sentence: none of them is among :attr:`sentences`."""
        skipped: list[Skipped] = []
        if "skipped" not in self.dataset:
            return ()
        with self._naming("skipped"):
            array = self.storage.arrays()["skipped"]
            # Nothing is there of a block without any: what is there is listed, not asked for block by block.
            for chunk in filter(None, map(_MARKS.fullmatch, sorted(self.storage.keys("skipped")))):
                modality, language, number = (int(place) for place in chunk.groups())
                rows = slice(number * self.block, (number + 1) * self.block)
                cell = self._all_languages[language], self.modalities[modality]
                reasons = map(str, np.asarray(array[modality, language, rows]))
                named = zip(self._all_sentences[rows], reasons, strict=True)
                skipped += [Skipped(sentence, *cell, reason) for sentence, reason in named if reason]
        order = {sentence: row for row, sentence in enumerate(self._all_sentences)}
        return tuple(sorted(skipped, key=lambda each: (order[each.sentence], each.language, each.modality)))

    @cached_property
    def _kept(self) -> NDArray[np.intp] | slice:
        """The rows that are not skipped anywhere: sentences are rows of all languages and modalities alike."""
        there = set(self.sentences)
        if len(there) == len(self._all_sentences):
            return slice(None)
        return np.array([row for row, sentence in enumerate(self._all_sentences) if sentence in there], dtype=np.intp)

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """Ids of the sentences, in the order of the rows, without those that were skipped."""
        gone = {skipped.sentence for skipped in self.skipped}
        return tuple(
            sentence
            for sentence in self._all_sentences
            if sentence not in gone and (self._chosen is None or sentence in self._chosen)
        )

    def only(self, sentences: Collection[str]) -> Activations:
        """Return the store with some of its sentences, as if the others had not been encoded."""
        some = self._without("meta", "sentences", "_kept", "clusters", "without_cluster")
        some._chosen = frozenset(sentences)
        return some

    @cached_property
    def without_cluster(self) -> tuple[str, ...]:
        """Sentences whose cluster is not known, where that of others is."""
        names = self._cluster_names()
        without = tuple(sentence for sentence, name in zip(self.sentences, names, strict=True) if not name)
        return without if any(names) else ()

    def _cluster_names(self) -> list[str]:
        if "cluster" not in self.dataset:
            return [""] * len(self.sentences)
        with self._naming("cluster"):
            return [str(name) for name in np.asarray(self.dataset["cluster"].values)[self._kept].tolist()]

    @cached_property
    def clusters(self) -> NDArray[np.int64] | None:
        """The cluster (document, family) of each sentence, numbered from 0 in their order; None if none is known.

        A sentence whose cluster is not known is one by itself here (:attr:`without_cluster`). None also for stores made
        before clusters were kept.

        Raises
        ------
        DataError
            If they cannot be read.
        """
        names = self._cluster_names()
        if not any(names):
            return None
        numbers: dict[tuple[str, int], int] = {}
        keys = [(name, -1) if name else ("", row) for row, name in enumerate(names)]
        return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)

    @cached_property
    def _all_languages(self) -> tuple[str, ...]:
        return tuple(self._strings("language"))

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """Language codes: those that the store has, or of these the ones that were selected."""
        return self._all_languages

    def select(self, languages: Sequence[str]) -> Activations:
        """Return the same store with some of its languages alone, in this order.

        Sentences that were skipped in any language of the store stay left out. :attr:`dataset` stays the whole store.

        Raises
        ------
        UsageError
            If there is no such language, or none is named.
        """
        for language in languages:
            self._check_language(language)
        if not languages:
            raise UsageError(f"name at least one of the languages of {self.name}: {', '.join(self.languages)}")
        selected = self._without("meta")
        selected.languages = tuple(dict.fromkeys(languages))
        return selected

    def _without(self, *computed: str) -> Activations:
        """Return a copy that has nothing in memory, and computes some properties again."""
        copied = copy.copy(self)
        for name in computed:
            copied.__dict__.pop(name, None)
        copied._held = {}
        return copied

    def _check_language(self, language: str) -> None:
        if language not in self.languages:
            raise UsageError(f"{self.name} has no language {language!r}; {did_you_mean(language, self.languages)}")

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

    def width(self, point: str, modality: str) -> int:
        """How many features the point has."""
        return self._row(point, modality)[1]

    @property
    def shared_points(self) -> tuple[str, ...]:
        """Points where the same weights see both modalities."""
        speech = set(self.points("speech"))
        return tuple(point for point in self.points("text") if point in speech)

    @property
    def complete(self) -> bool:
        """Whether every cell has been encoded."""
        return bool(self.done[:, [self._all_languages.index(language) for language in self.languages]].all())

    def _row(self, point: str, modality: str) -> tuple[int, int, Stage, float]:
        if modality not in self.modalities:
            raise UsageError(f"{self.name} has no modality {modality!r}; {did_you_mean(modality, self.modalities)}")
        if (modality, point) not in self._rows:
            raise UsageError(
                f"{self.name} has no {modality} point {point!r}; {did_you_mean(point, self.points(modality))}"
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
        if (cached := self._held.get((point, modality, language))) is not None:
            return cached
        row, width, _, _ = self._row(point, modality)
        self._check_language(language)
        cell = self.modalities.index(cast(Modality, modality)), self._all_languages.index(language)
        if not self.done[cell].all():
            raise DataError(
                f"{modality} in {language!r} is not wholly encoded in {self.path}: run 'babelscope encode' again, it "
                f"resumes from there"
            )
        with self._naming(f"{point} of {modality} in {language!r}"):
            values = np.asarray(self._activation[cell[0], row, cell[1]][self._kept, :width], dtype=np.float32)
        if not np.isfinite(values).all():
            bad = self.sentences[int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])]
            raise self.damaged(f"(sentence {bad!r} has no finite activations at {point} of {modality} in {language!r})")
        if values.nbytes <= self._left:
            self._left -= values.nbytes
            values.flags.writeable = False
            self._held[point, modality, language] = values
        return values

    def column(self, name: str, language: str) -> NDArray[Any]:
        """Return what the store tells of each sentence in a language.

        Parameters
        ----------
        name : {"text", "recording", "reader", "seconds", "tokens", "token_ids"}
        language : str

        Returns
        -------
        ndarray, shape (sentences,)

        Raises
        ------
        DataError
            If it cannot be read.
        """
        with self._naming(f"{name} of {language!r}"):
            return np.asarray(self.dataset[name].sel(language=language).values)[self._kept]

    def block_at(self, modality: Modality, language: str, rows: slice, points: Sequence[str]) -> Block:
        """Return one block as it was written, rows that were skipped included; nothing of it is held.

        Parameters
        ----------
        modality : {"text", "speech"}
        language : str
        rows : slice
            Which of all sentences that the store was made for.
        points : sequence of str

        Raises
        ------
        DataError
            If it cannot be read.
        """
        row, column = self.modalities.index(modality), self._all_languages.index(language)
        place = [self._row(point, modality) for point in points]
        with self._naming(f"{modality} in {language!r}"):
            arrays = self.storage.arrays()
            vectors = {
                point: np.asarray(arrays["activation"][row, at, column, rows, :width], dtype=np.float32)
                for point, (at, width, _, _) in zip(points, place, strict=True)
            }
            counts = np.asarray(arrays["positions"][row, :, column, rows])
            amounts = np.asarray(arrays["tokens" if modality == "text" else "seconds"][column, rows])
            known = modality == "text" and "token_ids" in arrays  # older stores have none
            ids = [str(tokens).split() for tokens in np.asarray(arrays["token_ids"][column, rows])] if known else []
        return Block(
            vectors,
            {point: counts[at].tolist() for point, (at, _, _, _) in zip(points, place, strict=True)},
            amounts.tolist(),
            [[int(token) for token in tokens] for tokens in ids] if all(ids) else (),
        )

    def positions(self, modality: str, language: str) -> NDArray[np.int32]:
        """Return how many positions were pooled, in the order of the store's points: shape (points, sentences)."""
        return self._by_point("positions", modality, language)

    def rounding(self, modality: str, language: str) -> NDArray[np.float32] | None:
        """Return what the number format of the store did to each vector: the norm of its error over its own norm.

        Shape (points, sentences), in the order of the store's points, NaN at the other modality's; None in float32,
        which keeps all.
        """
        return self._by_point("rounding", modality, language) if "rounding" in self.dataset else None

    def _by_point(self, name: str, modality: str, language: str) -> NDArray[Any]:
        with self._naming(f"{name} of {modality} in {language!r}"):
            return np.asarray(self.dataset[name].sel(modality=modality, language=language).values)[:, self._kept]

    def lengths(self, modality: str, language: str) -> NDArray[np.float64]:
        """Return each sentence's seconds (speech) or tokens (text): shape (sentences,)."""
        return np.asarray(self.column("seconds" if modality == "speech" else "tokens", language), dtype=np.float64)

    def token_ids(self, language: str) -> list[NDArray[np.int64]] | None:
        """Return the tokens of each text as numbers of the model's vocabulary, special ones included.

        None where the store does not hold them: it was made before they were kept, or the text side does not tell.
        """
        if "token_ids" not in self.dataset:
            return None
        written = [str(value).split() for value in self.column("token_ids", language)]
        return [np.array(ids, dtype=np.int64) for ids in written] if all(written) else None

    def texts(self, language: str) -> list[str]:
        """Return the sentences' texts in a language."""
        return [str(text) for text in self.column("text", language)]

    def __repr__(self) -> str:
        size = f"{len(self.sentences)} sentences x {len(self.languages)} languages x {'/'.join(self.modalities)}"
        what = f"{self.meta['model']['name']} on {self.meta['corpus']['name']}"
        return f"<Activations {self.name}: {what}, {size}, {len(self._rows)} points>"


def _plausible(name: str, values: NDArray[Any]) -> bool:
    """Whether a coordinate can be what was written, in a store of an earlier version, which kept no digests."""
    if name == "depth":
        return bool(np.isfinite(values).all())
    if name == "width":
        return bool((values > 0).all())
    listed = [str(value) for value in values]
    if name in ("stage", "point_modality", "module"):
        return name == "module" or all(listed)
    return all(listed) and len(set(listed)) == len(listed)


def open_activations(path: Path | str) -> Activations:
    """Open a store of activations; the same as :class:`Activations`."""
    return Activations(path)


class Writer:
    """A store that is being filled, block by block.

    Several writers, of other processes too, may fill one store as long as no two write the same block.

    Parameters
    ----------
    overwrite : bool
        Delete a store of other contents that stands at `path`. One without a finished block is replaced unasked.

    Attributes
    ----------
    layout : Layout
        The store's: one that was begun with blocks of another size keeps them.
    created : bool
        Whether there was none, or another was replaced.

    Raises
    ------
    UsageError
        If a store of other contents stands there and `overwrite` is false.
    DataError
        If something else stands there, or the disk is full.
    """

    def __init__(self, path: Path | str, layout: Layout, *, overwrite: bool = False) -> None:
        self.storage, self.layout = storage_of(path), layout
        self.path = self.storage.location
        self._restore()
        if self._stands() and not self._resumable(overwrite):
            self.storage.set_aside()
        self.created = not self.storage.exists("zarr.json")
        if self.created:
            self.storage.create(contents_of(layout))
        stored = Activations(path)
        self.layout = dataclasses.replace(layout, block=stored.block)
        self._earlier = stored.schema != SCHEMA
        self._done = stored.done.copy()
        self._modalities = list(stored.modalities)
        # A store that another version began may have them in another order.
        self._points = {str(name): row for row, name in enumerate(stored.dataset["point"].values)}
        self._arrays: dict[str, Any] = {}
        self._whole = self.storage.exists(INVENTORY)

    def _restore(self) -> None:
        """Write again what :func:`~babelscope.capture.verify.verify` removed of the description of the same store."""
        root = self.storage.read("zarr.json")
        if root is None:
            kept = read_inventory(self.storage)
            if kept is None or kept.identity != digest_of_identity(self.layout.identity):
                return
            root = contents_of(dataclasses.replace(self.layout, block=kept.block))["zarr.json"]
            self.storage.write("zarr.json", root)
            self.storage.delete(INVENTORY)
        try:
            described = json.loads(root)
            arrays: dict[str, Any] = described["consolidated_metadata"]["metadata"]
            identity = json.loads(described["attributes"]["identity"])
        except (ValueError, KeyError, TypeError):
            return
        for name in arrays:
            if not self.storage.exists(f"{name}/zarr.json"):
                self.storage.write(f"{name}/zarr.json", json.dumps(arrays[name]).encode())
        missing = [key for name in LABELS if name in arrays and not self.storage.exists(key := f"{name}/c/0")]
        if missing and digest_of_identity(identity) == digest_of_identity(self.layout.identity):
            contents = contents_of(self.layout)
            for key in missing:
                if key in contents:  # nothing is written of labels that are all empty
                    self.storage.write(key, contents[key])

    def finish(self) -> None:
        """Write the inventory of a store that is complete and has none."""
        stored = Activations(self.path)  # other processes may have written to it
        if stored.inventoried and stored.complete and not self.storage.exists(INVENTORY):
            write_inventory(self.storage, stored.identity, stored.block)

    def _change(self) -> None:
        """Remove the inventory before anything is changed."""
        if self._whole:
            self.storage.delete(INVENTORY)
            self._whole = False

    def _stands(self) -> bool:
        """Whether there is something at the place, which must then be a store."""
        if self.storage.exists("zarr.json"):
            return True
        foreign = isinstance(self.path, Path) and self.path.exists() and not self.path.is_dir()
        # On an object store a removal that was stopped leaves some of a store's own.
        own = {LOCK_KEY} if isinstance(self.path, Path) else {LOCK_KEY, INVENTORY, *CONTENTS}
        if foreign or any(key.partition("/")[0] not in own for key in self.storage.keys()):  # noqa: SIM118
            raise DataError(f"{self.path} exists and is not a store of activations: choose another output")
        return False

    def _resumable(self, overwrite: bool) -> bool:
        stored = Activations(self.path)
        wanted = json.loads(json.dumps(self.layout.identity))
        changed = sorted(differing(wanted, stored.identity) - {"block"})  # the store's own size of blocks is kept
        if not changed and (stored.schema == SCHEMA or stored.complete):
            return True
        if overwrite or not stored.done.any():  # a run that failed before its first block was whole left nothing
            return False
        if not changed:
            raise UsageError(
                f"{self.path} was begun by an earlier version of babelscope, whose unfinished stores cannot be "
                f"resumed: choose another output, or pass --overwrite to start again"
            )
        same = "; only what has changed is encoded again" if not set(changed) - MAY_DIFFER else ""
        raise UsageError(
            f"{self.path} holds activations made with another {', '.join(changed)}: choose another output, or pass "
            f"--overwrite to replace it{same}"
        )

    def is_done(self, modality: Modality, language: int, block: slice) -> bool:
        """Whether a block of sentences has been written whole, by this writer or before it opened the store."""
        return bool(self._done[self._modalities.index(modality), language, block.start // self.layout.block])

    def is_described(self, language: int) -> bool:
        """Whether :meth:`write_language` was done."""
        return self._earlier or self.storage.exists(key_of("text", language, 0))

    def write_language(self, language: int, columns: Mapping[str, Sequence[str]]) -> None:
        """Write what is known of a language's sentences beforehand: text, recording, reader, content."""
        self._change()
        with self.storage.naming():
            for name in sorted(columns, key=lambda name: name == "text"):  # the text last: it says that all are there
                if self._has(name):
                    self._array(name)[language, :] = np.array(columns[name], dtype=object)

    def write_clusters(self, clusters: Mapping[str, str]) -> None:
        """Write the cluster of each sentence that has one, unless the store has the same already.

        They are no part of what identifies a store, since no activation depends on them.
        """
        wanted = np.array([clusters.get(sentence, "") for sentence in self.layout.sentences], dtype=object)
        if self._earlier:
            return
        with self.storage.naming():
            if not self._has("cluster"):
                if not clusters:
                    return
                self._change()
                group = zarr.open_group(self.storage.store(read_only=False), mode="r+", use_consolidated=False)
                made = cluster_array(len(wanted))
                group.create_array("cluster", chunk_key_encoding=CHUNK_KEYS, overwrite=True, **made)
                consolidate(self.storage.store(read_only=False))
                self._arrays = {}
            if self._array("cluster")[:].tolist() != wanted.tolist():
                self._change()
                self._array("cluster")[:] = wanted

    def write_block(self, modality: Modality, language: int, rows: slice, block: Block) -> None:
        """Write one block at all points: when it is there, it is there whole, and :meth:`is_done`.

        A DataError says that an activation is beyond the number format of the store, or that the place is full.
        """
        row = self._modalities.index(modality)
        made = padded(self.layout, modality, self._points, rows, block)
        self._change()
        with self.storage.naming():
            for name in made.keys() - {"activation"}:
                self._array(name)[row, :, language, rows] = made[name]
            self._array("tokens" if modality == "text" else "seconds")[language, rows] = np.array(block.amounts)
            if block.token_ids:
                written = [" ".join(str(token) for token in ids) for ids in block.token_ids]
                self._array("token_ids")[language, rows] = np.array(written, dtype=object)
            self._write_skipped(row, language, rows, block)
            self._array("activation")[row, :, language, rows] = made["activation"]
        self._done[row, language, rows.start // self.layout.block] = True

    def blocks_with_skipped(self) -> set[tuple[str, int, int]]:
        """Return the blocks in which an earlier run skipped something: modality, language, first sentence."""
        if not self._done.any():
            return set()
        stored = Activations(self.path)
        rows = {sentence: row for row, sentence in enumerate(self.layout.sentences)}
        size = self.layout.block
        return {
            (skipped.modality, stored._all_languages.index(skipped.language), rows[skipped.sentence] // size * size)
            for skipped in stored.skipped
        }

    def _write_skipped(self, modality: int, language: int, rows: slice, block: Block) -> None:
        """Write why rows were skipped; nothing where none was, unless an earlier run skipped some."""
        key = key_of("skipped", modality, language, rows.start // self.layout.block)
        if block.skipped or (not self._earlier and self.storage.exists(key)):
            reasons = [block.skipped.get(row, "") for row in range(rows.stop - rows.start)]
            self._array("skipped")[modality, language, rows] = np.array(reasons, dtype=object)

    def _has(self, name: str) -> bool:
        """Whether the store has an array: one that an earlier version began lacks what came later."""
        if not self._arrays:
            self._arrays = dict(zarr.open_group(self.storage.store(read_only=False), mode="r+").arrays())
        return name in self._arrays

    def _array(self, name: str) -> Any:
        assert self._has(name)
        return self._arrays[name]
