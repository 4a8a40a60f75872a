"""What the first screen says: of planted effects what was planted, of noise that nothing is found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from babelscope.gaps import Result, compare
from babelscope.report.first_screen import INSIDE, TILES, FirstScreen, first_screen
from babelscope.study import Study, run
from babelscope.testing import Planted, planted_activations, tiny
from synthetic import synthetic_result

STAGES = ("front end", "encoder", "length adaptation", "shared", "pooled")
MEASURES = ("linear_cka", "retrieval")


def points(lost: dict[str, float] | None = None, **shares: float) -> dict[str, Planted]:
    """Five stages; what a language loses, it loses in the shared stage."""
    return {
        f"p{at}": Planted(stage=stage, lost=lost or {} if at >= 3 else {}, **shares) for at, stage in enumerate(STAGES)
    }


def study(folder: Path, planted: dict[str, Planted], n: int, languages: Sequence[str], **options: Any) -> Result:
    store = planted_activations(folder / "store.zarr", planted, n=n, languages=languages, width=16)
    result = compare(store, options.pop("measures", MEASURES), controls=["none"], **options)
    result.save(folder / "result")
    return Result.load(folder / "result")


def said(screen: FirstScreen) -> str:
    return " ".join(str(sentence) for sentence in screen.verdict)


def everything(screen: FirstScreen) -> str:
    notes = [tile.note for tile in screen.tiles if tile.note is not None]
    parts = [*screen.verdict, *notes, *(tile.said for tile in screen.tiles), *(row.said for row in screen.languages)]
    return " ".join([*(str(part) for part in [*parts, *screen.next_steps]), *(fact.text for fact in screen.trust)])


@pytest.fixture(scope="module")
def meeting(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Speech and text have much in common; one language's speech has lost most of it."""
    shares = {"meaning": 0.6, "modality": 0.1, "language": 0.1}
    folder = tmp_path_factory.mktemp("meeting")
    return study(folder, points({"fr": 0.5}, **shares), 100, ["en", "es", "fr", "it"], baselines=False)


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return study(tmp_path_factory.mktemp("noise"), points(), 40, ["en", "es", "fr"])


def test_what_was_planted_is_said(meeting: Result) -> None:
    screen = first_screen(meeting)
    first, second = map(str, screen.verdict)
    assert first.startswith("Speech and text of the same sentence meet: each finds the other among 100 in ")
    assert second.startswith("French: speech and text are less similar than in the other languages")
    assert [tile.id for tile in screen.tiles] == [
        "modality_similarity", "language_similarity_speech", "language_similarity_text", INSIDE
    ]  # fmt: skip
    own = screen.tiles[0]
    assert (own.above, own.of, own.groups) == (4, 4, "languages")
    assert own.chance is not None and own.chance.text == "1 %"
    assert own.low is not None and own.high is not None and own.low.value < own.value.value < own.high.value


def test_the_language_that_costs_most_comes_first_with_its_interval(meeting: Result) -> None:
    rows = first_screen(meeting).languages
    assert rows[0].code == "fr" and rows[0].flag == "lower" and rows[0].name == "French"
    worst = rows[0]
    assert worst.cost is not None and worst.cost_low is not None and worst.cost_low.value > 0
    others = [row.value.value for row in rows[1:] if row.value is not None]
    assert worst.value is not None
    assert worst.cost.value == pytest.approx(sum(others) / len(others) - worst.value.value)
    assert all(row.flag == "" and str(row.said) == "" for row in rows[1:])


def test_a_hint_to_train_comes_only_with_a_located_deficit_and_a_cost(meeting: Result, noise: Result) -> None:
    steps = " ".join(map(str, first_screen(meeting).next_steps))
    assert "French: look at the layers that speech and text share; there its deficit arises." in steps
    assert "fine-tuning in this language is worth a try" in steps
    meeting = Result(meeting.scores, meeting.curves, meeting.meta, {**meeting.tables})
    del meeting.tables["costs"]
    assert "fine-tuning" not in everything(first_screen(meeting))
    assert "fine-tuning" not in everything(first_screen(noise))


def test_every_number_knows_its_row(meeting: Result) -> None:
    screen = first_screen(meeting)
    frames = {"scores": meeting.scores, "curves": meeting.curves, **meeting.tables}
    told = [tile.value for tile in screen.tiles] + [tile.low for tile in screen.tiles if tile.low]
    told += [row.cost for row in screen.languages if row.cost]
    assert len(told) > 8
    for one in told:
        assert frames[one.table][one.column].iloc[one.rows[0]] == one.value, one.where


def test_of_noise_no_difference_is_found(noise: Result) -> None:
    screen = first_screen(noise)
    assert said(screen) == (
        "No difference from chance is found: in none of 3 languages do speech and text of a sentence stand out from "
        "unrelated ones (n = 40)."
    )
    assert all(tile.above == 0 and tile.tested.startswith("above chance in 0 of 3") for tile in screen.tiles)
    assert all(row.flag == "chance" for row in screen.languages)
    assert str(screen.next_steps[0]).startswith("Check that each recording is of its text")
    words = everything(screen)
    assert "less similar" not in words and "meet" not in words and "more similar in text" not in words


def test_eight_sentences_compare_no_languages(tmp_path: Path) -> None:
    result = study(tmp_path, points({"fr": 0.6}, meaning=0.9), 8, ["en", "es", "fr"])
    screen = first_screen(result)
    assert "8 sentences are too few to compare languages." in said(screen)
    assert all(row.flag != "lower" for row in screen.languages)
    assert any("8 are few" in str(step) for step in screen.next_steps)


def test_one_language_is_compared_with_no_other(tmp_path: Path) -> None:
    screen = first_screen(study(tmp_path, points(meaning=0.7), 40, ["en"]))
    assert len(screen.verdict) == 1 and "meet: each finds the other among 40" in said(screen)
    assert [tile.id for tile in screen.tiles] == ["modality_similarity", INSIDE]
    assert [row.cost for row in screen.languages] == [None]


def test_without_speech_translations_are_the_verdict(tmp_path: Path) -> None:
    planted = points(meaning=0.7)
    result = study(tmp_path, planted, 40, ["en", "es", "fr"], kinds=["language_similarity_text"])
    screen = first_screen(result)
    assert said(screen).startswith("Texts of the same sentence in two languages meet: each finds the other among 40")
    assert [tile.id for tile in screen.tiles] == ["language_similarity_text"]
    assert screen.languages == ()
    nothing = study(tmp_path / "noise", points(), 40, ["en", "es", "fr"], kinds=["language_similarity_text"])
    assert said(first_screen(nothing)).startswith(
        "No difference from chance is found: in none of 3 pairs of languages do "
    )


def test_models_without_shared_layers_have_no_retrieval_between_them() -> None:
    result = synthetic_result()
    scores, curves = (
        frame[~((frame["kind"] == "modality_similarity") & (frame["measure"] == "retrieval()"))].reset_index(drop=True)
        for frame in (result.scores, result.curves)
    )
    screen = first_screen(Result(scores, curves, result.meta, {}))
    assert screen.tiles[0].measure.startswith("Linear CKA") and "%" not in screen.tiles[0].value.text
    assert said(screen).startswith("Speech and text of the same sentence are more similar than unrelated sentences")
    assert "no baseline was computed" in said(screen)
    assert screen.tiles[0].interval == "" and all(row.cost is None for row in screen.languages)


def test_a_result_of_nothing_says_so() -> None:
    empty = synthetic_result(["en"], kinds=())
    screen = first_screen(empty)
    assert said(screen) == "Nothing was compared: a study needs speech and text, or two languages."
    assert screen.tiles == () and screen.languages == ()


def test_a_language_at_chance_is_flagged_and_not_counted(tmp_path: Path) -> None:
    result = study(tmp_path, points({"fr": 0.8}, meaning=0.8), 60, ["en", "es", "fr"])
    flags = {row.code: row.flag for row in first_screen(result).languages}
    assert flags["en"] == flags["es"] == "" and flags["fr"] in ("chance", "lower")


@pytest.mark.slow
def test_a_speech_llm_with_random_weights_meets_only_where_it_was_tested(manifest: Path, tmp_path: Path) -> None:
    study = {
        "output": str(tmp_path / "out"),
        "measures": list(MEASURES),
        "corpus": {"source": "manifest", "path": str(manifest), "languages": ["xa", "xb"]},
        "model": {"name": f"hf:{tiny('qwen2-audio', tmp_path / 'weights')}"},
    }
    result = run(Study.parse(study)).result
    screen = first_screen(result)
    assert [tile.id for tile in screen.tiles][:3] == list(TILES) and screen.tiles[0].place.startswith("shared.")
    assert ("meet" in said(screen)) == (screen.tiles[0].above > 0)
    assert "12 sentences are too few to compare languages." in said(screen) or "less similar" not in said(screen)


@pytest.mark.slow
def test_first_screens_of_noise_seldom_state_anything(tmp_path: Path) -> None:
    """At most one in twenty, over the verdict, every tile's test and every flag."""
    false = 0
    for seed in range(60):
        store = planted_activations(tmp_path / f"{seed}.zarr", points(), n=40, languages=["en", "es", "fr"], seed=seed)
        screen = first_screen(compare(store, MEASURES, controls=["none"], baselines=False, seed=seed))
        stated = any(tile.above for tile in screen.tiles) or any(row.flag == "lower" for row in screen.languages)
        false += stated or not said(screen).startswith("No difference from chance is found")
    assert false <= 8  # exceeded in 1 of 1000 such tests if one study in twenty states something


def test_a_language_that_only_costs_retrieval_is_named(meeting: Result) -> None:
    """The similarity inside finds nothing, retrieval at the output does: the verdict says what was found."""
    tables = {**meeting.tables}
    del tables["diagnosis"]
    screen = first_screen(Result(meeting.scores, meeting.curves, meeting.meta, tables))
    assert "French: speech and text find each other less often than in the other languages" in said(screen)
    row = screen.languages[0]
    assert row.flag == "costly" and str(row.said).startswith("Of 100 sentences ")
    meta = meeting.meta | {"caveats": [{"id": "one-reader"}]}
    alone = first_screen(Result(meeting.scores, meeting.curves, meta, tables))
    assert said(alone).endswith("whether the language or its reader causes that is not known.")


@pytest.mark.slow
def test_first_screens_of_equal_languages_seldom_name_one(tmp_path: Path) -> None:
    """By similarity or by retrieval: in at most one study in twenty."""
    false, draws = 0, 80
    for seed in range(draws):
        planted = points(meaning=0.5, modality=0.1, language=0.1)
        store = planted_activations(tmp_path / f"{seed}.zarr", planted, n=40, languages=["en", "es", "fr"], seed=seed)
        screen = first_screen(compare(store, MEASURES, controls=["none"], baselines=False, seed=seed))
        false += any(row.flag in ("lower", "costly") for row in screen.languages)
    assert false <= 11  # exceeded in 1 of 1000 such tests at one in twenty
