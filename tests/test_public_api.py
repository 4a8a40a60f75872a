"""What callers build upon: names that stay, and what a result gives them."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import babelscope
from babelscope.gaps import Result
from synthetic import synthetic_result

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
MEMBERS = {
    "Result": {
        "curves",
        "load",
        "meta",
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


def test_arrays_go_in_and_a_score_comes_out() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 8))
    y = x @ np.linalg.qr(rng.normal(size=(8, 8)))[0] + 0.1 * rng.normal(size=(60, 8))
    assert 0.9 < babelscope.similarity.linear_cka(x, y) <= 1
    scored = babelscope.similarity.score(x, y, "linear_cka")
    assert scored.p < 0.05 and 0.9 < scored.chance_corrected <= 1
