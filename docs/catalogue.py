"""Writes the tables of the catalogue into models.md: python docs/catalogue.py. A test compares the page with them."""

from __future__ import annotations

from pathlib import Path

from babelscope.cli.model_list import Row, listed

PAGE = Path(__file__).parent / "models.md"
BEGIN, END = "<!-- catalogue: written by docs/catalogue.py -->", "<!-- end of the catalogue -->"


def tables() -> str:
    """Return the catalogue as Markdown: a table for each kind of model."""
    parts = []
    for title, rows in listed().items():
        known = [row for row in rows if row.source]
        if known:
            lines = [f"### {title}", ""]
            lines += ["| name | model of the hub | size | languages | licence | tested as | seen |"]
            lines += ["|---|---|---|---|---|---|---|"]
            lines += [_line(row) for row in known]
            parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _line(row: Row) -> str:
    revision = row.revision[:12] if row.pinned else row.revision
    source = f"`{row.source}`" + (f" at `{revision}`" if revision else " (not pinned)") + " (gated)" * row.gated
    tested = f"`{row.tested_as}`" if row.tested_as else ""
    cells = (f"`{row.name}`", source, row.size, row.languages, row.licence, tested, row.seen)
    return f"| {' | '.join(cells)} |"


def with_tables(page: str) -> str:
    """Return the text of models.md with today's tables."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
