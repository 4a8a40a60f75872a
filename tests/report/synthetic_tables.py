"""Made-up further tables for a made-up result: of the shape that the analyses write, no claim about any model."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pandas as pd

from babelscope.gaps.result import TABLE_COLUMNS, Result
from babelscope.gaps.tokens import associations

CLASSES = ("high", "medium", "low")
SCRIPTS = ("Latn", "Cyrl", "Arab", "Deva")
FAMILIES = ("Indo-European", "Atlantic-Congo", "Afro-Asiatic", "Austronesian", "Dravidian")
COMPONENTS = (
    "sentence", "language", "modality", "sentence:language", "sentence:modality", "language:modality", "rest",
)  # fmt: skip
STAGES = ("front end", "encoder", "shared")


def with_tables(result: Result, *, sentences: int = 24, seed: int = 0) -> Result:
    """Return the result with every further table, and caveats that the findings name."""
    rng = np.random.default_rng(seed)
    names = list(result.meta["corpus"]["languages"])
    classes = {name: CLASSES[index % 3] for index, name in enumerate(names)}
    made = {
        "by_class": _by_class(result, classes),
        "decomposition": _decomposition(result, rng),
        "centroids": _centroids(result, names, rng),
        "findings": _findings(result),
        "diagnosis": _diagnosis(result, names, classes, rng),
        "languages": _languages(result, names, classes, rng),
        "tokens": _tokens(result, names, rng),
        "projection": _projection(result, names, sentences, rng),
        "most_similar": _most_similar(result),
    }
    made["associations"] = associations(made["tokens"], permutations=19)
    tables = {}
    for name, table in made.items():
        assert set(table.columns) == set(TABLE_COLUMNS[name]), name
        tables[name] = table[list(TABLE_COLUMNS[name])]
    return dataclasses.replace(result, tables={name: table for name, table in tables.items() if len(table)})


def crossed(result: Result) -> Result:
    """Return the result with every speech point compared with every text point, less similar the farther in depth."""
    texts = _points(result, 1)
    scores, curves = [result.scores], [result.curves]
    part = result.scores[(result.scores["kind"] == "modality_similarity") & (result.scores["control"] == "none")]
    mean = result.curves[(result.curves["kind"] == "modality_similarity") & (result.curves["control"] == "none")]
    for text in texts[:-1]:
        for column, frame, into in (("depth_a", part, scores), ("depth", mean, curves)):
            factor = 1 - 0.4 * (frame[column] - float(text["depth"])).abs()
            changed = frame.assign(value=frame["value"] * factor, chance_corrected=frame["chance_corrected"] * factor)
            if column == "depth_a":
                changed = changed.assign(point_b=text["name"], stage_b=text["stage"], depth_b=float(text["depth"]))
            else:
                changed = changed.assign(against=text["name"])
            into.append(changed)
    return dataclasses.replace(
        result, scores=pd.concat(scores, ignore_index=True), curves=pd.concat(curves, ignore_index=True)
    )


def leading(result: Result) -> str:
    """Return the measure of the tables: the second, which is not saturated."""
    asked: list[str] = result.meta["options"]["measures"]
    return asked[min(1, len(asked) - 1)]


def _points(result: Result, side: int = 0) -> list[dict[str, Any]]:
    return list(result.meta["model"]["sides"][side]["points"])


def _by_class(result: Result, classes: dict[str, str]) -> pd.DataFrame:
    curves = result.curves
    frames = []
    for kind in ("modality_similarity", "language_similarity_text", "language_similarity_speech"):
        part = curves[(curves["kind"] == kind) & (curves["group"] != "mean") & (curves["control"] == "none")]
        if kind == "modality_similarity":
            grouped = part["group"].map(classes)
        else:
            pairs = part["group"].str.split("-", n=1, expand=True)
            if not len(pairs):
                continue
            a, b = pairs[0].map(classes), pairs[1].map(classes)
            grouped = a.where(a == b, a + "-" + b)
        part = part.assign(group=grouped)
        keys = ["kind", "measure", "control", "point", "against", "stage", "depth", "group"]
        numbers = ["value", "null_mean", "null_q95", "chance_corrected", "calibrated", "ceiling"]
        table = part.groupby(keys, sort=False, as_index=False)[numbers].mean()
        counts = part.groupby(keys, sort=False).size().to_numpy()
        frames.append(
            table.assign(
                low=table["value"] - 0.03, high=table["value"] + 0.03, p=np.nan, n=int(curves["n"].max()), groups=counts
            )
        )
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(TABLE_COLUMNS["by_class"]))


def _decomposition(result: Result, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for part, components, side in (
        ("all", COMPONENTS, 0),
        ("text", ("sentence", "language", "rest"), 1),
        ("speech", ("sentence", "language", "rest"), 0),
    ):
        for point in _points(result, side):
            depth = float(point["depth"])
            shares = np.array([0.05 + 0.5 * depth, 0.12, 0.3 * (1 - depth), 0.06, 0.05, -0.004, 0.2])[: len(components)]
            if len(components) == 3:
                shares = np.array([0.1 + 0.5 * depth, 0.3 - 0.2 * depth, 0.0])
            shares = shares + rng.normal(0, 0.004, len(shares))
            shares[-1] = 1 - shares[:-1].sum()
            rows += [
                {
                    "part": part, "point": point["name"], "stage": point["stage"], "depth": depth,
                    "component": component, "share": share, "low": share - 0.02, "high": share + 0.02,
                    "n": int(result.curves["n"].max()), "convention": "shares of the total variance, bias-corrected",
                }
                for component, share in zip(components, shares, strict=True)
            ]  # fmt: skip
    return pd.DataFrame(rows)


def _centroids(result: Result, names: list[str], rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    ease = rng.uniform(0.7, 1.3, len(names))
    for index, name in enumerate(names):
        for point in _points(result):
            distance = float(ease[index] * (1.6 - float(point["depth"])))
            rows.append(
                {
                    "kind": "modality_gap", "point": point["name"], "stage": point["stage"], "depth": point["depth"],
                    "language_a": name, "language_b": name, "distance": distance, "low": distance - 0.1,
                    "high": distance + 0.1, "n": int(result.curves["n"].max()),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _item(result: Result, table: str, where: dict[str, Any], column: str) -> dict[str, Any]:
    frame = {"scores": result.scores, "curves": result.curves}[table]
    keep = np.ones(len(frame), dtype=bool)
    for name, value in where.items():
        keep &= (frame[name] == value).to_numpy()
    found = frame.loc[keep, column]
    return {"table": table, "where": where, "column": column, "value": float(found.mean()) if len(found) else None}


def _findings(result: Result) -> pd.DataFrame:
    measure = leading(result)
    speech, text = _points(result), _points(result, 1)
    last = {
        "kind": "modality_similarity", "measure": measure, "control": "none", "group": "mean",
        "point": speech[-1]["name"],
    }  # fmt: skip
    first = {**last, "point": speech[0]["name"]}
    each = {
        "kind": "modality_similarity", "measure": measure, "control": "none", "point_a": speech[-1]["name"],
        "point_b": text[-1]["name"],
    }  # fmt: skip
    evidence = [
        _item(result, "curves", first, "chance_corrected"),
        _item(result, "curves", last, "chance_corrected"),
        _item(result, "scores", each, "chance_corrected"),
    ]
    statements = {
        "convergence": ("Speech and text grow more alike after the first, modality-specific layers.", "holds", 0.31),
        "length_adaptation": ("Length adaptation narrows the modality gap.", "cannot tell", 0.04),
        "speech_spread": ("Speech differs across languages more than text.", "holds", 0.22),
        "modality_over_language": ("The modality gap exceeds the language gap.", "holds not", -0.18),
    }
    rows = []
    for identifier, (statement, verdict, effect) in statements.items():
        for group, basis, says, size in (
            ("all", "chance_corrected", verdict, effect),
            ("all", "raw_svcca", "holds", abs(effect) / 3),
            ("high", "chance_corrected", verdict, effect + 0.05),
            ("low", "chance_corrected", "cannot tell", effect - 0.03),
        ):
            rows.append(
                {
                    "id": identifier, "group": group, "basis": basis,
                    "measure": measure if basis == "chance_corrected" else result.meta["options"]["measures"][0],
                    "statement": statement, "effect": size,
                    "effect_of": f"mean chance_corrected {measure}, last point less first", "low": size - 0.06,
                    "high": size + 0.06, "p": 0.004 if says != "cannot tell" else 0.41,
                    "p_adjusted": 0.016 if says != "cannot tell" else 0.82, "verdict": says,
                    "n": int(result.curves["n"].max()), "groups": len(result.meta["corpus"]["languages"]),
                    "evidence": json.dumps(evidence),
                    "caveats": json.dumps([{"id": "few_sentences", "text": "n is small"}]),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _diagnosis(result: Result, names: list[str], classes: dict[str, str], rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    points = _points(result)
    for rank, name in enumerate(names, 1):
        losses = rng.uniform(-0.02, 0.1, len(STAGES)) + np.array([0.0, 0.002 * rank, 0.0])
        worst = int(losses.argmax())
        for index, stage in enumerate(STAGES):
            point = points[round((index + 1) * (len(points) - 1) / len(STAGES))]["name"]
            rows.append(
                {
                    "language": name, "resource_class": classes[name], "measure": leading(result), "stage": stage,
                    "point": point, "similarity": 0.2 * (index + 1), "text_similarity": 0.83, "loss": losses[index],
                    "low": losses[index] - 0.03, "high": losses[index] + 0.03,
                    "worst": index == worst and losses[index] > 0.03, "rank": rank,
                    "output_deficit": losses.sum(),
                    "output_deficit_low": losses.sum() - 0.05, "output_deficit_high": losses.sum() + 0.05,
                    "deficit": losses.sum() / 2, "deficit_low": losses.sum() / 2 - 0.04,
                    "deficit_high": losses.sum() / 2 + 0.04, "deficit_shrunk": losses.sum() / 3,
                    "detectable": 0.12,
                    "advice": f"Most is lost at the stage {STAGES[worst]}: look there first.",
                    "evidence": json.dumps(
                        [
                            _item(
                                result,
                                "scores",
                                {
                                    "kind": "modality_similarity", "measure": leading(result), "control": "none",
                                    "language_a": name, "point_a": point,
                                },
                                "chance_corrected",
                            )
                        ]
                    ),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _languages(result: Result, names: list[str], classes: dict[str, str], rng: np.random.Generator) -> pd.DataFrame:
    scores = result.scores
    measure, point = leading(result), _points(result)[-1]["name"]
    part = scores[
        (scores["kind"] == "modality_similarity") & (scores["measure"] == measure) & (scores["control"] == "none")
        & (scores["point_a"] == point)
    ].drop_duplicates("language_a").set_index("language_a").reindex(names)  # fmt: skip
    table = pd.DataFrame(
        {
            "language": names,
            "name": [f"Language {name}" for name in names],
            "script": [SCRIPTS[index % len(SCRIPTS)] for index in range(len(names))],
            "family": [FAMILIES[index % len(FAMILIES)] for index in range(len(names))],
            "resource_class": [classes[name] for name in names],
            "tokens_per_word": rng.uniform(1.1, 3.5, len(names)),
            "tokens_median": rng.integers(12, 40, len(names)).astype(float),
            "seconds_median": rng.uniform(4, 12, len(names)),
            "point": point,
            "measure": measure,
            "value": part["value"].to_numpy(),
            "chance_corrected": part["chance_corrected"].to_numpy(),
            "ceiling": np.nan,
            "low": part["chance_corrected"].to_numpy() - 0.04,
            "high": part["chance_corrected"].to_numpy() + 0.04,
            "p": 0.005,
        }
    )
    return table.assign(rank=table["chance_corrected"].rank(ascending=False, method="first"))


def _most_similar(result: Result) -> pd.DataFrame:
    curves, measure = result.curves, leading(result)
    rows = curves[
        (curves["kind"] == "modality_similarity") & (curves["control"] == "none") & (curves["group"] == "mean")
    ]
    rows = rows[rows["measure"] == measure].drop_duplicates("point")
    found = rows[["measure", "point", "against", "stage", "depth", "value", "n"]].assign(
        low=rows["value"] - 0.04,
        high=rows["value"] + 0.04,
        chance_corrected=rows["chance_corrected"],
        languages=rows["groups"],
    )
    found = found.reset_index(drop=True)
    best = found["value"] == found["value"].max()
    return found.assign(best=best, candidate=best | (found["value"] > found["value"].max() - 0.05))


def _tokens(result: Result, names: list[str], rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            share = float(rng.uniform(0.02, 0.5))
            rows.append(
                {
                    "language_a": a, "language_b": b, "tokens_per_word_a": 1.5, "tokens_per_word_b": 2.0,
                    "shared_token_share": share, "point": _points(result, 1)[-1]["name"], "measure": leading(result),
                    "chance_corrected": 0.5 + 0.5 * share + 0.1 * float(rng.uniform()),
                }
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(TABLE_COLUMNS["tokens"]))


def _projection(result: Result, names: list[str], sentences: int, rng: np.random.Generator) -> pd.DataFrame:
    frames = []
    ids = [f"s{index:03}" for index in range(sentences)]
    meaning = rng.normal(0, 1, (sentences, 2))
    for modality, points in (("speech", _points(result)), ("text", _points(result, 1))):
        for point in points:
            depth = float(point["depth"])
            for index, name in enumerate(names):
                shift = np.array([np.cos(index), np.sin(index)]) * (1.5 - depth)
                where = meaning * depth + shift + rng.normal(0, 0.2, (sentences, 2))
                where[:, 0] += 3 * (1 - depth) * (modality == "speech")
                frames.append(
                    pd.DataFrame(
                        {
                            "point": point["name"],
                            "modality": modality,
                            "language": name,
                            "sentence": ids,
                            "x": where[:, 0],
                            "y": where[:, 1],
                            "share_x": 0.34,
                            "share_y": 0.12,
                        }
                    )
                )
    return pd.concat(frames, ignore_index=True)
