"""An index on the disk: items and their vectors, in parts that are added whole, under the model that made them.

A folder: ``index.json`` says which model, revision and point the vectors are of, how recordings were cut, and which
parts are valid; ``parts/NAME.npy`` are the vectors (float32, of length 1), ``parts/NAME.parquet`` the items. A part is
valid once ``index.json`` names it, and that file is replaced atomically: a killed run keeps what was finished.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.cache import write_atomically
from babelscope.capture.store import lock, now
from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.models.base import MODALITIES
from babelscope.progress import Progress, silent
from babelscope.search import nearest
from babelscope.search.items import HOP_SECONDS, WINDOW_SECONDS, Item
from babelscope.search.vectors import Embedder, Vectors

FORMAT = 1
#: Items that are written together: a killed run loses at most so many.
PART = 128
#: Parts smaller than this are merged once all items are added.
LARGE = 50_000
#: Fewest items of a kind whose mean is subtracted before the cosine.
LEAST_CENTRED = 20

#: Columns of the result of :meth:`Index.find`.
FOUND_COLUMNS: tuple[str, ...] = ("rank", "score", *(field.name for field in fields(Item) if field.name != "stamp"))


class Index:
    """Items that can be found by their meaning.

    Parameters
    ----------
    path : Path or str
        A folder that :meth:`create` made.

    Raises
    ------
    DataError
        If it is none, or damaged.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            self.about: dict[str, Any] = json.loads((self.path / "index.json").read_text(encoding="utf-8"))
            known = self.about["format"] == FORMAT and isinstance(self.about["parts"], list)
        except FileNotFoundError:
            raise DataError(
                f"{self.path} is no index (no index.json): make one with 'babelscope search index'"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"the index {self.path} is damaged ({error}): make it again") from error
        if not known:
            raise DataError(f"the index {self.path} was made by another version of babelscope: make it again")

    @classmethod
    def create(
        cls,
        path: Path | str,
        embedder: Embedder,
        *,
        window: float = WINDOW_SECONDS,
        hop: float = HOP_SECONDS,
    ) -> Index:
        """Make an empty index, or open the one that exists.

        Parameters
        ----------
        path : Path or str
            A folder that does not exist, is empty, or holds an index of the same model.
        embedder : Embedder
        window, hop : float
            Seconds: how recordings are cut, for a new index; an existing one keeps its own.

        Raises
        ------
        DataError
            If the folder holds something else, or the disk cannot be written.
        UsageError
            If the existing index is of another model, revision, point, or other options.
        """
        path = Path(path)
        if not (path / "index.json").is_file():
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise DataError(f"{path} exists and is no index: choose another folder")
            about = {
                "format": FORMAT,
                "made": now(),
                "identity": embedder.identity,
                "load": embedder.load,
                "licence": embedder.model.licence,
                "window_seconds": window,
                "hop_seconds": hop,
                "parts": [],
            }
            _write_json(path / "index.json", about)
        index = cls(path)
        index.check(embedder)
        return index

    def check(self, embedder: Embedder) -> None:
        """Refuse a model whose vectors are not in this index's space.

        Raises
        ------
        UsageError
            Naming what differs.
        """
        expected, given = self.about["identity"], json.loads(json.dumps(embedder.identity))
        other = [key for key in expected.keys() | given.keys() if expected.get(key) != given.get(key)]
        if other:
            differing = [f"{key} {expected.get(key)!r} there, {given.get(key)!r} here" for key in sorted(other)]
            raise UsageError(
                f"the index {self.path} was made with another model ({'; '.join(differing)}): use that, or index again"
            )

    def add(self, items: Sequence[Item], embedder: Embedder, *, progress: Progress | None = None) -> int:
        """Add items that are not in the index yet.

        Parameters
        ----------
        items : sequence of Item
        embedder : Embedder
            Of the same model.
        progress : callable, optional

        Returns
        -------
        int
            How many were added. Silent windows are excluded.

        Raises
        ------
        UsageError
            If the model is another.
        DataError
            If an item is broken (earlier items are kept), another process is writing, or the disk is full.
        """
        self.check(embedder)
        tell = progress or silent
        added = 0
        with lock(self.path):
            self._reread()
            there = set(self.items["key"])
            new = [item for item in dict.fromkeys(items) if item.key not in there]
            new.sort(key=lambda item: (item.kind, item.language))
            for start in range(0, len(new), PART):
                tell("indexing", start, len(new))
                kept, vectors = embedder.items(new[start : start + PART])
                if kept:
                    table = pd.DataFrame([{"key": item.key, **asdict(item)} for item in kept])
                    self._write_part(table, vectors)
                    added += len(kept)
            tell("indexing", len(new), len(new))
            self._tidy()
        return added

    def _write_part(self, table: pd.DataFrame, vectors: Vectors, instead_of: Sequence[str] = ()) -> None:
        name = secrets.token_hex(8)
        folder = self.path / "parts"
        own = np.ascontiguousarray(vectors, dtype=np.float32)
        write_atomically(folder / f"{name}.npy", lambda path: np.save(path, own, allow_pickle=False))
        write_atomically(folder / f"{name}.parquet", lambda path: table.to_parquet(path, index=False))
        kept = [entry for entry in self.about["parts"] if entry["name"] not in instead_of]
        self.about["parts"] = [*kept, {"name": name, "items": len(table)}]
        _write_json(self.path / "index.json", self.about)

    def _tidy(self) -> None:
        """Merge small parts, remove files that are no longer valid, and make the approximate index where it is due."""
        small = [entry["name"] for entry in self.about["parts"] if entry["items"] < LARGE]
        if len(small) > 1:
            tables, vectors = zip(*(self._part(name) for name in small), strict=True)
            self._write_part(pd.concat(tables, ignore_index=True), np.concatenate(vectors), instead_of=small)
        counted = {entry["name"] for entry in self.about["parts"]}
        for path in (self.path / "parts").glob("*"):
            if path.stem not in counted:
                path.unlink()
        self._reread()
        if len(self) >= nearest.APPROXIMATE_FROM and not self._approximate.is_file():
            for path in self.path.glob("*.usearch"):
                path.unlink()
            nearest.build(self.vectors, self._approximate)

    def _reread(self) -> None:
        self.about = Index(self.path).about
        for name in ("items", "vectors", "_means", "_held"):
            self.__dict__.pop(name, None)

    def _part(self, name: str) -> tuple[pd.DataFrame, Vectors]:
        folder = self.path / "parts"
        try:
            vectors = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            table = pd.read_parquet(folder / f"{name}.parquet")
        except (OSError, ValueError) as error:
            raise DataError(f"the index {self.path} is damaged in part {name} ({error}): make it again") from error
        if len(table) != len(vectors) or vectors.shape[1:] != (self.about["identity"]["width"],):
            raise DataError(f"the index {self.path} is damaged in part {name} (its files do not match): make it again")
        return table, vectors

    def __len__(self) -> int:
        return sum(int(entry["items"]) for entry in self.about["parts"])

    def __repr__(self) -> str:
        return f"<Index {self.path.name}: {len(self)} items, {self.about['identity']['model']}>"

    @cached_property
    def items(self) -> pd.DataFrame:
        """The items, one row each: ``key`` and the fields of :class:`babelscope.search.Item`."""
        nothing = pd.DataFrame(columns=["key", *(field.name for field in fields(Item))])
        tables = [self._part(entry["name"])[0] for entry in self.about["parts"]]
        return pd.concat(tables, ignore_index=True) if tables else nothing

    @cached_property
    def vectors(self) -> Vectors:
        """The items' vectors, shape (items, width), float32, of length 1."""
        parts = [self._part(entry["name"])[1] for entry in self.about["parts"]]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty((0, self.about["identity"]["width"]), dtype=np.float32)

    @property
    def _approximate(self) -> Path:
        """Where the approximate index of these parts stands, if it was made."""
        names = "-".join(entry["name"] for entry in self.about["parts"])
        return self.path / f"{hashlib.sha256(names.encode()).hexdigest()[:16]}.usearch"

    @cached_property
    def _held(self) -> Any:
        return nearest.opened(self._approximate, len(self))

    @cached_property
    def _means(self) -> dict[str, Vectors]:
        """The mean vector of each kind that has enough items."""
        kinds = self.items["kind"].to_numpy()
        return {
            kind: np.asarray(self.vectors[kinds == kind].mean(axis=0, dtype=np.float64), dtype=np.float32)
            for kind in MODALITIES
            if int((kinds == kind).sum()) >= LEAST_CENTRED
        }

    def find(
        self,
        query: Vectors,
        kind: str,
        k: int = 10,
        *,
        modality: str | None = None,
        languages: Sequence[str] | None = None,
        centre: bool = True,
        approximate: bool | None = None,
    ) -> pd.DataFrame:
        """Return the items that are nearest to a vector by cosine.

        Parameters
        ----------
        query : ndarray, shape (width,)
            From :class:`Embedder`.
        kind : {"text", "speech"}
            What the query is.
        k : int
        modality : {"text", "speech"}, optional
            Find only such items.
        languages : sequence of str, optional
            Find only items in these.
        centre : bool
            Subtract the mean of the index's texts from texts, and that of its speech from speech, before the cosine:
            speech and text of one space may form two clusters. A kind of which the index has fewer than 20 items uses
            the other's mean; with fewer of both nothing is subtracted.
        approximate : bool, optional
            Whether candidates come from the approximate index; by default from 100,000 items on, where all items are
            searched. Candidates are ranked exactly.

        Returns
        -------
        DataFrame
            Columns :data:`FOUND_COLUMNS`, best first. Of windows of one recording that overlap the best is kept.

        Raises
        ------
        UsageError
            If `k` is not positive, the modality is unknown, or the index has no such language.
        DataError
            If the index is empty or damaged.
        """
        rows = self._chosen(k, modality, languages)
        means = self._means if centre else {}
        taken: list[Vectors] = []
        wanted = query
        if means:
            fallback = next(iter(means.values()))
            taken = [means.get(each, fallback) for each in MODALITIES]
            wanted = query - means.get(kind, fallback)
        everything = len(rows) == len(self)
        if approximate is None:
            approximate = everything and len(self) >= nearest.APPROXIMATE_FROM and self._approximate.is_file()
        if approximate:
            near = nearest.candidates(self._held, query, 4 * k)
            rows = near if everything else near[np.isin(near, rows)]
        # Overlapping windows are dropped afterwards, so that more are needed than are shown.
        group = (self.items["kind"].to_numpy() == MODALITIES[1]).astype(np.int64)
        most = min(4 * k + 16, len(rows))
        matches, scores = nearest.exact(self.vectors, wanted, most, means=taken, group=group, rows=rows)
        table = _apart(self.items.iloc[matches].assign(score=scores)).head(k)
        return table.assign(rank=range(1, len(table) + 1))[list(FOUND_COLUMNS)].reset_index(drop=True)

    def _chosen(self, k: int, modality: str | None, languages: Sequence[str] | None) -> NDArray[np.int64]:
        if k < 1:
            raise UsageError(f"k is {k}: it must be 1 or more")
        if not len(self):
            raise DataError(f"the index {self.path} is empty: add something with 'babelscope search index'")
        if modality is not None and modality not in MODALITIES:
            raise UsageError(f"modality {modality!r} is unknown; {did_you_mean(modality, MODALITIES)}")
        there = self.items["language"].drop_duplicates().tolist()
        for language in languages or ():
            if language not in there:
                raise UsageError(f"the index has no language {language!r}; {did_you_mean(language, there)}")
        keep = np.ones(len(self), dtype=bool)
        if modality is not None:
            keep &= self.items["kind"].to_numpy() == modality
        if languages:
            keep &= self.items["language"].isin(list(languages)).to_numpy()
        return np.flatnonzero(keep)


def _apart(table: pd.DataFrame) -> pd.DataFrame:
    """Drop windows that overlap a better one of the same recording."""
    spans_of: dict[tuple[str, str], list[tuple[float, float]]] = {}
    kept = []
    columns = (table[name].tolist() for name in ("kind", "audio", "member", "start", "end"))
    for row, (kind, audio, member, start, end) in enumerate(zip(*columns, strict=True)):
        spans = spans_of.setdefault((audio, member), [])
        if kind == "speech":
            if any(start < other_end and other_start < end for other_start, other_end in spans):
                continue
            spans.append((start, end))
        kept.append(row)
    return table.iloc[kept]


def _write_json(path: Path, about: dict[str, Any]) -> None:
    text = json.dumps(about, indent=1, ensure_ascii=False, sort_keys=True)
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
