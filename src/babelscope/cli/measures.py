"""The command that lists measures and kinds of comparison."""

from __future__ import annotations

from typing import Any

from babelscope.cli.console import show
from babelscope.cli.program import DATA, AsJson, command
from babelscope.text_table import Column, TextTable


@command(panel=DATA)
def measures(as_json: AsJson = False) -> None:
    """List the measures, with range, invariances and null, and the kinds of comparison and controls.

    Example: babelscope measures --json
    """
    from babelscope.gaps.kinds import GAPS, KINDS
    from babelscope.gaps.result import CONTROLS
    from babelscope.similarity import MEASURES

    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "title": measure.title or name,
            "range": list(measure.range),
            "invariant_to": sorted(measure.invariances),
            "null": list(measure.null_kinds),
            "fewest_sentences": measure.minimum_sentences,
            "same_space": measure.same_space,
            "parameters": measure.parameters,
            "convention": measure.convention_text,
            "source": measure.source,
        }
        for name, measure in MEASURES.items()
    ]
    kinds = [{"name": name, "what": what} for name, what in KINDS.items()]
    gaps = [{"name": name, "what": f"1 - the chance-corrected {kind}"} for name, kind in GAPS.items()]
    controls = [{"name": name, "what": what} for name, what in CONTROLS.items()]
    columns = (
        "name",
        Column("range", text=lambda ends: f"{ends[0]:g} to {ends[1]:g}"),
        Column("invariant_to", text=", ".join, prose=True),
        Column("null", text=" or ".join, prose=True),
        Column("fewest_sentences", "fewest n", right=True),
        Column("title", "what", prose=True),
    )
    named = {"Kinds of comparison": kinds, "Gaps, in babelscope check": gaps, "Controls": controls}
    tables = [TextTable(("name", Column("what", prose=True)), lines, title) for title, lines in named.items()]
    everything = {"measures": rows, "kinds": kinds, "gaps": gaps, "controls": controls}
    show(as_json, everything, TextTable(columns, rows, "Measures"), *(item for table in tables for item in ("", table)))
