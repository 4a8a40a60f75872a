"""Models side by side: paired on the same sentences, never across corpora; as a page, as files, in the terminal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from babelscope.capture import Activations
from babelscope.cli import app, main
from babelscope.errors import UsageError
from babelscope.gaps import Result, compare
from babelscope.gaps.leaderboard import PAIR_COLUMNS, SCORE_COLUMNS, leaderboard
from babelscope.gaps.paired import paired
from babelscope.report.leaderboard import PAIRS, SCORES, render, sections
from babelscope.study.runs import runs_below
from babelscope.testing import Planted, planted_activations
from browsing import Watched, chromium, needs_chromium

LANGUAGES = ("en", "es", "fr")
GOOD, BAD = {"p0": Planted(meaning=0.7)}, {"p0": Planted(meaning=0.3)}


def store(folder: Path, planted: dict[str, Planted], seed: int = 0) -> Activations:
    return planted_activations(folder / "activations.zarr", planted, n=40, languages=LANGUAGES, width=16, seed=seed)


def result_of(activations: Activations, name: str, **options: Any) -> Result:
    result = compare(activations, ["linear_cka", "retrieval"], controls=["none"], baselines=False, **options)
    result.meta["model"]["name"] = name
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two models, one of them twice, one on another corpus, one that was not compared, and a damaged one."""
    top = tmp_path_factory.mktemp("results")
    for name, model, planted, seed in (
        ("good", "good", GOOD, 0),
        ("bad", "bad", BAD, 0),
        ("elsewhere", "good", GOOD, 5),
    ):
        result_of(store(top / name, planted, seed), model).save(top / name)
    shutil.copytree(top / "good", top / "good-again")
    shutil.copytree(top / "bad", top / "broken")
    (top / "broken" / "scores.parquet").write_bytes(b"not a table")
    store(top / "half", GOOD)
    return top


def loaded(folder: Path, *names: str) -> dict[str, Result]:
    return {name: Result.load(folder / name) for name in names}


def test_differences_are_those_of_the_stores(folder: Path) -> None:
    """What the draws in two results say is what pairing their activations says."""
    board = leaderboard(loaded(folder, "good", "bad"), measures=["linear_cka"])
    stores = [Activations(folder / name / "activations.zarr") for name in ("bad", "good")]
    mine, theirs = (
        table[table["kind"] == "modality_similarity"].set_index("group").sort_index()
        for table in (board.pairs, paired(stores[0], stores[1]))
    )
    assert set(mine.index) == {"mean", *LANGUAGES}
    assert (mine["first"] == "good").all() and (mine["difference"] > 0.2).all()
    numbers = ["difference", "low", "high", "p"]
    pd.testing.assert_frame_equal(mine[numbers], theirs[numbers], check_names=False, rtol=1e-6)
    assert set(mine["holds_for"]) == {"other sentences and languages", "other sentences"}


def test_the_best_comes_first_and_is_said_to_be_higher(folder: Path) -> None:
    board = leaderboard(loaded(folder, "bad", "good"))
    assert list(board.scores.columns) == list(SCORE_COLUMNS) and list(board.pairs.columns) == list(PAIR_COLUMNS)
    (section,) = sections(board)
    first = section.boards[0]
    assert first.measure == "Retrieval P@1" and [line.model for line in first.lines] == ["good", "bad"]
    assert "higher than bad (p < .05, paired and corrected)" in first.said
    assert first.lines[1].deficit.order > 0 and first.lines[0].deficit.text == ""
    own = board.scores[(board.scores["kind"] == "modality_similarity") & (board.scores["model"] == "good")]
    assert list(own["group"]) == [*LANGUAGES, "mean"]


def test_p_is_corrected_over_all_pairs_and_kinds(folder: Path) -> None:
    board = leaderboard(loaded(folder, "bad", "good"))
    for rows in (board.pairs[board.pairs["group"] == "mean"], board.pairs[board.pairs["group"] != "mean"]):
        known = rows[rows["p"].notna()].sort_values("p")
        assert known["p_adjusted"].iloc[0] == pytest.approx(min(1, known["p"].iloc[0] * len(known)))


def test_the_same_model_twice_differs_in_nothing(folder: Path) -> None:
    board = leaderboard(loaded(folder, "good", "good-again"))
    assert set(board.scores["model"]) == {"good, good", "good, good-again"}
    assert (board.pairs["difference"] == 0).all() and board.pairs["p"].isna().all()
    assert all("has the same scores" in one.said for section in sections(board) for one in section.boards)


def test_other_corpora_are_not_paired(folder: Path) -> None:
    board = leaderboard(loaded(folder, "good", "bad", "elsewhere"))
    assert len(board.corpora) == 2 and "within one corpus only" in board.notes[0]
    assert set(board.pairs["corpus"]) == {"0"}
    alone = sections(board)[1]
    assert [line.folder for line in alone.boards[0].lines] == ["elsewhere"]
    assert alone.boards[0].said == "One model: nothing to compare it with."


def test_without_draws_nothing_is_tested(folder: Path) -> None:
    bare = result_of(Activations(folder / "bad" / "activations.zarr"), "bad", interval=False)
    board = leaderboard({**loaded(folder, "good"), "bare": bare})
    assert board.pairs.empty and any("no paired test of good and bad" in note for note in board.notes)
    assert "Not tested against bad." in sections(board)[0].boards[0].said


def test_labels_name_what_tells_models_apart(folder: Path) -> None:
    results = loaded(folder, "good", "bad")
    for adapter, result in zip(("trained", "ridge"), results.values(), strict=True):
        result.meta["model"] |= {"name": "pocket", "options": {"adapter": adapter, "dtype": "float32"}}
    assert set(leaderboard(results).scores["model"]) == {"pocket (adapter trained)", "pocket (adapter ridge)"}


def test_unknown_names_are_answered(folder: Path) -> None:
    results = loaded(folder, "good")
    with pytest.raises(UsageError, match=r"no kind 'modality'"):
        leaderboard(results, kinds=["modality"])
    with pytest.raises(UsageError, match=r"no result has the measure 'cka'"):
        leaderboard(results, measures=["cka"])


def test_the_command_writes_page_and_tables(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["good", "bad", "elsewhere", "broken"]
    assert main(["leaderboard", *(str(folder / name) for name in names), "-o", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert "Speech to its own text, Retrieval P@1" in told.out and "leaderboard.html" in told.out
    left_out = [line for line in told.err.splitlines() if "broken" in line]
    assert len(left_out) == 1 and left_out[0].startswith("left out: the result in ") and "is damaged" in left_out[0]
    assert len(pd.read_parquet(tmp_path / SCORES)) > 0 and len(pd.read_parquet(tmp_path / PAIRS)) > 0
    assert main(["leaderboard", str(folder), "-o", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["folder"].rsplit("/", 1)[1] for row in found["scores"]} == {"good", "bad", "elsewhere", "good-again"}
    assert found["pairs"] and len(found["corpora"]) == 2


def test_the_command_without_results_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaderboard", str(tmp_path)]) == 1
    assert "no result can be read" in capsys.readouterr().err
    assert main(["leaderboard", str(tmp_path / "missing")]) == 1
    assert "there is no folder" in capsys.readouterr().err


def test_view_tells_what_every_run_is(folder: Path) -> None:
    runs = {run.folder.name: run for run in runs_below(folder)}
    assert {name: run.state for name, run in runs.items()} == {
        "good": "complete", "good-again": "complete", "bad": "complete", "elsewhere": "complete", "half": "incomplete",
        "broken": "damaged",
    }  # fmt: skip
    assert runs["good"].headline.startswith("Speech to its own text ") and runs["good"].n == 40
    assert runs["half"].why == "encoded, not compared; run the study again to go on"
    assert "is damaged" in runs["broken"].why and runs["broken"].model == "bad"


def test_view_lists_and_names_the_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", str(folder)]) == 0
    told = capsys.readouterr().out
    states = {line.split()[0]: line.split()[1] for line in told.splitlines()[1:-1]}
    assert states["broken"] == "damaged" and states["half"] == "incomplete" and states["good"] == "complete"
    assert told.splitlines()[-1].startswith("Open one: babelscope view")
    (folder / "good" / "report.html").write_text("<!doctype html>", encoding="utf-8")
    assert main(["view", str(folder / "good"), "--no-open"]) == 0
    assert f"Report: {folder / 'good' / 'report.html'}" in capsys.readouterr().out
    listed = json.loads(CliRunner().invoke(app, ["view", str(folder), "--json"]).output)
    assert {run["state"] for run in listed} == {"complete", "incomplete", "damaged"}
    assert all(isinstance(run["folder"], str) for run in listed)


def test_view_of_nothing_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", str(tmp_path)]) == 1
    assert "holds no results and no activations" in capsys.readouterr().err


def test_names_from_results_are_no_markup(folder: Path) -> None:
    results = loaded(folder, "good", "bad")
    results["bad"].meta["model"]["name"] = "<script>alert(1)</script>"
    results["bad"].meta["corpus"]["title"] = "<b>corpus</b>"
    page = render(leaderboard(results))
    assert "<script>alert" not in page and "<b>corpus" not in page and "&lt;script&gt;" in page


@needs_chromium
def test_the_page_sorts_without_network_or_errors(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "leaderboard.html"
    page.write_text(render(leaderboard(loaded(folder, "good", "bad"))), encoding="utf-8")
    order = "[...document.querySelector('tbody').rows].map(row => row.cells[0].firstChild.textContent.trim()).join()"
    with chromium() as browser:
        watched = Watched(browser, page)
        assert watched.page.evaluate(order) == "good,bad"
        watched.page.evaluate("document.querySelectorAll('thead button')[1].click()")
        assert watched.page.evaluate(order) == "bad,good"
        assert watched.page.evaluate("document.querySelector('th[aria-sort]').getAttribute('aria-sort')") == "ascending"
        watched.page.evaluate("document.querySelectorAll('thead button')[0].click()")
        assert watched.page.evaluate(order) == "bad,good"
        watched.page.evaluate("document.querySelectorAll('thead button')[0].click()")
        assert watched.page.evaluate(order) == "good,bad"
        assert watched.errors == [] and watched.requests == [page.as_uri()]


@needs_chromium
def test_the_page_is_accessible(folder: Path, tmp_path: Path) -> None:
    axe = pytest.importorskip("axe_core_python")
    page = tmp_path / "leaderboard.html"
    page.write_text(render(leaderboard(loaded(folder, "good", "bad"))), encoding="utf-8")
    with chromium() as browser:
        watched = Watched(browser, page)
        watched.page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        watched.page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
        found = watched.page.evaluate(
            "axe.run().then(run => run.violations.map(one => one.id + ': ' + one.help).join())"
        )
    assert found == ""


@pytest.mark.slow
def test_equal_models_seldom_differ(tmp_path: Path) -> None:
    """Two models of the same quality, of which one in twenty studies may state a difference in any mean."""
    false, draws = 0, 60
    for seed in range(draws):
        both = {}
        for name, own in (("a", seed), ("b", 1000 + seed)):
            both[name] = result_of(store(tmp_path / f"{name}{seed}", {"p0": Planted(meaning=0.4)}, own), name, seed=0)
            both[name].meta["corpus"]["fingerprint"] = "same"
            del both[name].tables["projection"]
        pairs = leaderboard(both).pairs
        false += bool((pairs.loc[pairs["group"] == "mean", "p_adjusted"] < 0.05).any())
    assert false <= 8  # exceeded in 1 of 1000 such tests at one in twenty
