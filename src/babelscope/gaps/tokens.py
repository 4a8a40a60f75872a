"""What the tokenizer does to languages: into how many tokens it cuts a word, and how many tokens two languages share.

Tokens are counted without what frames every text of a language alike: the tokens that all its texts begin with (start
of text, a tag of the language, a prefix such as ``query:``) and those that they all end with (end of text, a full stop
if none goes without). Words are those of :func:`babelscope.corpora.words.count_words`: runs between spaces; where a
script puts no spaces between words, two letters (Han, kana) or four (Thai, Lao, Khmer, Burmese) are taken for one. That
is a convention and not a segmentation: compare such a language with its neighbours in script.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.capture.store import Activations
from babelscope.corpora.words import count_words
from babelscope.errors import DataError, UsageError
from babelscope.gaps import selecting
from babelscope.gaps.result import TABLE_COLUMNS, table_of
from babelscope.similarity import student

#: What may go with similarity: the shared share, and how unlike the tokens a word are, as |log(a / b)|.
PREDICTORS: tuple[str, ...] = ("shared_token_share", "tokens_per_word_ratio")


def own_tokens(token_ids: Sequence[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Return the tokens of each text of a language without those that all begin with, and those that all end with.

    At least one token of each text is left.
    """
    front, back = frame_of(token_ids)
    return [ids[front : len(ids) - back] for ids in token_ids]


def frame_of(token_ids: Sequence[NDArray[np.int64]]) -> tuple[int, int]:
    """Return how many tokens all texts of a language begin with, and end with; at least one of each text is left."""
    if not token_ids:
        return 0, 0
    spare = min(len(ids) for ids in token_ids) - 1
    front = _common(token_ids, spare)
    return front, _common([ids[::-1] for ids in token_ids], spare - front)


def _common(texts: Sequence[NDArray[np.int64]], most: int) -> int:
    """Return how many tokens, at most `most`, all texts begin with."""
    for place in range(max(most, 0)):
        if len({int(ids[place]) for ids in texts}) > 1:
            return place
    return max(most, 0)


def tokens_per_word(activations: Activations) -> dict[str, float]:
    """Return how many tokens a word of each language takes: all its tokens over all its words.

    Parameters
    ----------
    activations : Activations

    Returns
    -------
    dict of str to float
        By language; NaN where the store holds no tokens, or the texts no words.
    """
    rates: dict[str, float] = {}
    for language in activations.languages:
        token_ids = activations.token_ids(language)
        words = sum(count_words(text) for text in activations.texts(language))
        known = token_ids is not None and words > 0
        rates[language] = sum(len(ids) for ids in own_tokens(token_ids or [])) / words if known else float("nan")
    return rates


def shared_token_share(first: Sequence[NDArray[np.int64]], second: Sequence[NDArray[np.int64]]) -> float:
    """Return which share of their running tokens two languages have in common.

    The sum over the vocabulary of min(p, q), with p and q the relative frequencies of a token in the one and the other:
    1 less the total variation distance, 1 for the same frequencies and 0 where no token occurs in both. Few texts make
    it too low, since a rare token is not seen in both; compare pairs of one study.

    Parameters
    ----------
    first, second : sequence of ndarray of int
        The texts of each, as :func:`own_tokens` returns them.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    DataError
        If one of the two has no token.
    """
    counts = [Counter(int(token) for ids in texts for token in ids) for texts in (first, second)]
    sizes = [count.total() for count in counts]
    if not all(sizes):
        raise DataError("shared_token_share: one language has no token")
    return float(sum(min(counts[0][token] / sizes[0], counts[1][token] / sizes[1]) for token in counts[0] & counts[1]))


def tokens_table(activations: Activations, scores: pd.DataFrame) -> pd.DataFrame:
    """Compare each pair of languages' tokens with how similar their texts are.

    Parameters
    ----------
    activations : Activations
    scores : DataFrame
        Their scores, of which those of ``language_similarity_text`` without a control are taken: one row each.

    Returns
    -------
    DataFrame
        Columns ``tokens`` of :data:`babelscope.gaps.result.TABLE_COLUMNS`; no rows where the store holds no tokens or
        the scores no pair of texts.
    """
    rows = selecting.rows(scores, kind="language_similarity_text", control="none")
    token_ids = {language: activations.token_ids(language) for language in activations.languages}
    if rows.empty or any(ids is None for ids in token_ids.values()):
        return table_of("tokens")
    each, own = tokens_per_word(activations), {name: own_tokens(ids or []) for name, ids in token_ids.items()}
    rows = rows.rename(columns={"point_a": "point"})
    pairs = list(zip(rows["language_a"], rows["language_b"], strict=True))
    shares = {pair: shared_token_share(own[pair[0]], own[pair[1]]) for pair in dict.fromkeys(pairs)}
    rows = rows.assign(
        tokens_per_word_a=rows["language_a"].map(each),
        tokens_per_word_b=rows["language_b"].map(each),
        shared_token_share=[shares[pair] for pair in pairs],
    )
    return rows[[*TABLE_COLUMNS["tokens"]]].reset_index(drop=True)


def associations(tokens: pd.DataFrame, *, permutations: int = 999, seed: int = 0) -> pd.DataFrame:
    """Tell how far tokens go with similarity over pairs of languages, at each point under each measure.

    Spearman's correlation over the pairs. Pairs that share a language are not independent, so p comes from permuting
    the languages and not the pairs (Mantel's test): p = (1 + #{|rho of a permutation| >= |rho|}) / (permutations + 1).
    The interval is for other languages, from the jackknife that leaves out one language at a time with every pair it is
    in, of Fisher's z = artanh(rho), with Student's quantile; it is rough where languages are few. Going together is not
    causing: languages of one family share words as well as tokens.

    Parameters
    ----------
    tokens : DataFrame
        Of :func:`tokens_table`.
    permutations : int
    seed : int

    Returns
    -------
    DataFrame
        Columns ``associations`` of :data:`babelscope.gaps.result.TABLE_COLUMNS`. A predictor or score that does not
        vary has no row, nor has a point with fewer than four languages; ``low`` and ``high`` are NaN with fewer than
        five.

    Raises
    ------
    UsageError
        For fewer than 19 permutations, with which p could not come down to .05.

    References
    ----------
    Mantel 1967, "The detection of disease clustering and a generalized regression approach", Cancer Research 27.
    """
    if permutations < 19:
        raise UsageError(f"permutations={permutations}: at least 19 are needed for a p of .05 (999 is usual)")
    correlations: list[dict[str, Any]] = []
    table = tokens.assign(
        tokens_per_word_ratio=np.abs(np.log(tokens["tokens_per_word_a"] / tokens["tokens_per_word_b"]))
    )
    for (point, measure), rows in table.groupby(["point", "measure"], sort=False):
        languages = list(dict.fromkeys([*rows["language_a"], *rows["language_b"]]))
        if len(languages) < 4:
            continue
        place = {language: index for index, language in enumerate(languages)}
        a, b = (rows[name].map(place).to_numpy() for name in ("language_a", "language_b"))
        generator = np.random.default_rng(seed)
        orders = generator.permuted(np.tile(np.arange(len(languages)), (permutations, 1)), axis=1)
        for predictor in PREDICTORS:
            values = rows[[predictor, "chance_corrected"]].to_numpy(dtype=np.float64)
            if len(rows) != len(languages) * (len(languages) - 1) // 2 or not np.isfinite(values).all():
                continue
            x, y = (_standard_ranks(column) for column in values.T)
            if x is None or y is None:
                continue
            square = np.zeros((len(languages), len(languages)))
            square[a, b] = square[b, a] = x
            rho = float(x @ y)
            drawn = square[orders[:, a], orders[:, b]] @ y
            correlations.append(
                {
                    "point": point,
                    "measure": measure,
                    "predictor": predictor,
                    "rho": rho,
                    **_interval(values, a, b, rho),
                    "p": float((1 + (np.abs(drawn) >= abs(rho) - 1e-12).sum()) / (permutations + 1)),
                    "languages": len(languages),
                    "pairs": len(rows),
                }
            )
    return table_of("associations", correlations)


def _interval(values: NDArray[np.float64], a: NDArray[Any], b: NDArray[Any], rho: float) -> dict[str, float]:
    """Return the 95 % interval of a correlation over pairs (a, b) of languages, for other languages."""
    nothing = {"low": float("nan"), "high": float("nan")}
    languages = int(max(a.max(), b.max())) + 1
    if languages < 5 or abs(rho) >= 1:
        return nothing
    fisher_z = []
    for left_out in range(languages):
        x, y = (_standard_ranks(column) for column in values[(a != left_out) & (b != left_out)].T)
        if x is None or y is None or abs(float(x @ y)) >= 1 - 1e-9:
            return nothing
        fisher_z.append(np.arctanh(float(x @ y)))
    error = float(np.sqrt((languages - 1) * np.var(fisher_z)))
    reach = student.quantile(0.975, languages - 1) * error
    middle = np.arctanh(rho)
    return {"low": float(np.tanh(middle - reach)), "high": float(np.tanh(middle + reach))}


def _standard_ranks(values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Ranks with mean 0 and length 1; None if all values are the same."""
    from scipy.stats import rankdata  # all of it takes a second to import

    ranks = np.asarray(rankdata(values), dtype=np.float64)
    ranks -= ranks.mean()
    length = float(np.linalg.norm(ranks))
    return ranks / length if length > 1e-9 else None


def tokens_tables(activations: Activations, scores: pd.DataFrame, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Return the table ``tokens``, and ``associations`` at the text side's last point, its output."""
    pairs = tokens_table(activations, scores)
    if pairs.empty:
        return {}
    last = [point for point in activations.points("text") if point in set(pairs["point"])][-1]
    return {"tokens": pairs, "associations": associations(pairs[pairs["point"] == last], seed=seed)}
