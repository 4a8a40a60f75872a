"""What the report takes out of a result and its ``meta``, of whatever shape: rows are selected, nothing is computed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.errors import UsageError, did_you_mean
from babelscope.gaps.findings import CORRECTED
from babelscope.gaps.old_names import current_kind
from babelscope.gaps.pairing import shown_points
from babelscope.gaps.result import KINDS, Result
from babelscope.gaps.selecting import rows as rows
from babelscope.report.wording import measure_head

#: A null mean from which on a measure does not distinguish related from unrelated data: it has no room up to 1.
SATURATED = 0.95

#: A calibrated score (0 up to the null's 95th percentile) up to which a saturated measure is said to tell nothing.
BLIND = 0.1

#: The kind of comparison behind each heat map.
MAP_KINDS: dict[str, str] = {
    "text": "language_similarity_text",
    "speech": "language_similarity_speech",
    "cross": "cross_similarity",
    "text-speech": "modality_similarity",
    "readers": "reader_similarity",
}

#: Kinds of which a group is one language, not a pair.
OF_ONE_LANGUAGE = ("modality_similarity", "reader_similarity")

#: Maps of which a row is a language, and a column a point.
ALONG = ("text-speech", "readers")

#: Kinds in which a speech point is compared with a text point.
ACROSS = ("modality_similarity", "cross_similarity")


Query = TypeVar("Query", bound=Callable[..., Any])


@dataclass(frozen=True)
class Settled(Result):
    """A result that nobody changes any more, so that what :func:`remembered` functions read off it holds."""

    remembered: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)


def remembered(function: Query) -> Query:
    """Read once what a function of a :class:`Settled` result returns; its callers must not change it.

    For any other result, and for arguments that cannot be keys, the function is simply called.
    """

    @functools.wraps(function)
    def once(result: Result, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(result, Settled):
            return function(result, *args, **kwargs)
        key = (function.__qualname__, args, tuple(sorted(kwargs.items())))
        try:
            there = key in result.remembered
        except TypeError:  # an argument is a list
            return function(result, *args, **kwargs)
        if not there:
            result.remembered[key] = function(result, *args, **kwargs)
        return result.remembered[key]

    return cast(Query, once)


def get(meta: Any, *keys: str) -> Any:
    """Return what stands under nested keys, or None."""
    for key in keys:
        meta = meta.get(key) if isinstance(meta, dict) else None
    return meta


def mapping(meta: Any, *keys: str) -> dict[str, Any]:
    """Return the dictionary under nested keys; empty where there is none."""
    value = get(meta, *keys)
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """Return a value as a list: a text is one item, whatever is no list is none."""
    if isinstance(value, str):
        return [value] if value else []
    return list(value) if isinstance(value, (list, tuple)) else []


def table(result: Result, name: str) -> pd.DataFrame | None:
    """Return a table of a result, scores and curves too; None where there is none, or an empty one."""
    frame = {"scores": result.scores, "curves": result.curves}.get(name, result.tables.get(name))
    return None if frame is None or frame.empty else frame


@dataclass(frozen=True)
class PointAt:
    """A place in the model, as the curves name it."""

    name: str
    stage: str
    depth: float


@dataclass(frozen=True)
class Saturation:
    """How far a measure is saturated in one kind of comparison.

    At `points`, of all that have a null (`of`), the null mean is :data:`SATURATED` or more, with this median (`null`).
    `blind` says whether the calibrated score is (nearly) 0 there as well, so that the measure says nothing at all.
    """

    points: int
    of: int
    null: float
    n: int
    blind: bool

    @property
    def everywhere(self) -> bool:
        """Whether the measure is saturated at every point."""
        return self.points == self.of


def in_order(values: Iterable[Any]) -> list[str]:
    """Return the distinct texts in order of first appearance, without missing ones."""
    column = values if isinstance(values, pd.Series) else pd.Series(list(values), dtype=object)
    return [str(value) for value in column.drop_duplicates() if not pd.isna(value)]


def highest(frame: pd.DataFrame, column: str) -> pd.Series[Any]:
    """Return the first row in which a column is largest; its index label is kept as its name."""
    return frame.iloc[int(np.nanargmax(frame[column].to_numpy(dtype=float)))]


def lowest(frame: pd.DataFrame, column: str) -> pd.Series[Any]:
    """Return the first row in which a column is smallest; its index label is kept as its name."""
    return frame.iloc[int(np.nanargmin(frame[column].to_numpy(dtype=float)))]


@remembered
def kinds(result: Result) -> list[str]:
    """Return the kinds of comparison that the curves hold, in the order of :data:`~babelscope.gaps.result.KINDS`."""
    there = set(in_order(result.curves["kind"]))
    return [kind for kind in KINDS if kind in there]


@remembered
def measures(result: Result) -> list[str]:
    """Return the measures that the curves hold: in the study's order, then in order of appearance."""
    there = in_order(result.curves["measure"])
    asked = [str(name) for name in items(get(result.meta, "options", "measures"))]
    return [name for name in asked if name in there] + [name for name in there if name not in asked]


@remembered
def languages(result: Result) -> list[str]:
    """Return the languages that were compared: in the corpus's order, then in order of appearance."""
    there = in_order([*in_order(result.scores["language_a"]), *in_order(result.scores["language_b"])])
    named = [str(name) for name in items(get(result.meta, "corpus", "languages"))]
    if not there:
        return in_order(named)
    return [name for name in named if name in there] + [name for name in there if name not in named]


@remembered
def points(result: Result, kind: str) -> list[PointAt]:
    """Return the points at which a kind was measured, from the first to the last.

    They are ordered by depth; where depths are equal, as the model lists them, then by appearance.
    """
    listed = [
        str(get(point, "name"))
        for side in items(get(result.meta, "model", "sides"))
        for point in items(get(side, "points"))
    ]
    rank = {name: index for index, name in enumerate(listed)}
    there = _places(rows(result.curves, kind=kind)[["point", "stage", "depth"]].drop_duplicates("point"))
    return sorted(there, key=lambda point: (point.depth, rank.get(point.name, len(rank))))


def _places(rows: pd.DataFrame) -> list[PointAt]:
    """Return the points of rows whose columns are the name, the stage and the depth."""
    return [
        PointAt(str(point), "" if pd.isna(stage) else str(stage), float(depth))
        for point, stage, depth in rows.itertuples(index=False)
    ]


def spread(points: Sequence[str], most: int) -> list[str]:
    """Return at most so many of the points, evenly spread from the first to the last; of one, the last."""
    if most < 2:
        return list(points[-1:])
    places = np.linspace(0, len(points) - 1, min(most, len(points)))
    return [points[place] for place in places.round().astype(int)]


@remembered
def facing(result: Result) -> dict[str, str]:
    """Return the text point that each speech point is shown with.

    It is the only one there is, else the point itself (a layer that both sides share), else the deepest.
    """
    return shown_points(result.scores, result.tables.get("pairing"))


def _faced(result: Result, point: pd.Series[Any], against: pd.Series[Any]) -> NDArray[np.bool_]:
    faced = facing(result)
    wanted = ranks(point, {name: index for index, name in enumerate(faced)})
    place = {name: index for index, name in enumerate(dict.fromkeys(faced.values()))}
    text = np.array([place[name] for name in faced.values()] + [-1], dtype=np.intp)[wanted]
    return np.asarray((wanted < 0) | (ranks(against, place) == text), dtype=bool)


@remembered
def curve(result: Result, kind: str, measure: str, control: str = "none") -> pd.DataFrame:
    """Return the curves of one kind, measure and control, ordered by point from the first to the last.

    Where a speech point was compared with several text points, the one of :func:`facing` is taken.
    """
    curves = rows(result.curves, kind=kind, measure=measure, control=control)
    if kind in ACROSS:
        curves = curves[_faced(result, curves["point"], curves["against"])]
    rank = {point.name: index for index, point in enumerate(points(result, kind))}
    order = np.argsort([rank[str(name)] for name in curves["point"]], kind="stable")
    return curves.iloc[order]


def mean_of(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of :func:`curve` that average over all languages or pairs."""
    return rows(curves, group="mean")


@remembered
def groups(result: Result, kind: str) -> list[str]:
    """Return the languages (modality similarity) or pairs of languages of a kind, in the order of the languages."""
    there = [name for name in in_order(rows(result.curves, kind=kind)["group"]) if name != "mean"]
    order = languages(result)
    if kind in OF_ONE_LANGUAGE:
        rank = {name: index for index, name in enumerate(order)}
    else:
        rank = {pair: index for index, pair in enumerate(f"{a}-{b}" for a in order for b in order)}
    return sorted(there, key=lambda name: rank.get(name, len(rank)))


@remembered
def saturation(result: Result, kind: str, measure: str) -> Saturation | None:
    """Return where a measure is saturated, or None where it is not or has no null.

    The null mean of unrelated data is read off the curve of the mean; nothing is estimated.
    """
    mean = mean_of(curve(result, kind, measure)).dropna(subset=["null_mean"])
    full = mean[mean["null_mean"] >= SATURATED]
    if full.empty:
        return None
    blind = not (full["calibrated"] > BLIND).any()
    return Saturation(len(full), len(mean), float(full["null_mean"].median()), int(full["n"].iloc[0]), blind)


@remembered
def leading_measure(result: Result) -> str | None:
    """Return the measure that the report leads with, or None.

    It is that of the findings, where there are any; else the first that is saturated nowhere, else the first not
    everywhere, else the first.
    """
    names, among = measures(result), kinds(result)
    findings = result.tables.get("findings")
    if findings is not None:
        tested = in_order(rows(findings, basis=CORRECTED)["measure"])
        if chosen := next((name for name in tested if name in names), None):
            return chosen
    saturated = {name: [saturation(result, kind, name) for kind in among] for name in names}
    clear = [name for name in names if not any(saturated[name])]
    partly = [name for name in names if not any(one and one.everywhere for one in saturated[name])]
    return next(iter([*clear, *partly, *names]), None)


def retrieval_measure(result: Result) -> str | None:
    """Return the first measure of the retrieval family, or None."""
    return next((name for name in measures(result) if measure_head(name) == "retrieval"), None)


@remembered
def cells(
    result: Result, modality: str, measure: str, control: str = "none", quantities: Sequence[str] = ("value",)
) -> dict[str, NDArray[np.float64]]:
    """Pivot quantities of the scores of one map, a key of :data:`MAP_KINDS`, into cells.

    Each is an array of shape (points, languages, languages), points as in :func:`points`, languages as in
    :func:`languages`. The two halves mirror each other (a pair has no order), but for ``cross``, whose rows speak and
    whose columns write; NaN where nothing was compared.
    """
    kind = MAP_KINDS[modality]
    scores = rows(result.scores, kind=kind, measure=measure, control=control)
    if kind in ACROSS:
        scores = scores[_faced(result, scores["point_a"], scores["point_b"])]
    where = {point.name: index for index, point in enumerate(points(result, kind))}
    names = {name: index for index, name in enumerate(languages(result))}
    point = ranks(scores["point_a"], where)
    kept = point >= 0
    at = point[kept]
    a, b = ranks(scores["language_a"], names)[kept], ranks(scores["language_b"], names)[kept]
    pivoted = {}
    for quantity in quantities:
        filled = np.full((len(where), len(names), len(names)), np.nan)
        numbers = scores[quantity].to_numpy(dtype=float)[kept]
        if modality != "cross":
            filled[at, b, a] = numbers
        filled[at, a, b] = numbers
        pivoted[quantity] = filled
    return pivoted


def ranks(column: pd.Series[Any], rank: dict[str, int]) -> NDArray[np.intp]:
    """Return the rank of each text of a column, -1 for one without; quick where texts are categories."""
    texts = column.astype("category").cat
    by_category = np.array([rank.get(str(text), -1) for text in texts.categories] + [-1], dtype=np.intp)
    return by_category[texts.codes.to_numpy()]


@remembered
def crossings(result: Result) -> tuple[list[PointAt], list[PointAt]]:
    """Return the speech points and the text points that were compared with each other, each from first to last.

    Both are empty unless some speech point was compared with several text points.
    """
    scores = rows(result.scores, kind="modality_similarity", control="none")
    if scores.empty:
        return [], []
    pairs = scores[["point_a", "point_b"]].drop_duplicates()
    several = set(pairs.groupby("point_a", observed=True)["point_b"].count().loc[lambda count: count > 1].index)
    if not several:
        return [], []
    scores = scores[scores["point_a"].isin(several)]
    sides = []
    for side in ("a", "b"):
        columns = [f"point_{side}", f"stage_{side}", f"depth_{side}"]
        sides.append(_places(scores[columns].drop_duplicates(columns[0]).sort_values(columns[2], kind="stable")))
    return sides[0], sides[1]


@remembered
def retrieval_rows(result: Result, kind: str, most: int | None = None) -> pd.DataFrame:
    """Pivot the retrieval scores of a kind into one row a language or pair.

    The columns are language_a, language_b, first, value, p, chance, length_regressed, shuffled, baseline, n: the score
    at the first point and at the last, its p-value and its null mean, the controls at the last point, and the strongest
    baseline. The attributes ``first`` and ``last`` name the points, ``baseline`` the baseline. With more rows than
    `most`, only the pairs with English are kept, or with the first language if there is no English.
    """
    measure = retrieval_measure(result) or ""
    along = points(result, kind)
    scores = rows(result.scores, kind=kind, measure=measure)
    if kind in ACROSS:
        scores = scores[_faced(result, scores["point_a"], scores["point_b"])]
    scores = scores[scores["value"].notna()]
    if scores.empty or not along:
        return pd.DataFrame()
    first, last = along[0].name, along[-1].name
    keys = ["language_a", "language_b"]

    def at(control: str, point: str) -> pd.DataFrame:
        here = rows(scores, control=control, point_a=point).astype(dict.fromkeys(keys, object))
        return here.drop_duplicates(keys).set_index(keys)

    plain = at("none", last)
    if plain.empty:
        return pd.DataFrame()
    name, of_baseline = baseline_scores(result, kind, measure)
    columns = {
        "first": at("none", first)["value"], "value": plain["value"], "p": plain["p"], "chance": plain["null_mean"],
        "length_regressed": at("length_regressed", last)["value"], "shuffled": at("shuffled", last)["value"],
        "baseline": of_baseline, "n": plain["n"],
    }  # fmt: skip
    table = pd.DataFrame({name: column.reindex(plain.index) for name, column in columns.items()}).reset_index()
    order = {name: index for index, name in enumerate(languages(result))}
    table = table.sort_values(keys, key=lambda column: column.map(order), kind="stable").reset_index(drop=True)
    table.attrs.update(first=first, last=last, of=len(table), pivot=None, baseline=name)
    if most is not None and len(table) > most and kind not in OF_ONE_LANGUAGE:
        pivot = next((name for name in ("en", "eng") if name in order), next(iter(order)))
        attrs = {**table.attrs, "pivot": pivot}
        table = table[(table["language_a"] == pivot) | (table["language_b"] == pivot)].reset_index(drop=True)
        table.attrs.update(attrs)
    return table


def baseline_scores(result: Result, kind: str, measure: str) -> tuple[str, pd.Series[Any]]:
    """Return the strongest baseline of a kind that has every language or pair, and its scores by the two languages."""
    table = result.tables.get("baselines")
    baselines = rows(table, kind=kind, measure=measure) if table is not None else pd.DataFrame(columns=["group"])
    means = baselines[baselines["group"] == "mean"]
    if means.empty:
        return "", pd.Series(dtype=float)
    means = means[means["groups"] == means["groups"].max()]
    name = str(highest(means.assign(level=means["chance_corrected"].fillna(-np.inf)), "level")["baseline"])
    chosen = baselines[(baselines["baseline"] == name) & (baselines["group"] != "mean")]
    chosen = chosen.astype(dict.fromkeys(["language_a", "language_b"], object))
    return name, chosen.set_index(["language_a", "language_b"])["value"]


def known(what: str, name: str, there: Sequence[str]) -> str:
    """Return `name` if it is there; of a kind of comparison, by its present name. UsageError says what there is."""
    if what == "kind of comparison" and name not in there:
        name = current_kind(name, "kind")
    if name not in there:
        raise UsageError(f"the result has no {what} {name!r}: {did_you_mean(name, there)}")
    return name
