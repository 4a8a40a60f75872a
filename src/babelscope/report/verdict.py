"""The first screen of a report: a verdict, tiles, a row a language, what to do next and what to trust; no layout.

The page, the Markdown report, the notebook and the terminal show the same content. Nothing is computed here: numbers
are read from the result's tables, each with its place, and a sentence states only what a test of
:mod:`babelscope.gaps` found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from babelscope.gaps.above_chance import above_chance
from babelscope.gaps.at_output import (
    RETRIEVAL,
    above_chance_at_output,
    at_output,
    costly,
    measure_at_output,
    sentences_needed,
)
from babelscope.gaps.baselines.sentences import rival_of, title_of
from babelscope.gaps.caveats import FEW_SENTENCES
from babelscope.gaps.contrasts import FEWEST_LANGUAGES
from babelscope.gaps.diagnosis import place_of, uncompared
from babelscope.gaps.findings import CORRECTED, FEWEST_SENTENCES, HOLDS
from babelscope.gaps.naming import measure_head, measure_title
from babelscope.gaps.resample_table import MEAN
from babelscope.gaps.result import Result
from babelscope.languages import name_of
from babelscope.report.told import Sentence, Told, percent, tell
from babelscope.report.words import listed, p_value

#: Kinds of comparison that have a tile, in order, and their titles.
TILES: dict[str, str] = {
    "modality_similarity": "Speech to its own text",
    "language_similarity_speech": "Across languages, in speech",
    "language_similarity_text": "Across languages, in text",
}

#: The tile of where inside the model speech and text are most similar.
INSIDE, INSIDE_TITLE = "inside", "Speech and text inside the model"

#: A deficit that a study shall be able to find: the sentences that it takes are among the next steps.
WANTED = 0.10

#: Languages that a sentence names before it counts the rest.
MOST_NAMED = 5


@dataclass(frozen=True)
class Baseline:
    """What a tile's value has to exceed: the strongest baseline that it is not known to exceed, else the strongest.

    Attributes
    ----------
    name : str
    value : Told
    exceeded : bool or None
        Whether the value is known to be higher: the interval of the chance-corrected difference lies above 0. None
        where that was not tested.
    difference, low, high : Told or None
        The chance-corrected difference, and its interval.
    """

    name: str
    value: Told
    exceeded: bool | None
    difference: Told | None = None
    low: Told | None = None
    high: Told | None = None

    @property
    def better(self) -> bool:
        """Whether the baseline is known to be higher."""
        return self.high is not None and self.high.value < 0

    @property
    def verdict(self) -> str:
        """The comparison in two words."""
        if self.better:
            return "does better"
        return {True: "exceeded", False: "not exceeded", None: "not tested"}[self.exceeded]


@dataclass(frozen=True)
class Tile:
    """One number of the first screen, with what it has to be compared with.

    Attributes
    ----------
    id : str
        A kind of comparison, or :data:`INSIDE`.
    title : str
    measure, point, against : str
        What was measured and where; `against` is the text point.
    value : Told
        The mean over languages or pairs.
    low, high, chance, ceiling : Told or None
        Its 95 % interval, what unrelated sentences give, and what two readers of a sentence give.
    baseline : Baseline or None
    above, of : int
        Languages or pairs that are above chance, and how many there are.
    p : float
        The largest adjusted p-value of those above chance; NaN where there is none.
    correction : str
        What p is corrected for.
    said : Sentence
        The tile as a sentence.
    note : Sentence or None
        A finding that belongs to it.
    """

    id: str
    title: str
    measure: str
    point: str
    against: str
    value: Told
    low: Told | None
    high: Told | None
    chance: Told | None
    ceiling: Told | None
    baseline: Baseline | None
    above: int
    of: int
    p: float
    correction: str
    said: Sentence
    note: Sentence | None = None

    @property
    def place(self) -> str:
        """The point, and the text point that it is compared with where that is another."""
        return self.point if self.against == self.point else f"{self.point} (text: {self.against})"

    @property
    def groups(self) -> str:
        """What is counted: languages or pairs of languages."""
        one = self.id in ("modality_similarity", INSIDE)
        return _plural("language" if one else "pair", self.of)

    @property
    def interval(self) -> str:
        """The interval as it is written, without a unit that the value has; empty without one."""
        if self.low is None or self.high is None:
            return ""
        return f"{self.low.text.removesuffix(' %')} to {self.high.text}"

    @property
    def tested(self) -> str:
        """The test against chance in words."""
        if not self.above:
            return f"above chance in 0 of {self.of} {self.groups}"
        p = p_value(self.p)
        return f"above chance in {self.above} of {self.of} {self.groups} (p {p if p[0] == '<' else f'≤ {p}'})"


@dataclass(frozen=True)
class LanguageRow:
    """One language on the first screen.

    Attributes
    ----------
    code, name, resource : str
    value, low, high : Told or None
        How often its speech and text recognise one another (or, without retrieval, how similar they are), and the 95 %
        interval.
    cost, cost_low, cost_high : Told or None
        How much lower that is than the mean of the other languages, with an interval that holds for all languages
        together with 98 % probability.
    flag : str
        ``lower`` (less similar than the other languages), ``costly`` (less often recognised), ``chance`` or empty.
    said : Sentence
        The flag in words; empty without one.
    """

    code: str
    name: str
    resource: str
    value: Told | None
    low: Told | None
    high: Told | None
    cost: Told | None
    cost_low: Told | None
    cost_high: Told | None
    flag: str
    said: Sentence


@dataclass(frozen=True)
class Fact:
    """Something that trust depends on; ``limits`` says whether it limits what can be said."""

    label: str
    text: str
    limits: bool = False


@dataclass(frozen=True)
class FirstScreen:
    """The content of a report's first screen.

    Attributes
    ----------
    verdict : tuple of Sentence
        One or two.
    tiles : tuple of Tile
    languages : tuple of LanguageRow
        The costliest first; without a known cost in the order of the study.
    next_steps : tuple of Sentence
    trust : tuple of Fact
    """

    verdict: tuple[Sentence, ...]
    tiles: tuple[Tile, ...]
    languages: tuple[LanguageRow, ...]
    next_steps: tuple[Sentence, ...]
    trust: tuple[Fact, ...]


def first_screen(result: Result) -> FirstScreen:
    """Return what a report says first.

    Parameters
    ----------
    result : Result
        Whose tables have row numbers as index, as they are loaded. What it lacks (a result without baselines, findings
        or intervals) is not said.
    """
    tiles = _tiles(result)
    languages = _languages(result, tiles)
    return FirstScreen(
        verdict=tuple(_verdict(result, tiles, languages)),
        tiles=tuple(tiles),
        languages=tuple(languages),
        next_steps=tuple(_next_steps(result, tiles, languages)),
        trust=tuple(_trust(result)),
    )


# -- tiles


def _tiles(result: Result) -> list[Tile]:
    curves = result.curves
    measures = {kind: found for kind in TILES if (found := measure_at_output(curves, kind)) is not None}
    tested = above_chance_at_output(curves, measures)
    several = len(measures) > 1
    correction = "corrected over all kinds, languages and pairs at the output (Holm)" if several else (
        "corrected over all languages and pairs at the output (Holm)"
    )  # fmt: skip
    tiles = []
    for kind, measure in measures.items():
        rows = at_output(curves, kind, measure)
        means = rows[rows["group"] == MEAN]
        if len(means):
            here = tested[tested["kind"] == kind]
            note = _direction(result) if kind == "language_similarity_text" else None
            tiles.append(_tile(result, kind, TILES[kind], means.iloc[0], here, correction, note=note))
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
    ends: tuple[Told, Told] | None = None,
    note: Sentence | None = None,
) -> Tile:
    """Return the tile of a mean, a row of the curves."""
    write = percent if measure_head(str(row["measure"])) == RETRIEVAL else tell
    if ends is None and np.isfinite(float(row["low"])) and np.isfinite(float(row["high"])):
        ends = write("curves", row, "low"), write("curves", row, "high")
    above = tested[tested["above"].astype(bool)]
    baseline = _baseline(result, row)
    value = write("curves", row, "value")
    chance = write("curves", row, "null_mean") if np.isfinite(float(row["null_mean"])) else None
    parts: dict[str, Any] = {"value": value, "measure": measure_title(str(row["measure"])), "point": str(row["point"])}
    said = "{measure} {value}"
    if ends is not None:
        said += " ({low} to {high})"
        parts |= {"low": ends[0], "high": ends[1]}
    said += " at {point}"
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
        low=ends[0] if ends else None,
        high=ends[1] if ends else None,
        chance=chance,
        ceiling=write("curves", row, "ceiling") if np.isfinite(float(row["ceiling"])) else None,
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
    write = percent if measure_head(str(row["measure"])) == RETRIEVAL else tell
    tested = np.isfinite(float(rival["low"]))
    known = np.isfinite(float(rival["difference"]))
    return Baseline(
        name=title_of(str(rival["baseline"])),
        value=write(table, rival, "baseline_value"),
        exceeded=bool(float(rival["low"]) > 0) if tested else None,
        difference=tell(table, rival, "difference") if known else None,
        low=tell(table, rival, "low") if tested else None,
        high=tell(table, rival, "high") if tested else None,
    )


def _inside(result: Result) -> Tile | None:
    """Return the tile of the point at which speech and text are most similar, which knows that it was chosen."""
    table = result.tables.get("most_similar")
    if table is None or table.empty:
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
    known = np.isfinite(float(best["low"])) and len(table) > 1
    ends = (tell("most_similar", best, "low"), tell("most_similar", best, "high")) if known else None
    note = _where(table)
    return _tile(
        result, INSIDE, INSIDE_TITLE, rows.iloc[0], tested, "corrected over all languages and points (Holm)",
        ends=ends, note=note,
    )  # fmt: skip


def _where(table: pd.DataFrame) -> Sentence | None:
    """Say between which points speech and text are most similar, as far as the points can be told apart."""
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
        "{candidates} of {points} points cannot be told apart, from {first} to {last}.",
        candidates=len(candidates), points=len(table),
        first=str(candidates["point"].iloc[0]), last=str(candidates["point"].iloc[-1]),
    )  # fmt: skip


def _direction(result: Result) -> Sentence | None:
    """Say that languages are more similar in text than in speech, if that finding holds."""
    rows = _finding(result, "speech_spread")
    if rows is None or rows["verdict"] != HOLDS:
        return None
    return Sentence(
        "Languages are more similar in text than in speech (chance-corrected {measure}, difference {effect}, {low} to "
        "{high}).",
        measure=measure_title(str(rows["measure"])),
        **{name: tell("findings", rows, name) for name in ("effect", "low", "high")},
    )


def _finding(result: Result, id: str) -> pd.Series[Any] | None:
    table = result.tables.get("findings")
    if table is None:
        return None
    rows = table[(table["id"] == id) & (table["group"] == "all") & (table["basis"] == CORRECTED)]
    return rows.iloc[0] if len(rows) else None


# -- languages


def _languages(result: Result, tiles: Sequence[Tile]) -> list[LanguageRow]:
    own = next((tile for tile in tiles if tile.id == "modality_similarity"), None)
    if own is None:
        return []
    measure = measure_at_output(result.curves, "modality_similarity")
    assert measure is not None
    rows = at_output(result.curves, "modality_similarity", measure)
    rows = rows[rows["group"] != MEAN]
    write = percent if measure_head(measure) == RETRIEVAL else tell
    costs, known = result.tables.get("costs"), result.tables.get("languages")
    deficits = _lower(result)
    above = _above_somewhere(result)
    dear = set() if costs is None else set(costly(costs)["language"].astype(str))
    found = []
    for _, row in rows.iterrows():
        code = str(row["group"])
        priced = None if costs is None else costs[costs["language"] == code]
        cost = None if priced is None or priced.empty else priced.iloc[0]
        about = None if known is None else known[known["language"] == code]
        resource = "" if about is None or about.empty else str(about["resource_class"].iloc[0] or "")
        flag, said = "", Sentence("")
        if code in deficits:
            flag, said = "lower", _said_lower(deficits[code])
        elif cost is not None and code in dear:
            flag, said = "costly", _said_costly(cost)
        elif above is not None and code not in above:
            flag, said = "chance", Sentence("Not found to be above chance, at the output or inside the model.")
        tested = np.isfinite(float(row["low"]))
        sure = cost is not None and np.isfinite(float(cost["low"]))
        found.append(
            LanguageRow(
                code=code,
                name=name_of(code),
                resource=resource,
                value=write("curves", row, "value"),
                low=write("curves", row, "low") if tested else None,
                high=write("curves", row, "high") if tested else None,
                cost=percent("costs", cost, "cost") if cost is not None else None,
                cost_low=percent("costs", cost, "low") if cost is not None and sure else None,
                cost_high=percent("costs", cost, "high") if cost is not None and sure else None,
                flag=flag,
                said=said,
            )
        )
    return sorted(found, key=lambda one: -one.cost.value if one.cost is not None else 0.0)


def _lower(result: Result) -> dict[str, pd.DataFrame]:
    """Return the rows of the diagnosis by language, of those whose similarity was found to be lower than the others'.

    Where languages were not compared (too few sentences, nothing above chance) there are none.
    """
    table = result.tables.get("diagnosis")
    if table is None or "deficit_low" not in table or uncompared(table):
        return {}
    by_language = {str(code): rows for code, rows in table.groupby("language", sort=False)}
    return {code: rows for code, rows in by_language.items() if (rows["deficit_low"] > 0).any()}


def _said_lower(rows: pd.DataFrame) -> Sentence:
    """Say from which stage on a language is lower, and by how much after shrinking."""
    reach = (rows["deficit_low"] / (rows["deficit_high"] - rows["deficit_low"])).to_numpy()
    row = rows.iloc[int(np.nanargmax(reach))]
    return Sentence(
        "Less similar to its text than the other languages on average, by {deficit} ({low} to {high}) from the {stage} "
        "stage on.",
        deficit=tell("diagnosis", row, "deficit"), low=tell("diagnosis", row, "deficit_low"),
        high=tell("diagnosis", row, "deficit_high"), stage=str(row["stage"]),
    )  # fmt: skip


def _said_costly(row: pd.Series[Any]) -> Sentence:
    """Say how many sentences fewer a language recognises."""
    return Sentence(
        "Of 100 sentences {cost} fewer ({low} to {high}) are recognised than in the other languages on average.",
        **{name: _of_100("costs", row, name) for name in ("cost", "low", "high")},
    )


def _of_100(table: str, row: pd.Series[Any], column: str) -> Told:
    one = percent(table, row, column)
    return replace(one, text=one.text.removesuffix(" %"))


def _above_somewhere(result: Result) -> set[str] | None:
    """Return the languages whose speech and text are above chance, at the output or inside; None without tests."""
    found: set[str] = set()
    any_test = False
    measure = measure_at_output(result.curves, "modality_similarity")
    if measure is not None:
        here = above_chance_at_output(result.curves, {"modality_similarity": measure})
        any_test = any_test or bool(here["p_adjusted"].notna().any())
        found |= set(here.loc[here["above"], "group"].astype(str))
    inside = result.tables.get("most_similar")
    if inside is not None and len(inside):
        tested = above_chance(result.scores, str(inside["measure"].iloc[0]))
        any_test = True
        found |= set(tested.loc[tested["above"], "language_a"].astype(str))
    return found if any_test else None


# -- the verdict


def _verdict(result: Result, tiles: Sequence[Tile], languages: Sequence[LanguageRow]) -> list[Sentence]:
    by_id = {tile.id: tile for tile in tiles}
    own, inside = by_id.get("modality_similarity"), by_id.get(INSIDE)
    if own is not None:
        return [_meeting(result, own, inside), *_trailing(result, languages)]
    across = next((by_id[kind] for kind in TILES if kind in by_id), None)
    if across is None:
        return [Sentence("Nothing was compared: a study needs speech and text, or two languages.")]
    return [_translations(result, across)]


def _meeting(result: Result, own: Tile, inside: Tile | None) -> Sentence:
    """Say whether speech and text of a sentence are recognised as one, and whether more than baselines are."""
    n = _sentences(result)
    retrieval = own.measure == measure_title(RETRIEVAL)
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
    clause, parts = _compared(own)
    parts |= {"value": own.value, "above": own.above, "of": own.of, "noun": own.groups, "n": n}
    parts["chance"] = own.chance if own.chance is not None else ""
    where = "" if own.above == own.of and own.of > 1 else " in {above} of {of} {noun}"
    if own.of == 1:
        where = ""
    over = f", mean of {own.of} languages" if own.of > 1 else ""
    chance = " (chance {chance}" + over + ")" if own.chance is not None else ""
    if retrieval:
        return Sentence(
            "Speech and text of the same sentence meet" + where + ": each finds the other among {n} in {value} of "
            "cases" + chance + clause + ".",
            **parts,
        )  # fmt: skip
    return Sentence(
        "Speech and text of the same sentence are more similar than unrelated sentences" + where + " ({measure} "
        "{value} at the output" + ("; chance {chance}" if own.chance is not None else "") + ")" + clause + ".",
        measure=own.measure, **parts,
    )  # fmt: skip


def _translations(result: Result, tile: Tile) -> Sentence:
    """Say of one modality whether a sentence is recognised as its translation."""
    what = "Texts" if tile.id.endswith("text") else "Recordings"
    n = _sentences(result)
    if not tile.above:
        return Sentence(
            "No difference from chance is found: in none of {of} {noun} of languages do {what} of a sentence stand out "
            "from unrelated ones (n = {n}).",
            what=what.lower(), of=tile.of, noun=tile.groups, n=n,
        )  # fmt: skip
    clause, parts = _compared(tile)
    parts |= {"what": what, "above": tile.above, "of": tile.of, "noun": tile.groups, "value": tile.value, "n": n}
    parts["chance"] = tile.chance if tile.chance is not None else ""
    where = "" if tile.above == tile.of else " in {above} of {of} {noun}"
    chance = " (chance {chance})" if tile.chance is not None else ""
    if tile.measure == measure_title(RETRIEVAL):
        return Sentence(
            "{what} of the same sentence in two languages meet" + where + ": each finds the other among {n} in {value} "
            "of cases" + chance + clause + ".",
            **parts,
        )  # fmt: skip
    return Sentence(
        "{what} of the same sentence in two languages are more similar than unrelated sentences" + where
        + " ({measure} {value} at the output" + ("; chance {chance}" if tile.chance is not None else "") + ")" + clause
        + ".",
        measure=tile.measure, **parts,
    )  # fmt: skip


def _compared(tile: Tile) -> tuple[str, dict[str, Any]]:
    """Return the clause that compares a tile with its strongest baseline, and its parts."""
    one = tile.baseline
    if one is None:
        return "; no baseline was computed", {}
    parts = {"baseline": one.name, "theirs": one.value}
    if one.exceeded:
        return ", more than the strongest baseline, {baseline} ({theirs})", parts
    if one.exceeded is None:
        return "; the strongest baseline, {baseline}, gives {theirs} (difference not tested)", parts
    outcome = "does better ({theirs})" if one.better else "gives {theirs}, no difference found"
    return "; the strongest baseline, {baseline}, " + outcome, parts


def _trailing(result: Result, languages: Sequence[LanguageRow]) -> list[Sentence]:
    """Say which languages are behind, or how far one would have to be to be found."""
    table = result.tables.get("diagnosis")
    n = _sentences(result)
    if len(languages) < 2:
        return []
    if n < FEWEST_SENTENCES:
        return [Sentence("{n} sentences are too few to compare languages.", n=n)]
    behind = {flag: [one.name for one in languages if one.flag == flag] for flag in ("lower", "costly")}
    what = {
        "lower": "are less similar than in the other languages on average",
        "costly": "find each other less often than in the other languages on average",
    }
    unsure = "; whether that is the language or its reader cannot be told" if _one_reader(result) else ""
    found = [
        Sentence(
            "{names} {verb} behind: {their} speech and text " + what[flag] + unsure + ".",
            names=_named(names), verb="is" if len(names) == 1 else "are", their="its" if len(names) == 1 else "their",
        )
        for flag, names in behind.items()
        if names
    ]  # fmt: skip
    if found:
        return found
    if table is None or table.empty or "deficit_low" not in table:
        return []
    if uncompared(table):
        return []
    row = table.iloc[0]
    if not np.isfinite(float(row["detectable"])):
        return []
    return [
        Sentence(
            "No language is found to be behind; with {n} sentences only a deficit of {detectable} or more (0 is "
            "chance, 1 perfect) is likely to be found.",
            n=n, detectable=tell("diagnosis", row, "detectable"),
        )
    ]  # fmt: skip


def _one_reader(result: Result) -> bool:
    """Whether languages are read by one person each, or nothing is known of who reads them."""
    return bool({"unknown-readers", "one-reader"} & _caveat_ids(result))


def _named(names: Sequence[str]) -> str:
    """Return names as a sentence lists them; of many the first, and how many more."""
    if len(names) <= MOST_NAMED:
        return listed(list(names))
    return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} more"


# -- next steps


def _next_steps(result: Result, tiles: Sequence[Tile], languages: Sequence[LanguageRow]) -> list[Sentence]:
    steps = [
        *_looked_at(result),
        *_more_sentences(result, tiles),
        *_second_readers(result),
        *_clusters_unknown(result),
        *_baselines_missing(tiles),
    ]
    main = [tile for tile in tiles if tile.id in (tiles[0].id, INSIDE)]
    if main and not any(tile.above for tile in main):
        pairs = "that each recording is of its text, and " if languages else ""
        steps.insert(
            0,
            Sentence(
                "Check " + pairs + "that the model knows these languages (babelscope corpora check, models show)."
            ),
        )
    return steps


def _looked_at(result: Result) -> list[Sentence]:
    """Say where to look in languages that are behind; of training only where the stage is known, and its cost."""
    steps = []
    costs = result.tables.get("costs")
    for code, rows in _lower(result).items():
        worst = rows[rows["worst"].astype(bool)]
        if worst.empty:
            continue
        stage = str(worst["stage"].iloc[0])
        steps.append(
            Sentence("{name}: look at {place}; there its deficit arises.", name=name_of(code), place=place_of(stage))
        )
        dear = None if costs is None else costly(costs)
        if dear is not None and code in set(dear["language"]):
            steps.append(
                Sentence(
                    "{name} also costs retrieval: if its recordings and texts are in order, fine-tuning in this "
                    "language is worth a try.",
                    name=name_of(code),
                )
            )  # fmt: skip
    return steps


def _more_sentences(result: Result, tiles: Sequence[Tile]) -> list[Sentence]:
    n = _sentences(result)
    table = result.tables.get("diagnosis")
    known = table is not None and len(table) and "detectable" in table and not uncompared(table)
    left = _left_by_n(result)
    more = " The corpus has {left} more." if left else ""
    if known and table is not None and np.isfinite(float(table["detectable"].iloc[0])):
        row = table.iloc[0]
        needed = sentences_needed(n, float(row["detectable"]), WANTED)
        if needed <= n:
            return []
        return [
            Sentence(
                "Take more sentences: about {needed} would find a deficit of {wanted} in a language's similarity, "
                "these {n} only one of {detectable} (80 % power)." + more,
                n=n,
                needed=_rounded_up(needed), wanted=f"{WANTED:.2f}", detectable=tell("diagnosis", row, "detectable"),
                left=left,
            )
        ]  # fmt: skip
    if n and n < FEW_SENTENCES:
        return [Sentence("Take {few} sentences or more; {n} are few." + more, few=FEW_SENTENCES, n=n, left=left)]
    return []


def _rounded_up(count: float) -> str:
    """Return a number of sentences rounded up to two figures: it is a guess."""
    step = 10 ** max(int(np.floor(np.log10(count))) - 1, 0)
    return f"{int(np.ceil(count / step)) * step:,}".replace(",", " ")


def _left_by_n(result: Result) -> int:
    """Return how many sentences of the corpus the study's own limit left out."""
    dropped = _mapping(result.meta.get("corpus"), "dropped")
    return sum(int(count) for name, count in dropped.items() if str(name).startswith("n="))


def _second_readers(result: Result) -> list[Sentence]:
    row = _finding(result, "speech_spread")
    if row is None or '"voices"' not in str(row["caveats"]):
        return []
    having = [name_of(code) for code in _mapping(result.meta.get("options"), "ceilings")]
    now = f" ({_named(having)} {'has' if len(having) == 1 else 'have'} one)" if having else ""
    return [
        Sentence(
            "Add second readers of the same sentences in at least {least} languages{now}: without them, languages "
            "cannot be told from voices in speech.",
            least=FEWEST_LANGUAGES, now=now,
        )
    ]  # fmt: skip


def _clusters_unknown(result: Result) -> list[Sentence]:
    if "clusters-unknown" not in _caveat_ids(result):
        return []
    return [
        Sentence(
            "Say which sentences belong together (a column cluster, such as the document): p and intervals take them "
            "as independent."
        )
    ]


def _baselines_missing(tiles: Sequence[Tile]) -> list[Sentence]:
    if not tiles or any(tile.baseline is not None for tile in tiles):
        return []
    return [Sentence("Run the study again with baselines: no number here was compared with one.")]


# -- trust


def _trust(result: Result) -> list[Fact]:
    facts = []
    n = _sentences(result)
    languages = _strings(_mapping(result.meta, "corpus").get("languages"))
    if n:
        few = n < FEW_SENTENCES
        text = f"{n} in {len(languages)} {_plural('language', len(languages))}" if languages else str(n)
        facts.append(Fact("Sentences", text + (f"; fewer than {FEW_SENTENCES} are few" if few else ""), few))
    options = _mapping(result.meta, "options")
    clusters = options.get("clusters")
    ids = _caveat_ids(result)
    if isinstance(clusters, dict):
        used = bool(clusters.get("used"))
        said = f"{clusters.get('count')} known" + ("" if used else ", but ignored: p too small, intervals too narrow")
        unknown, left_out = clusters.get("unknown"), clusters.get("left_out")
        if unknown:
            said += f"; {left_out or unknown} sentences without one " + (
                "left out" if left_out else "taken as independent"
            )
        warned = (not used and "clusters-ignored" in ids) or "clusters-known-in-part" in ids
        facts.append(Fact("Clusters of sentences", said, warned))
    elif "clusters-unknown" in ids:
        facts.append(Fact("Clusters of sentences", "not known; sentences are taken as independent", True))
    facts += _readers(result, ids)
    titles = [str(one.get("title")) for one in _items(options.get("baselines")) if isinstance(one, dict)]
    titles += [str(one.get("label")) for one in _items(result.meta.get("beside")) if isinstance(one, dict)]
    facts.append(Fact("Baselines", "; ".join(titles) if titles else "none", not titles))
    holds_for = options.get("interval_of_means")
    facts.append(Fact("Intervals", f"95 %, for {holds_for}", False) if holds_for else Fact("Intervals", "none", True))
    if "seed" in options:
        facts.append(Fact("Seed", str(options["seed"])))
    return facts


def _readers(result: Result, ids: set[str]) -> list[Fact]:
    corpus = _mapping(result.meta, "corpus")
    if not corpus.get("minutes"):
        return []
    second = [name_of(code) for code in _mapping(result.meta.get("options"), "ceilings")]
    text = "not known" if "unknown-readers" in ids else "one in some languages" if "one-reader" in ids else (
        "two or more a language"
    )  # fmt: skip
    readers = _mapping(corpus, "readers")
    if "one-reader" in ids and all(len(names) == 1 for names in readers.values()):
        text = "one a language"
    if second:
        text += f"; second recordings in {_named(second)}"
    return [Fact("Readers", text, _one_reader(result))]


# -- reading what a file holds


def _sentences(result: Result) -> int:
    plain = result.scores[result.scores["control"] == "none"]
    rows = plain if len(plain) else result.scores
    return int(rows["n"].max()) if len(rows) else 0


def _mapping(held: object, key: str) -> Mapping[str, Any]:
    found = held.get(key) if isinstance(held, dict) else None
    return found if isinstance(found, dict) else {}


def _strings(held: object) -> list[str]:
    return [str(one) for one in held] if isinstance(held, list) else []


def _items(held: object) -> list[Any]:
    return list(held) if isinstance(held, (list, tuple)) else []


def _caveat_ids(result: Result) -> set[str]:
    return {str(one.get("id")) for one in _items(result.meta.get("caveats")) if isinstance(one, dict)}


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
