"""A made-up result of the shape that a study writes: plausible curves, no claim about any model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from babelscope.gaps.old_names import lengths_as_baseline
from babelscope.gaps.result import CURVE_COLUMNS, SCORE_COLUMNS, TABLE_COLUMNS, Result

LANGUAGES = ("en", "es", "fr", "it", "ru")
MEASURES = ("svcca(variance=0.99)", "linear_cka(debiased=True)", "retrieval()")
CONTROLS = ("none", "length_regressed", "length_only", "shuffled")


def sides(speech: int, text: int) -> dict[str, list[dict[str, Any]]]:
    """Return the points of both sides, from a front end to the pooled output."""

    def spread(names: list[tuple[str, str]], width: int) -> list[dict[str, Any]]:
        steps = max(1, len(names) - 1)
        return [
            {"name": name, "stage": stage, "depth": round(index / steps, 6), "width": width}
            for index, (name, stage) in enumerate(names)
        ]

    heard = [("speech.conv1", "front end"), ("speech.conv2", "front end")]
    heard += [(f"speech.layer.{index}", "encoder") for index in range(max(0, speech - 3))] + [
        ("speech.norm", "encoder")
    ]
    read = (
        [("text.embeddings", "front end")]
        + [(f"text.layer.{index}", "encoder") for index in range(max(0, text - 2))]
        + [("text.pooled", "pooled")]
    )
    return {"speech": spread(heard[-speech:], 512), "text": spread(read[-text:], 384)}


def synthetic_result(
    languages: Sequence[str] = LANGUAGES,
    *,
    speech: int = 9,
    text: int = 14,
    n: int = 40,
    measures: Sequence[str] = MEASURES,
    controls: Sequence[str] = CONTROLS,
    kinds: Sequence[str] = ("modality_similarity", "language_similarity_text", "language_similarity_speech"),
    seed: int = 0,
) -> Result:
    """Make scores for every kind, point, language or pair, measure and control, and the curves over them.

    SVCCA's null is close to 1, as it is with few sentences; the others' is close to 0; text outdoes speech; everything
    rises over depth.
    """
    rng = np.random.default_rng(seed)
    order = list(languages)
    there = sides(speech, text)
    names = np.array(order, dtype=object)
    upper = np.triu_indices(len(order), 1)
    frames, curves = [], []
    for kind in kinds:
        modality_a = "text" if kind == "language_similarity_text" else "speech"
        modality_b = "speech" if kind == "language_similarity_speech" else "text"
        points = there[modality_a]
        a, b = (np.arange(len(order)),) * 2 if kind == "modality_similarity" else upper
        if not len(a):
            continue
        groups = (
            names
            if kind == "modality_similarity"
            else np.array([f"{order[i]}-{order[j]}" for i, j in zip(a, b, strict=True)], dtype=object)
        )
        ease = rng.uniform(0.6, 1.0, len(a))
        top = {"modality_similarity": 0.55, "language_similarity_text": 0.93, "language_similarity_speech": 0.5}[kind]
        for measure in measures:
            floor = {"svcca": 0.975, "linear_cka": 0.0, "retrieval": 1 / n}.get(measure.split("(")[0], 0.05)
            for control in controls:
                strength = {"none": 1.0, "length_regressed": 0.85, "length_only": 0.15, "shuffled": 0.0}[control]
                here: list[dict[str, Any]] = (
                    [{"name": "length", "stage": "", "depth": np.nan}] if control == "length_only" else points
                )
                if control == "shuffled" and len(order) > 20:
                    continue
                for point in here:
                    depth = 1.0 if control == "length_only" else float(point["depth"])
                    rise = 0.15 + 0.85 * np.sqrt(depth) - 0.15 * max(0.0, depth - 0.8)
                    signal = strength * top * ease * rise + rng.normal(0, 0.01, len(a))
                    value = floor + (1 - floor) * np.clip(signal, -0.02, 1)
                    null_mean = np.full(len(a), floor) + rng.normal(0, 0.001, len(a))
                    null_q95 = null_mean + 0.05 * (1 - floor)
                    calibrated = np.clip((value - null_q95) / (1 - null_q95), 0, 1)
                    corrected = (value - null_mean) / (1 - null_mean)
                    p = np.where(value > null_q95, 0.001, 0.4)
                    if control == "shuffled":  # stands for a null itself and has none
                        null_mean, null_q95, corrected, calibrated, p = (np.full(len(a), np.nan) for _ in range(5))
                    against = there["text"][-1]["name"] if kind == "modality_similarity" else point["name"]
                    frame = {
                        "kind": kind, "point_a": point["name"], "stage_a": point["stage"], "depth_a": point["depth"],
                        "language_a": names[a], "language_b": names[b], "measure": measure, "control": control,
                        "value": value, "null_mean": null_mean, "null_q95": null_q95,
                        "chance_corrected": corrected, "calibrated": calibrated, "p": p, "ceiling": np.nan,
                        "modality_a": modality_a, "modality_b": modality_b, "point_b": against,
                        "null_sd": 0.03, "low": np.nan, "high": np.nan, "n": n, "kx": 20, "ky": 20,
                        "model": "whisper-base+e5-small", "stage_b": "pooled", "depth_b": 1.0,
                        "convention": f"{measure.split('(')[0]}: rows are sentences, centred, float64",
                        "null": "" if control == "shuffled" else "closed form",
                    }  # fmt: skip
                    frames.append(frame)
                    if control == "length_only":
                        continue
                    common = {
                        "kind": kind, "measure": measure, "control": control, "point": point["name"],
                        "against": against, "stage": point["stage"], "depth": point["depth"],
                        "n": n, "low": np.nan, "high": np.nan, "ceiling": np.nan,
                    }  # fmt: skip
                    numbers = {
                        "value": value, "null_mean": null_mean, "null_q95": null_q95,
                        "chance_corrected": corrected, "calibrated": calibrated,
                    }  # fmt: skip
                    curves.append(common | numbers | {"group": groups, "p": p, "groups": 1})
                    means = {name: np.array([column.mean()]) for name, column in numbers.items()}
                    curves.append(
                        common
                        | means
                        | {"group": np.array(["mean"], dtype=object), "p": np.array([np.nan]), "groups": len(a)}
                    )
    scores = _table(frames, SCORE_COLUMNS)
    alone = lengths_as_baseline(scores).reindex(columns=list(TABLE_COLUMNS["baselines"]))
    return Result(
        scores[scores["control"] != "length_only"].reset_index(drop=True),
        _table(curves, CURVE_COLUMNS),
        synthetic_meta(order, there, n, measures, [name for name in controls if name != "length_only"]),
        {"baselines": alone} if len(alone) else {},
    )


def _table(parts: list[dict[str, Any]], columns: tuple[str, ...]) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype=float) for name in columns})
    sizes = [len(part["value"]) for part in parts]
    table = {}
    for name in columns:
        first = parts[0][name]
        if isinstance(first, np.ndarray):
            table[name] = np.concatenate([part[name] for part in parts])
        else:
            table[name] = np.repeat(
                np.array([part[name] for part in parts], dtype=object if isinstance(first, str) else float), sizes
            )
    frame = pd.DataFrame(table)
    return frame.astype({"n": int})


def synthetic_meta(
    languages: Sequence[str],
    there: dict[str, list[dict[str, Any]]],
    n: int,
    measures: Sequence[str],
    controls: Sequence[str],
) -> dict[str, Any]:
    """Return provenance and texts as a study records them."""
    return {
        "study": {
            "name": "Five languages of prompts",
            "created": "2026-11-23T14:05:00+00:00",
            "command": "babelscope run study.toml",
            "seconds": 96.4,
        },
        "model": {
            "name": "whisper-base+e5-small",
            "revision": "pinned registry files",
            "notes": ["Two towers trained apart: text and speech share no weights.", "e5-small is quantised (Q4_0)."],
            "shared": False,
            "sides": [
                {"modality": "speech", "family": "whisper", "points": there["speech"]},
                {"modality": "text", "family": "e5", "points": there["text"]},
            ],
            "weights": [
                {"file": "whisper-base.bin", "sha256": "905e5bf8" * 8, "source": "a pinned package, version 1.0.0"},
                {"file": "e5-small-q4.bin", "sha256": "f4b89df3" * 8, "source": "a pinned package, version 0.3.0"},
            ],
        },
        "corpus": {
            "name": "asterisk",
            "title": "Asterisk core prompts",
            "fingerprint": "c0ffee" * 8,
            "languages": list(languages),
            "n": n,
            "licence": "CC-BY-SA-3.0 (en, fr, es), CC-BY-3.0 (it, ru)",
            "attribution": "Recorded for Asterisk by the readers that its CREDITS name.",
            "readers": {language: [f"reader of {language}"] for language in list(languages)[:8]},
            "minutes": dict.fromkeys(list(languages)[:8], 2.5),
        },
        "options": {
            "measures": list(measures),
            "controls": list(controls),
            "permutations": 200,
            "seed": 7,
            "pooling": "mean",
            "match": "output",
            "window_seconds": 8,
            "null": "permutation of the sentences of one side",
            "match_text": "every speech point against the text side's output (its last point)",
        },
        "versions": {"babelscope": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6"},
        "headline": [
            "Speech comes nearest to its own text in the upper half of the encoder, above unrelated sentences.",
            "Text meets text across languages better than speech meets speech: 0.80 against 0.43 at the last layers.",
        ],
        "caveats": [
            {
                "id": "few_sentences",
                "title": "Few sentences",
                "text": f"With n = {n} SVCCA gives nearly 1 to unrelated data. Read CKA and retrieval.",
            },
            {
                "id": "one_reader",
                "title": "One reader a language",
                "text": "Language and speaker are confounded: a second reader bounds the effect.",
            },
            {
                "id": "different_models",
                "title": "Different models",
                "text": "The text and the speech model were trained apart.",
            },
        ],
    }
