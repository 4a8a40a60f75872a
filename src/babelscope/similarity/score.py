"""One comparison with everything needed to read it: :func:`score` and :class:`Score`."""

from __future__ import annotations

import html
import math
import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelscope.errors import DataError, RenamedWarning, UsageError, did_you_mean
from babelscope.similarity import permutation
from babelscope.similarity.arrays import FloatArray, IntArray, is_tensor
from babelscope.similarity.deviations import FEWEST_CLUSTERS, Deviations, deviations, in_part, intervals
from babelscope.similarity.jackknife import deviations_by_cluster
from babelscope.similarity.measure import Measure, State, parse_measure
from babelscope.similarity.nulls import NullLaw
from babelscope.similarity.permutation import ENOUGH, FIRST, Calibration, calibrate, chance_corrected, out_of_reach
from babelscope.similarity.representation import Representation

NULLS = ("auto", "exact", "permutation", "none")


@dataclass(frozen=True)
class Score:
    """A similarity and how to read it.

    Attributes
    ----------
    measure : str
        As computed, with its parameters.
    value : float
    null_mean, null_sd : float
        Of the score for sentences paired at random; NaN without a null.
    null_q95 : float
        What 1 in 20 such pairings reaches (the 5 % quantile where smaller is better).
    chance_corrected : float
        (value - null_mean) / (best - null_mean): for comparing layers, models and languages
        (:func:`~babelscope.similarity.chance_corrected`).
    calibrated : float
        (value - threshold) / (best - threshold), floored at 0 by definition: 0 is "not above chance" (Gröger et al.
        2026, arXiv 2602.14486).
    p : float
        One-sided: how often chance does as well.
    low, high : float
        95 % interval for other sentences; NaN unless asked for.
    n : int
        Sentences.
    kx, ky : float
        Directions kept on each side; NaN where that means nothing.
    null : str
        ``exact``, ``permutation`` or ``none``.
    saturated : bool
        Chance reaches the best possible score: the value says nothing.
    higher_is_better : bool
    convention : str
        What exactly was computed.
    notes : tuple of str
        What a reader must know (forced correlations, constant or duplicate sentences).
    """

    measure: str
    value: float
    null_mean: float
    null_sd: float
    null_q95: float
    chance_corrected: float
    calibrated: float
    p: float
    low: float
    high: float
    n: int
    kx: float
    ky: float
    null: str
    saturated: bool
    higher_is_better: bool
    convention: str
    notes: tuple[str, ...] = ()

    def __float__(self) -> float:
        return self.value

    def to_dict(self) -> dict[str, Any]:
        """Return all fields by name."""
        return asdict(self)

    def _lines(self) -> list[tuple[str, str]]:
        lines = [("value", f"{self.value:.4f}" + ("" if self.higher_is_better else "  (smaller is better)"))]
        if not math.isnan(self.low):
            lines.append(("interval", f"{self.low:.4f} to {self.high:.4f}  (95 %, for other sentences)"))
        if self.null != "none":
            side = "95" if self.higher_is_better else "5"
            chance = f"{self.null_mean:.4f} ± {self.null_sd:.4f}, {side} % quantile {self.null_q95:.4f}"
            said = "  (saturated)" if self.saturated else "  (not above chance)" if self.calibrated == 0 else ""
            lines += [
                ("chance", f"{chance}  ({self.null} null)"),
                ("corrected", f"{self.chance_corrected:.4f}  (for chance: 0 is the mean of chance, 1 the best)"),
                ("calibrated", f"{self.calibrated:.4f}{said}"),
                ("p", p_text(self.p)),
            ]
        kept = "" if math.isnan(self.kx) else f", {self.kx:g} and {self.ky:g} directions"
        lines.append(("from", f"{self.n} sentences{kept}"))
        lines.append(("convention", self.convention))
        lines.extend(("note", note) for note in self.notes)
        return lines

    def __str__(self) -> str:
        return "\n".join([self.measure, *(f"  {name:<11} {text}" for name, text in self._lines())])

    def __repr__(self) -> str:
        null = f", chance {self.null_mean:.4f}, chance-corrected {self.chance_corrected:.4f}, p {p_text(self.p)}"
        return f"<Score {self.measure}: {self.value:.4f}{'' if self.null == 'none' else null}, n {self.n}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th><td "
            f"style='text-align:left'>{html.escape(text)}</td></tr>"
            for name, text in self._lines()
        )
        return f"<table><caption>{html.escape(self.measure)}</caption>{rows}</table>"


def p_text(p: float) -> str:
    """Return a p-value as text; what a fitted law gives far out in its tail is not worth digits."""
    return "< 1e-12" if p < 1e-12 else f"{p:.2g}"


def null_kind(measure: Measure, null: str | None, *, clustered: bool = False) -> str:
    """Return which null a measure gets: ``exact``, ``permutation`` or ``none``.

    The closed forms are laws over all permutations of the sentences: with clusters they do not hold. UsageError for an
    unknown kind, or "exact" where the measure has no closed form or there are clusters.
    """
    wanted = "none" if null is None else null
    if wanted not in NULLS:
        raise UsageError(f"there is no null {wanted!r}: {did_you_mean(str(wanted), NULLS)}")
    kinds = measure.null_kinds
    if not kinds or wanted == "none":
        return "none"
    if wanted == "auto":
        return "exact" if "exact" in kinds and not clustered else "permutation"
    if wanted == "exact" and clustered:
        raise UsageError("null='exact' does not hold for sentences in clusters: ask for null='auto' or 'permutation'")
    if wanted == "exact" and "exact" not in kinds:
        raise UsageError(f"{measure} has no null in closed form: ask for null='auto' or 'permutation'")
    return wanted


def calibration_of(
    measure: Measure,
    x: State,
    y: State,
    value: float,
    kind: str,
    orders: Callable[[int], IntArray],
    permutations: int,
    alpha: float,
    *,
    law: NullLaw | None = None,
    sequential: bool = False,
    stopping: bool = False,
) -> tuple[Calibration | None, str, FloatArray | None]:
    """Return a score's calibration, the null that gave it, and the permuted scores where there are any.

    The null is ``exact``, ``permutation``, or ``tail``: permutations, but beyond those that were drawn p is the tail of
    an exponential law, a model. `orders` gives so many permutations, those of fewer being the first of more; `law` is
    the closed form, where it was asked for and there is one. With `sequential`, permutations are drawn until the
    p-value is decided, and with `stopping` no further either once the score is out of their reach
    (:func:`~babelscope.similarity.permutation.out_of_reach`).
    """
    if kind == "none":
        return None, "none", None
    best, higher = measure.best, measure.higher_is_better
    if law is not None:
        return law.calibrate(value, alpha=alpha, best=best, higher=higher), "exact", None
    count = min(FIRST, permutations) if sequential else permutations
    drawn = measure.permuted(x, y, orders(count))
    beyond = out_of_reach(value, drawn, higher=higher) if sequential and stopping and count < permutations else None
    if beyond is not None:
        calibration = calibrate(value, drawn, alpha=alpha, best=best, higher=higher)
        if calibration.saturated:
            return calibration, "permutation", drawn
        return replace(calibration, p=beyond), "tail", drawn
    if sequential and count < permutations:
        slack = 1e-12 * max(1.0, abs(value))
        while len(drawn) < permutations:
            reached = drawn >= value - slack if higher else drawn <= value + slack
            if int(reached.sum()) >= ENOUGH:
                break
            count = min(2 * len(drawn), permutations)
            drawn = np.concatenate([drawn, measure.permuted(x, y, orders(count)[len(drawn) :])])
    calibration = calibrate(value, drawn, alpha=alpha, best=best, higher=higher, sequential=sequential)
    return calibration, "permutation", drawn


def score(
    x: Any,
    y: Any,
    measure: str | Measure = "svcca",
    *,
    null: str | None = "auto",
    permutations: int = 200,
    seed: int = 0,
    interval: bool = False,
    alpha: float = 0.05,
    clusters: Sequence[Hashable] | NDArray[Any] | None = None,
) -> Score:
    """Compare two representations, and say what chance would give.

    Parameters
    ----------
    x, y : array_like or torch.Tensor, shapes (n, dx), (n, dy)
        One row a sentence, the same sentences in the same order.
    measure : str or Measure
        Such as ``"svcca(variance=0.90)"``; see :data:`~babelscope.similarity.MEASURES`.
    null : {"auto", "exact", "permutation", None}
        "exact" takes the closed form (an error where there is none), "auto" takes it where there is one and
        permutes elsewhere. Where a closed form is not within 1 % (few directions, extreme leverage), both permute.
    permutations : int
        How many, where they are drawn.
    seed : int
        Of the permutations, and of the parts of the sentences that intervals are drawn from.
    interval : bool
        Whether to give the interval that a study gives: from a jackknife in closed form where the measure has one, else
        from scores on parts of the sentences (:mod:`babelscope.similarity.deviations`).
    alpha : float
        Level of the calibration's threshold and of the interval.
    clusters : sequence, shape (n,), optional
        What each sentence belongs to, such as its document. Sentences of one cluster are not independent: permutations,
        intervals (and the folds of ``cv_cca``) keep clusters together, and no closed form of the null is taken. Fewer
        than 16 clusters give no interval.

    Returns
    -------
    Score

    Raises
    ------
    UsageError, DataError
        For an unknown measure or option; for data that the measure is not defined on.

    Examples
    --------
    >>> import numpy as np
    >>> from babelscope.similarity import score
    >>> rng = np.random.default_rng(0)
    >>> unrelated = score(rng.normal(size=(200, 64)), rng.normal(size=(200, 64)), "svcca(variance=0.99)")
    >>> unrelated.value > 0.5, unrelated.calibrated
    (True, 0.0)
    """
    chosen = parse_measure(measure)
    documents = coded(clusters)
    kind = null_kind(chosen, null, clustered=documents is not None)
    interval = wants_interval(interval)
    left, right = Representation(x, "x", clusters=documents), Representation(y, "y", clusters=documents)
    chosen.check_pair(left, right)
    a, b = chosen.prepare(left), chosen.prepare(right)
    outcome = chosen.outcome(a, b, law=kind == "exact", influence=interval and chosen.has_influence)
    value = outcome.value

    def orders(count: int) -> IntArray:
        return permutation.permutations(left.n, count, seed, documents)

    calibration, kind, _ = calibration_of(chosen, a, b, value, kind, orders, permutations, alpha, law=outcome.law)
    low = high = math.nan
    few = documents is not None and documents.max() + 1 < FEWEST_CLUSTERS
    if interval and not few:
        if outcome.influence is None or outcome.pairs is None:
            moving = _drawn(chosen, left, right, seed)
        else:
            units = np.arange(left.n) if documents is None else documents
            moved = deviations_by_cluster(outcome.influence, units, outcome.pairs)
            moving = Deviations.of_clusters(moved[:, None])
        (low,), (high,) = intervals(chosen, np.array([value]), moving, alpha)
    kx, ky = chosen.ranks(a, b)
    notes = (*chosen.notes(a, b), *input_notes(left), *input_notes(right))
    if interval and few:
        notes += (f"no interval: fewer than {FEWEST_CLUSTERS} clusters do not show how far the score would move",)
    return Score(
        str(chosen),
        value,
        *((calibration.mean, calibration.sd, calibration.q95) if calibration else (math.nan,) * 3),
        float(chance_corrected(value, calibration.mean, chosen.best)) if calibration else math.nan,
        *((calibration.calibrated, calibration.p) if calibration else (math.nan,) * 2),
        float(low),
        float(high),
        left.n,
        kx,
        ky,
        kind,
        bool(calibration and calibration.saturated),
        chosen.higher_is_better,
        chosen.convention_text,
        notes,
    )


def coded(clusters: Sequence[Hashable] | NDArray[Any] | None) -> IntArray | None:
    """Return clusters as numbers from 0, in the order in which they come; None where no two sentences share one.

    DataError for a sentence without one (None, NaN, or no text).
    """
    if clusters is None:
        return None
    numbers: dict[Hashable, int] = {}
    given = clusters.tolist() if isinstance(clusters, np.ndarray) else clusters
    for row, cluster in enumerate(given):
        if cluster is None or cluster == "" or cluster != cluster:
            raise DataError(
                f"clusters: sentence {row} (counted from 0) has none, and may belong with any other; leave it out of "
                "both sides, or give it a cluster of its own"
            )
    codes = np.array([numbers.setdefault(cluster, len(numbers)) for cluster in given], dtype=np.int64)
    return codes if len(numbers) < codes.size else None


def wants_interval(interval: bool | str | None) -> bool:
    """Return whether an interval is asked for; "subsample", of earlier versions, asks for the one there is now."""
    if interval == "subsample":
        message = "interval='subsample' is now interval=True, and gives the interval of a study"
        warnings.warn(message, RenamedWarning, stacklevel=3)
        return True
    if isinstance(interval, bool) or interval in (None, "none"):
        return interval is True
    raise UsageError(f"there is no interval {interval!r}: write interval=True or interval=False")


def _drawn(measure: Measure, x: Representation, y: Representation, seed: int) -> Deviations:
    """Return how a score moves, from scores on parts of the sentences."""

    def scored(rows: IntArray) -> FloatArray:
        if len(rows) < measure.minimum_sentences:
            return np.array([math.nan])
        by = in_part(measure, rows, x.n, x.clusters)
        return np.array([by.value(*(by.prepare(side.subset(rows)) for side in (x, y)))])

    return deviations(scored, x.n, seed=seed, clusters=x.clusters).without_short_halves()


def input_notes(x: Representation) -> tuple[str, ...]:
    """Say what is odd about one side: constant columns, duplicate sentences."""
    notes = []
    if x.constant:
        notes.append(f"{x.name}: {x.constant} of {x.d} features are constant and carry nothing")
    if not is_tensor(x.rows):
        same = x.n - np.unique(x.rows, axis=0).shape[0]
        if same:
            notes.append(f"{x.name}: {same} sentences have the same vector as another; duplicates raise every measure")
    return tuple(notes)
