"""All pairs: every measure, with null and interval, over a table of pairs; in blocks, in bounded memory, on all cores.

A representation is read and prepared once a block; a pair costs a product of what was prepared. Work is shared among
threads, each with a single BLAS thread: pair products are too small to be split further, and NumPy lets go of the
interpreter while it computes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from babelscope.errors import UsageError, did_you_mean
from babelscope.similarity.arrays import FloatArray, IntArray, is_tensor, label_of, like
from babelscope.similarity.blocks import NONE, VARIABLES, BlockExecutor, Pair, Settings
from babelscope.similarity.checkpoint import Checkpoint, kept_draws
from babelscope.similarity.deviations import FEWEST_CLUSTERS, Deviations, deviations, in_part, intervals, steps
from babelscope.similarity.measure import Measure, parse_measure
from babelscope.similarity.pair_table import PairTable
from babelscope.similarity.permutation import chance_corrected
from babelscope.similarity.score import coded, null_kind, wants_interval


def pairwise(
    representations: Mapping[Any, Any],
    measures: Sequence[str | Measure] | str | Measure = ("svcca",),
    *,
    pairs: Sequence[tuple[Hashable, Hashable]] | None = None,
    null: str | None = "auto",
    permutations: int = 200,
    seed: int = 0,
    interval: bool = False,
    alpha: float = 0.05,
    keep_null: bool = False,
    precision: str = "double",
    workers: int | None = None,
    memory: float = 1e9,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: Path | str | None = None,
    clusters: Sequence[Hashable] | NDArray[Any] | None = None,
    executor: BlockExecutor | None = None,
) -> xr.Dataset:
    """Compare many pairs of representations under many measures.

    Parameters
    ----------
    representations : mapping
        Label -> array of sentences x features (NumPy or torch), or a function without arguments that returns one, so
        that a store on the disk is read a block at a time.
    measures : sequence of str or Measure
        Such as ``["svcca(variance=0.90)", "linear_cka"]``.
    pairs : sequence of (label, label), optional
        All unordered pairs by default. Both sides of a pair need the same sentences; pairs may differ in theirs.
    null : {"auto", "exact", "permutation", None}
        As :func:`~babelscope.similarity.score`. One set of permutations serves all pairs with the same number of
        sentences.
    permutations, seed, interval, alpha
        As :func:`~babelscope.similarity.score`. Intervals take the same number of sentences on all sides, and leave out
        the same ones of all pairs.
    keep_null : bool
        Also return the permuted scores (``null_draws``), for a maximum over layers
        (:func:`~babelscope.similarity.max_over`); needs null="permutation".
    precision : {"double", "single"}
        "single" keeps prepared bases and kernels in float32, after centring and decomposing in float64: half the
        memory, products twice as fast, values within 1e-6.
    workers : int, optional
        Threads; all cores by default. BLAS has one thread in each.
    memory : float
        Bytes for prepared representations; beyond, pairs are taken in blocks and representations prepared again. The
        sides of one pair are held whatever their size, and each thread prepares one more representation.
    progress : callable, optional
        Called with (pairs done, pairs in all) after each block; each part of the sentences that is drawn for
        intervals counts as all pairs again.
    checkpoint : path, optional
        A folder that keeps each finished block. Called again with the same arguments, the run resumes there.
    clusters : sequence, shape (n,), optional
        As :func:`~babelscope.similarity.score`; all representations have the same n sentences then.
    executor : BlockExecutor, optional
        Computes the blocks, such as an engine's; this process if left out. It does not change the numbers.

    Returns
    -------
    xarray.Dataset
        Dimensions pair and measure; coordinates ``a``, ``b`` (labels as text, tuples joined with ``/``) and
        ``measure`` (as given).
        Variables ``value, null_mean, null_sd, null_q95, chance_corrected, calibrated, p, low, high, n, kx, ky`` (NaN
        where they mean nothing) and ``saturated``, ``exact`` (a closed form). Attributes: ``conventions``, ``null`` and
        ``higher_is_better`` by measure, ``seed``, ``permutations``, ``alpha``.

    Raises
    ------
    UsageError
        For an unknown measure, option or label.
    DataError
        For data a measure is not defined on; the label, or the pair, is named.
    """
    given = [measures] if isinstance(measures, (str, Measure)) else list(measures)
    chosen = [parse_measure(item) for item in given]
    names = [item if isinstance(item, str) else str(item) for item in given]
    if not chosen:
        raise UsageError("no measure was given: name at least one, such as 'svcca'")
    if len(set(names)) < len(names):
        raise UsageError(f"a measure is named twice in {', '.join(names)}")
    documents = coded(clusters)
    kinds = [null_kind(measure, null, clustered=documents is not None) for measure in chosen]
    if keep_null and any(kind == "exact" for kind in kinds):
        raise UsageError("keep_null=True needs null='permutation': a closed form draws nothing")
    interval = wants_interval(interval)
    wanted = list(combinations(representations, 2)) if pairs is None else [(a, b) for a, b in pairs]
    _known(wanted, representations)
    if precision not in ("double", "single"):
        raise UsageError(f"precision={precision!r}: write 'double' or 'single'")
    settings = Settings(
        tuple(chosen),
        tuple(kinds),
        permutations,
        seed,
        alpha,
        keep_null=keep_null,
        single=precision == "single",
        memory=memory,
        fingerprints=checkpoint is not None,
        documents=documents,
        clusters=_units(representations, wanted, documents) if interval else None,
    )
    table = PairTable(representations, wanted, settings, workers=workers, progress=progress, executor=executor)
    moves = settings.units >= (1 if documents is None else FEWEST_CLUSTERS)
    drawn = [at for at, measure in enumerate(chosen) if moves and not measure.has_influence]
    if drawn:
        table.total *= 1 + steps(settings.units)
    if checkpoint is not None:
        table.keep_in(checkpoint, [names, interval])
    table.compute()
    if moves:
        moving = {}
        if drawn:
            options = {"memory": memory, "precision": precision, "workers": workers, "executor": executor}
            moving = _drawn(table, drawn, checkpoint, options)
        for place, at in enumerate(settings.deviating):
            assert table.deviations is not None
            moving[at] = Deviations.of_clusters(table.deviations[:, place].T)
        plain = table.numbers[:, :, 0]
        for at, deviating in moving.items():
            ends = intervals(chosen[at], plain["value"][:, at].copy(), deviating, alpha)
            plain["low"][:, at], plain["high"][:, at] = ends
    return _dataset(table, names)


def _units(representations: Mapping[Any, Any], pairs: Sequence[Pair], documents: IntArray | None) -> IntArray | None:
    """Return which sentences are left out together: clusters, or each by itself; None where there is no pair."""
    if documents is not None or not pairs:
        return documents
    given = representations[pairs[0][0]]
    return np.arange(len(given() if callable(given) and not is_tensor(given) else given))


def _drawn(
    table: PairTable, drawn: Sequence[int], checkpoint: Path | str | None, options: Mapping[str, Any]
) -> dict[int, Deviations]:
    """Return how the scores of some of the measures move, by their place, from scores on parts of the sentences."""
    settings = table.settings
    assert settings.clusters is not None
    measures = [settings.measures[at] for at in drawn]
    n = settings.clusters.size
    score: Callable[[IntArray], FloatArray]
    score = partial(scores_of_part, table.source, table.pairs, measures, n, settings.documents, **options)
    if checkpoint is not None:
        score = kept_draws(score, Checkpoint(Path(checkpoint) / "draws", table.decided))
    moving = deviations(
        score,
        n,
        seed=settings.seed,
        clusters=settings.documents,
        progress=lambda done, total: table.report(len(table.pairs)),
    )
    return {at: moving.at(row).without_short_halves() for row, at in enumerate(drawn)}


def scores_of_part(
    sides: Mapping[Any, Any],
    pairs: Sequence[Pair],
    measures: Sequence[Measure],
    n: int,
    clusters: IntArray | None,
    rows: IntArray,
    **options: Any,
) -> FloatArray:
    """Return the scores on some of n sentences, by each measure as it scores all of them, shape (measures, pairs).

    NaN where the sentences are too few for a measure. `options` are those of :func:`pairwise`.
    """
    values = np.full((len(measures), len(pairs)), np.nan)
    by = {
        at: in_part(measure, rows, n, clusters)
        for at, measure in enumerate(measures)
        if measure.minimum_sentences <= len(rows)
    }
    if by and pairs:
        parts = {label: partial(_rows_of, sides[label], rows) for pair in pairs for label in pair}
        once = list(dict.fromkeys(by.values()))
        within = None if clusters is None else clusters[rows]
        table = pairwise(parts, once, pairs=pairs, null=None, clusters=within, **options)["value"].values
        for at, measure in by.items():
            values[at] = table[:, once.index(measure)]
    return values


def _rows_of(given: Any, rows: IntArray) -> Any:
    whole = given() if callable(given) and not is_tensor(given) else given
    return whole[like(rows, whole)] if is_tensor(whole) else np.asarray(whole)[rows]


def cross_layer(
    a: Mapping[Any, Any],
    b: Mapping[Any, Any],
    measures: Sequence[str | Measure] | str | Measure = ("svcca",),
    **options: Any,
) -> xr.Dataset:
    """Compare every layer of one model or side with every layer of another.

    Parameters
    ----------
    a, b : mapping
        Layer -> array or function, as for :func:`pairwise`.
    measures, **options
        As :func:`pairwise`, but for `pairs`.

    Returns
    -------
    xarray.Dataset
        As :func:`pairwise`, with dimensions layer_a, layer_b and measure.

    Raises
    ------
    UsageError, DataError
        As :func:`pairwise`.
    """
    if "pairs" in options:
        raise UsageError("cross_layer compares every layer with every layer: use pairwise to choose pairs")
    sides = {("a", key): value for key, value in a.items()} | {("b", key): value for key, value in b.items()}
    flat = pairwise(sides, measures, pairs=[(("a", i), ("b", j)) for i in a for j in b], **options)
    shape = (len(a), len(b))
    data = {
        name: (("layer_a", "layer_b", *variable.dims[1:]), variable.values.reshape(*shape, *variable.shape[1:]))
        for name, variable in flat.data_vars.items()
    }
    coordinates = {
        "layer_a": [label_of(key) for key in a],
        "layer_b": [label_of(key) for key in b],
        "measure": flat["measure"].values,
    }
    return xr.Dataset(data, coords=coordinates, attrs=flat.attrs)


def _dataset(table: PairTable, names: list[str]) -> xr.Dataset:
    """Return a table's numbers without controls, with their labels."""
    settings, plain = table.settings, table.numbers[:, :, table.settings.controls.index(NONE)]
    data: dict[str, Any] = {name: (("pair", "measure"), plain[name].copy()) for name in VARIABLES if name != "tail"}
    best = [measure.best for measure in settings.measures]
    corrected = chance_corrected(plain["value"], plain["null_mean"], best)
    data["chance_corrected"] = (("pair", "measure"), corrected)
    for name in ("saturated", "exact"):
        data[name] = (("pair", "measure"), plain[name] == 1)
    if table.drawn is not None:
        data["null_draws"] = (("pair", "measure", "draw"), table.drawn)
    by_name = list(zip(names, settings.measures, strict=True))
    return xr.Dataset(
        data,
        coords={
            "a": ("pair", np.array([label_of(a) for a, _ in table.pairs], dtype=object).astype(str)),
            "b": ("pair", np.array([label_of(b) for _, b in table.pairs], dtype=object).astype(str)),
            "measure": names,
        },
        attrs={
            "conventions": {name: measure.convention_text for name, measure in by_name},
            "null": dict(zip(names, settings.kinds, strict=True)),
            "higher_is_better": {name: measure.higher_is_better for name, measure in by_name},
            "permutations": settings.permutations,
            "seed": settings.seed,
            "alpha": settings.alpha,
        },
    )


def _known(wanted: Sequence[Pair], representations: Mapping[Any, Any]) -> None:
    for pair in wanted:
        for label in pair:
            if label not in representations:
                hint = did_you_mean(label_of(label), [label_of(key) for key in representations])
                raise UsageError(f"there is no representation {label_of(label)!r}: {hint}")
