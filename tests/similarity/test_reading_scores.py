"""What surrounds a score: print, intervals, controls, averages over languages, false discoveries, diagnostics."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from babelscope import similarity as sim
from babelscope.errors import DataError, RenamedWarning, UsageError
from clouds import cloud, related, rotation

RNG = np.random.default_rng


def test_a_score_prints_what_a_reader_needs() -> None:
    x, y = related(RNG(0), 120, 20, 20, 3, 1.0)
    found = sim.score(x, y, "svcca(variance=0.9)", interval=True)
    text = str(found)
    for word in (
        "svcca(variance=0.9)",
        "chance",
        "corrected",
        "calibrated",
        "120 sentences",
        f"{found.kx:g} and {found.ky:g}",
        "interval",
    ):
        assert word in text
    assert "chance" in repr(found)
    assert "\n" not in repr(found)
    assert float(found) == found.value
    assert found.to_dict()["n"] == 120


def test_html_is_escaped() -> None:
    x, y = related(RNG(0), 30, 4, 4, 2)
    found = sim.score(x, y, "retrieval(metric='cosine', k=2)")
    page = found._repr_html_()
    assert "&#x27;" in str(page) or "'" not in found.measure
    assert "<script" not in sim.Score(**{**found.to_dict(), "notes": ("<script>",)})._repr_html_()


def test_intervals_cover_the_truth_and_shrink_with_n() -> None:
    # ANC of two noisy copies has a known expectation, 1 / (1 + noise^2).
    rng = RNG(1)
    noise, covered = 0.8, 0
    widths: dict[int, list[float]] = {}
    truth = 1 / (1 + noise**2)
    for trial in range(60):
        n = 60 if trial % 2 else 240
        common = rng.normal(size=(n, 4))
        found = sim.score(
            common + noise * rng.normal(size=(n, 4)),
            common + noise * rng.normal(size=(n, 4)),
            "anc",
            null=None,
            interval=True,
        )
        covered += found.low <= truth <= found.high
        widths.setdefault(n, []).append(found.high - found.low)
    assert 50 <= covered <= 60
    assert np.mean(widths[240]) == pytest.approx(np.mean(widths[60]) / 2, rel=0.25)


def test_an_interval_keeps_clusters_together_and_takes_enough_of_them() -> None:
    # Sentences that are there three times tell no more than one of them.
    x, y = related(RNG(4), 40, 6, 6, 3, 1.0)
    copies = np.repeat(np.arange(40), 3)
    for name in ("linear_cka", "svcca(k=3)", "anc"):
        alone, known = (
            sim.score(x[rows], y[rows], name, null=None, interval=True, clusters=clusters)
            for rows, clusters in ((np.arange(40), None), (copies, copies))
        )
        unknown = sim.score(x[copies], y[copies], name, null=None, interval=True)
        widths = [found.high - found.low for found in (alone, known, unknown)]
        assert widths[2] < widths[1], name
        if name == "linear_cka":  # in closed form; what is drawn varies with the parts
            assert widths[1] == pytest.approx(widths[0], rel=0.2)
    few = sim.score(x, y, "linear_cka", null=None, interval=True, clusters=np.arange(40) // 3)
    assert np.isnan(few.low) and "fewer than 16 clusters" in str(few)


def test_the_interval_of_earlier_versions_is_the_present_one_with_a_line() -> None:
    x, y = related(RNG(5), 40, 6, 6, 3, 1.0)
    with pytest.warns(RenamedWarning, match="interval=True"):
        earlier = sim.score(x, y, "anc", interval="subsample")  # type: ignore[arg-type]
    assert earlier == sim.score(x, y, "anc", interval=True)


def test_a_bootstrap_would_lie_above_the_value_and_the_interval_does_not() -> None:
    rng = RNG(2)
    x, y = cloud(rng, 60, 30, "flat"), cloud(rng, 60, 30, "flat")
    value = sim.linear_cka(x, y)
    repeated = [sim.linear_cka(x[rows], y[rows]) for rows in (rng.integers(60, size=60) for _ in range(40))]
    assert min(repeated) > value, (
        "every bootstrap sample is above the value it is of: repeated rows agree with themselves"
    )
    found = sim.score(x, y, "linear_cka", interval=True)
    assert found.low < value < found.high


def test_regressing_out_leaves_nothing_of_the_covariates() -> None:
    rng = RNG(3)
    covariates = np.column_stack([rng.normal(size=80), rng.normal(size=80), np.ones(80), np.zeros(80)])
    covariates = np.column_stack([covariates, covariates[:, 0] * 2])
    x = rng.normal(size=(80, 6)) + covariates[:, :1] * 5 + 7
    rest = sim.regress_out(x, covariates)
    assert np.abs(rest.mean(0)).max() < 1e-12
    assert np.abs(rest.T @ covariates[:, :2]).max() < 1e-10
    design = np.column_stack([np.ones(80), covariates[:, :2]])
    np.testing.assert_allclose(rest, x - design @ np.linalg.lstsq(design, x)[0], atol=1e-10)
    np.testing.assert_allclose(
        sim.regress_out(x, covariates[:, 0]), sim.regress_out(x, covariates[:, :1] * 1e-9), atol=1e-9
    )
    explained = sim.regress_out(np.column_stack([x[:, 0], 3 * covariates[:, 0] + 2]), covariates)
    assert (explained[:, 1] == 0).all()


def test_length_alone_no_longer_retrieves_after_regression() -> None:
    rng = RNG(4)
    length = rng.normal(size=60)
    x, y = (np.outer(length, rng.normal(size=8)) * 3 + rng.normal(size=(60, 8)) * 0.3 for _ in range(2))
    assert sim.score(x, y, "linear_cka").p < 0.001
    assert sim.score(sim.regress_out(x, length), sim.regress_out(y, length), "linear_cka").p > 0.01


def test_regressing_out_refuses_what_cannot_be() -> None:
    x = RNG(5).normal(size=(10, 3))
    with pytest.raises(DataError, match="leave nothing"):
        sim.regress_out(x, RNG(6).normal(size=(10, 9)))
    with pytest.raises(DataError, match="x has 10 sentences and the covariates has 9"):
        sim.regress_out(x, np.zeros(9))
    with pytest.raises(DataError, match="covariates holds NaN in row 2"):
        sim.regress_out(x, np.array([0, 1, np.nan] + [0] * 7))


def test_one_rogue_dimension_ruins_cka_and_its_removal_mends_it() -> None:
    rng = RNG(7)
    x, y = related(rng, 150, 64, 64, 10, 1.0)
    before = sim.linear_cka(x, y)
    y_rogue = y.copy()
    y_rogue[:, 11] = rng.normal(size=150) * 300
    assert sim.linear_cka(x, y_rogue) < 0.2 * before
    assert sim.rogue_dimensions(y_rogue).tolist() == [11]
    assert sim.rogue_dimensions(x).size == 0
    mended, dropped = sim.drop_rogue(y_rogue)
    assert dropped.tolist() == [11]
    assert sim.linear_cka(x, mended) == pytest.approx(before, abs=0.05)
    assert sim.linear_cka(sim.standardise(x), sim.standardise(y_rogue)) > 0.8 * before
    offset = x + 0.0
    offset[:, 3] += 500
    assert sim.rogue_dimensions(offset).tolist() == [3]
    assert sim.top_pc_share(y_rogue) > 0.9
    assert sim.effective_rank(y_rogue) < 3 < sim.effective_rank(y)
    with pytest.raises(UsageError):
        sim.rogue_dimensions(x, threshold=0.5)


def test_diagnostics_have_their_textbook_values() -> None:
    flat = rotation(RNG(8), 40)[:, :10]
    flat = np.vstack([flat, -flat])  # mean 0, ten equal directions
    for kind in ("entropy", "participation"):
        assert sim.effective_rank(flat, kind=kind) == pytest.approx(10)
    assert sim.top_pc_share(flat) == pytest.approx(0.1)
    assert sim.top_pc_share(flat, k=10) == pytest.approx(1.0)
    assert sim.anisotropy(np.ones((5, 3)) + 1e-9 * RNG(0).normal(size=(5, 3))) == pytest.approx(1.0)
    assert sim.anisotropy(np.vstack([np.eye(4), -np.eye(4)])) == pytest.approx(-1 / 7)
    x = RNG(9).normal(size=(50, 6)) + 1
    cosines = (x @ x.T) / np.outer(*[np.linalg.norm(x, axis=1)] * 2)
    assert sim.anisotropy(x) == pytest.approx(cosines[np.triu_indices(50, 1)].mean())
    with pytest.raises(UsageError):
        sim.effective_rank(x, kind="stable")


def test_a_speaker_floor_sets_the_bound() -> None:
    rng = RNG(10)
    said = rng.normal(size=(80, 20))
    first, second = (said + 0.7 * rng.normal(size=said.shape) for _ in range(2))
    other = said + 1.5 * rng.normal(size=said.shape)
    cross = sim.score(first, other, "linear_cka")
    found = sim.speaker_floor(first, second, "linear_cka", compared=cross)
    assert found.floor.value > cross.value
    assert found.share == pytest.approx(cross.value / found.floor.value)
    assert sim.speaker_floor(first, second, "linear_cka", compared=found.floor).share == pytest.approx(1.0)
    assert sim.speaker_floor(first, second, "linear_cka").share is None
    with pytest.raises(UsageError, match="like with like"):
        sim.speaker_floor(first, second, "svcca", compared=cross)
    with pytest.raises(UsageError, match="sentences"):
        sim.speaker_floor(first[:50], second[:50], "linear_cka", compared=cross)


def test_false_discovery_agrees_with_statsmodels() -> None:
    p = RNG(11).random((6, 7)) ** 2
    for dependence, method in (("positive", "fdr_bh"), ("any", "fdr_by")):
        wanted = multipletests(p.reshape(-1), method=method)[1].reshape(p.shape)
        np.testing.assert_allclose(sim.false_discovery(p, dependence=dependence), wanted, atol=1e-12)
    p[2, 3] = np.nan
    found = sim.false_discovery(p)
    assert np.isnan(found[2, 3])
    assert np.isfinite(found).sum() == 41
    with pytest.raises(DataError):
        sim.false_discovery([0.5, 1.2])
    with pytest.raises(UsageError):
        sim.false_discovery([0.5], dependence="none")


def test_an_average_over_pairs_knows_that_pairs_share_languages() -> None:
    # Score of a pair = effect of one language + effect of the other: the truth is 0, its s.d. is known.
    rng = RNG(12)
    names = [f"l{i}" for i in range(12)]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    covered, errors, naive = 0, [], []
    for _ in range(300):
        effect = dict(zip(names, rng.normal(size=12), strict=True))
        values = [effect[a] + effect[b] for a, b in pairs]
        found = sim.over_languages(values, [a for a, _ in pairs], [b for _, b in pairs])
        covered += found.low <= 0 <= found.high
        errors.append(found.standard_error)
        naive.append(np.std(values, ddof=1) / np.sqrt(len(values)))
    assert 0.91 < covered / 300 <= 0.985
    assert np.mean(errors) == pytest.approx(2 / np.sqrt(12), rel=0.1)
    assert np.mean(naive) < np.mean(errors) / 2.5, "what counting pairs as independent would have said"


def test_an_average_over_single_languages_is_the_usual_one() -> None:
    values = RNG(13).normal(size=9)
    found = sim.over_languages(values, list("abcdefghi"))
    assert found.standard_error == pytest.approx(values.std(ddof=1) / 3)
    assert (found.languages, found.pairs) == (9, 9)
    two = sim.over_languages([1.0, 2.0], ["a", "b"])
    assert two.value == 1.5
    assert np.isnan(two.low)
    with pytest.raises(DataError, match="a-c is missing"):
        sim.over_languages([1.0, np.nan], ["a", "a"], ["b", "c"])
    with pytest.raises(UsageError):
        sim.over_languages([1.0], ["a", "b"])
