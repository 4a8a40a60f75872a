"""Durations of recordings: by their headers, compared with a manifest's column ``seconds``."""

from __future__ import annotations

import zipfile
from collections.abc import Callable

import numpy as np
import pandas as pd

from babelscope.audio import ARCHIVE_ERRORS, seconds_of, seconds_of_member
from babelscope.corpora.problems import ProblemLog
from babelscope.errors import DataError

#: Recordings whose headers are read when a manifest gives their durations.
SAMPLE = 200

#: A duration disagrees with a header if it is so far off, in seconds and relative to the header's.
_OFF, _OFF_RELATIVE = 0.1, 0.05
_KEPT = 2**16


class Lengths:
    """Durations of recordings by their headers; archives stay open until :meth:`close`."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str | None], float] = {}
        self._archives: dict[str, zipfile.ZipFile] = {}

    def of(self, file: str, member: str | None) -> float:
        """Return a duration in seconds.

        Raises
        ------
        DataError
            If there is no such recording, or it is damaged.
        """
        if (known := self._known.get((file, member))) is None:
            known = seconds_of(file) if member is None else self._of_member(file, member)
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[file, member] = known
        return known

    def _of_member(self, file: str, member: str) -> float:
        if file not in self._archives:
            try:
                self._archives[file] = zipfile.ZipFile(file)
            except ARCHIVE_ERRORS as error:
                raise DataError(f"{file} is no zip archive ({error})") from error
        try:
            info = self._archives[file].getinfo(member)
        except KeyError:
            raise DataError(f"{file} has no member {member!r}") from None
        return seconds_of_member(info, self._archives[file])

    def close(self) -> None:
        """Close the archives."""
        for archive in self._archives.values():
            archive.close()
        self._archives.clear()


def check_durations(
    table: pd.DataFrame, lengths: Lengths, log: ProblemLog, place: Callable[[int], str], name: str, most: int | None
) -> None:
    """Compare the durations of whole recordings with their headers, of `most` of them, spread evenly.

    Parameters
    ----------
    table : DataFrame
        Of a corpus.
    log : ProblemLog
        Collects recordings that disagree or cannot be read.
    place : callable
        Returns where the row with an index of the table is.
    name : str
        What messages call the source.
    most : int, optional
        All if not given.
    """
    whole = table.loc[table["audio"].notna() & table["start"].isna(), ["audio", "member", "seconds"]]
    chosen = np.arange(len(whole))
    if most is not None and len(whole) > most:
        chosen = np.unique(np.linspace(0, len(whole) - 1, most).round().astype(int))
    for index, file, member, seconds in whole.iloc[chosen].itertuples(name=None):
        try:
            length = lengths.of(file, None if pd.isna(member) else member)
        except DataError as error:
            message = f"{name}: a recording cannot be read: {error}"
            log.add("audio-broken", "error", message, "get it again, or remove its row", where=place(index))
            continue
        if abs(length - seconds) <= max(_OFF, _OFF_RELATIVE * length):
            continue
        unit = f"; are they {kind}?" if (kind := _unit(seconds / length)) else ""
        message = f"{name}, column 'seconds' says {seconds:g} for {file}, which lasts {length:.2f} s{unit}"
        remedy = "correct the column, or remove it: durations are then read from the recordings"
        log.add("seconds-disagree", "warning", message, remedy, where=place(index))


def _unit(ratio: float) -> str:
    """Return what numbers that are so many times too large probably count."""
    if abs(ratio / 1_000 - 1) < _OFF_RELATIVE:
        return "milliseconds"
    return "samples" if ratio > 4_000 else ""
