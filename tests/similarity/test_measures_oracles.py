"""Every measure against an independent implementation: another library, or the definition written out."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from scipy.linalg import sqrtm, subspace_angles
from scipy.spatial import procrustes as scipy_procrustes
from scipy.spatial.distance import cdist, pdist
from scipy.stats import spearmanr

from babelscope import similarity as sim
from babelscope.similarity.nulls import wachter
from clouds import cloud, related, rotation

RNG = np.random.default_rng


@pytest.fixture
def pair() -> Any:
    return related(RNG(0), 90, 12, 17, 5)


# -- CCA


def test_cca_is_the_mean_cosine_of_the_subspace_angles(pair: Any) -> None:
    x, y = pair
    angles = subspace_angles(x - x.mean(0), y - y.mean(0))
    assert sim.cca(x, y) == pytest.approx(np.cos(angles).mean(), abs=1e-12)
    assert sim.cca(x, y, squared=True) == pytest.approx((np.cos(angles) ** 2).mean(), abs=1e-12)


def test_cca_agrees_with_statsmodels(pair: Any) -> None:
    from statsmodels.multivariate.cancorr import CanCorr

    x, y = pair
    assert sim.cca(x, y) == pytest.approx(CanCorr(y - y.mean(0), x - x.mean(0)).cancorr.mean(), abs=1e-10)


def test_cca_agrees_with_scikit_learn() -> None:
    from sklearn.cross_decomposition import CCA

    x, y = related(RNG(1), 200, 4, 3, 3, 2.0)
    a, b = CCA(n_components=3, max_iter=5000, tol=1e-12, scale=False).fit(x, y).transform(x, y)
    each = [np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(3)]
    assert sim.cca(x, y) == pytest.approx(np.mean(each), abs=1e-6)


def kept(x: Any, share: float, power: int = 2) -> Any:
    """Truncate by the share of s^power, by a plain decomposition."""
    u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    energy = np.cumsum(s**power) / (s**power).sum()
    k = int(np.argmax(energy >= share)) + 1
    return u[:, :k] * s[:k], k


@pytest.mark.parametrize("share", [0.9, 0.99])
@pytest.mark.parametrize("shape", [(150, 60), (60, 150)])
def test_svcca_is_cca_of_the_truncated_sides(share: float, shape: tuple[int, int]) -> None:
    x, y = cloud(RNG(2), *shape, "power"), cloud(RNG(3), *shape, "steep")
    (a, kx), (b, ky) = kept(x, share), kept(y, share)
    rho = np.cos(subspace_angles(a, b))[: min(kx, ky)]
    found = sim.score(x, y, f"svcca(variance={share})", null=None)
    assert (found.kx, found.ky) == (kx, ky)
    assert found.value == pytest.approx(rho.mean(), abs=1e-9)
    assert sim.svcca(x, y, variance=share, convention="netrep") == pytest.approx(rho.sum() / np.sqrt(kx * ky), abs=1e-9)


@pytest.mark.parametrize("clusters", [None, 40])
def test_svcca_keeps_as_many_directions_as_the_sentences_carry(clusters: int | None) -> None:
    """Unrelated sides then have a mean correlation of .4 at most; without a cap it is .76."""
    n, kept = 120, 25 if clusters is None else 8
    documents = None if clusters is None else np.arange(n) % clusters
    x, y = (cloud(RNG(seed), n, 300) for seed in (8, 9))
    found = sim.score(x, y, "svcca", clusters=documents, permutations=99)
    assert found.measure == "svcca(chance=0.4)" and (found.kx, found.ky) == (kept, kept)
    assert 0.2 < found.null_mean <= 0.41 and not found.notes
    assert sim.score(x, y, "svcca(variance=0.99)").null_mean > 0.7
    low_rank = x[:, :3] @ RNG(1).normal(size=(3, 50))
    assert sim.score(low_rank, y, "svcca").kx == 3
    k = sim.directions_carried(350)
    assert wachter(k, k, 350)[0] / k <= 0.4 < wachter(k + 1, k + 1, 350)[0] / (k + 1)


def test_svcca_of_anatome_keeps_by_plain_singular_values() -> None:
    x, y = cloud(RNG(4), 120, 50), cloud(RNG(5), 120, 50)
    (a, kx), (b, ky) = kept(x, 0.9, 1), kept(y, 0.9, 1)
    assert kx > kept(x, 0.9)[1]
    rho = np.cos(subspace_angles(a, b))[: min(kx, ky)]
    assert sim.svcca(x, y, variance=0.9, convention="anatome") == pytest.approx(rho.mean(), abs=1e-9)


def google_cca(x: Any, y: Any, epsilon: float) -> float:
    """Mean correlation by the recipe of google/svcca's cca_core: ridge on covariances scaled by their largest entry."""
    n = x.shape[0]
    x, y = x - x.mean(0), y - y.mean(0)
    sxx, syy, sxy = x.T @ x / (n - 1), y.T @ y / (n - 1), x.T @ y / (n - 1)
    mx, my = np.abs(sxx).max(), np.abs(syy).max()
    sxx, syy, sxy = sxx / mx, syy / my, sxy / np.sqrt(mx * my)
    ix = np.linalg.inv(np.real(sqrtm(sxx + epsilon * np.eye(len(sxx)))))
    iy = np.linalg.inv(np.real(sqrtm(syy + epsilon * np.eye(len(syy)))))
    return float(np.linalg.svd(ix @ sxy @ iy, compute_uv=False).mean())


def test_svcca_of_google_has_its_ridge() -> None:
    x, y = cloud(RNG(6), 200, 40), cloud(RNG(7), 200, 40)
    a, b = kept(x, 0.99)[0], kept(y, 0.99)[0]
    assert sim.svcca(x, y, convention="google") == pytest.approx(google_cca(a, b, 1e-10), abs=1e-12)
    assert abs(sim.svcca(x, y, convention="google") - sim.svcca(x, y, variance=0.99)) < 1e-6


def written_out_pwcca(x: Any, y: Any) -> float:
    """PWCCA of Morcos et al. sided on x, by covariance matrices and not by bases."""
    x, y = x - x.mean(0), y - y.mean(0)
    ix, iy = (np.real(np.linalg.inv(sqrtm(a.T @ a))) for a in (x, y))
    u, rho, _ = np.linalg.svd(ix @ x.T @ y @ iy, full_matrices=False)
    variates = x @ ix @ u
    weights = np.abs(variates.T @ x).sum(1)
    return float(weights @ rho / weights.sum())


def test_pwcca_is_the_definition_of_the_paper(pair: Any) -> None:
    x, y = pair
    one, other = written_out_pwcca(x, y), written_out_pwcca(y, x)
    assert sim.pwcca(x, y, side="x", variance=None) == pytest.approx(one, abs=1e-9)
    assert sim.pwcca(x, y, side="y", variance=None) == pytest.approx(other, abs=1e-9)
    assert sim.pwcca(x, y, variance=None) == pytest.approx((one + other) / 2, abs=1e-9)


def test_cv_cca_sees_a_shared_signal_and_nothing_else() -> None:
    rng = RNG(8)
    x, y = related(rng, 300, 200, 200, 10, 2.0)
    assert sim.cv_cca(x, y) > 0.9
    assert abs(sim.cv_cca(x, rng.permutation(y))) < 0.15
    assert sim.cca(x, rng.permutation(y)) > 0.7, "in sample, unrelated data look alike: what cross-validation is for"


def test_cv_cca_whitens_held_out_sentences_as_it_does_the_fitted_ones() -> None:
    state = sim.CVCCA(max_k=5).prepare(sim.Representation(RNG(20).normal(size=(600, 5)) * [9, 5, 3, 2, 1]))
    fold = state.folds[0]
    assert fold.test.std(0) == pytest.approx(fold.train.std(0), rel=0.2)


def test_cv_cca_uses_no_held_out_sentence_for_fitting() -> None:
    # Sentences of the scored part are made unrelated: a fit that saw them would be drawn to them.
    rng = RNG(9)
    x, y = related(rng, 150, 30, 30, 5, 3.0)
    measure = sim.CVCCA()
    x_state, y_state = (measure.prepare(sim.Representation(side)) for side in (x, y))
    part = x_state.parts[0]
    y2 = y.copy()
    y2[part] = rng.normal(size=y2[part].shape) * 50
    changed = measure.prepare(sim.Representation(y2))
    # The Gram matrix is scaled by its norm, so directions are compared, not sizes.
    same = np.abs(np.diag(changed.folds[0].train.T @ y_state.folds[0].train))
    assert same == pytest.approx(1.0, abs=1e-8)
    assert x_state.n == 150


# -- CKA


def test_biased_linear_cka_is_the_feature_form(pair: Any) -> None:
    x, y = (side - side.mean(0) for side in pair)
    wanted = np.linalg.norm(x.T @ y) ** 2 / np.linalg.norm(x.T @ x) / np.linalg.norm(y.T @ y)
    assert sim.linear_cka(*pair, debiased=False) == pytest.approx(wanted, abs=1e-12)


def song_hsic(k: Any, m: Any) -> float:
    """Unbiased HSIC as Song et al. 2012 write it, with traces and sums."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    product = k @ m
    return float(
        (np.trace(product) + k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 * product.sum() / (n - 2)) / (n * (n - 3))
    )


def test_debiased_linear_cka_is_the_ratio_of_unbiased_hsic(pair: Any) -> None:
    k, m = (side @ side.T for side in pair)
    wanted = song_hsic(k, m) / np.sqrt(song_hsic(k, k) * song_hsic(m, m))
    assert sim.linear_cka(*pair) == pytest.approx(wanted, abs=1e-12)


def test_rbf_cka_is_the_ratio_of_unbiased_hsic_of_its_kernels(pair: Any) -> None:
    kernels = []
    for side in pair:
        distances = pdist(side)
        kernels.append(np.exp(-(cdist(side, side) ** 2) / (2 * np.median(distances) ** 2)))
    k, m = kernels
    wanted = song_hsic(k, m) / np.sqrt(song_hsic(k, k) * song_hsic(m, m))
    assert sim.rbf_cka(*pair) == pytest.approx(wanted, abs=1e-10)


def test_linear_cka_does_not_mind_a_mean_offset_of_100_standard_deviations() -> None:
    x, y = related(RNG(10), 200, 64, 64, 8)
    shifted = [(side + 100 * side.std(0)).astype(np.float32) for side in (x, y)]
    assert sim.linear_cka(*shifted) == pytest.approx(sim.linear_cka(x, y), abs=1e-5)
    assert sim.linear_cka(*shifted, debiased=False) == pytest.approx(sim.linear_cka(x, y, debiased=False), abs=1e-5)


# -- the others


def test_procrustes_agrees_with_scipy() -> None:
    x, y = related(RNG(11), 80, 9, 9, 4)
    disparity = scipy_procrustes(x, y)[2]
    assert sim.procrustes(x, y, form="disparity") == pytest.approx(disparity, abs=1e-12)
    cosine = sim.procrustes(x, y)
    assert cosine == pytest.approx(np.sqrt(1 - disparity), abs=1e-12)
    assert sim.procrustes(x, y, form="angle") == pytest.approx(np.arccos(cosine), abs=1e-12)
    assert sim.procrustes(x, y, form="distance") == pytest.approx(np.sqrt(2 - 2 * cosine), abs=1e-12)


@pytest.mark.parametrize("metric", ["correlation", "cosine", "euclidean"])
def test_rsa_agrees_with_scipy(pair: Any, metric: Any) -> None:
    a, b = (pdist(side, metric) for side in pair)
    assert sim.rsa(*pair, metric=metric) == pytest.approx(spearmanr(a, b).statistic, abs=1e-9)
    assert sim.rsa(*pair, metric=metric, compare="pearson") == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-9)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("centre", [True, False])
def test_mutual_knn_is_the_mean_overlap_of_neighbour_sets(pair: Any, metric: Any, centre: bool) -> None:
    sets = []
    for side in pair:
        rows = side - side.mean(0) if centre else side
        distances = cdist(rows, rows, metric)
        np.fill_diagonal(distances, np.inf)
        sets.append([set(row) for row in np.argsort(distances, axis=1)[:, :7]])
    wanted = np.mean([len(a & b) / 7 for a, b in zip(*sets, strict=True)])
    assert sim.mutual_knn(*pair, k=7, metric=metric, centre=centre) == pytest.approx(wanted, abs=1e-12)


@pytest.fixture
def translated() -> Any:
    rng = RNG(12)
    x = rng.normal(size=(60, 16))
    return x, x + 0.9 * rng.normal(size=(60, 16)) + 3.0


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("k", [1, 3])
def test_retrieval_counts_hits_in_both_directions(translated: Any, metric: Any, k: int) -> None:
    x, y = (side - side.mean(0) for side in translated)
    distances = cdist(x, y, metric)
    own = np.diag(distances)
    forward = np.mean((distances < own[:, None]).sum(1) < k)
    backward = np.mean((distances < own[None, :]).sum(0) < k)
    assert sim.retrieval(*translated, metric=metric, k=k, direction="xy") == pytest.approx(forward)
    assert sim.retrieval(*translated, metric=metric, k=k, direction="yx") == pytest.approx(backward)
    assert sim.retrieval(*translated, metric=metric, k=k) == pytest.approx((forward + backward) / 2)


def test_retrieval_gives_the_mean_reciprocal_rank(translated: Any) -> None:
    x, y = (side - side.mean(0) for side in translated)
    distances = cdist(x, y, "cosine")
    ranks = 1 + (distances < np.diag(distances)[:, None]).sum(1)
    assert sim.retrieval(*translated, mrr=True, direction="xy") == pytest.approx(np.mean(1 / ranks))


def test_tied_candidates_share_a_hit() -> None:
    x = np.repeat(np.eye(4), 2, axis=0)
    assert sim.retrieval(x, x, centre=False) == pytest.approx(0.5), "every sentence has a twin"
    assert sim.mexa(x, x) == 0.0, "MEXA wants the best to be the only best"


def laser_xsim(x: Any, y: Any, margin: str, k: int) -> float:
    """Error rate as LASER's xsim.py has it, loop by loop."""
    x, y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y))
    cosines = x @ y.T
    if margin == "absolute":
        return float(np.mean(cosines.argmax(1) != np.arange(len(x))))
    nearest = np.argsort(-cosines, axis=1)[:, :k]
    mean_x = np.array([cosines[i, nearest[i]].mean() for i in range(len(x))])
    mean_y = np.array([np.sort(cosines[:, j])[-k:].mean() for j in range(len(y))])
    errors = 0
    for i in range(len(x)):
        scores = []
        for j in nearest[i]:
            middle = (mean_x[i] + mean_y[j]) / 2
            scores.append(cosines[i, j] / middle if margin == "ratio" else cosines[i, j] - middle)
        errors += int(nearest[i][int(np.argmax(scores))] != i)
    return errors / len(x)


@pytest.mark.parametrize("margin", ["ratio", "distance", "absolute"])
def test_xsim_is_the_error_of_laser(translated: Any, margin: str) -> None:
    wanted = laser_xsim(translated[0], translated[1], margin, 4)
    assert 0 < wanted < 1
    assert sim.xsim(*translated, margin=margin) == pytest.approx(wanted)
    assert sim.xsim(translated[1], translated[0], margin=margin, direction="yx") == pytest.approx(wanted)


def test_mexa_wants_the_best_of_row_and_column(translated: Any) -> None:
    x, y = translated
    cosines = 1 - cdist(x, y, "cosine")
    good = 0
    for i in range(len(x)):
        row, column = np.delete(cosines[i], i), np.delete(cosines[:, i], i)
        good += int(cosines[i, i] > row.max() and cosines[i, i] > column.max())
    assert 0 < good < len(x)
    assert sim.mexa(x, y) == pytest.approx(good / len(x))


def test_anc_is_the_mean_correlation_of_a_feature_with_itself(translated: Any) -> None:
    x, y = translated
    each = [np.corrcoef(x[:, i], y[:, i])[0, 1] for i in range(x.shape[1])]
    assert sim.anc(x, y) == pytest.approx(np.mean(each), abs=1e-12)
    assert sim.anc(x, -y, absolute=True) == pytest.approx(np.mean(np.abs(each)), abs=1e-12)
    with_constant = [np.hstack([x, np.ones((60, 1))]), np.hstack([y, y[:, :1]])]
    assert sim.anc(*with_constant) == pytest.approx(np.mean(each), abs=1e-12)


def test_centroid_gap_sees_what_centred_measures_cannot(translated: Any) -> None:
    x, y = translated
    a, b = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y))
    assert sim.centroid_gap(x, y) == pytest.approx(np.linalg.norm(a.mean(0) - b.mean(0)), abs=1e-12)
    assert sim.centroid_gap(x, x + 5.0, normalise=False) == pytest.approx(20.0)
    assert sim.cca(x, x + 5.0) == pytest.approx(1.0)


def test_measures_disagree_on_a_planted_signal() -> None:
    # Half the variance is a shared signal of rank 20: SVCCA at 99 % cannot tell it from unrelated data, the others can.
    rng = RNG(13)
    n, d = 250, 400
    common = rng.normal(size=(n, 20))
    x, y = (common @ rotation(rng, d)[:20] * np.sqrt(d / 20) + rng.normal(size=(n, d)) for _ in range(2))
    apart = rng.permutation(y)
    assert sim.svcca(x, y, variance=0.99) - sim.svcca(x, apart, variance=0.99) < 0.02
    assert sim.svcca(x, y) - sim.svcca(x, apart) > 0.15  # the directions that 250 sentences carry
    assert sim.linear_cka(x, y) - sim.linear_cka(x, apart) > 0.7
    assert sim.mutual_knn(x, y) - sim.mutual_knn(x, apart) > 0.4
    assert sim.cv_cca(x, y) - sim.cv_cca(x, apart) > 0.7


@pytest.mark.parametrize("seed", range(6))
def test_neighbours_found_in_single_precision_and_blocks_are_those_of_the_whole_table(
    seed: int, monkeypatch: Any
) -> None:
    """Also where two differ by less than single precision tells, and where two are equal."""
    rng = np.random.default_rng(seed)
    n, d = 90, 70
    common = rng.normal(size=(n, d))
    x, y = (common * rng.choice([0.0, 0.5, 2.0]) + rng.normal(size=(n, d)) for _ in range(2))
    y[5] = y[4] * (1 + 1e-9) + 1e-9 * rng.normal(size=d)
    if seed % 2:
        y[7] = y[6]
    measure = sim.Retrieval()
    a, b = (measure.prepare(sim.Representation(side)) for side in (x, y))
    table = a.rows @ b.rows.T
    wanted = measure._from_table(np.round(table / np.abs(table).max(), 12), (False, True))
    for block in (2**19, 1000):
        monkeypatch.setattr(sys.modules["babelscope.similarity.retrieval"], "BLOCK", block)
        found = measure.matches(a, b)
        np.testing.assert_allclose(found.cells.paired(), wanted.cells.paired())
        np.testing.assert_allclose(found.cells.moments(), wanted.cells.moments(), atol=1e-12)
        influence, of_table = measure.influence(a, b), measure._influence(wanted)
        assert influence is not None and of_table is not None
        np.testing.assert_allclose(influence, of_table, atol=1e-12)
        np.testing.assert_allclose(measure.pair_sketch(a, b), measure._pair_sketch(wanted, None), atol=1e-12)
