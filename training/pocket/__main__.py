"""The commands: ``python -m training.pocket --help``, run from the project's root."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from babelscope.cache import cache_folder, write_atomically
from babelscope.errors import BabelscopeError, UsageError, did_you_mean
from babelscope.fetch import fetch
from babelscope.plugins.pocket.adapter import SPLIT, AdapterShape, load_adapter
from training.pocket import split
from training.pocket.judge import validation_score
from training.pocket.loop import Run
from training.pocket.material import Material, gather
from training.pocket.recipe import Recipe
from training.pocket.watch import monitor

ASSETS = ("asterisk", "tuxpaint", "fillets", "whisper-base", "e5-small")
SEEDS = (0, 1, 2)


def folder() -> Path:
    """Return where features, checkpoints and logs are kept: in the cache."""
    return cache_folder() / "training" / "pocket"


class Progress:
    """One line every few seconds."""

    def __init__(self, every: float = 10.0) -> None:
        self.every, self.began, self.last = every, time.monotonic(), 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        """Say how far it is."""
        now = time.monotonic() - self.began
        if now - self.last >= self.every or done == total:
            self.last = now
            print(f"[{now:6.0f} s] {what}: {done} of {total}", flush=True)


def prepare(words: bool) -> Material:
    """Fetch, and read everything through the frozen models."""
    fetch(ASSETS)
    return gather(split.read(SPLIT), folder(), words=words, progress=Progress())


def train(material: Material, recipe: Recipe, name: str, *, watched: bool = True) -> dict[str, Any]:
    """Train one adapter, or resume it, and evaluate it on validation sentences."""
    place = folder() / "runs" / name
    scores_file = place / "validation.json"
    run = Run(recipe, material, place)
    resumed = run.resume()
    print(f"{name}: {len(run.learned)} recordings, {run.steps} steps, {resumed} done", flush=True)
    began, progress, recent = time.monotonic(), Progress(), [0.0]

    def tell(step: int, total: int, loss: float) -> None:
        recent[0] = loss if step == resumed + 1 else 0.95 * recent[0] + 0.05 * loss
        progress(f"{name} step, loss {recent[0]:.3f}", step, total)

    if not (run.finished.is_file() and scores_file.is_file()):
        callbacks: list[Any] = [tell]
        if watched:
            with monitor(run) as watch:
                if not resumed:
                    watch.step(0)
                run.train([tell, lambda step, total, loss: watch.step(step)])
        else:
            run.train(callbacks)
        score = validation_score(load_adapter(run.finished)[0], material)
        about = {"name": name, "recipe": json.loads(recipe.to_json()), "split": material.split.fingerprint}
        result = {**about, "seconds": time.monotonic() - began, **score}
        write_atomically(scores_file, lambda path: path.write_text(json.dumps(result, indent=1), encoding="utf-8"))
    scores: dict[str, Any] = json.loads(scores_file.read_text(encoding="utf-8"))
    print(f"{name}: " + ", ".join(f"{key} {scores[key]:.3f}" for key in scores if isinstance(scores[key], float)))
    return scores


def changed(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """Return the recipe with ``key=value`` changes; ``shape.hidden=1024`` reaches into the shape.

    Raises
    ------
    UsageError
        For an unknown key, or a value that is no number.
    """
    for change in changes:
        key, _, text = change.partition("=")
        try:
            value = json.loads(text)
        except ValueError as error:
            raise UsageError(f"{change!r} is not key=value with a number, true or false") from error
        inside = key.startswith("shape.")
        target: Any = recipe.shape if inside else recipe
        name = key.removeprefix("shape.")
        names = [field.name for field in dataclasses.fields(target)]
        if name not in names:
            raise UsageError(f"the recipe has no {key!r}: {did_you_mean(name, names)}")
        target = dataclasses.replace(target, **{name: value})
        recipe = dataclasses.replace(recipe, shape=target) if isinstance(target, AdapterShape) else target
    return recipe


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(prog="python -m training.pocket", description="Train the model 'pocket'.")
    parser.add_argument("--threads", type=int, default=1, help="another number gives other last bits (default 1)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("split", help="draw the held-out sentences anew, from those never held out (replaces the file)")
    commands.add_parser("prepare", help="fetch, and read everything through the frozen models (once)")
    train_command = commands.add_parser("train", help="train one adapter, or resume it")
    train_command.add_argument("--name", required=True, help="its folder in the cache")
    train_command.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="changes to the recipe")
    train_command.add_argument("--unwatched", action="store_true", help="do not log the gaps")
    ship_command = commands.add_parser(
        "ship", help="three seeds, the best by validation, its test results; writes the files"
    )
    ship_command.add_argument("--again", action="store_true", help="look at the test sentences once more")
    commands.add_parser("note", help="write the card anew with what other runs scored in validation; no test")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    if given.command == "split":
        fetch(ASSETS[:3])
        before = split.read(SPLIT) if SPLIT.is_file() else None
        split.write(split.draw(split.load_corpora(), before), SPLIT)
        return
    if given.command == "note":
        from training.pocket.ship import note

        note(folder() / "runs", prepare(words=False))
        return
    recipe = changed(Recipe(), given.set) if given.command == "train" else Recipe()
    material = prepare(recipe.words)
    if given.command == "train":
        train(material, recipe, given.name, watched=not given.unwatched)
    elif given.command == "ship":
        from training.pocket.ship import ship

        results = [train(material, dataclasses.replace(Recipe(), seed=seed), f"seed{seed}") for seed in SEEDS]
        ship(material, results, folder() / "runs", again=given.again)


if __name__ == "__main__":
    try:
        main()
    except BabelscopeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
