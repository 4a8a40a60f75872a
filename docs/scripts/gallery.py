"""Runs the studies of docs/gallery.md on real models and recordings, and writes the page with its figures.

``make gallery`` runs it: some minutes on two cores, with the assets of ``make test``. Every number on the page is read
from the results; ``results/gallery`` keeps them, and a second run resumes from there.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import babelscope
from babelscope.cli.console import showing
from babelscope.gaps import KINDS, Result
from babelscope.gaps.leaderboard import leaderboard, standing
from babelscope.report.first_screen import first_screen
from babelscope.report.leaderboard import sections
from babelscope.study import build_corpus

ROOT = Path(__file__).parent.parent.parent
DOCS, FIGURES, RESULTS = ROOT / "docs", ROOT / "docs" / "figures" / "gallery", ROOT / "results" / "gallery"

LANGUAGES = ["en", "es", "fr", "it", "ru"]
WINDOW = 8

#: Sections of the page: title, study, figure, kinds of comparison, and what is said; no number stands here.
ABOUT: dict[str, tuple[str, str, str, Sequence[str], str]] = {
    "pocket": (
        "pocket and its two controls",
        "pocket",
        "similarity",
        (),
        "The model of the demonstration: Whisper's encoder, a small trained adapter, and the layers of E5, which "
        "speech and text share. Its controls run on the same sentences: the adapter untrained, and a linear map in its "
        "place. What lies between the trained model and a control is what training brought.",
    ),
    "towers": (
        "Whisper-base and E5: two towers",
        "towers",
        "similarity",
        (),
        "Two models that were never trained together, each read by the adapter of its class, which also reads any "
        "other model of the hub with that class (`hf:owner/name`). They share no space, so speech cannot be searched "
        "by text. Linear CKA asks whether sentences lie to each other in the same way on both sides; the baselines say "
        "what length or letters alone give.",
    ),
    "e5": (
        "E5: languages in text",
        "towers",
        "retrieval.language_similarity_text",
        ("language_similarity_text",),
        "How often a sentence finds its translation among all sentences, at the output of the text tower.",
    ),
    "whisper": (
        "Whisper-base: languages in speech",
        "towers",
        "retrieval.language_similarity_speech",
        ("language_similarity_speech",),
        "The same for recordings, at the output of the encoder of a speech recogniser. Each language was read by "
        "another voice.",
    ),
}


def studies(ids: list[str]) -> dict[str, dict[str, Any]]:
    """Return the studies by their names: all of the same sentences."""
    corpus = {"source": "asterisk", "languages": LANGUAGES, "ids": ids}
    controls = [{"name": "pocket", "options": {"adapter": which}} for which in ("untrained", "ridge")]
    asked: dict[str, dict[str, Any]] = {
        "pocket": {"model": {"name": "pocket"}, "baselines": controls},
        "towers": {"model": {"name": "whisper-base+e5-small", "window_seconds": WINDOW}},
    }
    return {name: {"name": name, "output": str(RESULTS / name), "corpus": corpus} | own for name, own in asked.items()}


def section(name: str, results: Mapping[str, Result]) -> list[str]:
    """Return a section of the page: a figure, the verdict of its tests, and the numbers at the output."""
    title, study, figure, kinds, about = ABOUT[name]
    shutil.copy(RESULTS / study / "figures" / f"{figure}.svg", FIGURES / f"{name}.svg")
    screen = first_screen(results[study])
    lines = [f"## {title}", "", about, "", f"![{title}](figures/gallery/{name}.svg)", ""]
    if not kinds:
        lines += [f"> {sentence}" for sentence in screen.verdict] + [""]
    lines += ["| at the output | value | 95 % | chance | strongest baseline |", "|---|---|---|---|---|"]
    for tile in screen.tiles:
        if kinds and tile.id not in kinds:
            continue
        interval = f"{tile.low.text} to {tile.high.text}" if tile.low and tile.high else ""
        rival = f"{tile.baseline.name}, {tile.baseline.value.text}" if tile.baseline else ""
        chance = tile.chance.text if tile.chance else ""
        place = "" if tile.id in KINDS else f", at {tile.point}"
        lines.append(f"| {tile.title}, {tile.measure}{place} | {tile.value.text} | {interval} | {chance} | {rival} |")
    return [*lines, ""]


def finished(name: str, study: babelscope.Study) -> Result | None:
    """Return the result of a study that was run before with the same keys."""
    try:
        result = Result.load(RESULTS / name)
    except babelscope.BabelscopeError:
        return None
    return result if result.meta["study"]["keys"] == study.keys() else None


def standings(results: dict[str, Result]) -> list[str]:
    """Return the leaderboard of pocket, its controls and the towers."""
    found = leaderboard({name: standing(result) for name, result in results.items()})
    lines = [
        "## Leaderboard",
        "",
        f"`babelscope leaderboard results/gallery`: {len(results)} models, the same sentences.",
        "",
    ]
    for part in sections(found):
        for board in part.boards:
            lines += [f"### {board.title}, {board.measure}", "", f"{board.said}", ""]
            lines += ["| model | mean | 95 % | behind the first by | p, corrected |", "|---|---|---|---|---|"]
            lines += [
                f"| {line.model} | {line.mean.text} | {line.mean.more} | {line.behind.text} | {line.p.text} |"
                for line in board.lines
            ]
            lines.append("")
    return lines


def main() -> None:
    """Run everything, and write the page."""
    FIGURES.mkdir(parents=True, exist_ok=True)
    ids = list(build_corpus(babelscope.Study.preset("demo")).sentences)
    results: dict[str, Result] = {}
    for name, keys in studies(ids).items():
        study = babelscope.Study.parse(keys)
        if (result := finished(name, study)) is None:
            print(name, file=sys.stderr, flush=True)
            with showing() as tell:
                babelscope.run(study, overwrite=True, progress=tell)
            result = Result.load(RESULTS / name)
        results[name] = result
    beside = {path.name: Result.load(path) for path in sorted((RESULTS / "pocket" / "beside").iterdir())}
    meta = results["pocket"].meta["corpus"]
    lines = [
        "# Gallery",
        "",
        "<!-- Written by docs/scripts/gallery.py: make gallery. Do not edit by hand. -->",
        "",
        f"Studies of real models on real recordings: the same {meta['n']} telephone prompts, read by people in "
        f"{len(meta['languages'])} languages ({', '.join(meta['languages'])}), of at most {WINDOW} s, held out of the "
        "training of `pocket`. `make gallery` runs them again and writes this page: every number and every verdict in "
        "a box is the run's own.",
        f"Recordings and texts: {meta.get('attribution') or ''} ({meta.get('licence') or ''}).",
        "",
        "Few sentences, one reader a language: read the intervals, not the last digit.",
        "",
    ]
    for name in ABOUT:
        lines += section(name, results)
    lines += standings({"pocket": results["pocket"], **beside, "towers": results["towers"]})
    lines += versions(results["pocket"])
    (DOCS / "gallery.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def versions(result: Result) -> list[str]:
    """Return what it was made with."""
    made = pd.Series(result.meta["versions"])
    return ["## Made with", "", ", ".join(f"{name} {version}" for name, version in made.items()) + ".", ""]


if __name__ == "__main__":
    main()
