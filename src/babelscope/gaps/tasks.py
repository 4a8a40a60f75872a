"""Similarity against accuracy in tasks, over languages: whether gaps inside a model go with what it does.

One row of a table of tasks is a language; its columns are accuracies (or error rates) that the user brings. For every
kind of similarity, measure and point of a result, a language has one number: of speech and text its own, of pairs of
languages the mean over its pairs. Spearman's correlation over the languages says whether the two go together.

A result has many points, and the one that goes best with a task is chosen by looking. ``p_adjusted`` allows for that:
the same permutations of the languages serve every point, measure and kind, and each correlation is compared with the
largest of each permutation (Westfall and Young 1993). Languages of one family are not independent, and languages with
much training data do well in everything: regress such columns out with `given`. Going together is not causing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata

from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.similarity.arrays import FloatArray

#: Columns of :func:`relate`. `point` is the point of speech (or of the first language), `against` what it is compared
#: with; `rho` is Spearman's; `low` and `high` are its 95 % interval for other languages; `p_adjusted` is corrected for
#: all rows of the task.
RELATION_COLUMNS: tuple[str, ...] = (
    "task",
    "kind",
    "measure",
    "point",
    "against",
    "rho",
    "low",
    "high",
    "p",
    "p_adjusted",
    "languages",
)

#: Fewest languages that a correlation is given for.
FEWEST_LANGUAGES = 5

#: Up to so many languages all their permutations are taken.
_EXACT = 7


def read_tasks(path: Path) -> pd.DataFrame:
    """Read a table of tasks.

    Parameters
    ----------
    path : Path
        CSV, TSV or Parquet, with a column ``language`` and one row a language.

    Returns
    -------
    DataFrame
        Indexed by language.

    Raises
    ------
    DataError
        If the file cannot be read, has no column ``language``, or a language twice.
    """
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(
                path,
                sep="\t" if path.suffix == ".tsv" else ",",
                dtype={"language": str},
                keep_default_na=False,
                na_values=[""],
            )
    except FileNotFoundError as error:
        raise DataError(f"tasks: there is no file {path}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"tasks: {path} cannot be read as a table ({error})") from error
    if "language" not in table.columns:
        raise DataError(f"tasks: {path} has no column 'language' (it has {', '.join(map(str, table.columns))})")
    table["language"] = table["language"].astype(str).str.strip()
    twice = table["language"][table["language"].duplicated()]
    if len(twice):
        raise DataError(f"tasks: {path} has language {twice.iloc[0]!r} twice: one row a language is needed")
    return table.set_index("language")


def similarity_by_language(scores: pd.DataFrame) -> pd.DataFrame:
    """Return one number a language for every kind, measure and pair of points.

    Parameters
    ----------
    scores : DataFrame
        Scores of a result; those without a control count. Chance-corrected where there is a null, else as measured.

    Returns
    -------
    DataFrame
        Columns kind, measure, point, against, language, similarity. A pair of languages counts for both.
    """
    rows = scores[scores["control"] == "none"]
    value = rows["chance_corrected"].where(rows["chance_corrected"].notna(), rows["value"])
    rows = rows.assign(similarity=value)[
        ["kind", "measure", "point_a", "point_b", "language_a", "language_b", "similarity"]
    ].rename(columns={"point_a": "point", "point_b": "against"})
    first = rows.rename(columns={"language_a": "language"}).drop(columns="language_b")
    second = rows[rows["language_a"] != rows["language_b"]]
    second = second.rename(columns={"language_b": "language"}).drop(columns="language_a")
    by = ["kind", "measure", "point", "against", "language"]
    return pd.concat([first, second]).groupby(by, sort=False)["similarity"].mean().reset_index()


def relate(
    scores: pd.DataFrame,
    tasks: pd.DataFrame,
    *,
    given: Sequence[str] = (),
    draws: int = 9_999,
    seed: int = 0,
) -> pd.DataFrame:
    """Correlate similarity with accuracy over languages.

    Parameters
    ----------
    scores : DataFrame
        Scores of a result.
    tasks : DataFrame
        Indexed by language; every numeric column that is not in `given` is a task.
    given : sequence of str
        Columns of `tasks` to regress out of the ranks of both: numbers (as ranks) or names such as a family.
    draws : int
        Permutations of the languages; with at most 7 languages all of them are taken instead.
    seed : int

    Returns
    -------
    DataFrame
        Columns :data:`RELATION_COLUMNS`, by task, the largest correlation first. Similarity that does not vary has no
        row.

    Raises
    ------
    UsageError
        If a column of `given` is not there or leaves no language to spare, or there is no task.
    DataError
        If fewer than 5 languages have both a similarity and a task.

    Notes
    -----
    Ranks are residuals of their regression on the columns of `given`; p comes from permuting the languages' residuals
    (Freedman and Lane 1983): p = (1 + #{|rho of a permutation| >= |rho|}) / (draws + 1), exact where nothing is given.
    The interval is Fisher's, with the standard error sqrt((1 + rho^2 / 2) / (n - 3 - k)) of Bonett and Wright (2000,
    Psychometrika 65), k being the number of columns regressed out.
    """
    for column in given:
        if column not in tasks.columns:
            raise UsageError(f"given: the tasks have no column {column!r}; {did_you_mean(column, tasks.columns)}")
    names = [name for name in tasks.columns if name not in given and pd.api.types.is_numeric_dtype(tasks[name])]
    if not names:
        raise UsageError(
            "tasks: no column of numbers is left apart from 'language'" + (" and those given" if given else "")
        )
    similarity = similarity_by_language(scores).pivot_table(
        index="language", columns=["kind", "measure", "point", "against"], values="similarity", sort=False
    )
    tables = [_related(similarity, tasks, name, given, draws, seed) for name in names]
    return pd.concat(tables, ignore_index=True)


def _related(
    similarity: pd.DataFrame, tasks: pd.DataFrame, name: str, given: Sequence[str], draws: int, seed: int
) -> pd.DataFrame:
    known = tasks[[name, *given]].dropna()
    languages = [code for code in similarity.index if code in known.index]
    values = similarity.loc[languages].dropna(axis="columns")
    if len(languages) < FEWEST_LANGUAGES or values.empty:
        raise DataError(
            f"tasks: {len(languages)} languages of the result have a value of {name!r}"
            + (f" and of {', '.join(given)}" if given else "")
            + f"; at least {FEWEST_LANGUAGES} are needed (the result has {', '.join(map(str, similarity.index))})"
        )
    design = _design(known.loc[languages], given)
    columns = design.shape[1] - 1
    room = len(languages) - 3 - columns
    if room < 1:
        raise UsageError(f"given: {columns} columns are too many for {len(languages)} languages")
    task = _standardised(rankdata(known.loc[languages, name].to_numpy(np.float64))[:, None], design)
    ranks = _standardised(rankdata(values.to_numpy(np.float64), axis=0), design)
    varies = np.abs(ranks).sum(axis=0) > 0
    ranks, labels = ranks[:, varies], values.columns[varies]
    rho = (ranks.T @ task)[:, 0]
    drawn = np.abs(_permuted(task[:, 0], design, draws, seed) @ ranks)
    count = len(drawn)
    reached = drawn >= np.abs(rho) - 1e-12
    largest = drawn.max(axis=1, initial=0.0)
    exact = len(languages) <= _EXACT
    extra = 0 if exact else 1  # all permutations hold the observed one
    p = (extra + reached.sum(axis=0)) / (count + extra)
    adjusted = (extra + (largest[:, None] >= np.abs(rho) - 1e-12).sum(axis=0)) / (count + extra)
    with np.errstate(divide="ignore"):
        centre = np.arctanh(np.clip(rho, -1, 1))
    half = norm.ppf(0.975) * np.sqrt((1 + rho**2 / 2) / room)
    table = pd.DataFrame(list(labels), columns=["kind", "measure", "point", "against"]).assign(
        task=name,
        rho=rho,
        low=np.tanh(centre - half),
        high=np.tanh(centre + half),
        p=p,
        p_adjusted=adjusted,
        languages=len(languages),
    )
    return table.sort_values("rho", key=np.abs, ascending=False)[list(RELATION_COLUMNS)]


def _design(table: pd.DataFrame, given: Sequence[str]) -> FloatArray:
    """Return the columns to regress out, the constant first: ranks of numbers, indicators of names."""
    columns = [np.ones(len(table))]
    for name in given:
        if pd.api.types.is_numeric_dtype(table[name]):
            columns.append(rankdata(table[name].to_numpy(np.float64)))
        else:
            columns += [(table[name] == level).to_numpy(np.float64) for level in sorted(set(table[name]))[1:]]
    return np.column_stack(columns)


def _standardised(ranks: FloatArray, design: FloatArray) -> FloatArray:
    """Return columns with the design regressed out, of length 1; zero where nothing is left."""
    basis = np.linalg.qr(design)[0]
    residuals = ranks - basis @ (basis.T @ ranks)
    length = np.linalg.norm(residuals, axis=0)
    kept = length > 1e-9 * max(float(np.linalg.norm(ranks)), 1.0)
    return np.where(kept, residuals / np.where(kept, length, 1), 0.0)


def _permuted(task: FloatArray, design: FloatArray, draws: int, seed: int) -> FloatArray:
    """Return the task's residuals for other orders of the languages, shape (draws, languages)."""
    n = len(task)
    if n <= _EXACT:
        orders = np.array(list(permutations(range(n))), dtype=np.int64).reshape(math.factorial(n), n)
    else:
        orders = np.argsort(np.random.default_rng([seed, n]).random((draws, n)), axis=1)
    return _standardised(task[orders].T, design).T
