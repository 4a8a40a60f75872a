"""Folders of Kaldi and ESPnet: ``wav.scp``, ``text``, ``segments``, ``utt2spk``, ``utt2lang``.

A recording that is the output of a command (``sox ... |``) is refused: nothing is ever executed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babelscope.corpora.manifest.errors import RowError
from babelscope.corpora.manifest.tables import Row, Table, base_of
from babelscope.corpora.manifest.text import lines_of
from babelscope.errors import DataError

_ARCHIVE = re.compile(r"\.ark(?::\d+)?(?:\[.*\])?$")
_COLUMNS = ("sentence", "language", "text", "audio", "reader", "start", "seconds")


def is_kaldi(folder: Path) -> bool:
    """Return whether a folder is laid out as Kaldi's data folders are."""
    return (folder / "wav.scp").is_file() or ((folder / "text").is_file() and (folder / "utt2spk").is_file())


def read_kaldi(folder: Path, language: str | None) -> Table:
    """Open a data folder of Kaldi; an utterance's id is the sentence's.

    Raises
    ------
    DataError
        If it lacks its files, or does not say its languages.
    """
    spoken = _pairs(folder / "utt2lang")
    if not spoken and language is None:
        raise DataError(
            f"manifest {folder} is a folder of Kaldi without utt2lang: give language = 'en', for example, or add it"
        )
    path = next((folder / name for name in ("segments", "wav.scp", "text") if (folder / name).is_file()), None)
    if path is None:
        raise DataError(f"manifest {folder} has neither wav.scp, segments nor text: name a data folder of Kaldi")
    return Table(path, "line", _COLUMNS, _rows(folder, path, spoken, language))


def _rows(folder: Path, path: Path, spoken: dict[str, str], language: str | None) -> Iterator[Row]:
    recordings, texts, readers = (_pairs(folder / name) for name in ("wav.scp", "text", "utt2spk"))

    def row(utterance: str) -> dict[str, Any]:
        own = spoken.get(utterance, language)
        return {
            "sentence": utterance,
            "language": own,
            "text": texts.pop(utterance, None),
            "reader": readers.get(utterance),
        }

    for number, line in enumerate(lines_of(path, "utf-8"), 1):
        if not line.strip():
            continue

        def broken(what: str, remedy: str, kind: str, number: int = number) -> RowError:
            return RowError(path, f"line {number}", what, remedy, kind=kind)

        utterance, *more = line.strip().split(maxsplit=1)
        if path.name == "text":
            yield number, row(utterance)
            continue
        name, extent = utterance, {}
        if path.name == "segments":
            fields = more[0].split() if more else []
            if len(fields) < 3:
                yield number, broken("is no segment", "write utterance, recording, start and end", "broken-segment")
                continue
            name = fields[0]
            try:
                start, end = float(fields[1]), float(fields[2])
            except ValueError:
                yield number, broken("has times that are no numbers", "write them in seconds", "broken-segment")
                continue
            extent = {"start": start, "seconds": None if end < 0 else end - start}
        audio = recordings.get(name)
        if audio is None:
            yield number, broken(f"names recording {name!r}, which wav.scp does not have", "add it", "audio-missing")
        elif audio.endswith("|") or audio.startswith("|"):
            remedy = "run it once for all, and write the files that it makes into wav.scp"
            yield number, broken("is a command, which is never executed", remedy, "command")
        elif _ARCHIVE.search(audio):
            remedy = "write the recordings to WAV or FLAC files"
            yield number, broken("points into an archive of Kaldi, which is not read", remedy, "kaldi-archive")
        else:
            yield number, {**row(utterance), "audio": str((base_of(folder, audio) / audio).absolute()), **extent}
    if path.name != "text" and texts:
        yield 0, folder / "text"
        for number, line in enumerate(lines_of(folder / "text", "utf-8"), 1):
            utterance = line.split(maxsplit=1)[0] if line.strip() else ""
            if texts.get(utterance):
                yield number, row(utterance)


def _pairs(path: Path) -> dict[str, str]:
    """Return the lines of a file, the first word to the rest; nothing if there is no such file."""
    if not path.is_file():
        return {}
    pairs = (line.strip().split(maxsplit=1) for line in lines_of(path, "utf-8") if line.strip())
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}
