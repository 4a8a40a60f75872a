"""Data sets that a program holds: a ``Dataset`` or ``DatasetDict`` of the package ``datasets``, or one a language.

Recordings are taken as the bytes that the data set has and decoded here, so neither torchcodec nor another decoder of
``datasets`` is needed or called. They are packed into the cache once, by what they hold. Numbers of a ``ClassLabel``
become its names.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from babelscope.corpora.corpus import Corpus
from babelscope.corpora.manifest import Choices, load_tables
from babelscope.corpora.manifest.hub import stem, suffix_of, with_recordings
from babelscope.corpora.manifest.tables import Row, Table
from babelscope.corpora.packing import Packed, pack
from babelscope.errors import UsageError, did_you_mean

#: Fields of a recording that is there as samples.
_SAMPLES = ("array", "sampling_rate")


def is_dataset(given: object) -> bool:
    """Return whether something is a data set, or a dictionary of them by split or language."""
    if isinstance(given, Mapping):
        return bool(given) and all(map(is_dataset, given.values()))
    return hasattr(given, "features") and hasattr(given, "cast_column")


def load(
    dataset: Any,
    *,
    sentence: str | None = None,
    language: str | None = None,
    text: str | None = None,
    audio: str | None = None,
    reader: str | None = None,
    cluster: str | None = None,
    name: str | None = None,
    title: str = "",
    licence: str = "",
    attribution: str = "",
    skip_bad: bool = False,
) -> Corpus:
    """Make a corpus of a data set of the package ``datasets``.

    Parameters
    ----------
    dataset : Dataset, IterableDataset, DatasetDict, IterableDatasetDict or mapping
        A mapping of language to one of these is one corpus: the same id in two languages is a translation. All splits
        of a ``DatasetDict`` are read; name one, as in ``dataset["test"]``, for that alone.
    sentence, text, audio, reader, cluster : str, optional
        Columns; where one is left out, it is found by its usual names, such as ``id``, ``transcription`` or
        ``speaker_id``, recordings by their kind. Without ids, each text of a language has an id of its own.
    language : str, optional
        A column, or the language of every row.
    name, title, licence, attribution : str, optional
        Of the corpus; those of the data set's own description if left out.
    skip_bad : bool
        Exclude rows with a broken field or recording, and name each in :attr:`Corpus.left_out`.

    Returns
    -------
    Corpus

    Raises
    ------
    UsageError
        If this is no data set, or has no such column.
    DataError
        If a row is broken: one line that names the row and the column.
    """
    if not is_dataset(dataset):
        raise UsageError(f"a corpus is loaded by its name or from a data set; this is {type(dataset).__name__}")
    asked = {"sentence": sentence, "text": text, "audio": audio, "reader": reader, "cluster": cluster}
    named = {column: chosen for column, chosen in asked.items() if chosen is not None}
    tables = []
    for code, splits in _by_language(dataset):
        columns = dict(named)
        spoken = language if code is None else code
        if code is None and language in _columns(splits[0][1]):
            columns["language"], spoken = str(language), None
        table = _table(code, splits, columns)
        if spoken is not None:  # whatever a column of the data set says
            table, columns["language"] = _spoken(table, spoken), "language"
        tables.append((table, Choices("datasets", columns)))
    info = getattr(_by_language(dataset)[0][1][0][1], "info", None)
    about = {
        "name": name or str(getattr(info, "dataset_name", None) or "dataset"),
        "title": title,
        "licence": licence or str(getattr(info, "license", None) or ""),
        "attribution": attribution or " ".join(str(getattr(info, "citation", None) or "").split()),
    }
    return load_tables(tables, Path(about["name"]), about, skip_bad=skip_bad)


def _by_language(dataset: Any) -> list[tuple[str | None, list[tuple[str, Any]]]]:
    """Return the splits of each language by their names; a single None as the language where the rows say it."""
    if not isinstance(dataset, Mapping):
        return [(None, [("", dataset)])]
    if type(dataset).__module__.partition(".")[0] == "datasets":  # the keys of a DatasetDict are splits
        return [(None, list(dataset.items()))]
    return [(str(code), _by_language(own)[0][1]) for code, own in dataset.items()]


def _columns(dataset: Any) -> list[str]:
    names = dataset.column_names or dataset.features
    return list(names if names is not None else next(iter(dataset), {}))


def _table(code: str | None, splits: list[tuple[str, Any]], named: Mapping[str, str]) -> Table:
    columns = _columns(splits[0][1])
    for column, chosen in named.items():
        if chosen not in columns:
            raise UsageError(
                f"the data set has no column {chosen!r}, named as {column}: {did_you_mean(chosen, columns)}"
            )
    sound = named.get("audio") or next((each for each in columns if _is_audio(splits[0][1], each)), None)
    raw = [(split, _undecoded(own, sound)) for split, own in splits]
    path = Path(f"dataset {code}" if code is not None else "dataset")
    rest = tuple(column for column in columns if column != sound)
    if sound is None:
        return Table(path, "row", rest, _rows(raw, path), typed=True)
    digest = hashlib.sha256()
    recordings = 0
    for _, content in _recordings(raw, sound):
        digest.update(hashlib.sha256(content).digest())
        recordings += 1
    packed = (
        pack("datasets", "recordings", [path], lambda: _recordings(raw, sound), digest=digest.hexdigest())
        if recordings
        else Packed(path, {}, {}, {})
    )
    rows = with_recordings(_rows(raw, path), sound, packed, path)
    return Table(path, "row", tuple(dict.fromkeys((*rest, "audio", "member", "seconds"))), rows, typed=True)


def _spoken(table: Table, language: str) -> Table:
    """Return a table whose every row is in a language."""

    def rows() -> Iterator[Row]:
        for number, row in table.rows:
            yield number, {**row, "language": language} if isinstance(row, Mapping) else row

    return replace(table, columns=tuple(dict.fromkeys((*table.columns, "language"))), rows=rows())


def _is_audio(dataset: Any, column: str) -> bool:
    kind = (dataset.features or {}).get(column)
    if type(kind).__name__ == "Audio":
        return True
    return isinstance(kind, Mapping) and (set(_SAMPLES) <= kind.keys() or {"bytes", "path"} <= kind.keys())


def _undecoded(dataset: Any, sound: str | None) -> Any:
    """Return a data set that gives recordings as they are stored, and everything as Python values."""
    if hasattr(dataset, "with_format"):
        dataset = dataset.with_format(None)
    if sound is None or type((dataset.features or {}).get(sound)).__name__ != "Audio":
        return dataset
    from datasets import Audio

    return dataset.cast_column(sound, Audio(decode=False))


def _rows(splits: Iterable[tuple[str, Any]], path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    for _, dataset in splits:
        labels = {
            name: kind.names
            for name, kind in (dataset.features or {}).items()
            if type(kind).__name__ == "ClassLabel" and kind.names
        }
        for row in dataset:
            number += 1
            for name, names in labels.items():
                if isinstance(row.get(name), int) and 0 <= row[name] < len(names):
                    row = {**row, name: names[row[name]]}
            yield number, row


def _recordings(splits: list[tuple[str, Any]], sound: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every recording that the data set holds itself."""
    number = 0
    for _, dataset in splits:
        alone = dataset.select_columns([sound]) if hasattr(dataset, "select_columns") else dataset
        for row in alone:
            number += 1
            content, name = _content(row[sound])
            if content:
                yield stem(0, number) + suffix_of(name, content), content


def _content(value: Any) -> tuple[bytes | None, str | None]:
    """Return the bytes of a recording, and the name that tells its kind; samples become a WAV of floats, exactly."""
    if isinstance(value, bytes):
        return value, None
    if not isinstance(value, Mapping):
        return None, None
    if all(value.get(key) is not None for key in _SAMPLES):
        samples = np.asarray(value["array"], dtype=np.float32)
        written = io.BytesIO()
        shaped = samples.T if samples.ndim == 2 and samples.shape[0] < samples.shape[1] else samples
        soundfile.write(written, shaped, int(value["sampling_rate"]), format="WAV", subtype="FLOAT")
        return written.getvalue(), ".wav"
    return value.get("bytes"), value.get("path")
