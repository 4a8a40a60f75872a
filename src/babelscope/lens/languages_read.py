"""In which language a reading is: by the script of its letters, and by an identifier of languages.

Whether it is the spoken language is tested by permuting the languages of each sentence (a document's together): under
the null hypothesis a reading of a sentence goes with any of its languages alike, so that a model that reads everything
as English has no more than chance. ``p_adjusted`` is corrected for all points and both ways of telling.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.languages import LANGUAGES, standard
from babelscope.lens.vocabulary import script

#: One row a point, spoken language, way of telling (`by`: "script" or "language") and what a share of readings is.
LANGUAGES_READ_COLUMNS: tuple[str, ...] = ("point", "depth", "language", "by", "read_as", "share", "n")

#: One row a point and way of telling: the share of readings in the spoken language (or its script), and what the
#: languages of other readings of the sentence give.
MATCH_COLUMNS: tuple[str, ...] = ("point", "depth", "by", "share", "chance", "p", "p_adjusted", "n", "languages")


@functools.cache
def identifier() -> Callable[[str], str] | None:
    """Return what tells the language of a text by py3langid, as a code of ISO 639-1; None if it is not installed.

    It chooses among the languages of FLEURS that it knows: on fragments it would else name small languages at random.
    """
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]
    except ImportError:
        return None
    own = LanguageIdentifier.from_model_file(MODEL_FILE)  # another than the package's, which a caller may have narrowed
    fleurs = {one.fleurs for one in LANGUAGES}
    own.set_languages([label for label in own.labels if standard(str(label)) in fleurs])
    return lambda text: str(own.classify(text)[0]) if text else ""


def languages_read(
    readings: Mapping[tuple[str, str], Sequence[str]],
    texts: Mapping[str, Sequence[str]],
    names: Sequence[str],
    units: NDArray[np.int64],
    permutations: int,
    seed: int,
    notice: Callable[[str], None],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tell the language of readings.

    Parameters
    ----------
    readings : mapping of (point, language) to sequence of str
        One text a sentence.
    texts : mapping of language to sequence of str
        The transcripts.
    names : sequence of str
        Points, in order.
    units : ndarray of int, shape (n,)
        The cluster of each sentence.
    permutations, seed : int
    notice : callable
        Called with a line on what cannot be identified.

    Returns
    -------
    read_as, match : DataFrame
        Without the column ``depth``.
    """
    languages = list(texts)
    ways: dict[str, tuple[Callable[[str], str], dict[str, str]]] = {
        "script": (script, {language: script(" ".join(texts[language])) for language in languages})
    }
    identify = identifier()
    if identify is None:
        notice("lens: the language of readings is identified by script alone; pip install babelscope[lens] for more")
    else:
        ways["language"] = (
            lambda text: standard(identify(text)) if text else "",
            {language: standard(language) for language in languages},
        )
    generator = np.random.default_rng([seed, len(languages), 3])
    orders = generator.random((permutations, int(units.max()) + 1, len(languages))).argsort(axis=2)[:, units]
    rows: list[dict[str, Any]] = []
    matches: list[dict[str, Any]] = []
    drawn: list[NDArray[np.float64]] = []
    for by, (tell, expected) in ways.items():
        for point in names:
            read = np.array(
                [[tell(text) for text in readings[point, language]] for language in languages], dtype=object
            )
            for place, language in enumerate(languages):
                values, counts = np.unique(read[place].astype(str), return_counts=True)
                rows += [
                    {
                        "point": point,
                        "language": language,
                        "by": by,
                        "read_as": str(value) or "nothing",
                        "share": count / len(units),
                        "n": len(units),
                    }
                    for value, count in sorted(zip(values, counts, strict=True), key=lambda one: -one[1])
                ]
            if len(set(expected.values())) < 2:
                continue
            # equal[i, l, m]: whether the reading of sentence i spoken in l is in the language m
            equal = np.array(
                [[read[place] == expected[other] for other in languages] for place in range(len(languages))]
            )
            equal = equal.transpose(2, 0, 1).astype(np.float64)
            value = float(np.einsum("ill->", equal)) / (len(units) * len(languages))
            null = np.take_along_axis(equal[None], orders[..., None], axis=3)[..., 0].mean((1, 2))
            statistics = np.append(value, null)
            drawn.append((statistics - statistics.mean()) / max(float(statistics.std()), 1e-12))
            matches.append(
                {
                    "point": point,
                    "by": by,
                    "share": value,
                    "chance": float(null.mean()),
                    "p": float((1 + (null >= value - 1e-12).sum()) / (permutations + 1)),
                    "n": len(units),
                    "languages": len(languages),
                }
            )
    if len(languages) > 1 and len(set(ways["script"][1].values())) < 2:
        notice("lens: all languages have one script: the script of a reading does not tell them apart")
    largest = np.max(drawn, axis=0) if drawn else np.zeros(0)
    for row, scores in zip(matches, drawn, strict=True):
        row["p_adjusted"] = float((largest >= scores[0] - 1e-9).mean())
    columns = [name for name in LANGUAGES_READ_COLUMNS if name != "depth"]
    match_columns = [name for name in MATCH_COLUMNS if name != "depth"]
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(matches, columns=match_columns)
