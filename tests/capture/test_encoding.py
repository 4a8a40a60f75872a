"""Encoding: jobs in any order and process to the same bits, workers ahead, writes behind, and what is skipped."""

from __future__ import annotations

import copy
import csv
import dataclasses
import math
import os
import pickle
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from babelscope import corpora
from babelscope.capture import Activations, encode, running
from babelscope.capture.encoding import AsyncWriter
from babelscope.capture.jobs import EncodeConfig, Job
from babelscope.capture.preparing import Prefetcher, Utterance, prepare_job
from babelscope.capture.running import encode_job
from babelscope.capture.store import Block, Writer
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError
from babelscope.models import Model, Side


def _all_jobs(corpus: Corpus, size: int = 5) -> list[Job]:
    return [
        Job(modality, language, column, start, min(start + size, len(corpus.sentences)))
        for column, language in enumerate(corpus.languages)
        for modality in ("text", "speech")
        for start in range(0, len(corpus.sentences), size)
    ]


def _assert_same(one: Block, other: Block) -> None:
    for name in one.vectors:
        np.testing.assert_array_equal(one.vectors[name], other.vectors[name])
    assert {name: list(counts) for name, counts in one.positions.items()} == other.positions
    np.testing.assert_array_equal(one.amounts, other.amounts)
    assert (one.token_ids, one.skipped) == (other.token_ids, other.skipped)


def test_jobs_give_the_same_bits_in_any_order_and_travel(tiny_model: Model, tones: Corpus) -> None:
    jobs = _all_jobs(tones)
    first = {job: encode_job(tiny_model, tones, job, EncodeConfig()) for job in jobs}
    for job in reversed(jobs):
        sent: tuple[Job, EncodeConfig] = pickle.loads(pickle.dumps((job, EncodeConfig())))
        again: Block = pickle.loads(pickle.dumps(encode_job(tiny_model, tones, *sent)))
        _assert_same(again, first[job])


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_workers_do_not_change_the_numbers_nor_the_order(tiny_model: Model, tones: Corpus, workers: int) -> None:
    jobs = _all_jobs(tones)
    with Prefetcher(tiny_model, tones, jobs, workers) as ahead:
        for job in jobs:
            for taken, here in zip(ahead.take(job), prepare_job(tiny_model, tones, job), strict=True):
                assert isinstance(taken, Utterance) and isinstance(here, Utterance)
                assert taken.amount == here.amount and taken.prepared.length == here.prepared.length
                for name, tensor in here.prepared.inputs.items():
                    torch.testing.assert_close(taken.prepared.inputs[name], tensor, rtol=0, atol=0)


@pytest.mark.slow
def test_worker_processes_do_not_change_the_numbers_and_end(
    tiny_model: Model, tones: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands beside a GPU; where the model runs is all that is made up."""
    monkeypatch.setattr(type(tiny_model.sides["speech"]), "device", torch.device("meta"))
    jobs = [job for job in _all_jobs(tones) if job.modality == "speech"]
    with Prefetcher(tiny_model, tones, jobs, 1) as ahead:
        taken = {job: ahead.take(job) for job in jobs}
        workers: list[Any] = list(ahead._executor._processes.values())  # type: ignore[union-attr]
        assert workers
    assert not any(worker.is_alive() for worker in workers)
    for job in jobs:
        for one, here in zip(taken[job], prepare_job(tiny_model, tones, job), strict=True):
            assert isinstance(one, Utterance) and isinstance(here, Utterance) and one.amount == here.amount
            features = here.prepared.inputs["input_features"]
            torch.testing.assert_close(one.prepared.inputs["input_features"], features, rtol=0, atol=0)


@pytest.mark.slow
def test_a_worker_process_that_is_killed_is_one_line_and_a_second_run_ends_alike(
    tiny_model: Model, tones: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it prepares, and before anything is given to it: nothing waits for what will not come."""
    corpus = tones.select(languages=["xa"])
    whole = encode(tiny_model, corpus, tmp_path / "whole.zarr", block=5)
    jobs = [job for job in _all_jobs(corpus) if job.modality == "speech"]
    with monkeypatch.context() as patch:
        patch.setattr(type(tiny_model.sides["speech"]), "device", torch.device("meta"))
        patch.setattr("babelscope.capture.preparing.MOST_AHEAD", 2)
        with Prefetcher(tiny_model, corpus, jobs, 1) as ahead:
            taken = ahead.take(jobs[0])
            for worker in list(ahead._executor._processes.values()):  # type: ignore[union-attr]
                os.kill(worker.pid, signal.SIGKILL)
                worker.join()
            for _ in range(2):
                with pytest.raises(DataError, match=r"a worker process that prepares recordings died.*run again"):
                    ahead.take(jobs[1])
                ahead._given.clear()
                ahead._coming = ahead._recordings(jobs[1:])
    assert len(taken) == len(jobs[0])

    real = Prefetcher.take

    def dying(self: Prefetcher, job: Job) -> list[Utterance | DataError]:
        if job.modality == "speech" and job.start:
            raise DataError("a worker process that prepares recordings died")
        return real(self, job)

    with monkeypatch.context() as patch:
        patch.setattr(Prefetcher, "take", dying)
        with pytest.raises(DataError, match="died"):
            encode(tiny_model, corpus, tmp_path / "a.zarr", block=5)
    stored = encode(tiny_model, corpus, tmp_path / "a.zarr", block=5)
    for modality in stored.modalities:
        for point in stored.points(modality):
            np.testing.assert_array_equal(stored.matrix(point, modality, "xa"), whole.matrix(point, modality, "xa"))


def test_no_more_is_read_ahead_than_said(tiny_model: Model, tones: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    from babelscope.capture import preparing

    monkeypatch.setattr(preparing, "MOST_AHEAD", 3)
    jobs = [job for job in _all_jobs(tones) if job.modality == "speech"]
    with Prefetcher(tiny_model, tones, jobs, 2) as ahead:
        for job in jobs:
            assert len(ahead.take(job)) == len(job)
            assert len(ahead._given) <= 3
    with pytest.raises(UsageError, match="workers: -1 is below 0"):
        Prefetcher(tiny_model, tones, jobs, -1)


@given(
    lengths=st.lists(st.integers(1, 900), min_size=1, max_size=30),
    size=st.integers(1, 9),
    tokens=st.integers(1, 2000),
)
def test_batches_keep_their_budget(tiny_model: Model, lengths: list[int], size: int, tokens: int) -> None:
    batches = EncodeConfig(batch_size=size, batch_tokens=tokens).batches(tiny_model.sides["text"], lengths)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) <= size
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= tokens


def test_a_window_of_fixed_length_counts_whole_whatever_is_said(tiny_model: Model) -> None:
    side = tiny_model.sides["speech"]  # it hears two seconds
    assert [len(batch) for batch in EncodeConfig(batch_seconds=6).batches(side, [1600] * 7)] == [3, 3, 1]
    assert [len(batch) for batch in EncodeConfig(batch_seconds=0.5).batches(side, [1600] * 2)] == [1, 1]
    alone = copy.copy(side)
    alone.exact_in_batches = False
    assert EncodeConfig().batches(alone, [1600, 3200]) == [[1], [0]]


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("batch_tokens", 0), ("batch_seconds", -1.0)])
def test_a_batch_of_nothing_is_refused(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{name}: {value} is not a positive number"):
        EncodeConfig(**{name: value})  # type: ignore[arg-type]


def test_batches_do_not_change_the_numbers_but_for_rounding(tiny_model: Model, tones: Corpus) -> None:
    job = Job("speech", "xa", 0, 0, 12)
    alone, together = (encode_job(tiny_model, tones, job, EncodeConfig(batch_size=size)) for size in (1, 12))
    for name in alone.vectors:
        np.testing.assert_allclose(alone.vectors[name], together.vectors[name], atol=1e-5)


# Writes behind the compute.


def test_writes_are_done_in_order_and_all_before_leaving() -> None:
    done: list[int] = []

    def slowly(number: int) -> None:
        time.sleep(0.002)
        done.append(number)

    with AsyncWriter() as behind:
        for number in range(20):
            behind.put(lambda number=number: slowly(number))  # type: ignore[misc]
            assert len(done) >= number - 1
    assert done == list(range(20))


def test_an_error_of_a_write_stops_the_rest_and_is_raised_once() -> None:
    done: list[str] = []

    def full() -> None:
        raise DataError("the disk is full")

    with pytest.raises(DataError, match="the disk is full"), AsyncWriter() as behind:
        behind.put(full)
        behind.put(lambda: done.append("behind"))
    assert not done
    with pytest.raises(KeyboardInterrupt), AsyncWriter() as behind:
        behind.put(full)
        raise KeyboardInterrupt


def test_an_interrupted_run_keeps_what_was_computed_and_leaves_no_thread(
    tiny_model: Model, tones: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def interrupted(*args: Any, **more: Any) -> Block:
        nonlocal asked
        asked += 1
        if asked == 4:
            raise KeyboardInterrupt
        return encode_job(*args, **more)

    from babelscope.capture import encoding

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(encoding, "encode_job", interrupted)
        encode(tiny_model, tones, tmp_path / "a.zarr", block=5)
    assert [one.name for one in threading.enumerate() if one.name.startswith("babelscope")] == []
    assert Activations(tmp_path / "a.zarr").done.sum() == 3


# What is skipped.


@pytest.fixture
def spoilt(manifest: Path, tmp_path: Path) -> Iterator[Path]:
    """A manifest whose recordings of s02 in xa and s07 in xb are spoilt, behind headers that still look right."""
    rows = list(csv.DictReader(manifest.open(encoding="utf-8")))
    for row in rows:
        samples, rate = soundfile.read(manifest.parent / row["audio"])
        row["seconds"] = str(len(samples) / rate)
        row["audio"] = str(manifest.parent / row["audio"])
        if (row["sentence"], row["language"]) == ("s02", "xa"):
            row["audio"] = str(tmp_path / "silent.wav")
            soundfile.write(row["audio"], np.zeros_like(samples), rate)
        if (row["sentence"], row["language"]) == ("s07", "xb"):
            row["audio"] = str(tmp_path / "broken.wav")
            Path(row["audio"]).write_bytes(b"RIFFnothing of the kind")
    path = tmp_path / "spoilt.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    yield path


def test_without_skip_bad_the_line_names_the_sentence_and_hints(
    tiny_model: Model, spoilt: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"silent.*sentence 's02', language 'xa'.*--skip-bad leaves such sentences out"):
        encode(tiny_model, corpora.load("manifest", path=spoilt), tmp_path / "a.zarr", block=5)


@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_bad_is_skipped_everywhere_and_the_rest_is_untouched(
    tiny_model: Model, tones: Corpus, spoilt: Path, tmp_path: Path, workers: int
) -> None:
    corpus = corpora.load("manifest", path=spoilt)
    stored = encode(tiny_model, corpus, tmp_path / "a.zarr", block=5, skip_bad=True, workers=workers)
    left = [sentence for sentence in tones.sentences if sentence not in ("s02", "s07")]
    assert list(stored.sentences) == left
    assert [(one.sentence, one.language, one.modality) for one in stored.skipped] == [
        ("s02", "xa", "speech"), ("s07", "xb", "speech")
    ]  # fmt: skip
    assert "silen" in stored.skipped[0].reason and "s07" in stored.skipped[1].reason
    assert stored.meta["corpus"]["n"] == 10
    assert [one["sentence"] for one in stored.meta["corpus"]["skipped"]] == ["s02", "s07"]
    assert stored.complete
    whole = encode(tiny_model, tones, tmp_path / "whole.zarr", block=5)
    rows = [whole.sentences.index(sentence) for sentence in left]
    for modality in stored.modalities:
        for language in stored.languages:
            point = stored.points(modality)[-1]
            np.testing.assert_allclose(
                stored.matrix(point, modality, language), whole.matrix(point, modality, language)[rows], atol=1e-5
            )
            np.testing.assert_array_equal(stored.lengths(modality, language), whole.lengths(modality, language)[rows])
            np.testing.assert_array_equal(
                stored.positions(modality, language), whole.positions(modality, language)[:, rows]
            )
    for language in stored.languages:
        assert stored.texts(language) == [whole.texts(language)[row] for row in rows]
        assert len(stored.token_ids(language) or ()) == len(left)


def test_a_store_with_skipped_sentences_is_not_passed_off_as_a_whole_one(
    tiny_model: Model, spoilt: Path, tmp_path: Path
) -> None:
    corpus = corpora.load("manifest", path=spoilt)
    first = encode(tiny_model, corpus, tmp_path / "a.zarr", block=5, skip_bad=True)
    again = encode(tiny_model, corpus, tmp_path / "a.zarr", block=5, skip_bad=True)
    assert again.skipped == first.skipped
    with pytest.raises(DataError, match="--skip-bad"):
        encode(tiny_model, corpus, tmp_path / "a.zarr", block=5)


def test_what_an_earlier_run_skipped_and_this_one_can_encode_is_there_again(
    tiny_model: Model, tones: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short memory, not a bad recording: the corpus is the same, and so is the store."""
    real = running._too_short

    def once(side: Side, job: Job, sentence: str, utterance: Utterance) -> DataError | None:
        bad = (sentence, job.language, job.modality) == ("s03", "xc", "text")
        return DataError("out of memory") if bad else real(side, job, sentence, utterance)

    with monkeypatch.context() as patch:
        patch.setattr(running, "_too_short", once)
        stored = encode(tiny_model, tones, tmp_path / "a.zarr", block=5, skip_bad=True)
    assert "s03" not in stored.sentences and stored.skipped[0].reason == "out of memory"
    assert encode(tiny_model, tones, tmp_path / "a.zarr", block=5).sentences == tones.sentences
    assert Activations(tmp_path / "a.zarr").skipped == ()


def test_activations_that_are_not_finite_are_skipped_and_none_left_is_an_error(
    tiny_model: Model, tones: Corpus, tmp_path: Path
) -> None:
    side = tiny_model.sides["text"]
    broken = copy.deepcopy(side.root)
    with torch.no_grad():
        broken.get_parameter("embeddings.word_embeddings.weight")[4 + 25] = math.nan  # the letter z
    narrowed = copy.copy(side)
    narrowed.root = broken
    model = dataclasses.replace(tiny_model, sides={"text": narrowed})
    corpus = tones.select(modalities=("text",), languages=["xa"])
    with_z = [sentence for sentence in corpus.sentences if "z" in (corpus.text(sentence, "xa") or "")]
    assert 0 < len(with_z) < len(corpus.sentences)
    stored = encode(model, corpus, tmp_path / "a.zarr", skip_bad=True)
    assert [one.sentence for one in stored.skipped] == with_z
    assert np.isfinite(stored.matrix("text.pooled", "text", "xa")).all()
    with torch.no_grad():
        broken.get_parameter("encoder.layer.1.output.dense.weight")[:] = math.nan
    with pytest.raises(DataError, match=r"every sentence was skipped; the first reason: .* not finite"):
        encode(model, corpus, tmp_path / "b.zarr", skip_bad=True)


def test_an_overflow_in_float16_stops_with_its_first_layer_and_the_remedy(
    tiny_model: Model, tones: Corpus, tmp_path: Path
) -> None:
    side = copy.copy(tiny_model.sides["text"])
    side.root = copy.deepcopy(side.root).half()
    weight = side.root.get_parameter("encoder.layer.1.intermediate.dense.weight")
    weight.copy_(60_000 * weight.sign())
    model = dataclasses.replace(tiny_model, sides={"text": side})
    corpus = tones.select(modalities=("text",))
    said = (
        r"sentence 's00', text in 'xa': the activation at text.layer.1 is not finite, its first \(12 of 12 sentences "
        r"there\): it overflows in float16; set dtype = 'bfloat16', whose range is that of float32, or 'float32'"
    )
    with pytest.raises(DataError, match=said):
        encode(model, corpus, tmp_path / "half.zarr")
    with pytest.raises(DataError, match="the first reason: " + said):
        encode(model, corpus, tmp_path / "skipped.zarr", skip_bad=True)
    side.root = side.root.bfloat16()
    assert np.isfinite(encode(model, corpus, tmp_path / "b.zarr").matrix("text.layer.1", "text", "xa")).all()


def test_a_bfloat16_store_keeps_what_was_skipped_apart(tiny_model: Model, spoilt: Path, tmp_path: Path) -> None:
    corpus = corpora.load("manifest", path=spoilt)
    for kept in ("bfloat16", "float16"):
        stored = encode(tiny_model, corpus, tmp_path / f"{kept}.zarr", skip_bad=True, store_dtype=kept)
        assert len(stored.sentences) == 10 and np.isfinite(stored.matrix("speech.norm", "speech", "xa")).all()


def test_rows_of_a_manifest_that_are_broken_are_left_out_and_named(manifest: Path, tmp_path: Path) -> None:
    rows = list(csv.DictReader(manifest.open(encoding="utf-8")))
    for row in rows:
        row["audio"] = str(manifest.parent / row["audio"])
    rows[3]["audio"] = str(tmp_path / "gone.wav")
    path = tmp_path / "broken.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(DataError, match=r"line 5, column 'audio'"):
        corpora.load("manifest", path=path)
    corpus = corpora.load("manifest", path=path, skip_bad=True)
    assert any("line 5" in line and "does not exist" in line for line in corpus.left_out)
    assert rows[3]["sentence"] not in corpus.select().sentences


def test_recordings_that_vanish_after_they_were_listed_are_left_out(
    tiny_model: Model, manifest: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(manifest.parent, folder)
    corpus = corpora.load("manifest", path=folder / "manifest.csv").select(languages=["xa"])
    (folder / "xa-3.wav").unlink()
    with pytest.raises(DataError, match=r"xa-3\.wav \(sentence 's03', language 'xa'\) is missing"):
        encode(tiny_model, corpus, tmp_path / "a.zarr", block=5)
    assert not (tmp_path / "a.zarr").exists()
    stored = encode(tiny_model, corpus, tmp_path / "a.zarr", block=5, skip_bad=True)
    assert len(stored.sentences) == 11 and "xa-3.wav" in stored.skipped[0].reason
    assert encode(tiny_model, corpus, tmp_path / "a.zarr", block=5, skip_bad=True).skipped == stored.skipped


def test_the_writer_knows_which_blocks_have_skipped_rows(tiny_model: Model, spoilt: Path, tmp_path: Path) -> None:
    corpus = corpora.load("manifest", path=spoilt)
    seen: list[set[tuple[str, int, int]]] = []
    encode(tiny_model, corpus, tmp_path / "a.zarr", block=5, skip_bad=True)
    from babelscope.capture.encoding import _layout

    writer = Writer(tmp_path / "a.zarr", _layout(tiny_model, corpus, EncodeConfig(), 5, "float32"))
    seen.append(writer.blocks_with_skipped())
    assert seen == [{("speech", 0, 0), ("speech", 1, 5)}]
