"""Names of earlier versions, read where results, studies, rules and options come in; one line says what changed.

Earlier, the kinds of comparison were called gaps though their scores are similarities, and the bases of findings were
named after the calibrated score, which is another.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from babelscope.errors import RenamedWarning, UsageError
from babelscope.gaps.kinds import GAPS
from babelscope.gaps.selecting import groups
from babelscope.similarity import chance_corrected, parse_measure

#: What earlier versions called the baseline of lengths: a control of study files, and rows of scores.
LENGTH_ONLY = "length_only"

#: Bases of the findings.
BASES: dict[str, str] = {"calibrated": "chance_corrected", "calibrated_svcca": "chance_corrected_svcca"}

#: Columns of the table ``diagnosis``.
DIAGNOSIS: dict[str, str] = {
    "reached": "similarity",
    "texts_reached": "text_similarity",
    "behind": "output_deficit",
    "behind_low": "output_deficit_low",
    "behind_high": "output_deficit_high",
}

#: Columns that the curves' averages are made within.
_PLACE = ["kind", "measure", "control", "point", "against"]

_Tables = dict[str, pd.DataFrame]


def current_kind(name: str, where: str) -> str:
    """Return a kind of comparison by its present name; an old name is read, and warned of."""
    if name not in GAPS:
        return name
    _warn(f"{where}: {name!r} is now named {GAPS[name]!r}, since its score is higher where things agree; read as that")
    return GAPS[name]


def current_basis(name: str, where: str) -> str:
    """Return the basis of a finding by its present name; an old name is read, with a warning."""
    if name not in BASES:
        return name
    _warn(f"{where}: the basis {name!r} is now named {BASES[name]!r}; read as that")
    return BASES[name]


def current_controls(names: Sequence[str]) -> list[str]:
    """Return the controls without ``length_only``, which is now the baseline of lengths, with a warning."""
    if LENGTH_ONLY in names:
        _warn(f"controls: {LENGTH_ONLY!r} is now the baseline 'lengths', which is computed with the other baselines")
    return [name for name in names if name != LENGTH_ONLY]


def current_keys(study: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study with ``beside`` as ``baselines``, with a warning, and ``baselines = false`` as a choice."""
    study = dict(study)
    if "beside" in study:
        if "baselines" in study:
            raise UsageError("key 'beside' is the earlier name of 'baselines': use one of them")
        _warn("key 'beside' is now named 'baselines'; read as that")
        study["baselines"] = study.pop("beside")
    if isinstance(study.get("baselines"), bool):
        study.setdefault("compute_baselines", study.pop("baselines"))
    return study


def lengths_as_baseline(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of lengths alone with the columns of the table ``baselines``, and more."""
    rows = scores[scores["control"] == LENGTH_ONLY]
    if rows.empty:
        return rows
    rows = rows.assign(baseline="lengths", group=groups(rows), groups=1)
    averaged = dict.fromkeys(("value", "null_mean", "null_q95", "chance_corrected"), "mean")
    means = rows.groupby(["baseline", "kind", "measure", "convention"], sort=False, as_index=False).agg(
        averaged | {"n": "min", "groups": "sum"}
    )
    return pd.concat([rows, means.assign(group="mean")], ignore_index=True)


def renewed(
    scores: pd.DataFrame,
    curves: pd.DataFrame,
    meta: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    folder: Path,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any], _Tables]:
    """Return a result's tables under their present names, and with the columns that they lacked.

    Averages by resource class get the chance-corrected score of the averages, since the scores that they are of are
    not listed there.
    """
    if "null" not in scores:  # permutations were drawn for every null
        scores = scores.assign(null=scores["null_mean"].notna().map({True: "permutation", False: ""}))
    if "ceiling" not in scores:
        scores, curves = scores.assign(ceiling=np.nan), curves.assign(ceiling=np.nan)
        tables = {
            name: table.assign(ceiling=np.nan) if name in ("by_class", "beside", "languages") else table
            for name, table in tables.items()
        }
    renamed, tables = dict(meta), dict(tables)
    if "reached" in tables.get("diagnosis", ()):
        tables["diagnosis"] = tables["diagnosis"].rename(columns=DIAGNOSIS)
        if "chance_corrected" in scores:
            _warn(
                f"{folder} is of an earlier version: the columns reached, texts_reached and behind of its table "
                "diagnosis are read as similarity, text_similarity and output_deficit"
            )
    if "chance_corrected" in scores:
        return scores, curves, renamed, tables
    _warn(
        f"{folder} is of an earlier version: its kinds modality_gap, language_gap_text, language_gap_speech and "
        "cross_gap are read as modality_similarity, language_similarity_text, language_similarity_speech and "
        "cross_similarity, and chance_corrected scores are added"
    )
    scores, curves = _corrected(_kinds(scores)), _averaged(_corrected(_kinds(curves)))
    if isinstance(options := renamed.get("options"), Mapping) and "kinds" in options:
        renamed["options"] = {**options, "kinds": [GAPS.get(kind, kind) for kind in options["kinds"]]}
    for name, table in tables.items():
        if name in ("by_class", "beside"):
            tables[name] = _corrected(_kinds(table))
            if name == "beside":
                tables[name] = _averaged(tables[name])
        elif name == "draws":
            tables[name] = _kinds(table)
        elif name in ("findings", "diagnosis"):
            evidence = table["evidence"].replace(
                {f'"{old}"': f'"{new}"' for old, new in GAPS.items()}
                | {r"\(value - null_mean\) / \(best - null_mean\)": "chance_corrected"},
                regex=True,
            )
            tables[name] = table.assign(evidence=evidence)
            if "basis" in table:
                tables[name]["basis"] = table["basis"].replace(BASES)
        elif name == "most_similar":
            tables[name] = table.rename(columns={"corrected": "chance_corrected"})
        elif name in ("languages", "tokens"):
            tables[name] = _of_scores(table, scores, name)
    return scores, curves, renamed, tables


def renewed_log(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event of a monitor's log under present names."""
    monitor = event.get("monitor")
    if isinstance(monitor, dict) and "kinds" in monitor:
        event = event | {"monitor": monitor | {"kinds": [GAPS.get(kind, kind) for kind in monitor["kinds"]]}}
    if isinstance(rows := event.get("gaps"), list) and rows and "chance_corrected" not in rows[0]:
        event = event | {"gaps": [_log_row(row) for row in rows]}
    return event


def _log_row(row: dict[str, Any]) -> dict[str, Any]:
    corrected = None
    if row["value"] is not None and row["null_mean"] is not None:
        corrected = float(chance_corrected(row["value"], row["null_mean"], parse_measure(row["measure"]).best))
    return row | {"kind": GAPS.get(row["kind"], row["kind"]), "chance_corrected": corrected}


def _kinds(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(kind=table["kind"].replace(GAPS))


def _best(measures: pd.Series[Any]) -> pd.Series[Any]:
    return measures.map({name: parse_measure(str(name)).best for name in measures.unique()}).astype(float)


def _corrected(table: pd.DataFrame) -> pd.DataFrame:
    corrected = chance_corrected(table["value"], table["null_mean"], _best(table["measure"]))
    return table.assign(chance_corrected=corrected)


def _averaged(curves: pd.DataFrame) -> pd.DataFrame:
    """Give the rows "mean" the average of their groups."""
    keys: Sequence[str] = [*(["model"] if "model" in curves else []), *_PLACE]
    means = curves["group"] == "mean"
    average = curves[~means].groupby(list(keys), sort=False)["chance_corrected"].mean()
    averages = average.reindex(pd.MultiIndex.from_frame(curves.loc[means, list(keys)])).to_numpy()
    curves = curves.copy()
    curves.loc[means, "chance_corrected"] = averages
    return curves


def _of_scores(table: pd.DataFrame, scores: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the table of languages or of pairs with the chance-corrected scores in place of the calibrated ones."""
    kind = "modality_similarity" if name == "languages" else "language_similarity_text"
    rows = scores[(scores["kind"] == kind) & (scores["control"] == "none")]
    keys = ["measure", "point", "value"] if name == "languages" else ["measure", "point"]
    rows = rows.rename(columns={"point_a": "point"} | ({"language_a": "language"} if name == "languages" else {}))
    keys += ["language"] if name == "languages" else ["language_a", "language_b"]
    corrected = rows.drop_duplicates(keys)[[*keys, "chance_corrected"]]
    return table.merge(corrected, on=keys, how="left").drop(columns="calibrated", errors="ignore")


def _warn(message: str) -> None:
    warnings.warn(message, RenamedWarning, stacklevel=3)
