"""The rows of FLEURS, out of its TSV files or its Parquet form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from babelscope.audio import SAMPLE_RATE
from babelscope.corpora.options import Broken
from babelscope.corpora.packing import Members
from babelscope.corpora.parquet import read_rows
from babelscope.corpora.readings import Row
from babelscope.errors import DataError, did_you_mean
from babelscope.fetch.archives import is_safe_name

_GENDERS = ("male", "female", "other")
_PARQUET = ("id", "num_samples", "path", "transcription", "raw_transcription", "gender", "audio")
_TEXTS = (*_PARQUET[:-1], "audio.path")


@dataclass(frozen=True)
class Reading:
    """How a split of a language is read; see :class:`babelscope.corpora.fleurs.Release` for `claims`."""

    language: str
    split: str
    normalised: bool
    claims: bool
    broken: Broken


def read_tsv(path: Path, reading: Reading) -> list[Row]:
    """Read a TSV file of seven fields; an eighth one before the last, which the first release has, is the speaker."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error
    rows: dict[str, Row] = {}
    for number, line in enumerate(content.split(b"\n"), 1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            fields = line.decode("utf-8").rstrip("\r").split("\t")
        except UnicodeDecodeError:
            reading.broken.add(reading.language, f"{where} is not UTF-8")
            continue
        if len(fields) not in (7, 8):
            reading.broken.add(reading.language, f"{where} has {len(fields)} fields instead of 7")
            continue
        speaker = fields.pop(6) if len(fields) == 8 else None
        sentence, file, raw, normalised, _, samples, gender = fields
        values = (where, sentence, file, normalised if reading.normalised else raw, samples, gender, speaker)
        _add(rows, values, reading)
    return _good(rows, path)


def read_parquet(files: list[Path], reading: Reading) -> list[Row]:
    """Read Parquet files."""
    rows: dict[str, Row] = {}
    for path in files:
        for number, fields in enumerate(read_rows(path, _PARQUET, columns=_TEXTS), 1):
            gender = fields["gender"]
            named = _GENDERS[gender] if isinstance(gender, int) and 0 <= gender < len(_GENDERS) else gender
            text = fields["transcription"] if reading.normalised else fields["raw_transcription"]
            values = (f"{path}, row {number}", fields["id"], _file(fields), text, fields["num_samples"], named, None)
            _add(rows, values, reading)
    return _good(rows, files[0])


def _good(rows: dict[str, Row], path: Path) -> list[Row]:
    if not rows:
        raise DataError(f"{path} has no good row: get it again")
    return list(rows.values())


def parquet_recordings(files: list[Path]) -> Members:
    """Yield name and content of the recordings in Parquet files."""
    for path in files:
        for fields in read_rows(path, _PARQUET, columns=("path", "audio")):
            data, name = (fields["audio"] or {}).get("bytes"), _file(fields)
            if data and name:
                yield name, data


def _add(rows: dict[str, Row], values: tuple[Any, ...], reading: Reading) -> None:
    """Add a row under the name of its file, or what is wrong with it to what is broken."""
    where, sentence, file, text, samples, gender, speaker = values
    wrong = ""
    if not str(sentence).isascii() or not str(sentence).isdigit():
        wrong = f"has the id {sentence!r}: it must be a number"
    elif not isinstance(file, str) or not is_safe_name(file) or "/" in file:
        wrong = f"names the file {file!r}: it must be a plain name"
    elif file in rows:
        wrong = f"names the file {file!r}, and so does {rows[file].where}"
    elif not isinstance(text, str) or not text.strip():
        wrong = f"has no text for id {sentence}"
    elif not str(samples).isascii() or not str(samples).isdigit() or int(samples) == 0:
        wrong = f"has {samples!r} samples: it must be a number above 0"
    elif str(gender).lower() not in _GENDERS:
        wrong = f"has the gender {gender!r}: {did_you_mean(str(gender).lower(), _GENDERS)}"
    if wrong:
        known = str(int(sentence)) if str(sentence).isdecimal() else None
        reading.broken.add(reading.language, f"{where} {wrong}", known)
        return
    gender = str(gender).lower()
    reader = f"{reading.language} {gender}" + (f" {speaker}" if speaker else "")
    claimed = int(samples) / SAMPLE_RATE if reading.claims else None
    text = " ".join(text.split())
    rows[file] = Row(where, reading.split, str(int(sentence)), file, text, claimed, reader, gender)


def _file(fields: Mapping[str, Any]) -> str | None:
    """Return the recording's plain name: `path` may be one of another machine, with its folders."""
    for given in ((fields["audio"] or {}).get("path"), fields["path"]):
        if given:
            return PurePosixPath(str(given).replace("\\", "/")).name
    return None
