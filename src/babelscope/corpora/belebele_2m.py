"""2M-Belebele: passages of FLORES's sentences, all read aloud, with questions and answers, in 74 languages.

``facebook/2M-Belebele`` (Costa-jussà et al. 2024, arXiv 2412.08274): ``data/lang={language}/{language}.parquet``, as
its download script has it too, languages by their FLORES-200 codes, one row a question; ``flores_sentences`` are the
passage's sentences in order, ``audio_segments`` the recordings of each, FLEURS's and new ones. Known from its README
and from public code that reads it: the columns, and that sound is a list of numbers (``wav``) with a ``sampling_rate``.
Not known: which fields of a segment name its speaker; ``speaker_id``, ``speaker`` and ``gender`` are used where
present. The files themselves could not be reached where this was written: reading is tested on files built in the
same layout. Recordings of questions and answers are not read.

A sentence is its passage's link and its place in it, which are the same in every language. ``labels`` has ``place``,
``question_1``, ``answers_1`` (a JSON list), ``correct_1`` and the same for a passage's second question.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import zip_longest
from typing import Any

from babelscope.corpora.belebele_fleurs import question_labels
from babelscope.corpora.parquet_sets import Clip, ParquetSet, Spoken, load_set


def _read(row: Mapping[str, Any]) -> Iterator[Spoken]:
    link = str(row["link"])
    passage = hashlib.sha256(link.encode()).hexdigest()[:12]
    labels = question_labels(row)
    pairs = zip_longest(row["flores_sentences"] or (), row["audio_segments"] or ())
    for place, (text, segments) in enumerate(pairs, 1):
        clips = [
            Clip(f"{passage}-{place}-{number}.wav", segment.get("audio"), None, _gender(segment), _speaker(segment))
            for number, segment in enumerate(segments or (), 1)
        ]
        name = f"{link.removeprefix('https://').removeprefix('http://')}#{place}"
        yield Spoken(name, text or "", clips, link, {"place": place, **labels})


def _gender(segment: Mapping[str, Any]) -> str:
    gender = segment.get("gender")
    if isinstance(gender, int):
        return ("male", "female", "other")[gender] if 0 <= gender < 3 else ""
    return str(gender or "").lower()


def _speaker(segment: Mapping[str, Any]) -> str:
    speaker = segment.get("speaker_id", segment.get("speaker"))
    return "" if speaker is None else str(speaker)


BELEBELE_2M = ParquetSet(
    "2m-belebele",
    "facebook/2M-Belebele",
    "2M-Belebele: the sentences of Belebele's passages, read by people",
    "CC-BY-SA-4.0",
    "2M-Belebele, Costa-jussà et al. 2024 (arXiv 2412.08274), facebook/2M-Belebele; Belebele, Bandarkar et al. 2024; "
    "FLORES-200; FLEURS, Conneau et al. 2022 (CC-BY-4.0)",
    splits=("test",),
    files=("data/lang={language}/*.parquet", "lang={language}/*.parquet", "{language}/*test/*.parquet"),
    needed=("link", "question_number", "question", "mc_answer1", "correct_answer_num", "flores_sentences",
            "audio_segments"),
    read=_read,
    codes={"ar_eg": "arz_Arab"},
    notes=(
        "A sentence's cluster is its passage.",
        "Questions and answers among the labels are in the first language that has the passage.",
    ),
)  # fmt: skip


load = partial(load_set, BELEBELE_2M)
