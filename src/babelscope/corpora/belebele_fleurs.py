"""Belebele-FLEURS: passages of FLEURS's sentences with questions and answers, in 92 languages.

``WueNLP/belebele-fleurs`` joins FLEURS with Belebele (Schmidt et al. 2025, arXiv 2501.06117):
``data/{language}/test-*.parquet``, languages by their FLORES-200 codes, one row a question, with the passage's
sentences and all their recordings in ``sentence_data``. Known from its list of files and from the scripts that build it
(fdschmidt93/fleurs-slu): the columns, the folders, that ``link`` and ``URL`` are the article, and that a passage is
there only if FLEURS has all its sentences. ``sentence_idx`` is not used: it does not count in the order of the passage.
Recordings are those of FLEURS's first release, which names its speakers. The files themselves could not be reached
where this was written: reading is tested on files built in the same layout.

A sentence is one of FLEURS's, by ``fleurs_id``. ``labels`` has ``question_1``, ``answers_1`` (a JSON list),
``correct_1`` and the same for a passage's second question, and FLORES's ``domain`` and ``topic``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from babelscope.corpora.parquet_sets import ParquetSet, Spoken, load_set
from babelscope.corpora.sib_fleurs import CODES, fleurs_clips


def question_labels(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a question of Belebele about a passage: ``question_1``, ``answers_1`` (a JSON list) and ``correct_1``.

    Parameters
    ----------
    row : mapping
        One question; its ``question_number`` is 1 or 2, and stands at the end of the labels.

    Raises
    ------
    KeyError
        If a field is missing.
    """
    number = int(row["question_number"])
    answers = [row[f"mc_answer{place}"] for place in range(1, 5)]
    return {
        f"question_{number}": row["question"],
        f"answers_{number}": json.dumps(answers, ensure_ascii=False),
        f"correct_{number}": int(row["correct_answer_num"]),
    }


def _read(row: Mapping[str, Any]) -> Iterator[Spoken]:
    labels = question_labels(row)
    for sentence in row["sentence_data"]:
        own = {"domain": sentence.get("domain"), "topic": sentence.get("topic"), **labels}
        document = sentence.get("URL") or row["link"]
        yield Spoken(str(sentence["fleurs_id"]), sentence["sentence"] or "", fleurs_clips(sentence), document, own)


BELEBELE_FLEURS = ParquetSet(
    "belebele-fleurs",
    "WueNLP/belebele-fleurs",
    "Belebele-FLEURS: the sentences of Belebele's passages, read by people",
    "CC-BY-SA-4.0",
    "Fleurs-SLU, Schmidt et al. 2025 (arXiv 2501.06117), WueNLP/belebele-fleurs; Belebele, Bandarkar et al. 2024; "
    "FLEURS, Conneau et al. 2022",
    splits=("test",),
    files=("data/{language}/{split}-*.parquet", "{language}/{split}-*.parquet", "{language}/{split}/*.parquet"),
    needed=("link", "question_number", "question", "mc_answer1", "correct_answer_num", "sentence_data"),
    read=_read,
    codes=CODES,
    notes=(
        "A sentence's cluster is its passage.",
        "Questions and answers among the labels are in the first language that has the passage.",
    ),
)


load = partial(load_set, BELEBELE_FLEURS)
