"""The training of pocket in small: from recordings to a loadable file; killed, it goes on bit for bit.

The frozen models are tiny ones with random weights, the recordings tones: everything else is what trains the real one.
"""

from __future__ import annotations

import dataclasses
import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from babelscope import corpora
from babelscope.audio import load_audio
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError
from babelscope.monitor import read_log
from babelscope.plugins.pocket.adapter import FOLDER, SPLIT, AdapterShape, load_adapter
from babelscope.similarity import retrieval

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from training.pocket import ship as shipping  # noqa: E402
from training.pocket import split  # noqa: E402
from training.pocket import synthetic as synthesis  # noqa: E402
from training.pocket.__main__ import changed  # noqa: E402
from training.pocket.card import card  # noqa: E402
from training.pocket.judge import held_out, hits, judged, speech_vectors  # noqa: E402
from training.pocket.loop import Run, augmented, shared_out  # noqa: E402
from training.pocket.material import Material, bank_of, gather  # noqa: E402
from training.pocket.recipe import Recipe  # noqa: E402
from training.pocket.watch import POINTS, monitor  # noqa: E402

RECIPE = Recipe(
    shape=AdapterShape(input_width=16, width=12, hidden=24),
    batch=6,
    warm_epochs=3.0,
    epochs=5.0,
    rate=3e-3,
    dropout=0.1,
    jitter=2,
    warp=0.1,
)
PARTS = split.Split(
    {"tones": ("s00", "s01", "s02")}, {"tones": ("s03", "s04", "s05", "s06", "s07")}, {"tones": ("s08",)}, "tones"
)


def material(manifest: Path, whisper: Path, e5: Path, folder: Path) -> Material:
    loaded = {"tones": corpora.load("manifest", path=manifest)}
    return gather(PARTS, folder, loaded=loaded, weights={"whisper-base": str(whisper), "e5-small": str(e5)})


@pytest.fixture(scope="module")
def small(manifest: Path, whisper_folder: Path, e5_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Material:
    torch.set_num_threads(1)
    return material(manifest, whisper_folder, e5_folder, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def trained(small: Material, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(RECIPE, small, tmp_path_factory.mktemp("trained"))
    run.train()
    return run


def test_nothing_held_out_or_dropped_is_learned_from(small: Material) -> None:
    learned = {small.utterances[number].sentence for number in small.chosen("train")}
    assert learned == {"s09", "s10", "s11"}
    assert {each.sentence for each in small.utterances} == learned | {f"s{number:02}" for number in range(8)}


def test_features_are_kept_and_do_not_depend_on_what_is_encoded_together(
    small: Material, manifest: Path, whisper_folder: Path, e5_folder: Path, tmp_path: Path
) -> None:
    from training.pocket.features import features

    alone = features(small.utterances[4:5], tmp_path, weights=str(whisper_folder))
    kept = small.speech(4).numpy()
    np.testing.assert_allclose(alone[0].astype(np.float32), kept, atol=2e-3)
    seconds = small.utterances[4].recording.seconds
    assert len(kept) == pytest.approx(50 * seconds, abs=1.5)
    again = features(small.utterances[4:5], tmp_path, weights="nowhere")
    np.testing.assert_array_equal(again[0], alone[0])


def test_the_loss_falls_and_the_file_loads(small: Material, trained: Run) -> None:
    first, last = trained.plan[1][0], len(trained.plan[0])
    assert len(first) <= RECIPE.batch
    stage = trained.losses[last:]
    assert np.mean(trained.losses[last - 3 : last]) < np.mean(trained.losses[:3])
    assert np.mean(stage[-4:]) < np.mean(stage[:4])
    adapter, about = load_adapter(trained.finished)
    assert Recipe.from_json(about["recipe"]) == RECIPE and about["split"] == "tones"
    for name, tensor in adapter.state_dict().items():
        assert torch.equal(tensor, trained.adapter.state_dict()[name].half().float())


@pytest.mark.slow  # as studies do: faults/test_kills.py
def test_killed_it_goes_on_bit_for_bit(
    small: Material, trained: Run, manifest: Path, whisper_folder: Path, e5_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = [sys.executable, __file__, *map(str, (manifest, whisper_folder, e5_folder, tmp_path / "cache", run))]
    killed = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = Run(RECIPE, small, run)
    assert 0 < resumed.resume() <= 9
    resumed.train()
    assert resumed.losses == trained.losses
    assert resumed.finished.read_bytes() == trained.finished.read_bytes()


def test_another_recipe_does_not_take_up_the_checkpoint(small: Material, trained: Run) -> None:
    with pytest.raises(DataError, match="another recipe"):
        Run(dataclasses.replace(RECIPE, seed=1), small, trained.folder).resume()
    trained.checkpoint.write_bytes(trained.checkpoint.read_bytes()[:99])
    with pytest.raises(DataError, match="is damaged"):
        Run(RECIPE, small, trained.folder).resume()


def test_watching_changes_nothing(
    small: Material, trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.pocket.watch.POINTS", ("shared.input", "shared.layer.1", "pooled"))
    monkeypatch.setattr("training.pocket.watch.WATCHED", ("tones", ("xa", "xb", "xc")))
    run = Run(RECIPE, small, tmp_path)
    with monitor(run, every=4, budget=math.inf) as watch:
        watch.step(0)
        run.train([lambda step, total, loss: watch.step(step)])
    assert run.finished.read_bytes() == trained.finished.read_bytes()
    log = read_log(watch.log)
    assert set(log["point"]) == {"shared.input", "shared.layer.1", "pooled"}
    assert set(log["step"]) == {0, 4, 8, 12, 16}
    assert set(POINTS) >= {"shared.input", "pooled"}


def test_translations_of_a_sentence_are_not_told_apart(small: Material) -> None:
    bank = bank_of(small, small.chosen("train"))
    assert len(bank.texts) == 9 and len(bank.alike["tones/s10"]) == 3
    said = {small.texts[bank.texts[column]] for column in bank.alike["tones/s10"]}
    assert said == {small.corpora["tones"].text("s10", language) for language in ("xa", "xb", "xc")}


def test_retrieval_is_the_librarys_own(small: Material, trained: Run) -> None:
    held = held_out(small, "test", "tones", ("xa", "xb", "xc"))
    assert held.sentences == ("s00", "s01", "s02")
    spoken = speech_vectors(trained.adapter, small, held)
    cells = judged(spoken, small, held, "xa")
    texts = {language: small.targets.pooled[rows] for language, rows in held.written.items()}
    expected = np.mean([retrieval(spoken[one], texts[one], direction="xy") for one in spoken])
    assert cells.value("same") == pytest.approx(expected)
    low, high = cells.interval("same")
    assert low <= cells.value("same") <= high
    rows = np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32)
    near = rows + 0.5 * np.random.default_rng(1).standard_normal((40, 6)).astype(np.float32)
    assert hits(rows, near).mean() == pytest.approx(retrieval(rows, near, direction="xy"))


def test_masking_keeps_the_length_and_warping_the_shape() -> None:
    speech = torch.ones(60, 4)
    torch.manual_seed(0)
    masked = augmented(speech, Recipe(masked=0.5, jitter=0, warp=0))
    assert masked.shape == (60, 4) and 0 < int((masked == 0).all(dim=1).sum()) <= 30
    warped = augmented(speech, Recipe(masked=0.0, jitter=0, warp=0.2))
    assert 48 <= len(warped) <= 72 and torch.equal(warped, torch.ones_like(warped))
    assert torch.equal(augmented(speech, Recipe(masked=0.0, jitter=0, warp=0)), speech) and bool((speech == 1).all())
    counted = torch.arange(60.0)[:, None]
    cut = augmented(counted, Recipe(masked=0.0, jitter=7, warp=0))
    assert 53 <= len(cut) <= 60 and torch.equal(cut, counted[60 - len(cut) :])


def test_changes_to_the_recipe() -> None:
    recipe = changed(Recipe(), ["seed=2", "shape.hidden=64", "centred=true"])
    assert (recipe.seed, recipe.shape.hidden, recipe.centred) == (2, 64, True)
    with pytest.raises(UsageError, match="did you mean 'masked'"):
        changed(Recipe(), ["mask=1"])


def synthetic(sentences: dict[str, dict[str, str]], name: str = "asterisk", *, audio: Path | None = None) -> Corpus:
    import pandas as pd

    rows = [
        (sentence, language, text, *((str(audio), None, None, 1.0) if audio else (None, None, None, math.nan)))
        for sentence, texts in sentences.items()
        for language, text in texts.items()
    ]
    return Corpus(pd.DataFrame(rows, columns=list(corpora.COLUMNS)), name=name)


def test_what_is_worded_alike_is_found_across_corpora() -> None:
    first = synthetic({"a": {"en": "Good-bye!", "fr": "Au revoir"}, "b": {"en": "Hello", "fr": "Au revoir."}})
    second = synthetic({"c": {"en": "good bye", "fr": "adieu"}, "d": {"en": "pear", "fr": "poire"}}, "tuxpaint")
    wordings = split.all_wordings({"one": first, "two": second}, {"one": ["a"]})
    alike = {
        sentence
        for corpus in (first, second)
        for sentence in corpus.sentences
        if not wordings.isdisjoint(split.wordings(corpus, sentence))
    }
    assert alike == {"a", "b", "c"}


def test_the_committed_split_is_what_was_drawn_and_overlaps_nowhere() -> None:
    read = split.read(SPLIT)
    assert [len(read.test[name]) for name in ("asterisk", "tuxpaint", "fillets")] == [60, 97, 120]
    for name in read.test:
        parts = [set(part[name]) for part in (read.test, read.validation, read.dropped)]
        assert sum(map(len, parts)) == len(set.union(*parts))
        assert not set(read.test[name]) & set(read.judged[name]), "looked at before"


def three_corpora(texts: int, audio: Path) -> dict[str, Corpus]:
    def said(name: str, number: int) -> dict[str, str]:
        return {language: f"{language} says {name} {number:04}" for language in split.READ[name]}

    return {
        name: synthetic({f"{name} {i}": said(name, i) for i in range(texts)}, name, audio=audio)
        for name in split.SPOKEN
    }


def test_a_draw_anew_tests_only_what_no_draw_held_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "SIZES", dict.fromkeys(split.SPOKEN, (8, 4)))
    monkeypatch.setattr(split, "TUXPAINT_NINE", 3)
    path, judged = tmp_path / "split.json", set[str]()
    (tmp_path / "one.wav").touch()
    loaded = three_corpora(34, tmp_path / "one.wav")
    before = None
    for seed in range(3):
        split.write(split.draw(loaded, before), path)
        drawn = split.read(path)
        assert drawn.seed == seed
        assert {name: len(ids) for name, ids in drawn.test.items()} == dict.fromkeys(split.SPOKEN, 8)
        assert set(drawn.judged.get("tuxpaint", ())) == judged
        assert not set(drawn.test["tuxpaint"]) & judged
        judged |= {*drawn.test["tuxpaint"], *drawn.validation["tuxpaint"]}
        before = drawn
    with pytest.raises(DataError, match=r"asterisk has \d+ sentences that were never held out; a test takes 20"):
        monkeypatch.setattr(split, "SIZES", dict.fromkeys(split.SPOKEN, (20, 4)))
        split.draw(loaded, before)


def test_an_edited_split_is_refused(tmp_path: Path) -> None:
    edited = tmp_path / "split.json"
    edited.write_text(SPLIT.read_text(encoding="utf-8").replace('"seed": ', '"seed": 1'), encoding="utf-8")
    with pytest.raises(DataError, match="not what was drawn"):
        split.read(edited)


def test_what_another_run_scored_is_noted_without_a_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stands = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))
    before = {name: (FOLDER / name).read_bytes() for name in ("results.json", "card.md")}
    (tmp_path / "shipped").mkdir()
    monkeypatch.setattr(shipping, "FOLDER", tmp_path / "shipped")
    for name, content in before.items():
        (tmp_path / "shipped" / name).write_bytes(content)
    shipping.note(tmp_path / "runs")
    assert {name: (tmp_path / "shipped" / name).read_bytes() for name in before} == before, "no run, no change"

    recipe = Recipe(words=True, shape=AdapterShape(kernel=5))
    scores = {key: 0.5 for key, value in stands["validation"][0].items() if isinstance(value, float)}
    run = tmp_path / "runs" / "with-words"
    run.mkdir(parents=True)
    said = {"name": "with-words", "recipe": json.loads(recipe.to_json()), "split": stands["split"], **scores}
    (run / "validation.json").write_text(json.dumps(said), encoding="utf-8")
    shipping.note(tmp_path / "runs")
    noted = json.loads((tmp_path / "shipped" / "results.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in noted["ablations"]] == [*(one["name"] for one in stands["ablations"]), "with-words"]
    assert noted["tables"] == stands["tables"]
    rows = (tmp_path / "shipped" / "card.md").read_text(encoding="utf-8").splitlines()
    assert "| words True, kernel 5 | 0.500 | 0.500 | 0.500 | 0.500 | 0.500 |" in rows


if __name__ == "__main__":
    import os

    torch.set_num_threads(1)
    paths = [Path(argument) for argument in sys.argv[1:]]

    def die(step: int, total: int, loss: float) -> None:
        if step == 9:
            os.kill(os.getpid(), signal.SIGKILL)

    Run(RECIPE, material(*paths[:4]), paths[4], save_seconds=0.0).train([die])


def test_the_card_says_on_which_draw_what_was_seen() -> None:
    stands = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))
    shipped = {**stands, "before": [], "ablations": []}
    assert "looked at once, after recipe" in card(shipped) and "drawn anew" not in card(shipped)
    again = {**shipped, "before": shipping._before(shipped)}
    assert "looked at twice" in card(again) and "drawn anew" not in card(again)
    drawn = {**shipped, "split": "another", "before": again["before"], "ablations": shipping._reported(shipped)}
    said = " ".join(card(drawn).split())
    assert "looked at once, after recipe" in said and "drawn anew" in said and stands["weights_sha256"][:12] in said
    assert "judged on an earlier draw's validation sentences" in said and "Other runs" not in said
    names = [one["name"] for one in drawn["ablations"]]
    assert len(set(names)) == 3 and not {one["name"] for one in stands["validation"]} & set(names)


def test_a_second_look_at_the_same_test_is_refused(
    small: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "FOLDER", tmp_path)
    (tmp_path / "results.json").write_text(json.dumps({"split": PARTS.fingerprint}), encoding="utf-8")
    with pytest.raises(UsageError, match="has looked at these test sentences before; --again"):
        shipping.ship(small, [], tmp_path)


def test_an_aim_may_be_shared_with_the_translations(small: Material, tmp_path: Path) -> None:
    alike, columns = [torch.tensor([0, 2, 3]), torch.tensor([1])], torch.tensor([2, 1])
    shares = shared_out(alike, columns, 5, 0.6)
    assert torch.allclose(shares, torch.tensor([[0.2, 0, 0.6, 0.2, 0], [0, 1.0, 0, 0, 0]]))
    assert torch.equal(shared_out(alike, columns, 5, 0.0).argmax(dim=1), columns)
    run = Run(dataclasses.replace(RECIPE, across=0.5), small, tmp_path)
    run.train()
    early, late = np.mean(run.losses[run.steps // 2 : run.steps // 2 + 5]), np.mean(run.losses[-5:])
    assert late < early


def test_common_words_are_spoken_the_same_twice_and_held_out_ones_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthesis, "VOICES", {"fr": "fr", "ru": "ru"})
    monkeypatch.setattr(synthesis, "WORDS", 6)
    first = synthesis.spoken_words(tmp_path / "a", set())
    spoken = {language: [s for s in first.sentences if s.startswith(language)] for language in ("fr", "ru")}
    assert {language: len(there) for language, there in spoken.items()} == {"fr": 6, "ru": 6}
    again = synthesis.spoken_words(tmp_path / "b", set())
    for one, other in zip(first.sentences, again.sentences, strict=True):
        sound, repeated = (load_audio(c.recordings(s, s[:2])[0]) for c, s in ((first, one), (again, other)))
        assert one == other and np.array_equal(sound, repeated) and np.abs(sound).max() > 0.05
    gone = spoken["fr"][0].removeprefix("fr-")
    left = synthesis.spoken_words(tmp_path / "a", {("fr", gone)})
    assert f"fr-{gone}" not in left.sentences and set(spoken["ru"]) <= set(left.sentences)
