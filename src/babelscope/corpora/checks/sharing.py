"""Recordings, files and documents that sentences share; and which sentences therefore belong together."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.corpora.checks.cells import MOST_PLACES, Cells, counted
from babelscope.corpora.checks.clusters import clusters_of
from babelscope.corpora.checks.texts import Texts, by_language
from babelscope.corpora.checks.wording import NEAR
from babelscope.corpora.problems import Problem

#: Files of equal size that are compared by content, unless all are asked for.
MOST_COMPARED = 20_000
_ENDS = 2**16  # bytes at the start and end of a file by which it is compared first


def same_recordings(cells: Cells, sampled: list[str], *, files: bool = True, every: bool = False) -> Iterable[Problem]:
    """Yield recordings that several sentences or languages have: by their names, and by their content.

    Parameters
    ----------
    sampled : list of str
        Gets a line on what was not compared.
    files : bool
        Whether files may be opened.
    every : bool
        Compare all files of equal size, not only the first :data:`MOST_COMPARED`.
    """
    rows = cells.primary_rows
    table = cells.table.iloc[rows]
    file = table.groupby(["audio", "member"], dropna=False, sort=False).ngroup().to_numpy().astype(np.int64)
    yield from _shared(cells, file, "recording-shared", "its recording")
    if files:
        content = _contents(table, file, sampled, every)
        copied = pd.Series(file).groupby(content).transform("nunique").to_numpy() > 1
        yield from _shared(
            cells, np.where(copied, content, -1 - np.arange(len(rows))), "recording-copied", "a copy of its recording"
        )


def _shared(cells: Cells, content: NDArray[np.int64], kind: str, what: str) -> Iterable[Problem]:
    rows = cells.primary_rows
    place = pd.DataFrame({"content": content, "start": cells.table["start"].iloc[rows].to_numpy()})
    codes = place.groupby(["content", "start"], dropna=False, sort=False).ngroup().to_numpy()
    again = np.flatnonzero(pd.Series(codes).duplicated(keep=False).to_numpy())
    if not len(again):
        return
    again = again[np.argsort(codes[again], kind="stable")]
    languages = pd.DataFrame({"code": codes[again], "language": cells.language[rows[again]]}).drop_duplicates()
    across = bool(languages["code"].duplicated().any())
    yield cells.problem(
        kind,
        "warning",
        rows[again].tolist(),
        f"{counted(len(again), 'cell shares', 'cells share')} {what} with another sentence"
        f"{' or language' if across else ''}: "
        f"{counted(len(np.unique(codes[again])), 'recording', 'different recordings')} for all of them",
        "give each sentence its own recording in each language",
    )


def _contents(table: pd.DataFrame, file: NDArray[np.int64], sampled: list[str], every: bool) -> NDArray[np.int64]:
    """Return a number for each row's file that files of the same content share."""
    first = np.unique(file, return_index=True)[1]
    names = [
        (audio, None if pd.isna(member) else member)
        for audio, member in zip(table["audio"].iloc[first], table["member"].iloc[first], strict=True)
    ]
    sizes = _sizes(names)
    times: dict[object, int] = {}
    for size in sizes:
        times[size] = times.get(size, 0) + 1
    alike = [number for number, size in enumerate(sizes) if size is not None and times[size] > 1]
    if not every and len(alike) > MOST_COMPARED:
        sampled.append(
            f"same recordings: {MOST_COMPARED} of {len(alike)} files that have the size of another were compared by "
            "content"
        )
        alike = alike[:MOST_COMPARED]
    keys: list[object] = list(range(len(names)))
    for number in alike:
        audio, member = names[number]
        if member is not None:
            keys[number] = sizes[number]  # with the checksum that the archive states
        else:
            keys[number] = _digest(audio, whole=False) or number
    ends: dict[object, list[int]] = {}
    for number in alike:
        ends.setdefault(keys[number], []).append(number)
    for numbers in ends.values():
        for number in numbers if len(numbers) > 1 and names[numbers[0]][1] is None else ():
            keys[number] = _digest(names[number][0], whole=True) or number
    return pd.factorize(np.array(keys, dtype=object))[0][file]


def _sizes(names: Sequence[tuple[str, str | None]]) -> list[object]:
    """Return the size of each file, and the size and checksum of each member; None where it cannot be read."""
    archives: dict[str, dict[str, object]] = {}
    sizes: list[object] = []
    for audio, member in names:
        if member is None:
            try:
                sizes.append(os.stat(audio).st_size)  # noqa: PTH116 - a Path for each of a million takes longer
            except (OSError, ValueError):
                sizes.append(None)
            continue
        if audio not in archives:
            try:
                with zipfile.ZipFile(audio) as archive:
                    archives[audio] = {info.filename: (info.file_size, info.CRC) for info in archive.infolist()}
            except (OSError, ValueError, zipfile.BadZipFile):
                archives[audio] = {}
        sizes.append(archives[audio].get(member))
    return sizes


def _digest(file: str, *, whole: bool) -> bytes | None:
    """Return a digest of a file, or of its start and end; None if it cannot be read."""
    try:
        with Path(file).open("rb") as handle:
            if whole:
                return hashlib.file_digest(handle, "blake2b").digest()
            start = handle.read(_ENDS)
            handle.seek(max(-_ENDS, -os.fstat(handle.fileno()).st_size), os.SEEK_END)
            return hashlib.blake2b(start + handle.read(_ENDS)).digest()
    except OSError:
        return None


def clusters(cells: Cells, texts: Texts) -> tuple[dict[str, str], list[Problem]]:
    """Return which sentences belong together, and the problems of that."""
    problems = []
    near = np.concatenate([np.zeros((0, 2), dtype=np.int64), *texts.near.values()])
    if len(near):
        problems.append(
            Problem(
                "near-duplicate",
                "warning",
                f"{len(np.unique(near))} texts are nearly the same as another sentence's text in the same language (at "
                f"least {NEAR:.0%} of their groups of three letters): "
                f"{by_language({name: np.unique(pairs) for name, pairs in texts.near.items()})}",
                "resample by cluster: --suggest-clusters FILE writes a column 'cluster'; or remove one of each pair",
                len(np.unique(near)),
                texts.pair_places(near),
            )
        )
    rows = cells.audio_rows
    start = cells.table["start"].iloc[rows].notna().to_numpy()
    cut = rows[start]
    pairs = cells.sentence[texts.pairs].astype(np.int64)
    if len(cut):
        files = cells.table[["audio", "member"]].iloc[cut]
        codes = files.groupby(["audio", "member"], dropna=False, sort=False).ngroup().to_numpy()
        first = pd.Series(cells.sentence[cut]).groupby(codes).transform("first").to_numpy()
        pairs = np.concatenate([pairs, np.stack([first, cells.sentence[cut]], axis=1)])
        documents = int(codes.max()) + 1
        if not cells.corpus.clusters and documents < len(np.unique(cells.sentence[cut])):
            problems.append(
                Problem(
                    "shared-file",
                    "note",
                    f"{len(np.unique(cells.sentence[cut]))} sentences are segments of "
                    f"{counted(documents, 'file', 'files')}: those of one file have a document and a voice in common",
                    "resample by cluster: --suggest-clusters FILE writes a column 'cluster'",
                    len(np.unique(cells.sentence[cut])),
                    tuple(map(cells.place, cut[:MOST_PLACES].tolist())),
                )
            )
    if cells.corpus.clusters:
        sizes = pd.Series(cells.corpus.clusters).value_counts()
        problems.append(
            Problem(
                "clusters",
                "note",
                f"{int(sizes.sum())} sentences belong to {len(sizes)} clusters, up to {int(sizes.max())} to one: "
                "sentences of one document are not independent",
                "",
                int(sizes.sum()),
            )
        )
    return clusters_of(cells.sentences.tolist(), pairs, cells.corpus.clusters), problems
