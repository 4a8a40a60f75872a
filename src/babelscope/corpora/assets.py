"""What the corpora that are fetched as assets share: zip archives of recordings, and a corpus of their rows."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from babelscope.audio import seconds_of_member
from babelscope.corpora.corpus import COLUMNS, Corpus
from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.fetch import ASSETS

#: The columns of a corpus's table.
Row = tuple[str, str, str, str | None, str | None, str | None, float]
#: Returns the duration of a member of an archive.
Measure = Callable[[zipfile.ZipInfo, zipfile.ZipFile], float]


class Recorded(NamedTuple):
    """A recording in an archive: the last columns of a row but for the reader."""

    audio: str | None = None
    member: str | None = None
    seconds: float = float("nan")


@contextlib.contextmanager
def open_archive(path: Path, asset: str) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive of an asset; a DataError names it if it is missing or damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read ({error}): fetch {asset!r} again") from error


def recordings_in(
    path: Path, asset: str, *, wanted: Collection[str] | None = None, measure: Measure = seconds_of_member
) -> dict[str, Recorded]:
    """Return the recordings of an archive, or those that are wanted, by their names without suffix."""
    with open_archive(path, asset) as archive:
        return {
            name: Recorded(str(path), info.filename, measure(info, archive))
            for info in archive.infolist()
            if (name := info.filename.rpartition(".")[0]) and (wanted is None or name in wanted)
        }


def chosen(asset: str, languages: Sequence[str] | None, known: Collection[str]) -> list[str]:
    """Return the languages that are asked for, all if none are; a UsageError names one that is unknown."""
    for language in languages or ():
        if language not in known:
            raise UsageError(f"corpus {asset!r} has no language {language!r}: {did_you_mean(language, known)}")
    return list(languages or sorted(known))


def asset_corpus(
    asset: str, rows: Iterable[Row], *, title: str, notes: Sequence[str], languages: Sequence[str]
) -> Corpus:
    """Return the corpus of an asset's rows.

    They are sorted by sentence, so that a slice of the table has the same sentences in every language; the recordings
    of a cell keep their order.
    """
    table = pd.DataFrame(list(rows), columns=list(COLUMNS)).sort_values("sentence", kind="stable", ignore_index=True)
    return Corpus(
        table,
        name=asset,
        title=title,
        licence=ASSETS[asset].licence,
        attribution=ASSETS[asset].attribution,
        notes=notes,
        languages=languages,
    )
