"""What callers build upon: names that stay, and what a result gives them."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import babelscope
from babelscope.errors import DataError
from babelscope.gaps import Result
from babelscope.testing import Planted, planted_activations
from synthetic import synthetic_result
from synthetic_tables import crossed, with_tables

#: A name that goes or changes breaks the code of others: it needs a deprecation first.
PUBLIC = {
    "Activations",
    "BabelscopeError",
    "Result",
    "Study",
    "compare",
    "corpora",
    "encode",
    "fetch",
    "load_corpus",
    "load_model",
    "models",
    "open_activations",
    "open_result",
    "run",
    "similarity",
    "view",
    "write_report",
}
#: Names of the packages that callers use by name.
PACKAGES = {
    "corpora": {
        "COLUMNS", "GROUP", "OPTIONAL_COLUMNS", "SOURCES", "Corpus", "Problem", "Recording", "count_words", "load",
        "sources", "takes",
    },
    "models": {
        "Batch", "Declaration", "LoadOptions", "Modality", "Model", "ModelInfo", "Point", "Prepared", "Side", "Stage",
        "WeightsFile", "held_out", "info", "known", "load", "variant",
    },
    "gaps": {
        "CONTROLS", "CURVE_COLUMNS", "GAPS", "KINDS", "MATCHES", "SCORE_COLUMNS", "Comparison", "Place", "Result",
        "compare", "curves", "plan",
    },
    "similarity": {
        "ANC", "CCA", "CVCCA", "MEASURES", "PWCCA", "RBFCKA", "RSA", "SVCCA", "SVCCA_CONVENTIONS", "Average", "Best",
        "Calibration", "CentroidGap", "Floor", "LinearCKA", "Measure", "Mexa", "MutualKNN", "NullLaw", "Procrustes",
        "Representation", "Retrieval", "Score", "Xsim", "anc", "anisotropy", "calibrate", "cca", "centroid_gap",
        "chance_corrected", "cross_layer", "cv_cca", "directions_carried", "drop_rogue", "effective_rank",
        "false_discovery", "holm", "linear_cka", "max_over", "mexa", "mutual_knn", "over_languages", "pairwise",
        "parse_measure", "procrustes", "pwcca", "rbf_cka", "regress_out", "retrieval", "rogue_dimensions", "rsa",
        "score", "speaker_floor", "standardise", "svcca", "top_pc_share", "xsim",
    },
    "report": {
        "Heard", "View", "embed", "heat_map", "layer_curves", "print_pdf", "render", "retrieval_chart",
        "summary_table", "to_latex", "view", "write_figures", "write_markdown", "write_report",
    },
    "capture": {
        "POOLINGS", "Activations", "Capture", "Positions", "encode", "encode_positions", "open_activations", "pool",
    },
}  # fmt: skip
#: Further packages whose ``__all__`` is what completion shows.
OTHERS = (
    "engines", "fetch", "interventions", "lens", "monitor", "neurons", "search", "testing", "tokens", "verification",
)  # fmt: skip
MEMBERS = {
    "Result": {
        "curves",
        "load",
        "meta",
        "plot",
        "report",
        "save",
        "scores",
        "tables",
        "to_dataframe",
        "to_xarray",
    },
    "Study": {"changed", "keys", "load", "parse", "preset"},
    "Activations": {"languages", "matrix", "modalities", "points", "select", "sentences", "texts"},
}


def test_the_public_names_are_these_and_completion_shows_them() -> None:
    assert set(babelscope.__all__) == PUBLIC == {name for name in dir(babelscope) if not name.startswith("_")}


def test_completion_shows_the_names_before_anything_is_imported() -> None:
    program = "import babelscope, sys; print(*dir(babelscope)); sys.exit('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and set(done.stdout.split()) >= PUBLIC


@pytest.mark.parametrize("package", [*PACKAGES, *OTHERS])
def test_a_package_shows_its_public_names_and_nothing_else(package: str) -> None:
    module = importlib.import_module(f"babelscope.{package}")
    names = {name for name in dir(module) if not name.startswith("_")}
    assert names == set(module.__all__) == PACKAGES.get(package, names)
    for name in names:
        assert getattr(module, name) is not None


def test_a_measure_is_named_without_a_list(tmp_path: Path) -> None:
    activations = planted_activations(tmp_path / "a.zarr", {"p": Planted(meaning=0.5)}, n=12, languages=("xa",))
    alone = babelscope.compare(activations, "linear_cka")
    pd.testing.assert_frame_equal(alone.scores, babelscope.compare(activations, ["linear_cka"]).scores)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_there_and_says_what_it_is(name: str) -> None:
    assert inspect.getdoc(getattr(babelscope, name))


def test_functions_stay_callable_once_modules_of_their_names_are_imported() -> None:
    import babelscope.fetch
    import babelscope.gaps.scoring

    for name in ("compare", "encode", "fetch", "load_corpus", "load_model", "open_result", "run", "view"):
        assert callable(getattr(babelscope, name))


@pytest.mark.parametrize("name", sorted(MEMBERS))
def test_members_that_callers_use_are_there(name: str) -> None:
    described = getattr(babelscope, name)
    fields = set(getattr(described, "__dataclass_fields__", {}))
    assert MEMBERS[name] <= fields | set(dir(described))


@pytest.fixture(scope="module")
def result() -> Result:
    return synthetic_result()


def test_a_result_is_a_table_of_its_own(result: Result) -> None:
    mean = result.to_dataframe("curves", kind="modality_similarity", group="mean", control="none")
    assert set(mean["group"]) == {"mean"} and mean.index.tolist() == list(range(len(mean)))
    pd.testing.assert_frame_equal(result.to_dataframe("scores"), result.scores)
    with pytest.raises(ValueError, match="did you mean 'curves'"):
        result.to_dataframe("curvs")


def test_a_result_is_labelled_arrays(result: Result) -> None:
    arrays = result.to_xarray("modality_similarity")
    assert isinstance(arrays, xr.Dataset)
    rows = result.to_dataframe("curves", kind="modality_similarity")
    for row in rows.sample(20, random_state=0).to_dict("records"):
        cell = arrays["chance_corrected"].sel(
            {name: row[name] for name in ("measure", "control", "point", "group") if name in arrays.dims}
        )
        np.testing.assert_equal(float(cell), row["chance_corrected"])
    assert list(arrays["point"].values) == list(dict.fromkeys(rows["point"]))
    depths = rows.drop_duplicates("point").set_index("point")["depth"]
    np.testing.assert_array_equal(arrays["depth"], depths[arrays["point"].values])
    assert all(arrays[name].attrs["long_name"] and arrays[name].attrs["units"] for name in arrays.data_vars)
    with pytest.raises(ValueError, match="kind"):
        result.to_xarray("modality_gpa")


def test_a_result_is_saved_opened_and_reported(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path)
    again = babelscope.open_result(tmp_path)
    pd.testing.assert_frame_equal(again.scores, result.scores)
    assert again.report(tmp_path) == tmp_path / "report.html"
    assert (tmp_path / "report.html").is_file()


#: Methods of ``result.plot``, and the figure of the report that each draws, where there is one of that size.
PLOTS = {
    "adaptation": "adaptation",
    "alignment": "alignment",
    "baselines": "baselines",
    "by_class": "by_class.modality_similarity",
    "by_layer": "heat_map.text-speech",
    "centroids": "centroids",
    "claims": "claims",
    "cross_layer": "cross_layer",
    "curves": "layer_curves.modality_similarity",
    "decomposition": "decomposition.all",
    "headline": "similarity",
    "heat_map": "heat_map.text",
    "languages": "deficits",
    "models": "models",
    "most_similar": "most_similar",
    "points": "point_map",
    "retrieval": "retrieval.modality_similarity",
    "shared_tokens": "shared_tokens",
}
NOT_MEASURED = {"adaptation", "alignment", "baselines", "models"}


@pytest.fixture(scope="module")
def tables() -> Result:
    """A result with every table that a study of one model writes by itself."""
    return with_tables(crossed(synthetic_result(("en", "fr", "ru"), speech=4, text=3)))


@pytest.fixture(scope="module")
def figures(tables: Result) -> dict[str, Any]:
    return dict(tables.plot.figures())


def test_the_plots_are_the_figures_of_the_report_and_completion_lists_them(
    tables: Result, figures: dict[str, Any]
) -> None:
    methods = {name for name in dir(tables.plot) if not name.startswith("_")}
    assert methods - {"result", "figure", "figures"} == PLOTS.keys()
    assert set(figures) >= {figure for name, figure in PLOTS.items() if name not in NOT_MEASURED}
    for name in methods:
        assert name == "result" or (inspect.getdoc(getattr(tables.plot, name)) or "").endswith((".", ")"))
        assert name == "result" or f".{name}()" in repr(tables.plot)


@pytest.mark.parametrize("name", sorted(PLOTS.keys() - NOT_MEASURED))
def test_a_plot_is_a_chart_that_is_saved_as_a_picture(
    name: str, tables: Result, figures: dict[str, Any], tmp_path: Path
) -> None:
    chart = getattr(tables.plot, name)()
    chart.save(tmp_path / "figure.svg")
    drawn = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    title = figures[PLOTS[name]].chart.title.text
    assert " ".join(title if isinstance(title, list) else [title]).split(" (at")[0] in drawn
    if name == "headline":
        chart.properties(title="Mine").save(tmp_path / "figure.png")
        assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", sorted(NOT_MEASURED))
def test_a_plot_of_what_was_not_measured_says_what_it_takes(name: str, tables: Result) -> None:
    with pytest.raises(DataError, match=f"no figure '{name}': it takes"):
        getattr(tables.plot, name)()


def test_a_result_knows_no_report_until_it_is_plotted() -> None:
    program = (
        "import sys; from babelscope.gaps import Result; import pandas; result = Result(pandas.DataFrame(), "
        "pandas.DataFrame()); early = {'altair', 'babelscope.report'} & set(sys.modules); result.plot; "
        "sys.exit(bool(early) or 'altair' not in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_arrays_go_in_and_a_score_comes_out() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 8))
    y = x @ np.linalg.qr(rng.normal(size=(8, 8)))[0] + 0.1 * rng.normal(size=(60, 8))
    assert 0.9 < babelscope.similarity.linear_cka(x, y) <= 1
    scored = babelscope.similarity.score(x, y, "linear_cka")
    assert scored.p < 0.05 and 0.9 < scored.chance_corrected <= 1
