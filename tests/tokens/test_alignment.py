"""Alignments: the planted one is recovered, on noise nothing is said, and every path is the cheapest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babelscope.errors import DataError, UsageError
from babelscope.testing.planted_positions import PlantedPositions, planted_positions
from babelscope.tokens.alignment import Draws, Layers, Sentence, in_word, p_max
from babelscope.tokens.warping import Stack, dtw, paths, soft_dtw
from babelscope.tokens.words import shuffled, words_of


def _draws(planted: PlantedPositions, permutations: int = 199, shuffles: int = 99, seed: int = 0) -> Draws:
    sentences = [Sentence(f"s{number}", words, number) for number, words in enumerate(planted.words)]
    return Draws(sentences, [len(text) for text in planted.text], permutations, shuffles, seed)


def _every_path(rows: int, columns: int) -> list[list[tuple[int, int]]]:
    if (rows, columns) == (1, 1):
        return [[(0, 0)]]
    before = [(rows - 1, columns), (rows, columns - 1), (rows - 1, columns - 1)]
    last = (rows - 1, columns - 1)
    return [[*path, last] for one in before if min(one) > 0 for path in _every_path(*one)]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=4), st.integers(0, 10**6))
def test_of_all_paths_the_cheapest_is_taken_and_the_soft_score_weighs_them_all(
    shapes: list[tuple[int, int]], seed: int
) -> None:
    generator = np.random.default_rng(seed)
    tables = [generator.uniform(-1, 1, shape) for shape in shapes]
    stack = Stack.of(tables)
    hard, soft, taken = dtw(stack), soft_dtw(stack, 0.3), paths(stack)
    for number, table in enumerate(tables):
        every = _every_path(*table.shape)
        sums = np.array([sum(table[cell] for cell in path) for path in every])
        costs = np.array([len(path) for path in every]) - sums
        best = int(costs.argmin())
        assert hard[number] == pytest.approx(sums[best] / len(every[best]), abs=1e-5)
        assert [tuple(cell) for cell in taken[number].tolist()] == every[best]
        weights = np.exp(-(costs - costs.min()) / 0.3)
        expected = (weights @ sums) / (weights @ np.array([len(path) for path in every]))
        assert soft[number] == pytest.approx(expected, abs=1e-5)
        assert soft_dtw(Stack.of([table]), 1e-4)[0] == pytest.approx(hard[number], abs=1e-4)


def test_what_is_no_similarity_is_refused() -> None:
    for wrong in (np.zeros((0, 3)), np.zeros(3), np.array([[np.nan]])):
        with pytest.raises(UsageError, match="alignment: similarity 0 of shape"):
            Stack.of([wrong])
    with pytest.raises(UsageError, match="gamma"):
        soft_dtw(Stack.of([np.ones((2, 2))]), 0)


def test_the_planted_alignment_is_recovered_within_one_position_where_the_null_rejects() -> None:
    """Two fifths of a position's variance are its token's: p <= .05, and 95 % of positions are within one position."""
    planted = planted_positions(32, signal=0.4, seed=3)
    layers = Layers(planted.speech, planted.text, _draws(planted))
    for measure in ("dtw", "soft_dtw"):
        score = layers.score(measure)
        assert score.p <= 0.05 and score.p_order <= 0.05
        assert score.low > 0 and score.similarity > score.other and score.similarity > score.shuffled
    near = []
    for aligned, truth in zip(layers.details().tokens, planted.token, strict=True):
        for position, token in enumerate(aligned):
            own = np.flatnonzero(truth == token)  # the positions that the token was spoken at
            near.append(np.abs(own - position).min() <= 1)
    assert np.mean(near) >= 0.95


def test_direction_and_magnitude_are_told_apart() -> None:
    planted = planted_positions(24, signal=1.0, magnitude=8.0, seed=1)
    weak = planted_positions(24, signal=1.0, magnitude=1.0, seed=1)
    loud = Layers(planted.speech, planted.text, _draws(planted))
    quiet = Layers(weak.speech, weak.text, _draws(weak))
    assert loud.score("dtw").similarity == pytest.approx(quiet.score("dtw").similarity, abs=1e-5)
    details = loud.details()
    assert details.ratio == pytest.approx(3.0, abs=1e-3) and details.ratio_low <= 3.0 + 1e-3
    assert quiet.details().ratio == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("silence", [0.0, 0.4])
def test_silence_matches_no_token(silence: float) -> None:
    planted = planted_positions(32, signal=0.9, silence=silence, duration=(2, 4), seed=5)
    share = np.mean([(token < 0).mean() for token in planted.token])
    details = Layers(planted.speech, planted.text, _draws(planted)).details()
    assert details.no_match == pytest.approx(share, abs=0.06)
    counts = [len(token) for token in planted.token]
    assert details.positions_per_token >= sum(counts) / sum(len(text) for text in planted.text) - 1e-9
    noise = planted_positions(32, signal=0.0, duration=(2, 4), seed=5)
    assert Layers(noise.speech, noise.text, _draws(noise)).details().no_match > 0.9


def test_positions_within_the_right_word() -> None:
    planted = planted_positions(24, signal=1.0, seed=2, duration=(1, 6))
    draws = _draws(planted)
    times = [0.1 * (np.arange(len(token), dtype=np.float64) + 0.5) for token in planted.token]
    spans = []
    for truth, words in zip(planted.token, planted.words, strict=True):
        spoken = words[truth]
        ends = {int(word): np.flatnonzero(spoken == word)[[0, -1]] for word in set(spoken)}
        spans.append({word: (0.1 * float(first), 0.1 * float(last) + 0.1) for word, (first, last) in ends.items()})
    tokens = Layers(planted.speech, planted.text, draws).details().tokens
    share, linear, count = in_word(tokens, draws.sentences, times, spans)
    assert share > 0.99 > 0.9 > linear and count == sum(len(token) for token in planted.token)
    assert in_word(tokens, draws.sentences, times, [{} for _ in spans])[2] == 0


def _rejections(count: int) -> dict[str, float]:
    """Simulate noise through both measures at two layers each; return how often each p-value is 5 % or less."""
    seen: dict[str, list[bool]] = {}
    for seed in range(count):
        noise = planted_positions(16, signal=0.0, width=12, tokens=(4, 7), duration=(1, 3), seed=1000 + seed)
        other = planted_positions(16, signal=0.0, width=12, tokens=(4, 7), duration=(1, 3), seed=1000 + seed)
        draws = _draws(noise, permutations=99, shuffles=39, seed=seed)
        generator = np.random.default_rng(seed)
        second = [0.6 * one + 0.4 * generator.standard_normal(one.shape).astype(np.float32) for one in other.speech]
        for measure in ("dtw", "soft_dtw"):
            scores = [Layers(one, noise.text, draws).score(measure) for one in (noise.speech, second)]
            seen.setdefault(f"{measure} p", []).append(scores[0].p <= 0.05)
            seen.setdefault(f"{measure} p_order", []).append(scores[0].p_order <= 0.05)
            largest = p_max([one.z for one in scores], [one.null_z for one in scores])
            seen.setdefault(f"{measure} p_max", []).append(min(largest) <= 0.05)
            order = p_max([one.order_z for one in scores], [one.null_order_z for one in scores])
            seen.setdefault(f"{measure} p_order_max", []).append(min(order) <= 0.05)
            seen.setdefault(f"{measure} interval", []).append(not scores[0].low <= 0 <= scores[0].high)
    return {name: float(np.mean(hits)) for name, hits in seen.items()}


def test_on_noise_little_is_said() -> None:
    for name, share in _rejections(15).items():
        assert share <= 0.27, f"{name}: {share}"


@pytest.mark.slow
def test_on_noise_each_null_rejects_five_in_a_hundred_at_most() -> None:
    """300 simulations: at a true rate of 5 % more than 8 % come once in a hundred."""
    for name, share in _rejections(300).items():
        assert share <= 0.08, f"{name}: {share}"


def test_too_few_sentences_and_layers_without_a_cosine_are_refused() -> None:
    planted = planted_positions(4)
    with pytest.raises(DataError, match="4 sentences can be aligned, and 5 are the fewest"):
        _draws(planted)
    planted = planted_positions(8)
    with pytest.raises(DataError, match="32 features of speech and 16 of text have no cosine"):
        Layers(planted.speech, [one[:, :16] for one in planted.text], _draws(planted))


@pytest.mark.parametrize(
    ("pieces", "text", "words"),
    [
        (["▁hel", "lo", "▁world", "."], "hello world.", [0, 0, 1, 1]),
        (["Hello", "Ġwor", "ld"], "Hello world", [0, 1, 1]),
        (["hel", "##lo", "world"], "hello world", [0, 0, 1]),
        (["hel", "lo"], "hello", [0, 0]),
        (["▁", "请", "输入", "号码"], "请输入号码", [0, 1, 2, 3]),
        ([], "", []),
    ],
)
def test_tokens_are_grouped_into_words(pieces: list[str], text: str, words: list[int]) -> None:
    assert words_of(pieces, text).tolist() == words


def test_shuffled_words_keep_their_tokens_together() -> None:
    words = np.array([0, 0, 1, 2, 2, 2])
    for seed in range(20):
        order = shuffled(words, np.random.default_rng(seed))
        assert sorted(order) == list(range(6))
        changes = np.flatnonzero(np.diff(words[order]))
        assert len(changes) == 2
        for word in range(3):
            own = order[words[order] == word]
            assert np.array_equal(own, np.sort(own))
