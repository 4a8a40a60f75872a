"""What to do next: where to look, and what the study lacks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from babelscope.gaps.at_output import costly, sentences_needed
from babelscope.gaps.caveats import FEW_SENTENCES
from babelscope.gaps.contrasts import FEWEST_LANGUAGES
from babelscope.gaps.diagnosis import place_of, uncompared
from babelscope.gaps.result import Result
from babelscope.languages import name_of
from babelscope.report.first_screen.content import INSIDE, LanguageRow, Tile
from babelscope.report.first_screen.languages import lower_languages
from babelscope.report.first_screen.reading import caveat_ids, finding, sentences_of, some_of
from babelscope.report.queries import mapping
from babelscope.report.sentences import Sentence, tell

#: A deficit that a study shall be able to find: the sentences that it takes are among the next steps.
WANTED = 0.10


def next_steps_of(result: Result, tiles: Sequence[Tile], languages: Sequence[LanguageRow]) -> list[Sentence]:
    """Return what would make the study tell more, the most useful first."""
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
    """Say where to look in languages with a deficit; of training only where the stage is known, and its cost."""
    steps = []
    costs = result.tables.get("costs")
    for code, rows in lower_languages(result).items():
        worst = rows[rows["worst"].astype(bool)]
        if worst.empty:
            continue
        stage = str(worst["stage"].iloc[0])
        steps.append(
            Sentence("{name}: look at {place}; there its deficit arises.", name=name_of(code), place=place_of(stage))
        )
        if costs is not None and code in set(costly(costs)["language"]):
            steps.append(
                Sentence(
                    "{name} also costs retrieval: if its recordings and texts are in order, fine-tuning in this "
                    "language is worth a try.",
                    name=name_of(code),
                )
            )  # fmt: skip
    return steps


def _more_sentences(result: Result, tiles: Sequence[Tile]) -> list[Sentence]:
    n = sentences_of(result)
    table = result.tables.get("diagnosis")
    left = _left_by_n(result)
    more = " The corpus has {left} more." if left else ""
    row = None if table is None or table.empty or "detectable" not in table or uncompared(table) else table.iloc[0]
    if row is not None and np.isfinite(float(row["detectable"])):
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
    dropped = mapping(result.meta, "corpus", "dropped")
    return sum(int(count) for name, count in dropped.items() if str(name).startswith("n="))


def _second_readers(result: Result) -> list[Sentence]:
    row = finding(result, "speech_spread")
    if row is None or '"voices"' not in str(row["caveats"]):
        return []
    having = [name_of(code) for code in mapping(result.meta, "options", "ceilings")]
    now = f" ({some_of(having)} {'has' if len(having) == 1 else 'have'} one)" if having else ""
    return [
        Sentence(
            "Add second readers of the same sentences in at least {least} languages{now}: without them, languages "
            "cannot be distinguished from voices in speech.",
            least=FEWEST_LANGUAGES, now=now,
        )
    ]  # fmt: skip


def _clusters_unknown(result: Result) -> list[Sentence]:
    if "clusters-unknown" not in caveat_ids(result):
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
