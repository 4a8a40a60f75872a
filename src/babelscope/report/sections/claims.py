"""Which general claims about multimodal models hold here: each with its effect, its interval and its verdict."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from babelscope.gaps.findings import CANNOT_TELL, CORRECTED, CORRECTED_SVCCA, HOLDS, HOLDS_NOT, RAW_SVCCA
from babelscope.gaps.result import Result
from babelscope.gaps.traced import told_count
from babelscope.report import charts, queries
from babelscope.report.evidence import rows as evidence_rows
from babelscope.report.figure import PALETTE, Figure
from babelscope.report.section import Evidence, Section, section
from babelscope.report.sentences import Sentence, interval, p_clause, tell
from babelscope.report.wording import VERDICT_TITLES, listed

#: What a reader calls the ways to read the scores.
BASES: dict[str, str] = {
    CORRECTED: "chance-corrected",
    RAW_SVCCA: "raw SVCCA",
    CORRECTED_SVCCA: "chance-corrected SVCCA",
}

#: A claim on speech that a difference of voices could explain as well.
VOICES = "inconclusive: voices"

_COLOURS = {
    "holds": PALETTE["language-0"], "does not hold": PALETTE["language-1"], "inconclusive": PALETTE["null-edge"],
    VOICES: PALETTE["language-4"],
}  # fmt: skip


#: A verdict as it is said of one claim, and of several.
_SAYS = {
    HOLDS: ("holds", "hold"),
    HOLDS_NOT: ("does not hold", "do not hold"),
    CANNOT_TELL: ("is inconclusive", "are inconclusive"),
}


@section(order=50)
def claims(result: Result) -> Section | None:
    """Return the verdicts over all languages; None where nothing was tested."""
    if (table := queries.table(result, "findings")) is None:
        return None
    mains = pd.DataFrame([_main(table[table["id"] == name]) for name in table["id"].drop_duplicates()])
    lead = _sentence(mains)
    figure = None
    shown = mains[mains["effect"].notna()]
    if len(shown):
        text = "; ".join(f"{row['statement']} {_title(row['verdict'])}" for _, row in mains.iterrows())
        data = shown.drop(columns=["evidence", "caveats"])
        figure = Figure("claims", lambda width: _chart(result, shown, width), data, lead, text)
    blocks = tuple(block for _, row in mains.iterrows() for block in _evidence(result, row, table))
    evidence = (Evidence("What each claim rests on", blocks),)
    return Section("claims", "Which general claims hold here?", (lead,), figure, None, evidence)


def _main(rows: pd.DataFrame) -> pd.Series[Any]:
    """Return the row over all languages, chance-corrected: the one whose verdict leads."""
    rank = (rows["group"] != "all").astype(int) * 2 + (rows["basis"] != CORRECTED).astype(int)
    return rows.iloc[int(rank.to_numpy().argmin())]


def _title(verdict: object) -> str:
    return VERDICT_TITLES.get(str(verdict), str(verdict))


def _reason(row: pd.Series[Any]) -> str:
    """Return the verdict, with the reason where it is not the interval."""
    verdict = _title(row["verdict"])
    ids = {str(one.get("id")) for one in evidence_rows.parsed(row["caveats"]) if isinstance(one, dict)}
    return VOICES if verdict == "inconclusive" and "voices" in ids else verdict


def _sentence(mains: pd.DataFrame) -> Sentence:
    parts: dict[str, Any] = {"all": told_count("findings", mains)}
    said = []
    for verdict in VERDICT_TITLES:
        rows = mains[mains["verdict"] == verdict]
        if len(rows):
            name = verdict.replace(" ", "_")
            parts[name] = told_count("findings", rows)
            singular, plural = _SAYS[verdict]
            said.append(f"{{{name}}} {singular if len(rows) == 1 else plural}")
    voices = mains[[_reason(row) == VOICES for _, row in mains.iterrows()]]
    text = "Of {all} claims that were tested, " + listed(said)
    if len(voices):
        parts["voices"] = told_count("findings", voices)
        text += ", {voices} of them because a difference between voices would look the same"
    return Sentence(text + ".", **parts)


def _chart(result: Result, mains: pd.DataFrame, width: int) -> Any:
    return charts.forest(
        mains, ("effect", "low", "high"), [str(claim) for claim in mains["statement"]], width,
        label="claim", title="Claims", x_title="effect (difference of similarity, chance-corrected)",
        lines=["above 0: as claimed; 95 % intervals", charts.about(result)], zero="0: no effect",
        verdicts=[_reason(row) for _, row in mains.iterrows()], colours=_COLOURS,
    )  # fmt: skip


def _evidence(result: Result, row: pd.Series[Any], table: pd.DataFrame) -> tuple[Any, ...]:
    rows = table[table["id"] == row["id"]]
    effect = Sentence("{of}: {effect}.", of=_capital(str(row["effect_of"])), effect=_effect(row))
    others = [
        Sentence(
            "{basis}, {group}: {verdict}, {effect}.",
            basis=BASES.get(str(other["basis"]), str(other["basis"])), group=_group(other["group"]),
            verdict=_title(other["verdict"]), effect=_effect(other),
        )
        for _, other in rows.iterrows()
        if other.name != row.name and np.isfinite(float(other["effect"]))
    ]  # fmt: skip
    caveats = [
        Sentence("Caveat: {text}", text=str((one.get("text") or one.get("id")) if isinstance(one, dict) else one))
        for one in evidence_rows.parsed(row["caveats"])
    ]
    verdict = _capital(_title(row["verdict"]))
    head = Sentence("<strong>{verdict}: {statement}</strong>", verdict=verdict, statement=str(row["statement"]))
    return (head, effect, *_differing(row, rows), *others, *caveats, *evidence_rows.table(result, row["evidence"]))


def _differing(row: pd.Series[Any], rows: pd.DataFrame) -> list[Sentence]:
    """Say where raw SVCCA, as it is often read, would give another verdict."""
    raw = rows[(rows["basis"] == RAW_SVCCA) & (rows["group"] == "all") & rows["low"].notna()]
    if raw.empty or str(raw["verdict"].iloc[0]) == str(row["verdict"]):
        return []
    return [Sentence("On raw SVCCA this would read “{verdict}”.", verdict=_title(raw["verdict"].iloc[0]))]


def _group(group: object) -> str:
    return "all languages" if str(group) == "all" else f"{group}-resource languages"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _effect(row: pd.Series[Any]) -> Sentence:
    """Return effect, interval, p and size, each with its place; what is missing is left out."""
    parts: dict[str, Any] = {}
    clauses = []
    if np.isfinite(float(row["effect"])):
        parts["effect"] = tell("findings", row, "effect", 3)
        clauses.append("{effect}")
    if ends := interval("findings", row, partial(tell, digits=3)):
        parts |= ends
        clauses.append("95 % {low} to {high}")
    if np.isfinite(float(row["p"])):
        parts["p"] = tell("findings", row, "p")
        clauses.append(p_clause(parts["p"]))
        if np.isfinite(float(row.get("p_adjusted", np.nan))):  # results of earlier versions have none
            parts["p_adjusted"] = tell("findings", row, "p_adjusted")
            clauses[-1] += " ({p_adjusted} corrected for all claims)"
    parts |= {"n": tell("findings", row, "n", 0), "groups": tell("findings", row, "groups", 0)}
    clauses += ["{n} sentences", "{groups} language" + ("" if int(row["groups"]) == 1 else "s")]
    return Sentence(", ".join(clauses), **parts)
