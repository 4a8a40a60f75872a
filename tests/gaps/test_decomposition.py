"""The variance of a point in components: exact, unbiased, the same however the space lies, and rightly uncertain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit

from babelscope.errors import DataError
from babelscope.gaps.decomposition import COMPONENTS, COMPONENTS_OF_ONE, decompose, decomposition_table
from babelscope.gaps.result import TABLE_COLUMNS
from babelscope.testing import Planted, planted_activations

SHAPES = st.tuples(st.integers(4, 9), st.integers(2, 5), st.integers(1, 3), st.integers(1, 6))
#: Components of the variance, in the order of COMPONENTS, that sum to 1.
PLANTED = (0.3, 0.1, 0.15, 0.1, 0.1, 0.05, 0.2)


def drawn(generator: np.random.Generator, shape: tuple[int, int, int], planted: tuple[float, ...] = PLANTED) -> Any:
    """Crossed vectors of 24 features: sentences and languages are drawn, the two modalities lie where they lie."""
    n, languages, _ = shape
    sizes = [(n, 1, 1), (1, languages, 1), None, (n, languages, 1), (n, 1, 2), (1, languages, 2), (n, languages, 2)]
    x = np.sqrt(planted[2] / 2) * np.array([1.0, -1.0])[None, None, :, None]
    for share, size in zip(planted, sizes, strict=True):
        if size is not None:
            x = x + np.sqrt(share) * generator.standard_normal((*size, 24))
    return x


def _squares_by_hand(x: Any) -> dict[str, float]:
    """Sums of squares of the effects of the crossed design, effect by effect."""

    def mean(*kept: int) -> Any:
        return x.mean(axis=tuple(axis for axis in range(3) if axis not in kept), keepdims=True)

    grand = mean()
    s, l, m = (mean(axis) - grand for axis in range(3))  # noqa: E741
    sl, sm, lm = mean(0, 1) - s - l - grand, mean(0, 2) - s - m - grand, mean(1, 2) - l - m - grand
    rest = x - grand - s - l - m - sl - sm - lm
    effects = dict(zip(COMPONENTS, (s, l, m, sl, sm, lm, rest), strict=True))
    return {name: float((np.broadcast_to(effect, x.shape) ** 2).sum()) for name, effect in effects.items()}


@settings(max_examples=40, deadline=None)
@given(shape=SHAPES, seed=st.integers(0, 999))
def test_sums_of_squares_are_those_of_the_effects_and_sum_to_one(shape: tuple[int, ...], seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal(shape) + 3
    found, by_hand = decompose(x, interval=False), _squares_by_hand(x)
    whole = ((x - x.mean((0, 1, 2))) ** 2).sum()
    assert sum(found.sums_of_squares.values()) == pytest.approx(1)
    if shape[2] == 1:
        by_hand = {
            "sentence": by_hand["sentence"],
            "language": by_hand["language"],
            "rest": by_hand["sentence:language"],
        }
    for name, share in found.sums_of_squares.items():
        assert share * whole == pytest.approx(by_hand[name], abs=1e-9 * whole)


@settings(max_examples=40, deadline=None)
@given(shape=SHAPES, seed=st.integers(0, 999))
def test_components_are_those_of_expected_mean_squares(shape: tuple[int, ...], seed: int) -> None:
    """The estimates of variance components of the balanced design with every factor random (Searle et al. 1992)."""
    x = np.random.default_rng(seed).standard_normal(shape) - 2
    n, languages, modalities, _ = shape
    found = decompose(x, interval=False).components
    squares = _squares_by_hand(x)
    if modalities == 1:
        s, l, rest = (  # noqa: E741
            squares["sentence"] / (n - 1),
            squares["language"] / (languages - 1),
            squares["sentence:language"] / ((n - 1) * (languages - 1)),
        )
        wanted = {"sentence": (s - rest) / languages, "language": (l - rest) / n, "rest": rest}
    else:
        freedom = np.array([n - 1, languages - 1, modalities - 1])
        of = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]
        s, l, m, sl, sm, lm, rest = (  # noqa: E741
            squares[name] / freedom[list(axes)].prod() for name, axes in zip(COMPONENTS, of, strict=True)
        )
        wanted = {
            "sentence": (s - sl - sm + rest) / (languages * modalities),
            "language": (l - sl - lm + rest) / (n * modalities),
            "modality": (m - sm - lm + rest) / (n * languages),
            "sentence:language": (sl - rest) / modalities,
            "sentence:modality": (sm - rest) / languages,
            "language:modality": (lm - rest) / n,
            "rest": rest,
        }
    assert found == pytest.approx(wanted, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(5, 9), st.integers(2, 5), st.integers(1, 2), st.integers(2, 6)),
    seed=st.integers(0, 999),
    scale=st.floats(1e-3, 1e3),
    far=st.floats(-1e3, 1e3),
)
def test_turning_moving_and_scaling_the_space_change_nothing(
    shape: tuple[int, ...], seed: int, scale: float, far: float
) -> None:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal(shape) + generator.standard_normal((shape[0], 1, 1, shape[3]))
    turn, _ = np.linalg.qr(generator.standard_normal((shape[3], shape[3])))
    before, after = decompose(x), decompose(scale * (x @ turn + far))
    assert after.shares == pytest.approx(before.shares, abs=1e-7)
    assert after.low == pytest.approx(before.low, abs=1e-6, nan_ok=True)
    assert after.sums_of_squares == pytest.approx(before.sums_of_squares, abs=1e-7)
    assert after.total == pytest.approx(scale**2 * before.total, rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999))
def test_the_order_of_labels_does_not_matter(seed: int) -> None:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((6, 4, 2, 3))
    moved = x[generator.permutation(6)][:, generator.permutation(4)][:, :, ::-1]
    before, after = decompose(x), decompose(moved)
    for one, other in ((before.shares, after.shares), (before.low, after.low), (before.high, after.high)):
        assert other == pytest.approx(one, abs=1e-9)


def test_the_total_is_half_the_squared_distance_of_utterances_that_share_nothing() -> None:
    x = drawn(np.random.default_rng(5), (6, 3, 2))
    found = decompose(x, interval=False)
    labels = list(np.ndindex(6, 3, 2))
    distances = [
        ((x[a] - x[b]) ** 2).sum() for a in labels for b in labels if all(i != j for i, j in zip(a, b, strict=True))
    ]
    assert found.total == pytest.approx(np.mean(distances) / 2)
    assert sum(found.components.values()) == pytest.approx(found.total)
    assert sum(found.shares.values()) == pytest.approx(1)


def _over_draws(draws: int, shape: tuple[int, int, int], planted: tuple[float, ...] = PLANTED) -> dict[str, Any]:
    generator = np.random.default_rng(11)
    found = [decompose(drawn(generator, shape, planted)) for _ in range(draws)]

    def table(which: str) -> Any:
        return np.array([[getattr(one, which)[name] for name in COMPONENTS] for one in found])

    truth = np.array(planted)
    covered = (table("low") <= truth) & (truth <= table("high"))
    return {"components": table("components") / 24, "shares": table("shares"), "covered": covered.mean(0)}


def _mean_is_within_its_error(values: Any, truth: tuple[float, ...]) -> bool:
    error = values.std(0, ddof=1) / np.sqrt(len(values))
    return bool((np.abs(values.mean(0) - np.array(truth)) < 3.5 * error).all())


def test_planted_components_are_recovered_without_bias() -> None:
    over = _over_draws(80, (30, 8, 2))
    assert _mean_is_within_its_error(over["components"], PLANTED)
    assert _mean_is_within_its_error(over["shares"], PLANTED)
    assert (over["covered"] > 0.85).all()


def test_what_is_not_there_is_estimated_as_nothing_on_average_and_left_negative() -> None:
    """Text and speech with nothing in common: the sums of squares give the sentence half, the components nothing."""
    planted = (0.0, 0.0, 0.3, 0.0, 0.4, 0.0, 0.3)
    over = _over_draws(60, (20, 4, 2), planted)
    assert _mean_is_within_its_error(over["components"], planted)
    assert (over["components"][:, 0] < 0).any() and (over["components"][:, 5] < 0).any()
    x = drawn(np.random.default_rng(3), (200, 4, 2), planted)
    assert decompose(x, interval=False).sums_of_squares["sentence"] > 0.2


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(60, 12, 2), (60, 30, 2), (250, 12, 2)])
def test_intervals_cover_what_was_planted(shape: tuple[int, int, int]) -> None:
    over = _over_draws(500, shape)
    print(shape, dict(zip(COMPONENTS, over["covered"].tolist(), strict=True)))
    assert _mean_is_within_its_error(over["shares"], PLANTED)
    assert (over["covered"] >= 0.92).all() and (over["covered"] <= 0.98).all()


def test_intervals_of_one_modality_cover_too() -> None:
    generator = np.random.default_rng(2)
    truth = np.array([0.5, 0.1, 0.4])
    covered = []
    for _ in range(120):
        x = (
            np.sqrt(0.5) * generator.standard_normal((40, 1, 16))
            + np.sqrt(0.1) * generator.standard_normal((1, 10, 16))
            + np.sqrt(0.4) * generator.standard_normal((40, 10, 16))
        )
        found = decompose(x)
        assert tuple(found.shares) == COMPONENTS_OF_ONE
        covered.append(
            [found.low[name] <= share <= found.high[name] for name, share in zip(found.shares, truth, strict=True)]
        )
    assert (np.mean(covered, axis=0) >= 0.88).all()


def test_two_languages_have_an_interval_over_sentences_alone() -> None:
    x = drawn(np.random.default_rng(0), (20, 2, 2))
    found = decompose(x)
    assert "jackknife over sentences" in found.convention and "languages" not in found.convention.split(";")[-1]
    assert all(found.low[name] < found.shares[name] < found.high[name] for name in COMPONENTS)
    assert all(np.isnan(value) for value in decompose(x, interval=False).low.values())


def _bad(kind: str) -> Any:
    x = np.random.default_rng(0).standard_normal((6, 3, 2, 4))
    if kind == "nan":
        x[2, 1, 0, 3] = np.nan
    return {
        "nan": x,
        "constant": np.full((6, 3, 2, 4), 0.1),
        "few": x[:3],
        "one language": x[:, :1],
        "flat": x[0, 0],
        "words": np.full((6, 3, 2), "a"),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("nan", "sentence 2, language 1, modality 0"),
        ("constant", "no variance"),
        ("few", "at least 4 sentences"),
        ("one language", "two languages"),
        ("flat", "shape"),
        ("words", "real numbers"),
    ],
)
def test_what_cannot_be_decomposed_is_named(kind: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        decompose(_bad(kind))


def test_the_table_finds_what_the_store_was_planted_with(tmp_path: Path) -> None:
    points = {"shared.0": Planted(meaning=0.1, modality=0.6, language=0.1), "shared.1": Planted(meaning=0.7)}
    languages = ("xa", "xb", "xc", "xd", "xe")
    activations = planted_activations(tmp_path / "a.zarr", points, n=120, languages=languages)
    table = decomposition_table(activations)
    assert tuple(table.columns) == TABLE_COLUMNS["decomposition"]
    assert (table.groupby(["part", "point"])["share"].sum().round(9) == 1).all()
    assert set(table["part"]) == {"all", "text", "speech"} and set(table["n"]) == {120}
    rows = {(row["part"], row["point"], row["component"]): row for row in table.to_dict("records")}
    for point, planted in points.items():
        wanted = {"sentence": planted.meaning, "sentence:modality": planted.modality, "rest": planted.noise}
        wanted["sentence:language"] = planted.language
        for component in COMPONENTS:
            row = rows["all", point, component]
            assert row["low"] - 0.02 < wanted.get(component, 0.0) < row["high"] + 0.02
        for modality in ("text", "speech"):
            # Of one modality alone, what its texts share in all languages is the sentence's.
            row = rows[modality, point, "sentence"]
            assert row["low"] - 0.02 < planted.meaning + planted.modality < row["high"] + 0.02
    assert list(table[table["part"] == "text"]["component"].unique()) == list(COMPONENTS_OF_ONE)


def test_one_language_gives_no_rows(tmp_path: Path) -> None:
    activations = planted_activations(tmp_path / "a.zarr", {"shared.0": Planted(meaning=0.5)}, n=10, languages=("xa",))
    table = decomposition_table(activations)
    assert table.empty and tuple(table.columns) == TABLE_COLUMNS["decomposition"]


@pytest.mark.parametrize("modalities", [1, 2])
def test_clusters_leave_out_whole_documents_and_pair_different_ones(modalities: int) -> None:
    """The jackknife is brute force over documents, and documents add to the sentence's share whole."""
    generator, clusters = np.random.default_rng(0), np.arange(24) // 3
    n = clusters.size
    x = generator.standard_normal((n, 4, modalities, 6)) + generator.standard_normal((8, 1, 1, 6))[clusters]
    found = decompose(x, clusters=clusters)
    assert "clusters of sentences" in found.convention
    singles = decompose(x, clusters=np.arange(n))
    assert singles.shares == decompose(x).shares and singles.low == decompose(x).low
    names = list(found.shares)
    two = decompose(x[:, :2], clusters=clusters)  # an interval for other sentences alone
    keep = [clusters != one for one in range(8)]
    brute = np.array([list(decompose(x[k][:, :2], clusters=clusters[k]).shares.values()) for k in keep])
    error = np.sqrt(7 / 8 * ((brute - brute.mean(0)) ** 2).sum(0))
    reach = np.array([two.high[name] - two.shares[name] for name in names])
    np.testing.assert_allclose(reach, stdtrit(7, 0.975) * error, rtol=1e-9)


def test_what_documents_have_in_common_is_the_sentence_s_without_bias() -> None:
    shares: dict[str, list[float]] = {"known": [], "unknown": []}
    clusters = np.repeat(np.arange(5), 4)
    for seed in range(60):
        generator = np.random.default_rng(seed)
        common = generator.standard_normal((5, 1, 1, 8))[clusters]
        x = common + generator.standard_normal((20, 6, 1, 8))
        shares["known"].append(decompose(x, interval=False, clusters=clusters).components["sentence"])
        shares["unknown"].append(decompose(x, interval=False).components["sentence"])
    assert np.mean(shares["known"]) == pytest.approx(8, abs=1.5)
    assert np.mean(shares["unknown"]) < 7.2  # 3 of 19 other sentences are of the same document
