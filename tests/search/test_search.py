"""Search: what is indexed, what is found, what is refused; on tiny models, whose space means nothing but is a space."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import soundfile

from babelscope import models, search
from babelscope.cli import main
from babelscope.errors import DataError, UsageError
from babelscope.models import Model
from babelscope.search import Embedder, Index, items_of, nearest
from babelscope.search.items import Item, windows
from babelscope.similarity import retrieval
from conftest import tone


@pytest.fixture(scope="module")
def weights(pocket_folder: Path) -> Path:
    return pocket_folder


@pytest.fixture(scope="module")
def embedder(weights: Path) -> Embedder:
    return Embedder(models.load("pocket", weights=str(weights)), {"name": "pocket", "weights": str(weights)})


@pytest.fixture(scope="module")
def indexed(embedder: Embedder, manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Index:
    index = Index.create(tmp_path_factory.mktemp("index") / "made", embedder)
    index.add(items_of(manifest), embedder)
    return index


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "recordings"
    (made / "deep").mkdir(parents=True)
    soundfile.write(made / "short.wav", tone(1.5, 300), 16_000)
    (made / "short.txt").write_text("what is said\n", encoding="utf-8")
    long = np.concatenate([tone(5, 200), np.zeros(16_000 * 9, dtype=np.float32), tone(5, 500)])
    soundfile.write(made / "deep" / "long.flac", long, 16_000)
    (made / "lines.txt").write_text("one line\n\nanother line\n", encoding="utf-8")
    (made / "notes.md").write_text("no text to find", encoding="utf-8")
    return made


# -- what is indexed


def test_a_folder_holds_recordings_in_windows_and_lines_of_text(folder: Path) -> None:
    items = items_of(folder, language="xa")
    assert {item.language for item in items} == {"xa"}
    assert [(item.sentence, item.text) for item in items if item.kind == "text"] == [
        ("lines.txt:1", "one line"), ("lines.txt:3", "another line")
    ]  # fmt: skip
    short = [item for item in items if item.sentence == "short.wav"]
    assert [(item.whole, item.text, item.start, item.end) for item in short] == [(True, "what is said", 0.0, 1.5)]
    long = [(item.start, item.end) for item in items if item.sentence == "deep/long.flac"]
    assert long == [(0, 8), (4, 12), (8, 16), (11, 19)]
    assert [item.kind for item in items_of(folder, modality="text")] == ["text", "text"]


def test_windows_of_a_segment_lie_within_it(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", tone(30, 300), 16_000)
    manifest = tmp_path / "m.csv"
    manifest.write_text("sentence,language,audio,start,seconds\na,en,long.wav,4,2.5\nb,en,long.wav,10,12\n")
    cuts = [(item.sentence, item.start, item.end, item.whole) for item in items_of(manifest)]
    assert cuts == [("a", 4, 6.5, False), ("b", 10, 18, False), ("b", 14, 22, False)]


@pytest.mark.parametrize("seconds", [0.5, 8.0, 8.1, 12.0, 17.3, 60.0])
def test_windows_cover_a_recording(seconds: float) -> None:
    found = windows(seconds)
    assert found[0][0] == 0 and found[-1][1] == pytest.approx(seconds)
    assert all(end - start == pytest.approx(min(8.0, seconds)) for start, end in found)
    assert all(0 < after[0] - before[0] <= 4.0 for before, after in pairwise(found))


def test_a_manifest_gives_every_text_and_recording(manifest: Path) -> None:
    items = items_of(manifest, languages=["xa", "xb"], ids=["s00", "s03"])
    assert len(items) == 2 * 2 * 2 and {item.kind for item in items} == {"text", "speech"}
    assert {(item.sentence, item.language) for item in items} == set(product(("s00", "s03"), ("xa", "xb")))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"source": "asterix"}, "did you mean 'asterisk'"),
        ({"modality": "speach"}, "did you mean 'speech'"),
        ({"languages": ["xq"]}, "has no language 'xq'"),
        ({"ids": ["s99"]}, "has no sentence 's99'"),
        ({"language": "xa"}, "language is for folders"),
        ({"hop": 9.0}, "the hop at most the window"),
    ],
)
def test_what_cannot_be_listed_is_told(manifest: Path, asked: dict[str, object], words: str) -> None:
    given = {"source": manifest} | asked
    with pytest.raises(UsageError, match=words):
        items_of(**given)  # type: ignore[arg-type]


def test_a_folder_without_anything_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds nothing to index"):
        items_of(tmp_path)


# -- the index


def test_an_item_finds_itself_first(indexed: Index, embedder: Embedder, manifest: Path) -> None:
    items = items_of(manifest)
    assert len(indexed) == len(items)
    for item in items[::9]:
        _, vectors = embedder.items([item])
        found = indexed.find(vectors[0], item.kind, k=3)
        assert list(found["rank"]) == [1, 2, 3] and found["score"].is_monotonic_decreasing
        assert (found["kind"][0], found["language"][0], found["sentence"][0]) == (
            item.kind, item.language, item.sentence
        )  # fmt: skip
        assert found["score"][0] == pytest.approx(1, abs=1e-6)


def test_it_can_be_narrowed(indexed: Index, embedder: Embedder) -> None:
    vector = embedder.text("some words")
    found = indexed.find(vector, "text", k=50, modality="speech", languages=["xb"])
    assert set(found["kind"]) == {"speech"} and set(found["language"]) == {"xb"} and len(found) == 12
    with pytest.raises(UsageError, match="no language 'xz'"):
        indexed.find(vector, "text", languages=["xz"])
    with pytest.raises(UsageError, match="did you mean 'speech'"):
        indexed.find(vector, "text", modality="speec")
    with pytest.raises(UsageError, match="k is 0"):
        indexed.find(vector, "text", k=0)


def test_scores_are_cosines_less_the_means_of_each_kind(indexed: Index, embedder: Embedder) -> None:
    vector = embedder.text("more words").astype(np.float64)
    rows, kinds = indexed.vectors.astype(np.float64), indexed.items["kind"].to_numpy()

    def cosines(means: dict[str, np.ndarray]) -> np.ndarray:
        less = rows - np.stack([means[kind] for kind in kinds])
        wanted = vector - means["text"]
        return np.asarray(less @ wanted / np.linalg.norm(less, axis=1) / np.linalg.norm(wanted))

    plain = dict.fromkeys(("text", "speech"), np.zeros(rows.shape[1]))
    centred = {kind: rows[kinds == kind].mean(axis=0) for kind in plain}
    for centre, means in ((True, centred), (False, plain)):
        found = indexed.find(vector.astype(np.float32), "text", k=len(rows), centre=centre)
        np.testing.assert_allclose(found["score"], np.sort(cosines(means))[::-1], atol=1e-5)


def test_it_grows_and_nothing_is_indexed_twice(
    embedder: Embedder, manifest: Path, folder: Path, tmp_path: Path
) -> None:
    index = Index.create(tmp_path / "grown", embedder)
    first = items_of(manifest, languages=["xa"])
    assert index.add(first[:10], embedder) == 10
    assert index.add(first, embedder) == len(first) - 10
    assert Index(index.path).add(first, embedder) == 0
    spoken = items_of(folder)
    silent = [item for item in spoken if (item.start, item.end) == (4, 12) or (item.start, item.end) == (8, 16)]
    added = index.add(spoken, embedder)
    assert len(silent) == 2 and added == len(spoken)  # each of them reaches into a tone
    again = Index(index.path)
    assert len(again) == len(first) + added == len(again.items) == len(again.vectors)
    assert len(again.about["parts"]) == 1 and len(list((index.path / "parts").iterdir())) == 2
    _, vectors = embedder.items(first[:1])
    pairs = dict(zip(again.items["key"], again.vectors, strict=True))
    np.testing.assert_allclose(pairs[first[0].key], vectors[0], atol=1e-6)


def test_a_window_without_a_sound_is_left_out_and_overlaps_are_shown_once(embedder: Embedder, tmp_path: Path) -> None:
    quiet = np.concatenate([tone(9, 300), np.zeros(16_000 * 14, dtype=np.float32)])
    soundfile.write(tmp_path / "quiet.wav", quiet, 16_000)
    items = items_of(tmp_path)
    index = Index.create(tmp_path / "index", embedder)
    assert 0 < index.add(items, embedder) < len(items)
    found = index.find(embedder.speech(quiet[: 16_000 * 8]), "speech", k=10)
    assert found["start"][0] == 0 and not found["whole"].any()
    spans = sorted(zip(found["start"], found["end"], strict=True))
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


class StoppedError(Exception):
    pass


def test_a_stopped_run_keeps_what_was_finished(
    embedder: Embedder, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search.index, "PART", 8)
    index = Index.create(tmp_path / "stopped", embedder)
    items = items_of(manifest, modality="text")

    def stop(what: str, done: int, total: int) -> None:
        if done >= 16:
            raise StoppedError

    with pytest.raises(StoppedError):
        index.add(items, embedder, progress=stop)
    (index.path / "parts" / "orphan.npy").write_bytes(b"half of")
    left = Index(index.path)
    assert len(left) == 16
    assert left.add(items, embedder) == len(items) - 16
    assert len(Index(index.path)) == len(items) and not (index.path / "parts" / "orphan.npy").exists()


def test_another_model_or_other_weights_are_refused(
    indexed: Index, embedder: Embedder, weights: Path, tmp_path: Path
) -> None:
    untrained = Embedder(models.load("pocket", weights=str(weights), options={"adapter": "untrained"}))
    with pytest.raises(UsageError, match=r"another model .*options .*trained.*; revision"):
        indexed.check(untrained)
    with pytest.raises(UsageError, match="with another model"):
        Index.create(indexed.path, untrained)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    with pytest.raises(DataError, match="exists and is no index"):
        Index.create(tmp_path / "full", embedder)
    with pytest.raises(DataError, match="is no index"):
        Index(tmp_path)


def test_a_damaged_index_is_told(indexed: Index, tmp_path: Path, embedder: Embedder) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(indexed.path, copy)
    vectors = next((copy / "parts").glob("*.npy"))
    vectors.write_bytes(vectors.read_bytes()[:-500])
    with pytest.raises(DataError, match="damaged in part"):
        Index(copy).find(embedder.text("a"), "text")
    (copy / "index.json").write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        Index(copy)
    (copy / "index.json").write_text(json.dumps({"format": 99, "parts": []}))
    with pytest.raises(DataError, match="another version"):
        Index(copy)


def test_two_towers_share_no_space_and_one_side_takes_its_own(tiny_model: Model, e5_folder: Path) -> None:
    with pytest.raises(UsageError, match="share no space"):
        Embedder(tiny_model)
    alone = Embedder(models.load("e5-small", weights=str(e5_folder)))
    assert alone.point == "text.pooled" and alone.text("words").shape == (12,)
    with pytest.raises(UsageError, match="takes no speech"):
        alone.speech(tone(1, 300))
    with pytest.raises(DataError, match="the text is empty"):
        alone.text("  ")


# -- nearest


def test_candidates_of_the_approximate_index_hold_the_nearest(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(3_000, 24)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest.build(vectors, tmp_path / "near.usearch")
    held = nearest.opened(tmp_path / "near.usearch", 3_000)
    hits = 0
    for query in generator.normal(size=(40, 24)).astype(np.float32):
        best, cosines = nearest.exact(vectors, query, 10)
        np.testing.assert_allclose(cosines, np.sort(vectors @ (query / np.linalg.norm(query)))[::-1][:10], atol=1e-5)
        hits += len(set(best) & set(nearest.candidates(held, query, 10)))
    assert hits >= 0.99 * 400
    with pytest.raises(DataError, match="not of these 2999 items"):
        nearest.opened(tmp_path / "near.usearch", 2_999)


def test_from_a_number_of_items_on_the_approximate_index_is_used(
    indexed: Index, embedder: Embedder, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "APPROXIMATE_FROM", 30)
    index = Index.create(tmp_path / "large", embedder)
    index.add(items_of(manifest), embedder)
    made = list(index.path.glob("*.usearch"))
    assert len(made) == 1
    vector = embedder.text("some words")
    by_hand = indexed.find(vector, "text", k=8)
    found = index.find(vector, "text", k=8)
    assert list(found["sentence"]) == list(by_hand["sentence"])
    np.testing.assert_allclose(found["score"], by_hand["score"], atol=1e-6)
    index.add([Item("text", "xa", "new", "a new line")], embedder)
    assert len(list(index.path.glob("*.usearch"))) == 1 and list(index.path.glob("*.usearch")) != made


# -- quality, page, command line


def test_quality_is_the_studys_retrieval(indexed: Index) -> None:
    table = search.evaluate(indexed)
    assert len(table) == 6 * 5 and set(table["n"]) == {12}
    row = table.query("from_kind == 'speech' and from_language == 'xa' and to_kind == 'text' and to_language == 'xc'")
    rows = {
        side: indexed.items.query(f"kind == {side[0]!r} and language == {side[1]!r}").sort_values("sentence").index
        for side in (("speech", "xa"), ("text", "xc"))
    }
    x, y = (indexed.vectors[rows[side].to_numpy()] for side in rows)
    assert float(row["p_at_1"].iloc[0]) == retrieval(x, y, direction="xy")
    assert float(row["mrr"].iloc[0]) == retrieval(x, y, direction="xy", mrr=True)


def test_the_page_holds_what_it_plays_and_escapes_what_it_shows(
    embedder: Embedder, tmp_path: Path, indexed: Index
) -> None:
    soundfile.write(tmp_path / "one.wav", tone(1, 300), 16_000)
    (tmp_path / "one.txt").write_text("<script>alert('said')</script>", encoding="utf-8")
    index = Index.create(tmp_path / "index", embedder)
    index.add(items_of(tmp_path), embedder)
    found = index.find(embedder.text("words"), "text")
    page = search.write_page(found, tmp_path / "found.html", query="<b>words</b>", heard=tone(1, 200), about="a & b")
    text = page.read_text(encoding="utf-8")
    assert text.count("data:audio/flac;base64,") == 2
    assert "<script>" not in text and "&lt;script&gt;" in text and "&lt;b&gt;words" in text
    assert "http:" not in text and "https:" not in text and "default-src 'none'" in text
    (tmp_path / "one.wav").unlink()
    gone = search.write_page(found, tmp_path / "gone.html", query="words").read_text(encoding="utf-8")
    assert "is missing" in gone


def test_by_hand(weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = str(tmp_path / "index")
    common = ["--weights", str(weights)]
    assert main(["search", "index", str(folder), "--index", index, *common]) == 0
    assert "7 added, 7 in all" in capsys.readouterr().out
    html, csv = tmp_path / "found.html", tmp_path / "found.csv"
    asked = ["search", "query", str(folder / "short.wav"), "--index", index, "--html", str(html), "--csv", str(csv)]
    assert main([*asked, "--modality", "speech", "--no-centre"]) == 0
    shown = capsys.readouterr().out
    assert "short.wav" in shown and "1.000" in shown and html.is_file()
    assert csv.read_text(encoding="utf-8").startswith("rank,score,kind")
    capsys.readouterr()
    assert main(["search", "index", str(folder), "--index", index, "--json", *common]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["index"] == index and again["added"] == 0 and again["items"] == len(Index(tmp_path / "index"))
    assert main(["search", "index", str(folder), "--index", index, "--hop-seconds", "2", *common]) == 2
    assert "has 4" in capsys.readouterr().err
    assert main(["search", "query", str(tmp_path / "none.wav"), "--index", index]) == 1
    assert "there is no such file" in capsys.readouterr().err
    assert main(["search", "evaluate", "--index", index]) == 1
    assert "in common" in capsys.readouterr().err
