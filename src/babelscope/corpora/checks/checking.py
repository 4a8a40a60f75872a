"""All checks of a corpus together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from babelscope.corpora.checks.cells import Cells
from babelscope.corpora.checks.coverage import coverage
from babelscope.corpora.checks.durations import Limits, beyond, rates_of, unfit_clips
from babelscope.corpora.checks.readers import readers, readers_of
from babelscope.corpora.checks.result import CorpusCheck, sorted_problems
from babelscope.corpora.checks.sharing import clusters, same_recordings
from babelscope.corpora.checks.sound import check_sound
from babelscope.corpora.checks.texts import Texts
from babelscope.corpora.corpus import Corpus
from babelscope.corpora.problems import Problem
from babelscope.corpora.truncation import TOO_SHORT
from babelscope.errors import UsageError, did_you_mean
from babelscope.progress import Progress, silent

#: Kinds that sources report as well, with the lines of their files; the report with more places is kept.
_TWICE = frozenset({"recording-shared", "seconds-disagree", TOO_SHORT})

#: Recordings that a check decodes if nothing else is asked for, and those that one before a run does.
DECODED, DECODED_BEFORE_A_RUN = 2000, 100


def check_corpus(
    corpus: Corpus,
    *,
    languages: Sequence[str] | None = None,
    modalities: Sequence[str] | None = None,
    limits: Sequence[Limits] = (),
    skip_bad: bool = False,
    before: Corpus | None = None,
    decoded: int | None = DECODED,
    progress: Progress | None = None,
) -> CorpusCheck:
    """Check a corpus: coverage, texts, readers, durations, duplicates, and what recordings sound like.

    Parameters
    ----------
    corpus : Corpus
    languages : sequence of str, optional
        These only.
    modalities : sequence of {"text", "speech"}, optional
        What a study uses; all that the corpus has if not given.
    limits : sequence of Limits
        Of the models that will be run.
    skip_bad : bool
        Whether the study skips what the model cannot take: then it is a warning, not an error.
    before : Corpus, optional
        The corpus before a study's filters, to count what they drop.
    decoded : int or None
        How many recordings are decoded, evenly over the languages; all if None, and no file is opened if 0.
    progress : callable, optional
        Called with what is being checked, how much of it is done, and how much there is.

    Returns
    -------
    CorpusCheck

    Raises
    ------
    UsageError
        If there is no such language.
    """
    tell = progress or silent
    chosen = tuple(languages or corpus.languages)
    for language in chosen:
        if language not in corpus.languages:
            raise UsageError(
                f"corpus {corpus.name!r} has no language {language!r}: {did_you_mean(language, corpus.languages)}"
            )
    given = Cells(before or corpus, chosen, modalities)
    cells = Cells(corpus, chosen, given.modalities) if before is not None else given
    texts = Texts(cells, tell)
    sampled = texts.incomplete
    problems = [*corpus.problems, *coverage(given), *texts.problems(), *unfit_clips(cells, texts)]
    for model in limits:
        problems += beyond(cells, model, skip_bad)
    rates: dict[str, str] = {}
    if "speech" in cells.modalities:
        tell("looking for copies", 0, 0)
        problems += readers(cells)
        problems += same_recordings(cells, sampled, files=decoded != 0, every=decoded is None)
        of_sound, rates = check_sound(cells, decoded, sampled, skip_bad=skip_bad, progress=tell)
        problems += of_sound
    suggested, of_clusters = clusters(cells, texts)
    dropped = corpus.lost[corpus.lost["language"] == "any"]
    return CorpusCheck(
        corpus=corpus.name,
        sentences=int(given.here.sum()),
        complete=int(cells.complete.sum()),
        modalities=cells.modalities,
        languages=_language_table(given, texts, rates),
        filtered=tuple(zip(dropped["filter"].tolist(), dropped["sentences"].tolist(), strict=True)),
        problems=sorted_problems(_once_a_kind([*problems, *of_clusters])),
        sampled=tuple(sampled),
        clusters=suggested,
    )


def _once_a_kind(problems: Iterable[Problem]) -> list[Problem]:
    """Return problems without those that were noticed twice: while the corpus was read, and here."""
    kept: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        # Several languages or columns may have one kind; what is found twice is not of one language.
        key = (problem.kind, "" if problem.kind in _TWICE else problem.message)
        if key not in kept or problem.count > kept[key].count:
            kept[key] = problem
    return list(kept.values())


def _language_table(cells: Cells, texts: Texts, rates: dict[str, str]) -> pd.DataFrame:
    complete = int(cells.complete.sum())
    names, paces = readers_of(cells), rates_of(texts)
    rows = []
    for number, language in enumerate(cells.languages):
        seconds = cells.seconds[cells.rows_of(cells.audio_rows, number)]
        rows.append(
            {
                "language": language,
                "texts": int(cells.text_there[:, number].sum()),
                "recordings": len(seconds),
                "pairs": int((cells.text_there[:, number] & cells.speech_there[:, number]).sum()),
                "costs": int(cells.without[number]) - complete if len(cells.languages) > 1 else 0,
                "minutes": float(seconds.sum()) / 60,
                "median_seconds": float(np.median(seconds)) if len(seconds) else np.nan,
                "longest_seconds": float(seconds.max()) if len(seconds) else np.nan,
                "readers": len(names[language]),
                "letters_per_second": paces.get(language, np.nan),
                "sample_rates": rates.get(language, ""),
            }
        )
    return pd.DataFrame(rows)
