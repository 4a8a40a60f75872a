"""The tiles: one number a kind of comparison, with its interval, chance, ceiling and strongest baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from babelscope.gaps.above_chance import above_chance
from babelscope.gaps.at_output import above_chance_at_output, at_output, measure_at_output
from babelscope.gaps.baselines.sentences import rival_of, title_of
from babelscope.gaps.findings import HOLDS
from babelscope.gaps.naming import measure_title
from babelscope.gaps.result import Result
from babelscope.gaps.selecting import MEAN
from babelscope.gaps.traced import Number
from babelscope.report import queries
from babelscope.report.first_screen.content import INSIDE, INSIDE_TITLE, TILES, Baseline, Tile
from babelscope.report.first_screen.reading import finding, writer
from babelscope.report.sentences import Sentence, interval, known, tell


def tiles_of(result: Result) -> list[Tile]:
    """Return a tile for each kind that was measured at the output, and one for inside the model."""
    curves = result.curves
    measures = {kind: measure for kind in TILES if (measure := measure_at_output(curves, kind)) is not None}
    tested = above_chance_at_output(curves, measures)
    correction = f"corrected over all {'kinds, ' * (len(measures) > 1)}languages and pairs at the output (Holm)"
    tiles = []
    for kind, measure in measures.items():
        rows = at_output(curves, kind, measure)
        means = rows[rows["group"] == MEAN]
        if len(means):
            of_kind = tested[tested["kind"] == kind]
            note = _direction(result) if kind == "language_similarity_text" else None
            tiles.append(_tile(result, kind, TILES[kind], means.iloc[0], of_kind, correction, note=note))
    inside = _inside(result)
    return [*tiles, inside] if inside is not None else tiles


def _tile(
    result: Result,
    id: str,
    title: str,
    row: pd.Series[Any],
    tested: pd.DataFrame,
    correction: str,
    *,
    ends: Mapping[str, Number] | None = None,
    note: Sentence | None = None,
) -> Tile:
    """Return the tile of a mean, a row of the curves."""
    write = writer(str(row["measure"]))
    ends = interval("curves", row, write) if ends is None else ends
    above = tested[tested["above"].astype(bool)]
    baseline = _baseline(result, row)
    value = write("curves", row, "value")
    chance, ceiling = known("curves", row, "null_mean", write), known("curves", row, "ceiling", write)
    parts: dict[str, Any] = {"value": value, "measure": measure_title(str(row["measure"])), "point": str(row["point"])}
    parts |= ends
    said = "{measure} {value}" + (" ({low} to {high})" if ends else "") + " at {point}"
    if row["against"] != row["point"]:
        said += " (text: {against})"
        parts["against"] = str(row["against"])
    if chance is not None:
        said += "; chance {chance}"
        parts["chance"] = chance
    if baseline is not None:
        said += "; the strongest baseline, {baseline}, gives {theirs} ({exceeded})"
        parts |= {"baseline": baseline.name, "theirs": baseline.value, "exceeded": baseline.verdict}
    return Tile(
        id=id,
        title=title,
        measure=measure_title(str(row["measure"])),
        point=str(row["point"]),
        against=str(row["against"]),
        value=value,
        low=ends.get("low"),
        high=ends.get("high"),
        chance=chance,
        ceiling=ceiling,
        baseline=baseline,
        above=len(above),
        of=len(tested),
        p=float(above["p_adjusted"].max()) if len(above) else float("nan"),
        correction=correction,
        said=Sentence(said + ".", **parts),
        note=note,
    )


def _baseline(result: Result, row: pd.Series[Any]) -> Baseline | None:
    rival = rival_of(result.tables.get("against_baselines"), row)
    if rival is None:
        return None
    table = "against_baselines"
    low = known(table, rival, "low")
    return Baseline(
        name=title_of(str(rival["baseline"])),
        value=writer(str(row["measure"]))(table, rival, "baseline_value"),
        exceeded=low.value > 0 if low else None,
        difference=known(table, rival, "difference"),
        low=low,
        high=known(table, rival, "high"),
    )


def _inside(result: Result) -> Tile | None:
    """Return the tile of the point at which speech and text are most similar, which knows that it was chosen."""
    if (table := queries.table(result, "most_similar")) is None:
        return None
    best = table[table["best"].astype(bool)].iloc[0]
    curves = result.curves
    rows = curves[(curves["kind"] == "modality_similarity") & (curves["control"] == "none")]
    rows = rows[(rows["group"] == MEAN) & (rows["measure"] == best["measure"])]
    rows = rows[(rows["point"] == best["point"]) & (rows["against"] == best["against"])]
    if rows.empty:
        return None
    tested = above_chance(result.scores, str(best["measure"]))
    tested = tested[tested["point_a"] == best["point"]]
    ends = interval("most_similar", best) if len(table) > 1 else {}
    return _tile(
        result, INSIDE, INSIDE_TITLE, rows.iloc[0], tested, "corrected over all languages and points (Holm)",
        ends=ends or None, note=_where(table),
    )  # fmt: skip


def _where(table: pd.DataFrame) -> Sentence | None:
    """Say between which points speech and text are most similar, as far as the points can be distinguished."""
    if len(table) < 2:
        return None
    if table["candidate"].isna().any():
        return Sentence("The highest of {points} points; it was not tested against the others.", points=len(table))
    candidates = table[table["candidate"].astype(bool)]
    if len(candidates) == len(table):
        return Sentence("No point is found to be lower than another ({points} points).", points=len(table))
    if len(candidates) == 1:
        return Sentence("More similar here than at any other of {points} points.", points=len(table))
    return Sentence(
        "{candidates} of {points} points cannot be distinguished, from {first} to {last}.",
        candidates=len(candidates), points=len(table),
        first=str(candidates["point"].iloc[0]), last=str(candidates["point"].iloc[-1]),
    )  # fmt: skip


def _direction(result: Result) -> Sentence | None:
    """Say that languages are more similar in text than in speech, if that finding holds."""
    rows = finding(result, "speech_spread")
    if rows is None or rows["verdict"] != HOLDS:
        return None
    return Sentence(
        "Languages are more similar in text than in speech (chance-corrected {measure}, difference {effect}, {low} to "
        "{high}).",
        measure=measure_title(str(rows["measure"])),
        **{name: tell("findings", rows, name) for name in ("effect", "low", "high")},
    )
