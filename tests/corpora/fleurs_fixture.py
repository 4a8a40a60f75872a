"""Small data sets in the layout of FLEURS: of tones, or of the real recordings of asterisk.

Run as ``python tests/corpora/fleurs_fixture.py FOLDER`` for one of real speech (asterisk must have been fetched): five
languages, disjoint ids in train, dev and test, two readers of many Italian sentences. With ``--flaws``, one id is
missing in French, and one Russian recording is cut off in the middle.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import tarfile
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.io import wavfile

RATE = 16_000
ASTERISK = {"en": "en_us", "es": "es_419", "fr": "fr_fr", "it": "it_it", "ru": "ru_ru"}
GENDERS = {"Allison": "FEMALE", "June": "FEMALE", "Carlo": "MALE", "Menardi": "MALE", "IvrvoiceRU": "MALE"}


@dataclass(frozen=True)
class Reading:
    """One recording of one sentence, as a row of FLEURS has it; `data`, if given, stands in the archive instead."""

    sentence: int
    raw: str
    samples: npt.NDArray[np.float32]
    gender: str = "FEMALE"
    data: bytes | None = None

    @property
    def file(self) -> str:
        key = f"{self.sentence}{self.raw}{self.gender}".encode() + self.samples.tobytes()
        return f"{int.from_bytes(hashlib.sha256(key).digest()[:8], 'big')}.wav"

    @property
    def normalised(self) -> str:
        kept = (c if c.isalnum() or unicodedata.combining(c) else " " for c in self.raw.lower())
        return " ".join("".join(kept).split())

    @property
    def line(self) -> str:
        characters = " ".join(self.normalised.replace(" ", "|")) + " |"
        fields = (self.sentence, self.file, self.raw, self.normalised, characters, len(self.samples), self.gender)
        return "\t".join(map(str, fields))

    @property
    def wav(self) -> bytes:
        if self.data is not None:
            return self.data
        out = io.BytesIO()
        wavfile.write(out, RATE, self.samples)  # libsndfile would put the time into it
        return out.getvalue()


#: Language to split to readings.
Dataset = Mapping[str, Mapping[str, Sequence[Reading]]]


def tar_gz(members: Iterable[tuple[str, bytes]]) -> bytes:
    """The same bytes on every call."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w|") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def files_of(dataset: Dataset) -> dict[str, bytes]:
    """Path inside the data set to content."""
    files = {}
    for language, splits in dataset.items():
        for split, readings in splits.items():
            rows = "".join(f"{reading.line}\n" for reading in readings)
            files[f"data/{language}/{split}.tsv"] = rows.encode()
            members = ((f"{split}/{reading.file}", reading.wav) for reading in readings)
            files[f"data/{language}/audio/{split}.tar.gz"] = tar_gz(members)
    return files


def write(folder: Path, dataset: Dataset) -> Path:
    """Write a data set as the hub has it; returns `folder`."""
    for name, data in files_of(dataset).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def write_parquet(folder: Path, dataset: Dataset, *, rows: int = 1000) -> Path:
    """Write a data set as the hub's Parquet branch has it, so many rows a file."""
    for language, splits in dataset.items():
        (folder / language).mkdir(parents=True)
        for split, readings in splits.items():
            table = [
                {
                    "id": reading.sentence,
                    "num_samples": len(reading.samples),
                    "path": f"/somewhere/else/{reading.file}",
                    "audio": {"bytes": reading.wav, "path": reading.file},
                    "transcription": reading.normalised,
                    "raw_transcription": reading.raw,
                    "gender": ("MALE", "FEMALE", "OTHER").index(reading.gender),
                    "lang_id": 0,
                    "language": language,
                    "lang_group_id": 0,
                }
                for reading in readings
            ]
            name = "validation" if split == "dev" else split
            count = -(-len(table) // rows)
            for part in range(count):
                end = f"-{part:05}-of-{count:05}" if count > 1 else ""
                chunk = pa.Table.from_pylist(table[part * rows : (part + 1) * rows])
                pq.write_table(chunk, folder / language / f"fleurs-{name}{end}.parquet", row_group_size=4)
    return folder


def spoil_sound(path: Path) -> None:
    """Overwrite what a Parquet file holds of sound, and nothing else of it."""
    metadata = pq.read_metadata(path)
    data = bytearray(path.read_bytes())
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(number)
            if chunk.path_in_schema.split(".")[-1] == "bytes" or ".wav." in chunk.path_in_schema:
                start = chunk.dictionary_page_offset or chunk.data_page_offset
                data[start : start + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    path.write_bytes(data)


def tones(
    languages: Sequence[str] = ("en_us", "it_it", "zu_za"), sentences: int = 6
) -> dict[str, dict[str, list[Reading]]]:
    """A data set of tones: ids 0.. in test, 100.. in dev, 200.. in train; every third one read by two."""
    dataset: dict[str, dict[str, list[Reading]]] = {}
    for place, language in enumerate(languages):
        for base, split in ((0, "test"), (100, "dev"), (200, "train")):
            own = dataset.setdefault(language, {}).setdefault(split, [])
            for number in range(base, base + sentences):
                raw = f"Sentence {number}, in {language}."
                for reader, gender in enumerate(("FEMALE", "MALE") if number % 3 == 0 else ("MALE",)):
                    seconds = 0.3 + 0.02 * (number % 7) + 0.05 * reader
                    time = np.arange(round(seconds * RATE)) / RATE
                    wave = 0.3 * np.sin(2 * np.pi * (150 + 5 * number + 40 * place + 90 * reader) * time)
                    own.append(Reading(number, raw, wave.astype(np.float32), gender))
    return dataset


def speech(sentences: int = 24, *, flaws: bool = False) -> dict[str, dict[str, list[Reading]]]:
    """A data set of asterisk's recordings: half of the sentences in test, a quarter each in dev and train."""
    from babelscope import corpora
    from babelscope.audio import load_audio

    corpus = corpora.load("asterisk").select(min_words=4, max_seconds=8, distinct=True, n=sentences)
    splits = ("test", "dev", "test", "train")
    dataset: dict[str, dict[str, list[Reading]]] = {code: {} for code in ASTERISK.values()}
    for number, sentence in enumerate(corpus.sentences):
        for language, code in ASTERISK.items():
            own = dataset[code].setdefault(splits[number % 4], [])
            text = corpus.text(sentence, language) or ""
            for recording in corpus.recordings(sentence, language):
                own.append(Reading(number, text, load_audio(recording), GENDERS[recording.reader]))
    if flaws:
        dataset["fr_fr"]["test"] = [reading for reading in dataset["fr_fr"]["test"] if reading.sentence != 2]
        cut = dataset["ru_ru"]["test"]
        cut[0] = Reading(cut[0].sentence, cut[0].raw, cut[0].samples, cut[0].gender, cut[0].wav[: len(cut[0].wav) // 2])
    return dataset


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write a small data set in the layout of FLEURS.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sentences", type=int, default=24)
    parser.add_argument("--flaws", action="store_true")
    given = parser.parse_args()
    print(write(given.folder, speech(given.sentences, flaws=given.flaws)))
