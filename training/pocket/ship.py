"""Shipping: the best seed by validation becomes the shipped file, and is evaluated once on the test sentences.

What was shipped before is not forgotten: its test results and its runs stay in the new results, each with the draw of
sentences that it was judged on.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from babelscope.cache import sha256_of, write_atomically
from babelscope.errors import UsageError
from babelscope.plugins.pocket.adapter import FOLDER, PocketAdapter, load_adapter
from babelscope.plugins.pocket.ridge import save_ridge
from training.pocket.card import card
from training.pocket.curve import draw
from training.pocket.judge import (
    GROUPS,
    Array,
    Cells,
    Held,
    Ridge,
    by_length,
    held_out,
    hits,
    judged,
    levels,
    speech_levels,
    text_draws,
    text_vectors,
)
from training.pocket.material import Material
from training.pocket.recipe import Recipe
from training.pocket.split import HELD_OUT_LANGUAGE, HELD_OUT_READER, SPOKEN

#: The picture of the shipped run's gaps, without its suffix.
FIGURE = Path(__file__).parents[2] / "docs" / "figures" / "training" / "pocket"

#: Untrained adapters that the control is the mean of.
UNTRAINED = (100,)


def ship(material: Material, results: Sequence[Mapping[str, Any]], runs: Path, *, again: bool = False) -> None:
    """Choose by validation, test, and write the shipped folder: weights, results, gaps while training, card.

    Parameters
    ----------
    material : Material
    results : sequence of mapping
        What each seed's run scored on validation sentences.
    runs : Path
        The runs' folders.
    again : bool
        Test although there are test results on these sentences already.

    Raises
    ------
    UsageError
        If the test sentences were looked at before.
    """
    results_file = FOLDER / "results.json"
    shipped = json.loads(results_file.read_text(encoding="utf-8")) if results_file.is_file() else None
    if shipped and shipped["split"] == material.split.fingerprint and not again:
        raise UsageError(f"{results_file} has looked at these test sentences before; --again does it once more")
    best = max(results, key=lambda result: result["score"])
    adapters = {
        str(result["name"]): load_adapter(runs / str(result["name"]) / "adapter.safetensors")[0] for result in results
    }
    source = runs / str(best["name"])
    recipe = Recipe.from_json(json.dumps(best["recipe"]))
    words = material.teacher.words
    untrained = [PocketAdapter.untrained(seed, words, recipe.shape) for seed in UNTRAINED]
    validation = [
        (held_out(material, "validation", name, languages), pivot) for name, (languages, pivot) in GROUPS.items()
    ]
    ridge = Ridge(material, validation)
    content: dict[str, Any] = {
        "chosen": best["name"],
        "validation": [dict(result) for result in results],
        "ablations": _ablations(
            runs, [str(result["name"]) for result in results], _reported(shipped) if shipped else []
        ),
        "split": material.split.fingerprint,
        "weights_sha256": sha256_of(source / "adapter.safetensors"),
        "learned_from": _amounts(material, recipe),
        "ridge_penalty": ridge.penalty,
        "before": _before(shipped) if shipped else [],
        "tables": {},
        "levels": {},
    }
    for name, held, pivot in _tests(material):
        spoken = {seed: speech_levels(adapter, material, held) for seed, adapter in adapters.items()}
        blank = [speech_levels(adapter, material, held) for adapter in untrained]
        content["tables"][name] = _table(material, held, pivot, spoken, str(best["name"]), blank, ridge)
        if name in GROUPS:
            content["levels"][name] = {
                "seeds": {seed: levels(each, material, held) for seed, each in spoken.items()},
                "untrained": levels(blank[0], material, held),
            }
        print(f"tested: {name}", flush=True)
    content["draws"] = _draws(material)
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_atomically(FOLDER / "adapter.safetensors", lambda path: shutil.copyfile(source / "adapter.safetensors", path))
    write_atomically(FOLDER / "gaps.jsonl", lambda path: shutil.copyfile(source / "gaps.jsonl", path))
    about = {"penalty": f"{ridge.penalty:g}", "split": material.split.fingerprint, "encoder": "whisper-base"}
    save_ridge(ridge.folded(), FOLDER / "ridge.safetensors", about)
    draw(source / "gaps.jsonl", FIGURE)
    _write(content)


def _before(shipped: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what was shipped before: its weights, split and validation score, and its main test results."""
    score = next(run["score"] for run in shipped["validation"] if run["name"] == shipped["chosen"])
    tables = {
        name: {row: shipped["tables"][name]["rows"][row]["trained"]["value"] for row in ("same", "cross", "speech")}
        for name in GROUPS
    }
    last = {"weights_sha256": shipped["weights_sha256"], "score": score, "split": shipped["split"], **tables}
    return [*({"split": shipped["split"], **run} for run in shipped.get("before", [])), last]


def _reported(shipped: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the runs that what was shipped before tells of, its own seeds under names that are theirs alone."""
    seeds = [{**run, "name": f"{run['name']} of {shipped['weights_sha256'][:12]}"} for run in shipped["validation"]]
    return [{"split": shipped["split"], **run} for run in [*shipped["ablations"], *seeds]]


def _tests(material: Material) -> list[tuple[str, Held, str]]:
    """List what is tested: name, sentences, and the pivot language."""
    rest = [language for language in SPOKEN["tuxpaint"] if language not in GROUPS["tuxpaint"][0]]
    learned = [language for language in SPOKEN["fillets"] if language != HELD_OUT_LANGUAGE]
    tests = [(name, held_out(material, "test", name, languages), pivot) for name, (languages, pivot) in GROUPS.items()]
    tests += [
        (f"tuxpaint {language}", held_out(material, "test", "tuxpaint", (language,)), language) for language in rest
    ]
    tests += [
        (f"fillets {language}", held_out(material, "test", "fillets", (language,)), language) for language in learned
    ]
    tests.append(("unseen language", held_out(material, "test", "fillets", (HELD_OUT_LANGUAGE,)), HELD_OUT_LANGUAGE))
    tests.append(("unseen reader", held_out(material, "test", "asterisk", ("it",), HELD_OUT_READER), "it"))
    return tests


def _table(
    material: Material,
    held: Held,
    pivot: str,
    spoken: Mapping[str, Mapping[str, Mapping[str, Array]]],
    chosen: str,
    untrained: Sequence[Mapping[str, Mapping[str, Array]]],
    ridge: Ridge,
) -> dict[str, Any]:
    def cells(vectors: Mapping[str, Array]) -> Cells:
        cells_of = judged(vectors, material, held, pivot)
        if len(held.spoken) == 1 and "en" in held.written:
            texts = text_vectors(material, held)
            cells_of.rows["cross"] = hits(vectors[pivot], texts["en"])
            cells_of.rows["text"] = hits(texts[pivot], texts["en"])
        return cells_of

    n = len(held.sentences)
    trained = {name: cells(_pooled(each)) for name, each in spoken.items()}
    blank = [cells(_pooled(each)) for each in untrained]
    mean = Cells(n, {row: np.mean([each.rows[row] for each in blank], axis=0) for row in blank[0].rows})
    systems = {
        "length only": Cells(n, by_length(material, held, pivot)),
        "untrained": mean,
        "ridge": cells(ridge.speech(material, held)),
        "trained": trained[chosen],
    }
    rows = [row for row in trained[chosen].rows if row != "text"]
    table: dict[str, Any] = {"n": n, "languages": list(held.spoken), "pivot": pivot, "chance": 1 / n, "rows": {}}
    for row in rows:
        table["rows"][row] = {
            name: {"value": each.value(row), "interval": each.interval(row)}
            for name, each in systems.items()
            if row in each.rows
        }
        table["rows"][row]["seeds"] = {name: each.value(row) for name, each in trained.items()}
    if "text" in trained[chosen].rows:
        table["text-text"] = {"value": trained[chosen].value("text"), "interval": trained[chosen].interval("text")}
    table["by language"] = {
        language: judged({language: vectors}, material, held, language).value("same")
        for language, vectors in _pooled(spoken[chosen]).items()
    }
    return table


def _pooled(spoken: Mapping[str, Mapping[str, Array]]) -> dict[str, Array]:
    return {language: points["pooled"] for language, points in spoken.items()}


def note(runs: Path, material: Material | None = None) -> None:
    """Write the card anew with what other runs scored on validation sentences; the test is not looked at.

    Parameters
    ----------
    runs : Path
    material : Material, optional
        With it the text model is judged anew on other draws of sentences.

    Raises
    ------
    UsageError
        If nothing was shipped yet.
    """
    results_file = FOLDER / "results.json"
    if not results_file.is_file():
        raise UsageError(f"{results_file} does not exist: ship first")
    content = json.loads(results_file.read_text(encoding="utf-8"))
    content["ablations"] = _ablations(runs, [str(run["name"]) for run in content["validation"]], content["ablations"])
    if material is not None:
        content["draws"] = _draws(material)
    _write(content)


def _draws(material: Material) -> dict[str, Any]:
    return {
        name: text_draws(material, name, held_out(material, "test", name, languages).sentences)
        for name, (languages, _) in GROUPS.items()
    }


def _write(content: Mapping[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True)
    write_atomically(FOLDER / "results.json", lambda path: path.write_text(text + "\n", encoding="utf-8"))
    write_atomically(FOLDER / "card.md", lambda path: path.write_text(card(json.loads(text)), encoding="utf-8"))


def _ablations(runs: Path, seeds: Sequence[str], known: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what the other finished runs scored on validation sentences, those told of before among them."""
    runs_of = {str(run["name"]): dict(run) for run in known}
    for path in sorted(runs.glob("*/validation.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        runs_of[str(run["name"])] = {**runs_of.get(str(run["name"]), {}), **run}
    return [run for name, run in runs_of.items() if name not in seeds]


def _amounts(material: Material, recipe: Recipe) -> dict[str, dict[str, float]]:
    """Return recordings and minutes that were learned from, by corpus and language."""
    amounts: dict[str, dict[str, float]] = {}
    for number in material.chosen("train", fillets=recipe.fillets):
        each = material.utterances[number]
        row = amounts.setdefault(f"{each.corpus} {each.language}", {"recordings": 0, "minutes": 0.0})
        row["recordings"] += 1
        row["minutes"] += each.recording.seconds / 60
    return {name: {key: round(value, 1) for key, value in row.items()} for name, row in amounts.items()}
