"""The verdict: whether speech and text of a sentence are recognised as one, and for which languages less."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from babelscope.gaps.at_output import RETRIEVAL
from babelscope.gaps.diagnosis import uncompared
from babelscope.gaps.findings import FEWEST_SENTENCES
from babelscope.gaps.naming import measure_title
from babelscope.gaps.result import Result
from babelscope.report.first_screen.content import INSIDE, TILES, LanguageRow, Tile
from babelscope.report.first_screen.reading import one_reader, sentences_of, some_of
from babelscope.report.sentences import Sentence, tell


def verdict_of(result: Result, tiles: Sequence[Tile], languages: Sequence[LanguageRow]) -> list[Sentence]:
    """Return one or two sentences on what the tiles and languages come to."""
    by_id = {tile.id: tile for tile in tiles}
    own, inside = by_id.get("modality_similarity"), by_id.get(INSIDE)
    if own is not None:
        return [_meeting(result, own, inside), *_lower(result, languages)]
    across = next((by_id[kind] for kind in TILES if kind in by_id), None)
    if across is None:
        return [Sentence("Nothing was compared: a study needs speech and text, or two languages.")]
    return [_translations(result, across)]


def _meeting(result: Result, own: Tile, inside: Tile | None) -> Sentence:
    """Say whether speech and text of a sentence are recognised as one, and whether more than baselines are."""
    n = sentences_of(result)
    somewhere = inside if inside is not None and inside.above else None
    if not own.above:
        if somewhere is None:
            return Sentence(
                "No difference from chance is found: in none of {languages} {noun} do speech and text of a sentence "
                "stand out from unrelated ones (n = {n}).",
                languages=own.of, noun=own.groups, n=n,
            )  # fmt: skip
        clause, parts = _compared(somewhere)
        return Sentence(
            "Speech and text of the same sentence do not recognise one another at the model's output more often than "
            "by chance; inside the model, at {point}, they are more similar than chance in {above} of {of} {noun}"
            + clause + ".",
            point=somewhere.point, above=somewhere.above, of=somewhere.of, noun=somewhere.groups, **parts,
        )  # fmt: skip
    over = f", mean of {own.of} languages" if own.of > 1 else ""
    return _recognised("Speech and text of the same sentence", own, n, over)


def _translations(result: Result, tile: Tile) -> Sentence:
    """Say of one modality whether a sentence is recognised as its translation."""
    what = "Texts" if tile.id.endswith("text") else "Recordings"
    n = sentences_of(result)
    if not tile.above:
        return Sentence(
            "No difference from chance is found: in none of {of} {noun} of languages do {what} of a sentence stand out "
            "from unrelated ones (n = {n}).",
            what=what.lower(), of=tile.of, noun=tile.groups, n=n,
        )  # fmt: skip
    return _recognised(f"{what} of the same sentence in two languages", tile, n)


def _recognised(subject: str, tile: Tile, n: int, over: str = "") -> Sentence:
    """Say in how many languages or pairs both sides of a sentence are recognised as one, and how often."""
    clause, parts = _compared(tile)
    parts |= {"above": tile.above, "of": tile.of, "noun": tile.groups, "value": tile.value, "n": n}
    parts |= {"chance": tile.chance, "measure": tile.measure}
    where = "" if tile.above == tile.of else " in {above} of {of} {noun}"
    known = tile.chance is not None
    if tile.measure == measure_title(RETRIEVAL):
        how_often = ": each finds the other among {n} in {value} of cases" + (" (chance {chance}" + over + ")") * known
        return Sentence(subject + " meet" + where + how_often + clause + ".", **parts)
    value = " ({measure} {value} at the output" + "; chance {chance}" * known + ")"
    return Sentence(subject + " are more similar than unrelated sentences" + where + value + clause + ".", **parts)


def _compared(tile: Tile) -> tuple[str, dict[str, Any]]:
    """Return the clause that compares a tile with its strongest baseline, and its parts."""
    baseline = tile.baseline
    if baseline is None:
        return "; no baseline was computed", {}
    parts = {"baseline": baseline.name, "theirs": baseline.value}
    if baseline.exceeded:
        return ", more than the strongest baseline, {baseline} ({theirs})", parts
    if baseline.exceeded is None:
        return "; the strongest baseline, {baseline}, gives {theirs} (difference not tested)", parts
    outcome = "does better ({theirs})" if baseline.better else "gives {theirs}, no difference found"
    return "; the strongest baseline, {baseline}, " + outcome, parts


def _lower(result: Result, languages: Sequence[LanguageRow]) -> list[Sentence]:
    """Say which languages are lower than the others, or how large a deficit would have to be to be found."""
    table = result.tables.get("diagnosis")
    n = sentences_of(result)
    if len(languages) < 2:
        return []
    if n < FEWEST_SENTENCES:
        return [Sentence("{n} sentences are too few to compare languages.", n=n)]
    flagged = {flag: [row.name for row in languages if row.flag == flag] for flag in ("lower", "costly")}
    what = {
        "lower": "are less similar than in the other languages on average",
        "costly": "find each other less often than in the other languages on average",
    }
    unsure = "; whether the language or its reader causes that is not known" if one_reader(result) else ""
    sentences = [
        Sentence(
            "{names}: speech and text " + what[flag] + unsure + ".",
            names=some_of(names),
        )
        for flag, names in flagged.items()
        if names
    ]  # fmt: skip
    if sentences or table is None or table.empty or "deficit_low" not in table or uncompared(table):
        return sentences
    row = table.iloc[0]
    if not np.isfinite(float(row["detectable"])):
        return []
    return [
        Sentence(
            "No language is found to have a deficit; with {n} sentences only one of {detectable} or more (0 is "
            "chance, 1 perfect) is likely to be found.",
            n=n, detectable=tell("diagnosis", row, "detectable"),
        )
    ]  # fmt: skip
