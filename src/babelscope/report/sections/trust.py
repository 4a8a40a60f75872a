"""Whether the study can be trusted: baselines, sentences, readers, caveats, method and provenance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from babelscope.gaps.baselines.sentences import title_of
from babelscope.gaps.baselines.sides import BASELINES
from babelscope.gaps.result import Result
from babelscope.gaps.traced import told_count
from babelscope.report import charts, methods, provenance, queries
from babelscope.report.evidence import baselines
from babelscope.report.figure import PALETTE, Figure
from babelscope.report.section import Column, Evidence, Section, Table, section
from babelscope.report.sentences import Sentence, of_parts
from babelscope.report.wording import KIND_LINES, listed, measure_title, plural


@section(order=60)
def trust(result: Result) -> Section | None:
    """Return the comparison with the baselines, the caveats, the method and the provenance."""
    rows = _rows(result)
    lead = Sentence("No baseline was computed: nothing here was compared with what needs no model.")
    figure = None
    if rows is not None and len(rows):
        lead = _sentence(rows)
        shown = _hardest(rows)
        figure = Figure("baselines", lambda width: _chart(result, shown, width), shown, lead, str(lead))
    makers = (baselines.evidence, _caveats, _method, _conventions, _provenance)
    evidence = tuple(made for make in makers if (made := make(result)) is not None)
    return Section("trust", "Can I trust it?", (lead,), figure, None, evidence)


def _rows(result: Result) -> pd.DataFrame | None:
    """Return the differences from the baselines at the output, under the leading measure and retrieval."""
    here = baselines.at_output(result)
    if here is None:
        return None
    leading, measure = queries.leading_measure(result), here["measure"].astype(str)
    shown = measure == (queries.retrieval_measure(result) or leading)
    shown |= (here["kind"] == "modality_similarity") & (measure == leading)
    here = here[shown & here["baseline"].isin(list(BASELINES))]
    return here[(here["groups"] == here["of"]) & here["difference"].notna()]


def _hardest(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the strongest baseline of each comparison, and those that the model is not found to exceed."""
    level = rows["baseline_chance_corrected"].fillna(-np.inf)
    best = level.groupby([rows["kind"].astype(str), rows["measure"].astype(str)], sort=False).transform("max")
    return rows[(level == best) | ~(rows["low"] > 0)]


def _sentence(rows: pd.DataFrame) -> Sentence:
    tested = rows[rows["low"].notna()]
    if tested.empty:
        return Sentence("Differences from the baselines were not tested.")
    above, missed = tested[tested["low"] > 0], tested[~(tested["low"] > 0)]
    parts: dict[str, Any] = {"some": told_count("against_baselines", above)}
    parts["all"] = told_count("against_baselines", tested)
    text = "The model is found to exceed what needs no model in {some} of {all} comparisons at the output"
    if len(missed):
        names = [f"{title_of(str(row['baseline']))} ({_what(row)})" for _, row in missed.iterrows()]
        parts["missed"] = listed(names, 3)
        text += "; not {missed}"
    return Sentence(text + ".", **parts)


def _what(row: pd.Series[Any]) -> str:
    kind = {
        "modality_similarity": "speech to text",
        "language_similarity_text": "languages in text",
        "language_similarity_speech": "languages in speech",
    }.get(str(row["kind"]), KIND_LINES.get(str(row["kind"]), str(row["kind"])))
    return f"{kind}, {measure_title(str(row['measure']))}"


def _chart(result: Result, rows: pd.DataFrame, width: int) -> Any:
    names = [f"{_what(row)}: {title_of(str(row['baseline']))}" for _, row in rows.iterrows()]
    exceeded = np.where(rows["low"] > 0, "exceeded", "not found to be exceeded")
    return charts.forest(
        rows, ("difference", "low", "high"), names, width, label="comparison",
        x_title="model less baseline (similarity, chance-corrected)", title="The model less its strongest baselines",
        zero="0: no better than the baseline",
        lines=["at the output; 95 % intervals, all points together", charts.about(result)],
        verdicts=list(np.where(rows["low"].isna(), "not tested", exceeded)),
        colours={
            "exceeded": PALETTE["language-0"], "not found to be exceeded": PALETTE["language-1"],
            "not tested": PALETTE["null-edge"],
        },
    )  # fmt: skip


def _caveats(result: Result) -> Evidence | None:
    """Return the caveats, each with its title and its text, whose numbers know their places."""
    caveats = [one for one in queries.items(result.meta.get("caveats")) if isinstance(one, dict)]
    sentences = [
        Sentence(
            "{title}: {text}", title=str(one.get("title") or one.get("id") or "Caveat"),
            text=of_parts(str(one.get("text") or ""), one.get("parts")),
        )
        for one in caveats
    ]  # fmt: skip
    return Evidence(f"{len(caveats)} {plural('caveat', len(caveats))}", tuple(sentences)) if caveats else None


def _method(result: Result) -> Evidence:
    made = methods.section(result)
    paragraphs = [Sentence("{text}", text=text) for text in made["paragraphs"]]
    cited = [Sentence("{line}", line=one.line) for one in made["references"]]
    return Evidence("Method, fit to be cited", (*paragraphs, *cited, made["bibtex"]))


def _conventions(result: Result) -> Evidence | None:
    rows = []
    for measure in queries.measures(result):
        said = queries.in_order(queries.rows(result.scores, measure=measure, control="none")["convention"])
        rows.append((measure_title(measure), measure, "; ".join(said[:3])))
    columns = tuple(Column(head, False) for head in ("measure", "written", "convention"))
    return Evidence("What each measure computes", (Table("Measures", columns, tuple(rows)),)) if rows else None


def _provenance(result: Result) -> Evidence:
    lines = provenance.provenance(result)
    for name in ("licence", "attribution"):
        said = queries.get(result.meta, "corpus", name)
        if isinstance(said, dict):
            said = [f"{key}: {text}" for key, text in said.items()]
        lines.append((name.capitalize(), [str(one) for one in queries.items(said)] or ["none was recorded"]))
    rows = tuple((name, "; ".join(said)) for name, said in lines)
    return Evidence("Provenance", (Table("How to run it again", (Column("", False), Column("", False)), rows),))
