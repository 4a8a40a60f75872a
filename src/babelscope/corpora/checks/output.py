"""A check of a corpus as a table on a terminal, and as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from babelscope.corpora.checks.result import CorpusCheck
from babelscope.corpora.problems import Problem
from babelscope.text_table import Column, TextTable

#: Of the structure of :func:`to_json`; a key may be added without a new number.
FORMAT = 1
#: Places of a problem that a terminal shows.
SHOWN = 3

_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}
_COLUMNS = {
    "language": "language",
    "texts": "texts",
    "recordings": "clips",
    "pairs": "pairs",
    "costs": "costs",
    "minutes": "min",
    "median_seconds": "med s",
    "longest_seconds": "max s",
    "readers": "readers",
    "letters_per_second": "let/s",
    "sample_rates": "Hz",
}


def to_json(check: CorpusCheck) -> dict[str, Any]:
    """Return a check as JSON values; its keys and the kinds of problems are stable."""
    return {
        "format": FORMAT,
        "corpus": check.corpus,
        "can_run": check.can_run,
        "sentences": check.sentences,
        "complete": check.complete,
        "modalities": list(check.modalities),
        "filters": [{"filter": name, "sentences": count} for name, count in check.filtered],
        "languages": [
            {str(name): None if value != value else value for name, value in row.items()}  # NaN is no JSON
            for row in check.languages.to_dict("records")
        ],
        "problems": problems_to_json(check),
        "sampled": list(check.sampled),
        "clusters": {"clusters": len(set(check.clusters.values())), "sentences": len(check.clusters)},
    }


def problems_to_json(check: CorpusCheck) -> list[dict[str, Any]]:
    """Return the problems of a check as JSON values, worst first."""
    return [asdict(problem) | {"where": list(problem.where)} for problem in check.problems]


def to_table(check: CorpusCheck) -> Group:
    """Return a check for a terminal: a row for each language, and all problems, worst first."""
    if check.languages.empty:
        return Group(_problem_grid(check), Text(summary(check), style="bold"))
    what = " and ".join({"text": "text", "speech": "recording"}[name] for name in check.modalities)
    title = f"{check.corpus}: {check.complete} of {check.sentences} sentences have {what} in every language"
    columns = [Column(name, head, _cell, right=name != "language") for name, head in _COLUMNS.items()]
    rows = [{str(name): value for name, value in row.items()} for row in check.languages.to_dict("records")]
    table = TextTable(columns, rows, title)
    lines = [Text(f"Filter {name}: {count} sentences dropped") for name, count in check.filtered if count]
    lines += [Text(f"Not everything was checked: {line}") for line in check.sampled]
    return Group(table, "", *lines, _problem_grid(check), Text(summary(check), style="bold"))


def _problem_grid(check: CorpusCheck) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for problem in check.problems:
        grid.add_row(Text(problem.severity, style=_STYLES[problem.severity]), _lines(problem))
    return grid


def _lines(problem: Problem) -> Text:
    text = Text(problem.message)
    text.append(f" [{problem.kind}]", style="dim")
    more = problem.count - SHOWN if len(problem.where) > SHOWN else 0
    for place in problem.where[:SHOWN]:
        text.append(f"\n  {place}", style="dim")
    if more > 0:
        text.append(f"\n  and {more} more", style="dim")
    if problem.remedy:
        text.append(f"\n  remedy: {problem.remedy}")
    return text


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.1f}" if value < 1000 else f"{value:.0f}"
    return str(value)


def summary(check: CorpusCheck) -> str:
    """Return in one line whether a study can run, and how many problems of each severity there are."""
    counts = {name: sum(problem.severity == name for problem in check.problems) for name in _STYLES}
    kinds = ", ".join(f"{count} {name}{'s' if count != 1 else ''}" for name, count in counts.items() if count)
    return f"{'A study can run' if check.can_run else 'A study cannot run'}: {kinds or 'no problems'}"


def in_short(check: CorpusCheck) -> list[str]:
    """Return the warnings, a line each."""
    return [problem.message for problem in check.problems if problem.severity == "warning"]


__all__ = ["FORMAT", "in_short", "problems_to_json", "summary", "to_json", "to_table"]
