"""The source document of each sentence of FLORES, from data sets that are built on FLORES.

FLORES took about three sentences from each article, and names the article by its URL. FLEURS kept the sentences only.
The URL is given by ``WueNLP/sib-fleurs`` and ``WueNLP/belebele-fleurs``, together with FLEURS's id; or by
FLORES-200 itself (``{dev,devtest}/eng_Latn.{dev,devtest}`` and ``metadata_{dev,devtest}.tsv``), by the wording of the
sentence in any language.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from babelscope.corpora.parquet import read_rows
from babelscope.errors import DataError


@dataclass
class Documents:
    """Documents by FLEURS's ids, or by wordings."""

    by_id: dict[str, str] = field(default_factory=dict)
    by_wording: dict[str, str] = field(default_factory=dict)

    def of(self, sentence: str, text: str) -> str | None:
        """Return the document of a sentence, or None if it is not known."""
        return self.by_id.get(sentence) or self.by_wording.get(_wording(text))


def read_documents(path: Path) -> Documents:
    """Read documents out of a folder.

    Raises
    ------
    DataError
        If nothing in the folder gives documents.
    """
    documents = Documents()
    for file in sorted(path.rglob("*.parquet")):
        for sentence, url in _urls_in(file):
            documents.by_id[sentence] = min(url, documents.by_id.get(sentence, url))
    for split in ("dev", "devtest"):
        metadata = path / f"metadata_{split}.tsv"
        if metadata.is_file():
            urls = [line.split("\t")[0] for line in _lines(metadata)[1:]]
            for file in sorted((path / split).glob(f"*.{split}")):
                lines = _lines(file)
                if len(lines) != len(urls):
                    raise DataError(f"{file} has {len(lines)} lines, but {metadata} lists {len(urls)}: get both again")
                documents.by_wording.update({_wording(line): url for line, url in zip(lines, urls, strict=True)})
    if not documents.by_id and not documents.by_wording:
        raise DataError(
            f"documents: {path} gives no document of any sentence: name a copy of WueNLP/sib-fleurs, of "
            "WueNLP/belebele-fleurs, or FLORES-200's folder"
        )
    return documents


def _urls_in(file: Path) -> Iterator[tuple[str, str]]:
    try:
        names = set(pq.read_schema(file).names)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file} cannot be read as Parquet ({error}): get it again") from error
    if {"fleurs_id", "URL"} <= names:
        for row in read_rows(file, (), columns=("fleurs_id", "URL")):
            yield from _pair(row)
    elif "sentence_data" in names:
        for row in read_rows(file, (), sound=False):
            for sentence in row["sentence_data"] or ():
                yield from _pair(sentence)


def _pair(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if row.get("fleurs_id") is not None and row.get("URL"):
        yield str(row["fleurs_id"]), str(row["URL"])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error})") from error


def _wording(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
