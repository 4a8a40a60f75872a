"""The model's scores set against those of the baselines: how much higher they are, and whether that is more than noise.

Both are scores of the same sentences, so that the interval of their difference comes from what each sentence, or each
cluster of sentences, adds to both. The intervals of all points of one kind and measure hold together, so also for a
point that was chosen for being the highest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from babelscope.capture.store import Activations
from babelscope.gaps.contrasts import Scored, Term
from babelscope.gaps.paired import together
from babelscope.gaps.pairing import pairs_of_points, shown_points
from babelscope.gaps.result import TABLE_COLUMNS, table_of
from babelscope.gaps.selecting import groups
from babelscope.gaps.simultaneous import Simultaneous, simultaneous
from babelscope.similarity import parse_measure
from babelscope.similarity.blocks import BlockExecutor
from babelscope.similarity.deviations import Deviations

_PAIR = ["language_a", "language_b"]


def baselines_table(scored: Mapping[str, Mapping[str, Scored]]) -> pd.DataFrame:
    """Return the scores of the baselines, which have ``low`` and ``high``: the table ``baselines``.

    It has a row a language or pair, and one of their mean with the interval for other sentences.
    """
    rows: list[pd.DataFrame] = []
    for name, by_measure in scored.items():
        for one in by_measure.values():
            table = one.rows.assign(baseline=name, group=groups(one.rows), groups=1)
            for members in table.groupby("kind", sort=False).indices.values():
                each = table.iloc[members]
                low, high = one.interval_of_average(np.asarray(members), other_languages=False)
                means = {
                    column: each[column].mean() for column in ("value", "null_mean", "null_q95", "chance_corrected")
                }
                mean = each.head(1).assign(group="mean", groups=len(each), low=low, high=high, p=np.nan, **means)
                rows += [each, mean.assign(n=each["n"].min(), language_a=np.nan, language_b=np.nan)]
    columns = list(TABLE_COLUMNS["baselines"])
    return (
        pd.concat([each.reindex(columns=columns) for each in rows], ignore_index=True)
        if rows
        else table_of("baselines")
    )


def against_baselines(scored: Mapping[str, Scored], baselines: Mapping[str, Mapping[str, Scored]]) -> pd.DataFrame:
    """Return how much higher the model's uncontrolled scores are than each baseline's: ``against_baselines``.

    The baselines' deviations are of the same draws or clusters as the model's.
    """
    frames = [
        _against(own, name, theirs[measure])
        for measure, own in scored.items()
        for name, theirs in baselines.items()
        if measure in theirs
    ]
    return marked(frames)


def against_model(
    own: Activations,
    other: Activations,
    label: str,
    measures: Sequence[str],
    *,
    match: str,
    kinds: Sequence[str],
    executor: BlockExecutor | None = None,
) -> list[pd.DataFrame]:
    """Return how much higher the model's scores are than another model's, at the points that both have.

    These are parts of the table ``against_baselines``, for :func:`marked`, by the measures with deviations in closed
    form. DataError if the stores hold other sentences.
    """
    frames = []
    for measure in measures:
        if not parse_measure(measure).has_influence:
            continue
        comparisons, both = together(own, other, measure, kinds=kinds, match=match, executor=executor)
        count = len(comparisons)
        shown = dict(pairs_of_points(own, match))  # the deepest text point stands last
        places: dict[str, dict[tuple[str, str], list[int]]] = {}
        for at, one in enumerate(comparisons):
            across = one.kind in ("modality_similarity", "cross_similarity")
            if not across or shown[one.a.point] == one.b.point:
                places.setdefault(one.kind, {}).setdefault((one.a.point, one.b.point), []).append(at)
        rows = both.rows.assign(n=float(len(own.sentences)))
        whole = Scored(rows, both.deviations)
        for kind, of_points in places.items():
            terms = [(np.array(at), np.array(at) + count) for at in of_points.values()]
            points = [(a, b, len(at)) for (a, b), at in of_points.items()]
            frames.append(_rows(whole, kind, label, points, terms))
    return frames


def marked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return parts of the table together, with the strongest baseline marked at each point.

    That is the one with the largest chance-corrected mean, among those that have every language or pair that the model
    has.
    """
    frames = [frame for frame in frames if len(frame)]
    if not frames:
        return table_of("against_baselines")
    table = pd.concat(frames, ignore_index=True)
    table["strongest"] = False
    whole = table[(table["groups"] == table["of"]) & table["baseline_chance_corrected"].notna()]
    places = whole.groupby(["kind", "measure", "point", "against"], sort=False)["baseline_chance_corrected"]
    if len(whole):
        table.loc[places.idxmax().to_numpy(dtype=np.int64), "strongest"] = True
    order = {kind: at for at, kind in enumerate(dict.fromkeys(table["kind"]))}
    table = table.sort_values("kind", key=lambda column: column.map(order), kind="stable", ignore_index=True)
    return table[[*TABLE_COLUMNS["against_baselines"]]]


def _against(own: Scored, name: str, theirs: Scored) -> pd.DataFrame:
    """Compare the points of one measure with one baseline."""
    joined = _together(own, theirs)
    count = len(own.rows)
    frames = []
    for kind, positions in theirs.rows.groupby("kind", sort=False).indices.items():
        across = kind in ("modality_similarity", "cross_similarity")
        kind_rows = own.rows[own.rows["kind"] == kind]
        if across:
            shown = shown_points(kind_rows.assign(kind="modality_similarity"))
            kind_rows = kind_rows[kind_rows["point_a"].map(shown) == kind_rows["point_b"]]
        named = theirs.rows.iloc[positions][_PAIR].itertuples(index=False, name=None)
        place_of = {pair: at for at, pair in zip(positions, named, strict=True)}
        points, terms = [], []
        for (point, against), point_rows in kind_rows.groupby(["point_a", "point_b"], sort=False):
            pairs = list(point_rows[_PAIR].itertuples(index=False, name=None))
            known = [at for at, pair in enumerate(pairs) if pair in place_of]
            if known:
                rows = point_rows.index.to_numpy()[known]
                baseline_rows = np.array([place_of[pairs[at]] for at in known]) + count
                points.append((point, against, len(pairs)))
                terms.append((rows, baseline_rows))
        frames.append(_rows(joined, str(kind), name, points, terms))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _rows(
    joined: Scored, kind: str, name: str, points: list[tuple[Any, Any, int]], terms: list[tuple[Any, Any]]
) -> pd.DataFrame:
    """Return the rows of one kind, measure and baseline: a point each."""
    corrected = joined.corrected
    contrasts: list[list[Term]] = [[(1.0, mine), (-1.0, other)] for mine, other in terms]
    low, high = differences(corrected, contrasts).intervals() if contrasts else (np.empty(0), np.empty(0))
    rows = []
    for at, ((point, against, of), (mine, other)) in enumerate(zip(points, terms, strict=True)):
        rows.append(
            {
                "kind": kind,
                "measure": joined.measure,
                "point": point,
                "against": against,
                "baseline": name,
                "value": float(joined.values[mine].mean()),
                "chance_corrected": float(corrected.values[mine].mean()),
                "baseline_value": float(joined.values[other].mean()),
                "baseline_chance_corrected": float(corrected.values[other].mean()),
                "difference": float(corrected.values[mine].mean() - corrected.values[other].mean()),
                "low": low[at],
                "high": high[at],
                "n": float(joined.rows["n"].iloc[mine].min()),
                "groups": len(mine),
                "of": of,
            }
        )
    return pd.DataFrame(rows)


def differences(scored: Scored, contrasts: list[list[Term]]) -> Simultaneous:
    """Return differences with their joint distribution; without errors where a score is not known."""
    used = np.unique(np.concatenate([rows for terms in contrasts for _, rows in terms]))
    if not np.isfinite(scored.values[used]).all():
        values = np.array([sum(weight * scored.values[rows].mean() for weight, rows in terms) for terms in contrasts])
        return Simultaneous(values, np.full(len(values), np.nan), np.empty(0), 0.0)
    return simultaneous(scored, contrasts)


def _together(own: Scored, theirs: Scored) -> Scored:
    """Return the scores of the model and of a baseline in one table; those of the model come first."""
    rows = pd.concat([own.rows, theirs.rows], ignore_index=True)
    a, b = own.deviations, theirs.deviations
    if a.freedom < 1 or b.freedom < 1 or len(a.blocks) != len(b.blocks):
        return Scored(rows, Deviations.none(len(rows)))
    short = len(a.halves) != len(b.halves)
    halves = [one.halves[:0] if short else one.halves for one in (a, b)]
    # Other readers move the model's scores; what needs no recording stays.
    readers = None if a.readers is None else np.hstack([a.readers, np.zeros((len(a.readers), len(theirs.rows)))])
    joined = Deviations(np.hstack([a.blocks, b.blocks]), np.hstack(halves), min(a.freedom, b.freedom), readers)
    return Scored(rows, joined)
