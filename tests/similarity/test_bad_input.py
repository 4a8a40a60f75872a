"""Bad input gives one clear line, never NaN in silence; awkward input gives the right number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from babelscope import similarity as sim
from babelscope.errors import DataError, UsageError
from clouds import cloud, related

RNG = np.random.default_rng
ALL = list(sim.MEASURES)


@pytest.fixture
def pair() -> Any:
    return related(RNG(0), 60, 12, 12, 4)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("bad", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_a_bad_number_is_named_with_its_row(pair: Any, name: str, bad: float, word: str) -> None:
    x, y = pair
    y = y.copy()
    y[17, 3] = bad
    with pytest.raises(DataError, match=f"y holds {word} in row 17"):
        sim.score(x, y, name)


@pytest.mark.parametrize("name", ALL)
def test_too_few_sentences_are_refused_with_both_numbers(pair: Any, name: str) -> None:
    least = sim.MEASURES[name].minimum_sentences
    x, y = (side[: least - 1] for side in pair)
    if least == 1:
        return
    with pytest.raises(DataError, match=rf"{name}.* needs at least {least} sentences, got {least - 1}"):
        sim.score(x, y, name)
    enough = sim.score(pair[0][:least], pair[1][:least], name, permutations=20)
    assert np.isfinite(enough.value)


@pytest.mark.parametrize("name", ALL)
def test_different_numbers_of_sentences_are_refused(pair: Any, name: str) -> None:
    x, y = pair
    with pytest.raises(DataError, match="x has 60 sentences and y has 59"):
        sim.score(x, y[:-1], name)


@pytest.mark.parametrize("name", [name for name in ALL if sim.MEASURES[name].same_space])
def test_different_widths_are_refused_where_a_common_space_is_needed(pair: Any, name: str) -> None:
    x, y = pair
    with pytest.raises(DataError, match="x has 12 features and y has 11"):
        sim.score(x, y[:, :-1], name)


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("centroid_gap", "xsim", "mexa")])
def test_a_constant_side_is_refused(pair: Any, name: str) -> None:
    with pytest.raises(DataError, match=r"y.*(constant|equally far|zero vector)"):
        sim.score(pair[0], np.full((60, 12), 0.1), name)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_scale_does_not_matter(pair: Any, name: str, scale: float) -> None:
    x, y = pair
    if name == "centroid_gap":
        y = x + 1.0
    found = sim.score(x * scale, y * scale, name, null=None)
    assert found.value == pytest.approx(sim.score(x, y, name, null=None).value, abs=1e-9)


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("xsim", "mexa", "rsa", "centroid_gap")])
def test_constant_columns_carry_nothing_and_are_counted(pair: Any, name: str) -> None:
    x, y = pair
    wide_x, wide_y = (np.hstack([side, np.full((60, 2), 0.1)]) for side in (x, y))
    found = sim.score(wide_x, wide_y, name, null=None)
    assert found.value == pytest.approx(sim.score(x, y, name, null=None).value, abs=1e-10)
    assert any("2 of 14 features are constant" in note for note in found.notes)


def test_duplicate_sentences_are_counted(pair: Any) -> None:
    x, y = (np.vstack([side, side[:3]]) for side in pair)
    assert any("3 sentences have the same vector" in note for note in sim.score(x, y, "linear_cka").notes)


@pytest.mark.parametrize("name", ["cca", "svcca", "pwcca", "linear_cka", "procrustes", "rsa", "mutual_knn", "cv_cca"])
def test_rank_deficient_and_wide_data_give_finite_numbers(name: str) -> None:
    rng = RNG(1)
    low = rng.normal(size=(50, 4)) @ rng.normal(size=(4, 300))
    other = rng.normal(size=(50, 300))
    for x, y in ((low, low[:, ::-1]), (low, other), (other, low)):
        found = sim.score(x, y, name, permutations=19)
        assert np.isfinite([found.value, found.null_mean, found.null_sd, found.p, found.calibrated]).all()
    assert sim.score(low, low @ rng.normal(size=(300, 20)), "cca").kx == 4


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_coarse_types_give_nearly_the_number_of_the_fine_one(kind: Any) -> None:
    x, y = cloud(RNG(2), 120, 40, "power"), cloud(RNG(3), 120, 40, "power")
    y = y + x
    slack = 2e-2 if kind is np.float16 else 1e-5
    for name in ("svcca", "linear_cka", "procrustes", "cv_cca", "rsa", "retrieval"):
        wanted = sim.score(x, y, name, null=None).value
        assert sim.score(x.astype(kind), y.astype(kind), name, null=None).value == pytest.approx(wanted, abs=slack), (
            name
        )


def test_the_rank_of_coarse_data_is_not_raised_by_its_rounding() -> None:
    rng = RNG(4)
    low = rng.normal(size=(80, 5)) @ rng.normal(size=(5, 30))
    y = rng.normal(size=(80, 30))
    for kind in (np.float64, np.float32, np.float16):
        assert sim.score(low.astype(kind), y, "cca").kx == 5, kind


def test_what_is_not_a_matrix_is_refused() -> None:
    good = RNG(5).normal(size=(20, 3))
    for bad, word in (
        ([["a"] * 3] * 20, "real numbers"),
        (good + 1j, "real numbers"),
        (np.zeros((20, 3, 2)), "3 dimensions"),
        (np.zeros((0, 3)), "empty"),
        (np.zeros((20, 0)), "empty"),
    ):
        with pytest.raises(DataError, match=word):
            sim.svcca(good, bad)
    assert np.isfinite(sim.cca(good, good[:, 0])), "a vector is one feature"


def test_a_zero_vector_has_no_cosine() -> None:
    x = RNG(6).normal(size=(20, 3))
    y = x.copy()
    y[4] = 0
    with pytest.raises(DataError, match="zero vector in row 4"):
        sim.mexa(x, y)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("svca", "did you mean 'svcca'"),
        ("svcca(varience=0.9)", "did you mean 'variance'"),
        ("svcca(0.9)", "cannot read"),
        ("svcca(variance=__import__('os'))", "not a plain number"),
        ("svcca(variance=1.5)", "share above 0"),
        ("svcca(variance='high')", "a number is wanted"),
        ("svcca(k=0)", "at least 1"),
        ("svcca(k=3, variance=0.9)", "one of variance, k and chance"),
        ("svcca(k=2.5)", "whole number"),
        ("svcca(convention='gogle')", "did you mean 'google'"),
        ("linear_cka(debiased=1)", "True or False"),
        ("mutual_knn(k=0)", "at least 1"),
        ("cv_cca(folds=2)", "at least 3"),
        ("rbf_cka(fraction=0)", "above 0"),
        ("rsa(metric='manhattan')", "known"),
        ("retrieval(direction=3)", "word in quotes"),
        ("svcca; import os", "cannot read"),
        ("os.system('x')", "cannot read"),
        ("", "cannot read"),
        ("svcca(**{})", "cannot read"),
        ("(" * 500, "cannot read"),
    ],
)
def test_a_measure_that_cannot_be_read_says_why(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        sim.parse_measure(text)


def test_a_measure_is_spelled_back() -> None:
    for text in (
        "svcca(variance=0.9)",
        "svcca(k=20)",
        "linear_cka",
        "linear_cka(debiased=False)",
        "xsim(margin='distance')",
    ):
        measure = sim.parse_measure(text)
        assert str(measure) == text
        assert sim.parse_measure(str(measure)) == measure
    assert str(sim.parse_measure("svcca")) == "svcca(chance=0.4)"
    assert str(sim.parse_measure("svcca(convention='google')")) == "svcca(variance=0.99, convention='google')"
    for measure in sim.MEASURES.values():
        assert sim.parse_measure(str(measure)) == measure
        assert measure.convention_text
        assert measure.source


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"null": "exakt"}, "did you mean 'exact'"),
        ({"measure": "pwcca", "null": "exact"}, "no null in closed form"),
        ({"interval": "bootstrap"}, "no interval"),
        ({"permutations": 0, "null": "permutation"}, "at least 1"),
    ],
)
def test_a_wrong_option_says_what_there_is(pair: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        sim.score(*pair, **options)
