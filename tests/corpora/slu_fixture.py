"""Small copies of data sets built on FLEURS, in their layouts: SIB-FLEURS, Belebele-FLEURS and 2M-Belebele.

Run as ``python tests/corpora/slu_fixture.py sib-fleurs FOLDER`` for one of asterisk's real recordings (asterisk must
have been fetched). Columns and their types are those of the data sets' cards and of the scripts that build them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from babelscope import languages as codes
from fleurs_fixture import RATE, Dataset, Reading, speech

STRINGS, NUMBERS, REALS = pa.list_(pa.string()), pa.list_(pa.int64()), pa.list_(pa.float64())
AUDIO = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
SENTENCE = [
    ("sentence", pa.string()), ("URL", pa.string()), ("id", pa.int32()), ("domain", pa.string()),
    ("topic", pa.string()), ("has_image", pa.int32()), ("has_hyperlink", pa.int32()), ("fleurs_id", pa.int32()),
    ("filename", STRINGS), ("raw_transcription", pa.string()), ("transcription", pa.string()),
    ("num_samples", NUMBERS), ("speaker_id", NUMBERS), ("gender", STRINGS), ("whisper_asr", STRINGS),
    ("whisper_asr_cer", REALS),
]  # fmt: skip
QUESTION = [
    ("link", pa.string()), ("question_number", pa.int64()), ("flores_passage", pa.string()), ("question", pa.string()),
    ("mc_answer1", pa.string()), ("mc_answer2", pa.string()), ("mc_answer3", pa.string()), ("mc_answer4", pa.string()),
    ("correct_answer_num", pa.string()), ("dialect", pa.string()), ("ds", pa.string()),
]  # fmt: skip
SIB = pa.schema(
    [*SENTENCE, ("index_id", pa.int64()), ("category", pa.int64()), ("text", pa.string()), ("audio", AUDIO)]
)
SPLIT = pa.list_(pa.string())
BELEBELE = pa.schema(
    [*QUESTION, ("sentence_data", pa.list_(pa.struct([*SENTENCE, ("split", SPLIT), ("audio", AUDIO)])))]
)
SEGMENT = pa.struct(
    [
        ("audio", pa.struct([("wav", REALS), ("sampling_rate", pa.int64())])),
        ("gender", pa.string()),
        ("source", pa.string()),
    ]
)
TWO_M = pa.schema(
    [
        *QUESTION,
        ("flores_sentences", STRINGS),
        ("audio_segments", pa.list_(pa.list_(SEGMENT))),
        ("has_matched_audio", pa.bool_()),
    ]
)
#: Sentences of one article.
PASSAGE = 3
SPEAKERS = {"FEMALE": 4, "MALE": 7, "OTHER": -1}


def link_of(sentence: int) -> str:
    return f"https://en.wikinews.org/wiki/Article_{sentence // PASSAGE}"


def _sentences(readings: Sequence[Reading]) -> Iterator[tuple[int, list[Reading]]]:
    for sentence, own in groupby(sorted(readings, key=lambda each: each.sentence), key=lambda each: each.sentence):
        yield sentence, list(own)


def sentence_row(sentence: int, readings: Sequence[Reading]) -> dict[str, Any]:
    """What both of Fleurs-SLU's data sets have of a sentence."""
    return {
        "sentence": readings[0].raw,
        "URL": link_of(sentence),
        "id": sentence + 1,
        "domain": "wikinews",
        "topic": f"Topic {sentence // PASSAGE}",
        "has_image": 0,
        "has_hyperlink": 0,
        "fleurs_id": sentence,
        "filename": [each.file for each in readings],
        "raw_transcription": readings[0].raw,
        "transcription": readings[0].normalised,
        "num_samples": [len(each.samples) for each in readings],
        "speaker_id": [SPEAKERS[each.gender] for each in readings],
        "gender": [each.gender for each in readings],
        "whisper_asr": [each.raw for each in readings],
        "whisper_asr_cer": [0.0 for _ in readings],
        "audio": [{"bytes": each.wav, "path": each.file} for each in readings],
    }


def _question(sentence: int, number: int, language: str, passage: str) -> dict[str, Any]:
    return {
        "link": link_of(sentence),
        "question_number": number,
        "flores_passage": passage,
        "question": f"Question {number} in {language}?",
        **{f"mc_answer{place}": f"Answer {place} in {language}" for place in range(1, 5)},
        "correct_answer_num": "2",
        "dialect": codes.nllb(language),
        "ds": "2023-05-03",
    }


def _passages(readings: Sequence[Reading]) -> Iterator[list[tuple[int, list[Reading]]]]:
    for _, passage in groupby(_sentences(readings), key=lambda each: each[0] // PASSAGE):
        yield list(passage)


def write_sib(folder: Path, dataset: Dataset, *, rows: int = 1000) -> Path:
    """SIB-FLEURS, so many rows a file."""
    for language, splits in dataset.items():
        for split, readings in splits.items():
            listed = [
                sentence_row(sentence, own)
                | {"index_id": 1000 + sentence, "category": sentence // PASSAGE % 7, "text": own[0].raw}
                for sentence, own in _sentences(readings)
            ]
            name = "validation" if split == "dev" else split
            _write(folder / "data" / codes.nllb(language), name, listed, SIB, rows)
    return folder


def write_belebele(folder: Path, dataset: Dataset, *, rows: int = 1000) -> Path:
    """Belebele-FLEURS, of the test split; every other passage has two questions."""
    for language, splits in dataset.items():
        listed: list[dict[str, Any]] = []
        for number, passage in enumerate(_passages(splits["test"])):
            data = [sentence_row(sentence, own) | {"split": ["test"] * len(own)} for sentence, own in passage]
            text = " ".join(own[0].raw for _, own in passage)
            numbers = (1, 2)[: 1 + number % 2]
            questions = [_question(passage[0][0], question, language, text) for question in numbers]
            listed += [question | {"sentence_data": data} for question in questions]
        _write(folder / "data" / codes.nllb(language), "test", listed, BELEBELE, rows)
    return folder


def write_2m(folder: Path, dataset: Dataset, *, unmatched: int = -1) -> Path:
    """2M-Belebele, of the test split; the sentence `unmatched` has no recording."""
    for language, splits in dataset.items():
        listed = []
        for number, passage in enumerate(_passages(splits["test"])):
            segments = [[_segment(each) for each in own if sentence != unmatched] for sentence, own in passage]
            sentences = [own[0].raw for _, own in passage]
            own_texts = {"flores_sentences": sentences, "audio_segments": segments}
            text = " ".join(sentences)
            for question in (1, 2)[: 1 + number % 2]:
                row = _question(passage[0][0], question, language, text) | own_texts
                listed.append(row | {"has_matched_audio": True})
        code = codes.nllb(language)
        target = folder / "data" / f"lang={code}" / f"{code}.parquet"
        target.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(listed, schema=TWO_M), target, row_group_size=2)
    return folder


def _segment(reading: Reading) -> dict[str, Any]:
    sound = {"wav": reading.samples.astype(np.float64), "sampling_rate": RATE}
    return {"audio": sound, "gender": reading.gender.lower(), "source": "fleurs"}


def _write(folder: Path, name: str, listed: list[dict[str, Any]], schema: pa.Schema, rows: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    count = -(-len(listed) // rows)
    for number in range(count):
        table = pa.Table.from_pylist(listed[number * rows : (number + 1) * rows], schema=schema)
        pq.write_table(table, folder / f"{name}-{number:05}-of-{count:05}.parquet", row_group_size=2)


WRITERS: dict[str, Callable[[Path, Dataset], Path]] = {
    "sib-fleurs": write_sib,
    "belebele-fleurs": write_belebele,
    "2m-belebele": write_2m,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write a small data set in the layout of one that is built on FLEURS.")
    parser.add_argument("corpus", choices=WRITERS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sentences", type=int, default=24)
    given = parser.parse_args()
    print(WRITERS[given.corpus](given.folder, speech(given.sentences)))
