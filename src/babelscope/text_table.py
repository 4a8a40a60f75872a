"""Tables of text: aligned where there is room, in a pipe one line a row.

Names and numbers are never cut or folded. Prose may be folded between its words; on a terminal that is too narrow for
its columns it comes below the row, and where names and numbers do not fit either, each row is a block of lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

#: Between two columns.
GAP = "  "
#: What stands where there is no value.
NOTHING = "-"
#: Fewest characters to a line of prose in a column.
FEWEST = 12


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    key : str
        Of its values in the records.
    title : str, optional
        The key, without underscores, if left out.
    text : callable
        Writes a value.
    right : bool
        Whether it is aligned to the right, as numbers are.
    prose : bool
        Whether a terminal may fold it between words.
    style : callable, optional
        Returns rich's style for a value.
    """

    key: str
    title: str | None = None
    text: Callable[[Any], str] = str
    right: bool = False
    prose: bool = False
    style: Callable[[Any], str] | None = None

    @property
    def head(self) -> str:
        """What stands above the column."""
        return self.key.replace("_", " ") if self.title is None else self.title


@dataclass(frozen=True)
class TextTable:
    """Rows under named columns; printed by any console of rich.

    Attributes
    ----------
    columns : sequence of Column or str
        A string is a plain column of that key.
    records : sequence of mapping
        The values of each row by key.
    title, caption : str
        Lines above and below.
    group : str
        Key of what consecutive records have in common: on a terminal a heading above them, in a pipe the first column.
    """

    columns: Sequence[Column | str]
    records: Sequence[Mapping[str, Any]]
    title: str = ""
    caption: str = ""
    group: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table's lines."""
        columns = [column if isinstance(column, Column) else Column(column) for column in self.columns]
        if not console.is_terminal:
            if self.group:
                columns = [Column(self.group), *columns]
            yield from _lines(self.title, "", None)
            yield from _aligned(columns, self.records, _natural(columns, self.records))
            yield from _lines(self.caption, "", None)
            return
        room = options.max_width
        widths = _fitting(columns, self.records, room)
        brief = _natural([column for column in columns if not column.prose], self.records)
        prose_below = sum(brief) + len(GAP) * (len(brief) - 1) <= room
        yield from _lines(self.title, "bold", room)
        for number, (heading, group) in enumerate(
            groupby(self.records, lambda record: str(record.get(self.group, "")))
        ):
            records = list(group)
            if widths is None and not prose_below:
                lines = list(_blocks(columns, records, room))
            else:
                aligned = _aligned(columns, records, widths) if widths else _prose_below(columns, records, brief, room)
                head, *lines = aligned
                yield from [head] if number == 0 else ()
            if heading:
                yield from (*([Text()] if number else []), *_lines(heading, "bold", room))
            yield from lines
        yield from _lines(self.caption, "dim", room)


def wrapped(text: str, room: int | None) -> list[str]:
    """Return a text in lines that are broken between words only; a word that is too long has a line of its own."""
    if room is None or cell_len(text) <= room:
        return [text]
    lines: list[str] = []
    for word in text.split(" "):
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _line(*parts: str | tuple[str, str]) -> Text:
    line = Text.assemble(*parts, no_wrap=True, overflow="ignore")
    line.rstrip()
    return line


def _lines(text: str, style: str, room: int | None) -> Iterator[Text]:
    """Yield a text in lines; none for an empty text."""
    for line in wrapped(text, room) if text else ():
        yield _line((line, style))


def _cell(column: Column, record: Mapping[str, Any]) -> tuple[str, str]:
    """Return a value as it is printed, and its style."""
    value = record.get(column.key)
    missing = value is None or value == "" or (isinstance(value, float) and value != value)
    text = "" if missing else " ".join(column.text(value).split())
    return (text, column.style(value) if column.style else "") if text else (NOTHING, "")


def _natural(columns: Sequence[Column], records: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return how wide the columns are unless one is folded."""
    return [
        max([cell_len(column.head), *(cell_len(_cell(column, record)[0]) for record in records)]) for column in columns
    ]


def _fitting(columns: Sequence[Column], records: Sequence[Mapping[str, Any]], room: int) -> list[int] | None:
    """Return widths at which only prose is folded, and only between words; None where there is no room for that."""
    widths = _natural(columns, records)
    prose = [place for place, column in enumerate(columns) if column.prose]
    fewest = {place: min(widths[place], max(FEWEST, _longest_word(columns[place], records))) for place in prose}
    spare = room - len(GAP) * (len(columns) - 1) - sum(fewest.get(place, width) for place, width in enumerate(widths))
    if spare < 0:
        return None
    wanted = {place: widths[place] - fewest[place] for place in prose}
    for left, place in zip(range(len(prose), 0, -1), sorted(prose, key=wanted.__getitem__), strict=True):
        more = min(wanted[place], spare // left)
        widths[place] = fewest[place] + more
        spare -= more
    return widths


def _longest_word(column: Column, records: Sequence[Mapping[str, Any]]) -> int:
    words = (word for record in records for word in _cell(column, record)[0].split())
    return max(map(cell_len, [*words, *column.head.split()]), default=0)


def _aligned(columns: Sequence[Column], records: Sequence[Mapping[str, Any]], widths: Sequence[int]) -> Iterator[Text]:
    """Yield the rows as lines of columns, prose folded to its column's width."""
    heads = [(column.head, "bold") for column in columns]
    for cells in (heads, *([_cell(column, record) for column in columns] for record in records)):
        folded = [wrapped(text, width) for (text, _), width in zip(cells, widths, strict=True)]
        for number in range(max(map(len, folded))):
            parts: list[str | tuple[str, str]] = []
            for lines, (_, style), column, width in zip(folded, cells, columns, widths, strict=True):
                text = lines[number] if number < len(lines) else ""
                pad = " " * (width - cell_len(text))
                parts += [GAP] if parts else []
                parts += [pad, (text, style)] if column.right else [(text, style), pad]
            yield _line(*parts)


def _prose_below(
    columns: Sequence[Column], records: Sequence[Mapping[str, Any]], widths: Sequence[int], room: int
) -> Iterator[Text]:
    """Yield a line of heads, and the rows as lines of names and numbers, each with its prose below it."""
    prose = [column for column in columns if column.prose]
    head, *lines = _aligned([column for column in columns if not column.prose], records, widths)
    yield head
    indent = 2 * GAP
    for line, record in zip(lines, records, strict=True):
        yield line
        texts = [(column.head, _cell(column, record)[0]) for column in prose]
        below = "; ".join(f"{title}: {text}" for title, text in texts if text != NOTHING)
        for text in wrapped(below, room - len(indent)) if below else ():
            yield _line(indent, (text, "dim"))


def _blocks(columns: Sequence[Column], records: Sequence[Mapping[str, Any]], room: int) -> Iterator[Text]:
    """Yield each row as a block: its first value, then a line for each other one, with its column's name."""
    first, *others = columns
    indent = max((cell_len(column.head) for column in others), default=0) + 2 * len(GAP)
    for record in records:
        yield _line((_cell(first, record)[0], "bold"))
        for column in others:
            text, style = _cell(column, record)
            folds = column.prose and room - indent >= FEWEST
            for number, piece in enumerate(wrapped(text, room - indent if folds else None)):
                if text != NOTHING:
                    yield _line(("" if number else f"{GAP}{column.head}").ljust(indent), (piece, style))
