"""A leaderboard as a page that works offline, as files for other programs, and as tables for a terminal."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from babelscope.cache import write_atomically
from babelscope.gaps.at_output import RETRIEVAL
from babelscope.gaps.leaderboard import LEVEL, Leaderboard
from babelscope.gaps.naming import measure_head, measure_title
from babelscope.gaps.selecting import MEAN
from babelscope.languages import name_of
from babelscope.report.first_screen import TILES
from babelscope.report.wording import KIND_TITLES, NOTHING, listed, number, p_value
from babelscope.text_table import Column, TextTable

#: Files that :func:`write` makes, by what they hold.
PAGE, SCORES, PAIRS = "leaderboard.html", "leaderboard.parquet", "leaderboard_pairs.parquet"

#: Pairs of models that the page shows language by language; of more, it shows the means.
MOST_PAIRINGS = 500

#: What is deficit a p-value and an interval of a difference, in one line.
TESTS = (
    "Differences are paired: chance-corrected scores of two models on the same sentences. Intervals are 95 % each; p "
    "is corrected (Holm) over all pairs of models and kinds of a corpus, that of single languages over all of theirs."
)


@dataclass(frozen=True)
class Cell:
    """A number as it is written, and what to sort it by."""

    text: str
    order: float
    more: str = ""  #: its interval, where it has one

    @property
    def key(self) -> str:
        """What a script sorts by; empty where there is no number."""
        return f"{self.order:.6f}" if np.isfinite(self.order) else ""


@dataclass(frozen=True)
class Line:
    """One model: its mean, how much lower it is than the first, and its languages."""

    model: str
    folder: str
    mean: Cell
    deficit: Cell
    p: Cell
    languages: tuple[Cell, ...]


@dataclass(frozen=True)
class Pairing:
    """Two models compared by one kind and measure: on average, or in one language."""

    first: str
    second: str
    language: str
    difference: Cell
    p: Cell
    holds_for: str


@dataclass(frozen=True)
class Board:
    """The models of one corpus by one kind and measure, the best mean first.

    `said` is what the paired tests say of the first model, `languages` are codes and names, and `whole` says whether
    these are all pairings; the others are in the Parquet file.
    """

    title: str
    measure: str
    said: str
    languages: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]
    pairings: tuple[Pairing, ...]
    whole: bool = True


@dataclass(frozen=True)
class Section:
    """One corpus with its boards."""

    title: str
    fingerprint: str
    about: str
    boards: tuple[Board, ...]


def sections(leaderboard: Leaderboard) -> list[Section]:
    """Return a leaderboard in the words and order of a reader."""
    of_corpora = []
    for print_, about in leaderboard.corpora.items():
        scores = leaderboard.scores[leaderboard.scores["corpus"] == print_]
        pairs = leaderboard.pairs[leaderboard.pairs["corpus"] == print_]
        boards = [
            _board(str(kind), str(measure), rows, pairs[(pairs["kind"] == kind) & (pairs["measure"] == measure)])
            for (kind, measure), rows in scores.groupby(["kind", "measure"], sort=False)
        ]
        count = len(about["languages"])
        words = f"{about['n']} sentences in {count} language{'' if count == 1 else 's'}"
        of_corpora.append(Section(about["title"], print_, words, tuple(boards)))
    return of_corpora


def _board(kind: str, measure: str, scores: pd.DataFrame, pairs: pd.DataFrame) -> Board:
    write = _percent if measure_head(measure) == RETRIEVAL else number
    means = scores[scores["group"] == MEAN]
    models = [str(name) for name in means["model"]]
    codes = list(dict.fromkeys(scores.loc[scores["group"] != MEAN, "group"].astype(str)))
    by_place = {(str(row["model"]), str(row["group"])): row for _, row in scores.iterrows()}
    against_first = {} if not models else _against(pairs[pairs["group"] == MEAN], models[0])
    lines = []
    for row in means.to_dict("records"):
        other = against_first.get(str(row["model"]))
        lines.append(
            Line(
                model=str(row["model"]),
                folder=str(row["folder"]),
                mean=_cell(row, write),
                deficit=_difference(other) if other is not None else Cell("", float("nan")),
                p=_p(other) if other is not None else Cell("", float("nan")),
                languages=tuple(
                    _cell(by_place[str(row["model"]), code], write)
                    if (str(row["model"]), code) in by_place
                    else Cell(NOTHING, float("nan"))
                    for code in codes
                ),
            )
        )
    shown = pairs if len(pairs) <= MOST_PAIRINGS else pairs[pairs["group"] == MEAN]
    pairings = tuple(
        Pairing(
            str(row["first"]),
            str(row["second"]),
            "mean" if row["group"] == MEAN else name_of(str(row["group"])),
            _difference(row),
            _p(row),
            str(row["holds_for"]),
        )
        for row in shown.to_dict("records")
    )
    return Board(
        title=TILES.get(kind, KIND_TITLES.get(kind, kind)),
        measure=measure_title(measure),
        said=_said(models, against_first, lines),
        languages=tuple((code, name_of(code)) for code in codes),
        lines=tuple(lines),
        pairings=pairings,
        whole=len(shown) == len(pairs),
    )


def _against(pairs: pd.DataFrame, first: str) -> dict[str, dict[str, Any]]:
    """Return how much higher the first model is than each other, whichever stands first in the table."""
    against: dict[str, dict[str, Any]] = {}
    for _, one in pairs.iterrows():
        row = {str(key): value for key, value in one.items()}
        if row["first"] == first:
            against[str(row["second"])] = row
        elif row["second"] == first:
            turned = {"difference": -row["difference"], "low": -row["high"], "high": -row["low"]}
            against[str(row["first"])] = row | turned
    return against


def _said(models: list[str], against: dict[str, dict[str, Any]], lines: list[Line]) -> str:
    """Say which models the first is found to be higher than, and of which no difference is found."""
    if len(models) < 2:
        return "One model: nothing to compare it with."
    tested = {label: row for label, row in against.items() if np.isfinite(row["p_adjusted"])}
    higher = [label for label, row in tested.items() if row["p_adjusted"] < LEVEL and row["difference"] > 0]
    alike = [label for label in tested if label not in higher]
    same = [label for label, row in against.items() if label not in tested and row["difference"] == 0]
    rest = [label for label in models[1:] if label not in tested and label not in same]
    said = f"The highest mean is that of {models[0]} ({lines[0].mean.text})"
    said += f", higher than {listed(higher)} (p < .05, paired and corrected)." if higher else "."
    if alike:
        said += f" No difference to {listed(alike)} is found."
    if same:
        said += f" {listed(same)} {'has' if len(same) == 1 else 'have'} the same scores."
    if rest:
        said += f" Not tested against {listed(rest)}."
    return said


def _percent(value: object) -> str:
    text = number(100 * round(value, 2), 0) if isinstance(value, (int, float)) and np.isfinite(value) else NOTHING
    return text if text == NOTHING else f"{text} %"


def _cell(row: Any, write: Any) -> Cell:
    known = np.isfinite(float(row["low"])) and np.isfinite(float(row["high"]))
    low, high = (write(float(row[name])) for name in ("low", "high"))
    more = f"{low.removesuffix(' %')} to {high}" if known else ""
    return Cell(write(float(row["value"])), float(row["chance_corrected"]), more)


def _difference(row: Any) -> Cell:
    known = np.isfinite(float(row["low"]))
    untested = "the same scores" if row["difference"] == 0 else "not tested"
    more = f"{number(float(row['low']))} to {number(float(row['high']))}" if known else untested
    return Cell(number(float(row["difference"])), float(row["difference"]), more)


def _p(row: Any) -> Cell:
    return Cell(p_value(float(row["p_adjusted"])), float(row["p_adjusted"]))


def write(leaderboard: Leaderboard, folder: Path | str) -> Path:
    """Write the page and the two Parquet files into a folder, and return the page's path."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / SCORES, partial(leaderboard.scores.to_parquet, index=False))
    write_atomically(folder / PAIRS, partial(leaderboard.pairs.to_parquet, index=False))
    page = render(leaderboard)
    return write_atomically(folder / PAGE, lambda path: path.write_text(page, encoding="utf-8", newline="\n"))


def render(leaderboard: Leaderboard) -> str:
    """Return the page: it holds all that it shows and loads nothing; its script only sorts."""
    template = resources.files("babelscope.report") / "template"
    script = (template / "leaderboard.js").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("babelscope.report", "template"), autoescape=True, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("leaderboard.html.j2").render(
        sections=sections(leaderboard),
        notes=leaderboard.notes,
        tests=TESTS,
        style=Markup((template / "leaderboard.css").read_text(encoding="utf-8")),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - a file of this package
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


#: Columns of a board on a terminal.
COLUMNS = (
    Column("model"),
    *(Column(name, right=True) for name in ("mean", "95 %", "lower by")),
    Column("95 % of that", right=True),
    Column("p", right=True),
)


def terminal(leaderboard: Leaderboard) -> list[str | TextTable]:
    """Return the leaderboard for a terminal: a line on each corpus, then for each kind what was found and a table."""
    shown: list[str | TextTable] = []
    for section in sections(leaderboard):
        shown.append(f"{section.title}: {section.about}")
        for board in section.boards:
            rows = [
                (line.model, line.mean.text, line.mean.more, line.deficit.text, line.deficit.more, line.p.text)
                for line in board.lines
            ]
            records = [dict(zip((column.key for column in COLUMNS), row, strict=True)) for row in rows]
            shown += ["", board.said, TextTable(COLUMNS, records, title=f"{board.title}, {board.measure}")]
        shown.append("")
    return shown
