"""Sentences that belong together: what unrelated data give then, how far scores move, and what a result says of it."""

from __future__ import annotations

import csv
import itertools
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from babelscope import corpora
from babelscope.capture import Activations, encode
from babelscope.errors import DataError, UsageError
from babelscope.gaps import compare
from babelscope.gaps.clusters import documents_of
from babelscope.gaps.paired import paired
from babelscope.models import Model
from babelscope.similarity import cv_cca, parse_measure, score
from babelscope.similarity.blocks import REGRESSED, SHUFFLED, Settings
from babelscope.similarity.crossval import CVCCA
from babelscope.similarity.deviations import deviations, draws
from babelscope.similarity.pair_table import PairTable
from babelscope.similarity.pairwise import pairwise
from babelscope.similarity.permutation import distinct_permutations, permutations
from babelscope.similarity.representation import Representation
from babelscope.similarity.residuals import span_of
from babelscope.similarity.score import calibration_of, coded
from babelscope.testing import Planted, planted_activations
from conftest import write_page
from test_coverage_of_intervals import ends_of, share_held

MEASURES = ("linear_cka", "svcca(variance=0.9)", "retrieval", "mutual_knn", "rsa", "procrustes", "cv_cca")
MIXED = (1, 2, 3, 4, 5)

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def documents(n: int, sizes: Sequence[int] = (3,)) -> IntArray:
    return np.repeat(np.arange(n), np.resize(sizes, n))[:n]


def one_side(generator: np.random.Generator, clusters: IntArray, share: float, width: int = 32) -> FloatArray:
    """A side of which documents carry a share of the variance."""
    common = generator.standard_normal((int(clusters.max()) + 1, width))[clusters]
    own = generator.standard_normal((clusters.size, width))
    return np.asarray(share**0.5 * common + (1 - share) ** 0.5 * own)


# -- permutations
def test_permutations_keep_clusters_together_and_are_all_equally_likely() -> None:
    clusters = np.array([0, 1, 0, 1, 2])  # two of two sentences, one alone
    drawn = permutations(len(clusters), 8000, 1, clusters)
    allowed = {
        order
        for order in itertools.permutations(range(5))
        if order[4] == 4
        and {frozenset((order[0], order[2])), frozenset((order[1], order[3]))} == {frozenset((0, 2)), frozenset((1, 3))}
    }
    seen = Counter(map(tuple, drawn.tolist()))
    assert set(seen) == allowed and len(allowed) == 8 == pytest.approx(distinct_permutations({2: 2, 1: 1}))
    assert min(seen.values()) > 850 and max(seen.values()) < 1150  # 1000 each, s.d. 30
    np.testing.assert_array_equal(permutations(len(clusters), 10, 1, clusters), drawn[:10])
    assert distinct_permutations({3: 1000}) == np.inf


def test_sentences_that_are_all_apart_are_permuted_freely() -> None:
    drawn = permutations(6, 3000, clusters=np.arange(6)[::-1].copy())
    np.testing.assert_array_equal(np.sort(drawn, axis=1), np.broadcast_to(np.arange(6), drawn.shape))
    assert np.bincount(drawn[:, 0]).min() > 400


# -- p
def rejected(
    count: int, n: int, sizes: Sequence[int] = (3,), *, known: bool = True, names: tuple[str, ...] = MEASURES
) -> dict[str, float]:
    """How often two unrelated sides whose documents carry .3 of the variance are found to be related, at .05."""
    clusters = documents(n, sizes)
    below = np.zeros(len(names))
    for seed in range(count):
        generator = np.random.default_rng([seed, n])
        sides = {name: one_side(generator, clusters, 0.3) for name in "xy"}
        table = pairwise(sides, names, permutations=99, seed=seed, clusters=clusters if known else None, workers=1)
        below += table["p"].values[0] <= 0.05
    return dict(zip(names, (below / count).tolist(), strict=True))


def test_unrelated_sides_with_documents_are_rejected_seldom_only_if_the_documents_are_known() -> None:
    names = ("linear_cka", "svcca(variance=0.9)", "retrieval", "mutual_knn", "rsa", "procrustes")
    shares = rejected(40, 60, names=names)
    assert max(shares.values()) <= 0.2, shares  # 8 of 40: one in two thousand at .05
    without = rejected(8, 60, known=False, names=names)
    assert without["linear_cka"] > 0.6 and without["mutual_knn"] > 0.6 and without["procrustes"] > 0.6, without


def test_sentences_whose_document_is_not_known_raise_the_rejections_unless_they_are_left_out() -> None:
    names, clusters = ("linear_cka", "mutual_knn", "procrustes"), documents(60)
    below = {"left out": np.zeros(len(names)), "alone": np.zeros(len(names))}
    for seed in range(40):
        generator = np.random.default_rng([seed, 60, 3])
        sides = {name: one_side(generator, clusters, 0.3) for name in "xy"}
        known = generator.random(60) >= 0.2
        each = coded(np.where(known, clusters, 60 + np.arange(60)))
        some = {name: side[known] for name, side in sides.items()}
        for way, rows, within in (("left out", some, coded(clusters[known])), ("alone", sides, each)):
            below[way] += pairwise(rows, names, permutations=99, seed=seed, clusters=within, workers=1)["p"][0] <= 0.05
    assert below["left out"].max() <= 8 < below["alone"].min()  # 8 of 40: one in two thousand at .05


@pytest.mark.slow
@pytest.mark.parametrize(("n", "sizes"), [(60, (3,)), (120, (3,)), (60, MIXED)], ids=["60", "120", "mixed"])
def test_they_are_rejected_in_five_of_a_hundred_of_500_draws(n: int, sizes: tuple[int, ...]) -> None:
    shares = rejected(500, n, sizes)
    assert max(shares.values()) <= 0.08, shares


def regressed_rejections(count: int, n: int, names: tuple[str, ...]) -> dict[str, float]:
    """The same with three covariates regressed out that follow the documents, as lengths do."""
    clusters, measures = documents(n), tuple(map(parse_measure, names))
    below = np.zeros(len(names))
    for seed in range(count):
        generator = np.random.default_rng([seed, n, 1])
        sides = {name: one_side(generator, clusters, 0.3) for name in "xy"}
        span = span_of(one_side(generator, clusters, 0.3, 3))
        settings = Settings(
            measures, ("permutation",) * len(names), 99, seed, 0.05, controls=("none", REGRESSED), documents=clusters
        )
        table = PairTable(sides, [("x", "y")], settings, keys=["k"], covariates={"k": span}, workers=1)
        table.compute()
        below += table.numbers["p"][0, :, 1] <= 0.05
    return dict(zip(names, (below / count).tolist(), strict=True))


def test_so_are_they_after_regressing_out_covariates() -> None:
    shares = regressed_rejections(40, 60, ("linear_cka", "svcca(k=10)", "procrustes", "retrieval"))
    assert max(shares.values()) <= 0.2, shares


@pytest.mark.slow
def test_so_are_they_after_regressing_out_covariates_in_300_draws() -> None:
    shares = regressed_rejections(300, 60, MEASURES)
    assert max(shares.values()) <= 0.095, shares  # exceeded in one of 1500 where 5 % are rejected


def test_related_sides_are_still_found() -> None:
    clusters, generator = documents(60), np.random.default_rng(0)
    common = one_side(generator, clusters, 0.3)
    x, y = (common + one_side(generator, clusters, 0.3) for _ in "xy")
    for name in MEASURES:
        assert score(x, y, name, clusters=clusters, permutations=199).p == 1 / 200, name


def test_no_more_permutations_are_drawn_for_a_score_out_of_their_reach() -> None:
    clusters, generator = documents(60), np.random.default_rng(0)
    common = one_side(generator, clusters, 0.3)
    asked: list[int] = []

    def orders(count: int) -> IntArray:
        asked.append(count)
        return permutations(len(clusters), count, clusters=clusters)

    measure = parse_measure("linear_cka")
    x, y = (measure.prepare(Representation(common + 0.3 * one_side(generator, clusters, 0.3))) for _ in "xy")
    value = measure.value(x, y)
    found, _, drawn = calibration_of(
        measure, x, y, value, "permutation", orders, 2000, 0.05, sequential=True, stopping=True
    )
    assert asked == [200] and drawn is not None and drawn.size == 200
    assert found is not None and 0 < found.p < 1e-4  # so that it can pass a correction for many tests
    whole, _, _ = calibration_of(measure, x, y, value, "permutation", orders, 2000, 0.05, sequential=True)
    assert whole is not None and whole.p == 1 / 2001 and asked[-1] == 2000


def test_a_shuffle_keeps_documents_together() -> None:
    """Where the documents are all there is, shuffled data are a permutation of documents and look related at times."""
    clusters, generator = documents(60), np.random.default_rng(0)
    sides = {name: one_side(generator, clusters, 1.0) for name in "xy"}
    measure = parse_measure("mutual_knn(k=2)")
    settings = Settings((measure,), ("none",), 19, 0, 0.05, controls=("none", SHUFFLED), documents=clusters)
    table = PairTable(sides, [("x", "y")], settings, shuffles=["a"], workers=1)
    table.compute()
    # The two nearest of a sentence are the others of its document, on both sides alike: no shuffle changes that.
    assert table.numbers["value"][0, 0, 1] == 1


# -- cross-validated CCA
def test_folds_of_cv_cca_divide_no_cluster_and_do_not_leak() -> None:
    clusters = documents(90, MIXED)
    measure = CVCCA()
    parts = measure.parts(90, clusters)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(90))
    assert max(map(len, parts)) - min(map(len, parts)) <= 5
    for one, other in itertools.combinations(parts, 2):
        assert not set(clusters[one]) & set(clusters[other])
    found: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(12):
        generator = np.random.default_rng(seed)
        x, y = (one_side(generator, clusters, 0.9, 6) for _ in "xy")
        for known in found:
            sides = (Representation(side, clusters=clusters if known else None) for side in (x, y))
            a, b = (measure.prepare(side) for side in sides)
            found[known].append(measure.value(a, b))
    assert np.mean(found[False]) > 0.15 > abs(np.mean(found[True]))


def test_permutations_of_cv_cca_keep_clusters_within_their_part() -> None:
    clusters, generator = documents(60), np.random.default_rng(0)
    measure = CVCCA()
    x = measure.prepare(Representation(one_side(generator, clusters, 0.0, 5), clusters=clusters))
    # A side against itself, permuted: where a document of every part stays as it is, the score is that of the side.
    identity = np.arange(60)[None]
    assert measure.permuted(x, x, identity)[0] == pytest.approx(measure.value(x, x))
    assert measure.permuted(x, x, permutations(len(clusters), 5, 3, clusters)).max() < 0.7 * measure.value(x, x)


def test_cv_cca_says_that_clusters_are_too_large() -> None:
    x = np.random.default_rng(0).normal(size=(60, 4))
    with pytest.raises(DataError, match="3 clusters of up to 20 sentences cannot be divided into 5 parts"):
        score(x, x, "cv_cca", clusters=np.arange(60) // 20)
    assert cv_cca(x, x) > 0.9


# -- intervals
def test_draws_divide_no_cluster_and_leave_out_nearly_as_many_sentences() -> None:
    clusters = documents(120, MIXED)
    blocks, halves = draws(120, 0, clusters)
    for rows in [*blocks, *(half for both in halves for half in both)]:
        gone = np.setdiff1d(np.arange(120), rows)
        assert not set(clusters[rows]) & set(clusters[gone])
    assert all(85 <= len(rows) <= 95 for rows in blocks)
    assert all(abs(len(first) - len(second)) <= 6 and len(first) + len(second) == 120 for first, second in halves)


def covered(count: int, n: int, names: tuple[str, ...], *, known: bool = True) -> dict[str, float]:
    """How often intervals drawn by document hold the mean score; documents carry half of what the sides share."""
    clusters = documents(n)
    measures = [parse_measure(name) for name in names]
    scores, ends = np.empty((count, len(names))), np.empty((count, len(names), 2))
    for seed in range(count):
        generator = np.random.default_rng([seed, n, 2])
        common, own, other = (one_side(generator, clusters, 0.5, 24) for _ in range(3))
        sides = (common + own, common + other)

        def values(rows: IntArray, sides: tuple[FloatArray, FloatArray] = sides) -> FloatArray:
            both = [Representation(side[rows], clusters=clusters[rows]) for side in sides]
            return np.array([measure.value(*(measure.prepare(side) for side in both)) for measure in measures])

        drawn = deviations(values, n, seed=seed, clusters=clusters if known else None)
        scores[seed] = values(np.arange(n))
        for at, name in enumerate(names):
            ends[seed, at] = ends_of(name, scores[seed, at], drawn.at(np.array([at])))
    return dict(zip(names, share_held(scores, ends), strict=True))


def test_intervals_drawn_by_document_cover() -> None:
    shares = covered(40, 60, ("mutual_knn", "procrustes"))
    assert min(shares.values()) >= 0.85, shares


@pytest.mark.slow
@pytest.mark.parametrize("n", [60, 120])
def test_intervals_drawn_by_document_cover_in_500_draws(n: int) -> None:
    shares = covered(500, n, ("mutual_knn", "procrustes", "svcca(variance=0.9)", "linear_cka", "retrieval"))
    assert all(0.91 <= share <= 0.99 for share in shares.values()), shares


# -- the store, and a study
def with_clusters(manifest: Path, folder: Path, clusters: dict[str, str]) -> Path:
    """The manifest with a column of clusters, beside copies of its recordings."""
    shutil.copytree(manifest.parent, folder)
    with manifest.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, [*rows[0], "cluster"])
        writer.writeheader()
        writer.writerows(row | {"cluster": clusters.get(row["sentence"], "")} for row in rows)
    return folder / "manifest.csv"


BY_THREE = {f"s{number:02}": f"document {number // 3}" for number in range(12)}


def test_a_manifest_s_clusters_are_kept_and_used(manifest: Path, tiny_model: Model, tmp_path: Path) -> None:
    corpus = corpora.load("manifest", path=with_clusters(manifest, tmp_path / "data", BY_THREE))
    store = encode(tiny_model, corpus, tmp_path / "a.zarr", block=5)
    assert store.clusters is not None and store.clusters.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    found = compare(store, ["linear_cka", "mutual_knn(k=3)"], permutations=199, controls=("none", "shuffled"))
    options = found.meta["options"]
    assert options["clusters"] == {"count": 4, "sizes": {"3": 4}, "source": "corpus", "used": True}
    assert set(found.scores.loc[found.scores["control"] == "none", "null"]) == {"permutation of clusters"}
    assert "clusters" in options["null"]
    # Four documents do not show how far scores would move with others.
    assert found.scores["low"].isna().all() and "4 clusters" in options["intervals"]["linear_cka"]
    ignored = compare(store, ["linear_cka"], clusters="none", controls=("none",))
    assert set(ignored.scores["null"]) == {"closed form"}
    assert "clusters-ignored" in {caveat["id"] for caveat in ignored.meta["caveats"]}
    with pytest.raises(UsageError, match="did you mean 'auto'"):
        compare(store, ["linear_cka"], clusters="aut")


def test_clusters_that_come_later_are_added_without_encoding_again(
    manifest: Path, tiny_model: Model, tmp_path: Path
) -> None:
    first = encode(tiny_model, corpora.load("manifest", path=manifest), tmp_path / "a.zarr")
    assert first.clusters is None
    created = first.meta["created"]
    some = {"s01": "a", "s05": "a", "s02": "b"}
    corpus = corpora.load("manifest", path=with_clusters(manifest, tmp_path / "data", some))
    again = encode(tiny_model, corpus, tmp_path / "a.zarr")
    assert again.meta["created"] == created and again.identity == first.identity
    assert again.clusters is not None and again.clusters.tolist() == [0, 1, 2, 3, 4, 1, 5, 6, 7, 8, 9, 10]


def test_a_store_made_before_clusters_were_kept_opens_without_and_gets_them(
    manifest: Path, tiny_model: Model, tmp_path: Path
) -> None:
    made = encode(tiny_model, corpora.load("manifest", path=manifest), tmp_path / "a.zarr")
    before = made.matrix(made.points("text")[0], "text", "xa")
    as_of_before(tmp_path / "a.zarr")
    assert "cluster" not in Activations(tmp_path / "a.zarr").dataset
    assert Activations(tmp_path / "a.zarr").clusters is None
    corpus = corpora.load("manifest", path=with_clusters(manifest, tmp_path / "data", BY_THREE))
    again = encode(tiny_model, corpus, tmp_path / "a.zarr")
    assert again.clusters is not None and again.clusters.max() == 3
    np.testing.assert_array_equal(again.matrix(again.points("text")[0], "text", "xa"), before)


def as_of_before(store: Path) -> None:
    """Take out of a store what earlier versions did not write."""
    import json

    shutil.rmtree(store / "cluster")
    described = json.loads((store / "zarr.json").read_text(encoding="utf-8"))
    del described["consolidated_metadata"]["metadata"]["cluster"]
    (store / "zarr.json").write_text(json.dumps(described), encoding="utf-8")


def test_intervals_of_a_study_go_by_cluster(tmp_path: Path) -> None:
    store = planted_activations(
        tmp_path / "a.zarr",
        {"shared": Planted(meaning=0.4)},
        n=60,
        languages=("xa", "xb", "xc"),
        clusters=[f"d{row // 3}" for row in range(60)],
    )
    only: dict[str, Any] = {"controls": ("none",), "kinds": ["modality_similarity"], "permutations": 99}
    found = compare(store, ["linear_cka", "mutual_knn(k=3)"], **only)
    ways = found.meta["options"]["intervals"]
    assert all("cluster" in way for way in ways.values())
    assert found.meta["options"]["freedom"] == {"linear_cka": 19.0, "mutual_knn(k=3)": 15.0}
    assert (found.scores["low"] < found.scores["high"]).all()
    assert not {caveat["id"] for caveat in found.meta["caveats"]} & {"clusters", "clusters-unknown"}


def test_sentences_whose_cluster_is_not_known_are_left_out_and_the_result_says_so(tmp_path: Path) -> None:
    named = [f"d{row // 3}" if row % 4 else "" for row in range(36)]
    points = {"shared": Planted(meaning=0.4)}
    store = planted_activations(tmp_path / "a.zarr", points, n=36, languages=("xa", "xb"), clusters=named)
    assert store.without_cluster == store.sentences[::4]
    only: dict[str, Any] = {"controls": ("none",), "permutations": 99}
    found = compare(store, ["linear_cka"], **only)
    known = compare(
        store.only([one for one in store.sentences if one not in store.without_cluster]), ["linear_cka"], **only
    )
    np.testing.assert_array_equal(found.scores[["value", "p", "low"]], known.scores[["value", "p", "low"]])
    assert set(found.scores["n"]) == {27} and found.meta["corpus"]["n"] == 27
    described = found.meta["options"]["clusters"]
    assert (described["unknown"], described["left_out"], described["count"]) == (9, 9, 12)
    said = {one["id"]: one["text"] for one in found.meta["caveats"]}
    assert said["clusters-left-out"].startswith("The cluster (document) of 9 of 36 sentences is not known")
    assert set(paired(store, store)["n"]) == {27}
    assert "12 known; 9 sentences without one left out" in write_page(found, tmp_path).read_text("utf-8")
    alone = compare(store, ["linear_cka"], clusters="alone", **only)
    assert set(alone.scores["n"]) == {36} and alone.meta["options"]["clusters"]["count"] == 21
    said = {one["id"]: one["text"] for one in alone.meta["caveats"]}
    assert "treated as independent of all others" in said["clusters-known-in-part"]
    page = write_page(alone, tmp_path)
    assert "21 known; 9 sentences without one taken as independent" in page.read_text("utf-8")


def test_where_most_sentences_have_no_cluster_they_are_compared_with_a_caveat(tmp_path: Path) -> None:
    named = ["a", "a", "b", "b", *[""] * 8]
    store = planted_activations(tmp_path / "a.zarr", {"shared": Planted(meaning=0.4)}, n=12, clusters=named)
    found = compare(store, ["linear_cka"], controls=("none",), permutations=99)
    assert set(found.scores["n"]) == {12} and found.meta["options"]["clusters"]["sizes"] == {"1": 8, "2": 2}
    assert "8 of 12 sentences" in {one["id"]: one["text"] for one in found.meta["caveats"]}["clusters-known-in-part"]


def families(generator: np.random.Generator, count: int, size: int) -> list[str]:
    """Prompts of families that differ in one word of a sentence."""
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))

    def word() -> str:
        return "".join(generator.choice(letters, 6))

    frames = [[word() for _ in range(8)] for _ in range(count)]
    return [" ".join([*frame, word()[:4]]) for frame in frames for _ in range(size)]


def test_families_found_by_their_texts_keep_tests_at_their_level(tmp_path: Path) -> None:
    generator, names = np.random.default_rng(0), ("linear_cka", "mutual_knn", "procrustes")
    texts = families(generator, 20, 3)
    points = {"shared": Planted(meaning=0.4)}
    store = planted_activations(tmp_path / "a.zarr", points, n=60, languages=("xa", "xb"), texts=texts)
    assert documents_of(store, "auto") is None
    estimated = documents_of(store, "texts")
    np.testing.assert_array_equal(estimated, documents(60))
    below = np.zeros(len(names))
    for seed in range(40):
        sides = {name: one_side(generator, documents(60), 0.3) for name in "xy"}
        below += (
            pairwise(sides, names, permutations=99, seed=seed, clusters=estimated, workers=1)["p"].values[0] <= 0.05
        )
    assert below.max() <= 8
    found = compare(store, ["linear_cka"], controls=("none",), clusters="texts", permutations=99)
    assert found.meta["options"]["clusters"] == {"count": 20, "sizes": {"3": 20}, "used": True, "source": "texts"}
    assert set(found.scores["null"]) == {"permutation of clusters"}
    assert "clusters-from-texts" in {one["id"] for one in found.meta["caveats"]}


def test_clusters_given_to_a_single_comparison_name_every_sentence() -> None:
    x = np.random.default_rng(0).normal(size=(8, 3))
    for empty in (None, "", float("nan")):
        with pytest.raises(DataError, match=r"sentence 2 \(counted from 0\) has none"):
            score(x, x, "linear_cka", clusters=["a", "a", empty, "b", "b", "c", "d", "e"])


# -- caveats
def caveat(store: Activations, id: str, **options: Any) -> str:
    found = compare(store, ["linear_cka"], controls=("none",), kinds=["modality_similarity"], **options)
    return str({one["id"]: one["text"] for one in found.meta["caveats"]}.get(id, ""))


def test_where_no_cluster_is_known_the_texts_say_how_far_sentences_repeat_one_another(tmp_path: Path) -> None:
    points = {"shared": Planted(meaning=0.4)}
    texts = [f"{word} {word} is here" for word in ("mountain", "weather", "quickly", "zebra", "onion", "judge", "fox")]
    texts[3:5] = ["the train to the city is late today", "the train to the city is late today!"]
    texts += ["the train to that city is late today"]
    store = planted_activations(tmp_path / "a.zarr", points, n=8, languages=("xa", "xb"), texts=texts)
    assert "3 of 8 sentences (38%)" in caveat(store, "clusters-unknown")
    assert "1.3 times too narrow" in caveat(store, "clusters-unknown")  # the root of (9 + 5) / 8
    apart = [f"{chr(97 + row) * 5} {chr(104 + row) * 6}" for row in range(8)]
    store = planted_activations(tmp_path / "b.zarr", points, n=8, languages=("xa", "xb"), texts=apart)
    assert "No two texts are nearly the same" in caveat(store, "clusters-unknown")


def test_a_p_from_a_model_is_told_and_no_decision_of_a_small_study_hangs_on_it(tmp_path: Path) -> None:
    store = planted_activations(
        tmp_path / "a.zarr",
        {"shared": Planted(meaning=0.9)},
        n=60,
        languages=("xa", "xb"),
        clusters=[f"d{row // 3}" for row in range(60)],
    )
    found = compare(store, ["linear_cka", "mutual_knn"], controls=("none",))
    nulls = found.scores.groupby("measure")["null"].unique()
    assert nulls["linear_cka"].tolist() == ["permutation of clusters"]  # leads, and 2 tests need no p below .025
    assert nulls["mutual_knn(k=10)"].tolist() == ["permutation of clusters, tail of an exponential law"]
    assert "p-from-a-model" in {one["id"] for one in found.meta["caveats"]}
    few = compare(store, ["linear_cka"], controls=("none",), permutations=30)
    assert set(few.scores["null"]) == {"permutation of clusters"}


def test_clusters_that_leave_few_permutations_are_told(tmp_path: Path) -> None:
    points = {"shared": Planted(meaning=0.4)}
    sizes = np.repeat(["a", "b", "c", "d"], [1, 2, 3, 2])
    store = planted_activations(tmp_path / "a.zarr", points, n=8, languages=("xa",), clusters=sizes.tolist())
    text = caveat(store, "clusters", permutations=99)
    # Two clusters of two change places; within: 2 * 2 * 6.
    assert "Only 48 permutations" in text and "below 0.021" in text and "4 of 8 sentences" in text
