"""A verification for people, on a terminal or in a file: a row for each check of each side, then what fails."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from babelscope.text_table import Column, TextTable
from babelscope.verification.result import CHECKS, SHOWN, Row, Verification

_STYLES = {"fails": "bold red", "untested": "yellow", "note": "cyan", "holds": "green"}


def to_table(verification: Verification) -> Group:
    """Return a verification as what a terminal shows; its last line says whether everything holds."""
    about = verification.about
    title = f"{verification.model}" + (f" on {about['device']} in {about['dtype']}" if about else "")
    columns = (
        "check",
        "side",
        Column("outcome", "result", style=_STYLES.__getitem__),
        Column("text", "measured", prose=True),
    )
    rows = [
        {"check": row.check, "side": row.side, "outcome": row.outcome, "text": row.text}
        for row in verification.summary_rows()
    ]
    table = TextTable(columns, rows, title)
    blocks: list[RenderableType] = [table]
    if verification.failures:
        blocks += ["", *_failures(verification)]
    return Group(*blocks, "", Text(verification.summary(), style="bold"))


def _failures(verification: Verification) -> list[RenderableType]:
    """Return every check that fails: what it asks, where it fails first, and what to do."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in verification.failures:
        groups.setdefault((row.check, row.side), []).append(row)
    lines: list[RenderableType] = []
    for (check, side), rows in groups.items():
        lines.append(Text(f"{check} ({side}) fails: {CHECKS[check]}", style="bold red"))
        lines += [Text(f"  {row.text}") for row in rows[:SHOWN]]
        if len(rows) > SHOWN:
            lines.append(Text(f"  and at {len(rows) - SHOWN} more points", style="dim"))
        lines += [Text(f"  remedy: {remedy}") for remedy in dict.fromkeys(row.remedy for row in rows if row.remedy)]
    return lines
