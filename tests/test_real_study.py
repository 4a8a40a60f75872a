"""The main job on real recordings and real weights: prompts in three languages, held against what is known of them."""

from __future__ import annotations

import html
import re

import numpy as np
import pytest

from babelscope import corpora, models
from babelscope.audio import load_audio
from babelscope.capture import Capture
from babelscope.gaps import Result
from babelscope.report.first_screen import first_screen
from babelscope.similarity import retrieval
from babelscope.study import Outcome, Study, run
from babelscope.tokens.transcriber import Transcriber

pytestmark = [pytest.mark.assets, pytest.mark.plugins]

#: What is known of real speech and text; that real models run and give numbers, README's study shows each time.
WHOLE = pytest.mark.slow
LANGUAGES = ["en", "it", "ru"]
N = 24
CHANCE = 1 / N


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    study = Study.parse(
        {
            "name": "prompts",
            "output": str(tmp_path_factory.mktemp("prompts")),
            "measures": ["linear_cka", "retrieval"],
            "kinds": ["modality_similarity", "language_similarity_text", "language_similarity_speech"],
            "permutations": 99,
            "intervals": False,
            "corpus": {
                "source": "asterisk",
                "languages": LANGUAGES,
                "n": N,
                "min_words": 4,
                "max_seconds": 5,
                "distinct": True,
            },
            "model": {"name": "whisper-base+e5-small", "window_seconds": 5},
        }
    )
    return run(study)


def _values(result: Result, kind: str, point: str, measure: str, control: str = "none") -> dict[str, float]:
    rows = result.scores
    chosen = rows[
        (rows["kind"] == kind)
        & (rows["point_a"] == point)
        & (rows["measure"] == measure)
        & (rows["control"] == control)
    ]
    names = chosen["language_a"] + "-" + chosen["language_b"]
    return dict(zip(names, chosen["value"].astype(float), strict=True))


@WHOLE
def test_text_finds_its_translation(outcome: Outcome) -> None:
    """One draw moves by .05 and more (s.d., Russian): here a loose bound, below the mean over draws."""
    found = _values(outcome.result, "language_similarity_text", "text.pooled", "retrieval")
    assert all(found[f"en-{other}"] >= 0.75 for other in LANGUAGES[1:]), found


@pytest.mark.slow
def test_text_finds_its_translation_over_many_draws() -> None:
    """P@1 among forty prompts, mean of fifty draws from all distinct ones: .85 or better from English to each."""
    corpus = corpora.load("asterisk").select(languages=LANGUAGES, min_words=4, max_seconds=8, distinct=True)
    side = models.load("e5-small").sides["text"]
    vectors: dict[str, np.ndarray] = {}
    with Capture(side) as capture:
        for language in LANGUAGES:
            texts = [corpus.text(sentence, language) for sentence in corpus.sentences]
            prepared = [side.prepare(text, language) for text in texts if text]
            batches = [prepared[start : start + 16] for start in range(0, len(prepared), 16)]
            caught = [capture.run(side.collate(batch))["text.pooled"].numpy() for batch in batches]
            vectors[language] = np.vstack(caught)
    generator = np.random.default_rng(0)
    draws = [generator.choice(len(corpus.sentences), 40, replace=False) for _ in range(50)]
    for other in LANGUAGES[1:]:
        found = np.mean([retrieval(vectors["en"][draw], vectors[other][draw]) for draw in draws])
        assert found >= 0.84, (other, found)  # measured: fr .93, it .97, ru .85


@WHOLE
def test_speech_finds_its_translation_beyond_chance_and_beyond_its_length(outcome: Outcome) -> None:
    found = _values(outcome.result, "language_similarity_speech", "speech.norm", "retrieval")
    table = outcome.result.tables["baselines"]
    rows = table.query("baseline == 'lengths' and kind == 'language_similarity_speech' and measure == 'retrieval'")
    bare = rows.set_index("group")["value"]
    less = _values(outcome.result, "language_similarity_speech", "speech.norm", "retrieval", "length_regressed")
    assert found["en-it"] >= 0.5, found
    for other in LANGUAGES[1:]:
        assert found[f"en-{other}"] > 4 * CHANCE and found[f"en-{other}"] > bare[f"en-{other}"] + 0.05, (found, bare)
        assert less[f"en-{other}"] > 4 * CHANCE, less


@WHOLE
def test_shuffled_sentences_are_at_chance(outcome: Outcome) -> None:
    rows = outcome.result.scores
    shuffled = rows[rows["control"] == "shuffled"]
    retrieval = shuffled[shuffled["measure"] == "retrieval"]["value"]
    assert retrieval.mean() < 2.5 * CHANCE and retrieval.max() <= 0.2
    cka = shuffled[shuffled["measure"] == "linear_cka"]["value"]
    assert abs(cka.mean()) < 0.05 and cka.max() < 0.35


@WHOLE
def test_speech_comes_nearest_to_text_in_the_upper_half_of_whisper(outcome: Outcome) -> None:
    curves = outcome.result.curves
    rows = curves[
        (curves["kind"] == "modality_similarity") & (curves["measure"] == "linear_cka") & (curves["control"] == "none")
    ]
    mean = rows[rows["group"] == "mean"].set_index("point")
    best = str(mean["value"].idxmax())
    assert mean["depth"][best] >= 0.5, mean["value"]
    assert mean["value"][best] > mean["value"]["speech.conv1"] + 0.1
    at_best = rows[(rows["point"] == best) & (rows["group"] != "mean")]
    assert (at_best["value"] > 0.3).all() and (at_best["p"] <= 0.05).all()


@WHOLE
def test_the_report_names_the_window_and_shows_the_headline(outcome: Outcome) -> None:
    page = outcome.report.read_text(encoding="utf-8")
    assert "window of 5 s" in page and "CC-BY-SA-3.0" in page
    words = " ".join(html.unescape(re.sub(r"<[^>]*>", "", page)).split())
    for sentence in first_screen(outcome.result).verdict:
        assert str(sentence) in words
    assert {"few-sentences", "one-reader", "towers"} <= {one["id"] for one in outcome.result.meta["caveats"]}


def test_recordings_say_what_their_texts_say() -> None:
    """Whisper transcribes: the proof that weights, features and the pairing of recordings with texts are right."""
    transcriber = Transcriber()
    corpus = corpora.load("asterisk").select(languages=LANGUAGES, n=2, min_words=5, max_seconds=8, distinct=True)
    limits = {"en": 0.2, "ru": 0.3}
    for language in limits:
        recordings = [load_audio(corpus.recordings(sentence, language)[0]) for sentence in corpus.sentences]
        heard = transcriber.transcribe(recordings, language)
        wrong = total = 0
        for sentence, words in zip(corpus.sentences, heard, strict=True):
            text = corpus.text(sentence, language)
            assert text is not None
            wrong += _edits(_plain(words), _plain(text))
            total += len(_plain(text))
        assert wrong / total < limits[language], (language, wrong / total, heard)


def _plain(text: str) -> str:
    folded = text.lower().translate(str.maketrans("áéíóúüñ", "aeiouun"))
    return " ".join("".join(letter if letter.isalnum() else " " for letter in folded).split())


def _edits(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]
