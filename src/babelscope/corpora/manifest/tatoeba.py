"""Sentences of Tatoeba: a table without a header (id, language, text), and a file of links between translations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from babelscope.corpora.manifest.errors import BrokenRowError
from babelscope.corpora.manifest.tables import Row, Table
from babelscope.corpora.manifest.text import encoding_of, lines_of
from babelscope.corpora.problems import ProblemLog

#: Of the file of sentences; the detailed one has further columns.
COLUMNS = ("id", "lang", "text", "username", "added", "modified")

_ID = re.compile("[0-9]{1,18}")
_LINE = re.compile(r"[0-9]{1,18}\t(?:[a-z]{2,4}(?:_[a-z]+)?|\\N)\t.*\S")


def is_tatoeba(first: str) -> bool:
    """Return whether a file whose first line is this holds sentences of Tatoeba."""
    return _LINE.match(first) is not None


def arrange_tatoeba(table: Table, log: ProblemLog) -> Table:
    """Return the sentences as rows of a corpus; ``links.csv`` next to them says which are translations.

    Linked sentences get one id, as long as each language is among them once: over many links the meaning drifts.
    """
    links = next((path for name in ("links.csv", "links.tsv") if (path := table.path.with_name(name)).is_file()), None)
    families = {} if links is None else _families(table.path, links)
    how = (
        "each has an id of its own: there is no links.csv next to it"
        if links is None
        else f"translations as in {links}"
    )
    log.add("layout", "note", f"manifest {table.path} is read as sentences of Tatoeba: {how}")

    def rows() -> Iterator[Row]:
        for number, row in table.rows:
            if isinstance(row, (Path, BrokenRowError)):
                yield number, row
            elif row["lang"] == "\\N":
                log.add(
                    "language-unknown",
                    "note",
                    f"manifest {table.path}: sentences without a language are excluded",
                    where=f"line {number}",
                )
            else:
                own = row["id"]
                sentence = families.get(int(own), own) if _ID.fullmatch(own) else own
                yield number, {"sentence": sentence, "language": row["lang"], "text": row["text"]}

    return Table(table.path, table.unit, ("sentence", "language", "text"), rows())


def _families(path: Path, links: Path) -> dict[int, int]:
    """Return, of every linked sentence, the first id of those that share an id with it."""
    languages: dict[int, str] = {}
    for line in lines_of(path, encoding_of(path)):
        fields = line.split("\t", 2)
        if len(fields) == 3 and _ID.fullmatch(fields[0]):
            languages[int(fields[0])] = fields[1]
    family: dict[int, int] = {}
    members: dict[int, dict[str, int]] = {}
    for line in lines_of(links, encoding_of(links)):
        pair = line.split()
        if len(pair) != 2 or not all(map(_ID.fullmatch, pair)):
            continue
        first, second = sorted(map(int, pair))
        if first not in languages or second not in languages:
            continue
        left, right = family.get(first, first), family.get(second, second)
        near = members.setdefault(left, {languages[left]: left})
        far = members.setdefault(right, {languages[right]: right})
        if left != right and not near.keys() & far.keys():
            into, gone = min(left, right), max(left, right)
            members[into] = near | far
            del members[gone]
            for member in members[into].values():
                family[member] = into
    return family
