"""SIB-FLEURS: FLEURS's sentences with one of seven topics each, in 102 languages.

``WueNLP/sib-fleurs`` joins FLEURS with SIB-200 (Schmidt et al. 2025, arXiv 2501.06117): ``data/{language}/{split}-*``,
Parquet, languages by their FLORES-200 codes, one row a sentence with all its recordings. Known from its card and from
the scripts that build it (fdschmidt93/fleurs-slu): the columns, their types, the folders, and that ``URL`` is the
article that FLORES took the sentence from. Recordings are those of FLEURS's first release, which names its speakers;
silent ones are excluded. The files themselves could not be reached where this was written: reading is tested on files
built in the same layout.

Sentences are parallel by ``index_id``. ``labels`` has ``category`` (the topic, one of :data:`TOPICS`), FLORES's
``domain`` and ``topic``, and ``fleurs_id``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import repeat
from typing import Any

from babelscope.audio import SAMPLE_RATE
from babelscope.corpora.parquet_sets import Clip, ParquetSet, Spoken, load_set

TOPICS = ("science/technology", "travel", "politics", "sports", "health", "entertainment", "geography")
#: The builders take FLORES's Traditional Chinese for FLEURS's Cantonese.
CODES = {"yue_hant_hk": "zho_Hant"}


def fleurs_clips(row: Mapping[str, Any]) -> list[Clip]:
    """Return the recordings of a sentence as Fleurs-SLU's data sets list them.

    Parameters
    ----------
    row : mapping
        Its fields ``filename``, ``audio``, ``num_samples``, ``speaker_id`` and ``gender`` are lists.

    Raises
    ------
    KeyError
        If ``filename`` or ``gender`` is missing.
    """
    names, genders = row["filename"], row["gender"]
    sounds = row.get("audio") or list(repeat(None, len(names)))
    samples = row.get("num_samples") or list(repeat(None, len(names)))
    speakers = row.get("speaker_id") or list(repeat(-1, len(names)))
    return [
        Clip(
            str(name),
            sound,
            None if length is None else length / SAMPLE_RATE,
            str(gender).lower(),
            "" if speaker == -1 else str(speaker),
        )
        for name, sound, length, gender, speaker in zip(names, sounds, samples, genders, speakers, strict=True)
    ]


def _read(row: Mapping[str, Any]) -> Iterator[Spoken]:
    category = row["category"]
    labels = {
        "category": TOPICS[category] if isinstance(category, int) else category,
        "domain": row.get("domain"),
        "topic": row.get("topic"),
        "fleurs_id": row["fleurs_id"],
    }
    yield Spoken(str(row["index_id"]), row["sentence"] or "", fleurs_clips(row), row["URL"], labels)


SIB_FLEURS = ParquetSet(
    "sib-fleurs",
    "WueNLP/sib-fleurs",
    "SIB-FLEURS, {splits}: sentences of FLORES with their topics, read by people",
    "CC-BY-SA-4.0",
    "Fleurs-SLU, Schmidt et al. 2025 (arXiv 2501.06117), WueNLP/sib-fleurs; SIB-200, Adelani et al. 2024; FLEURS, "
    "Conneau et al. 2022",
    splits=("train", "dev", "test"),
    files=("data/{language}/{split}-*.parquet", "{language}/{split}-*.parquet", "{language}/{split}/*.parquet"),
    needed=("sentence", "URL", "fleurs_id", "filename", "gender", "audio", "index_id", "category"),
    read=_read,
    codes=CODES,
    notes=("A sentence's cluster is the article that FLORES took it from.",),
)


load = partial(load_set, SIB_FLEURS)
