"""Evaluation of an adapter: retrieval in every direction that the corpora allow, and baselines without an adapter.

All retrieval is precision at 1 by cosine, each side centred by its own mean (as
:func:`babelscope.similarity.retrieval`), among the held-out sentences of one part of the split. Intervals are 95 %
percentile intervals over sentences drawn again, 2000 times; the candidates stay the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from babelscope.plugins.pocket.adapter import PocketAdapter
from babelscope.plugins.pocket.ridge import RidgeMap
from babelscope.similarity import centroid_gap, linear_cka, regress_out
from babelscope.similarity.retrieval import best_in_rows
from training.pocket.loop import speak
from training.pocket.material import Material
from training.pocket.split import SPOKEN, TUXPAINT_SIX, candidates, in_nine_languages

Array = NDArray[np.float32]

#: Corpora that are evaluated: languages, and the one whose speech is compared with the others' text.
GROUPS: dict[str, tuple[tuple[str, ...], str]] = {
    "asterisk": (SPOKEN["asterisk"], "en"),
    "tuxpaint": (TUXPAINT_SIX, "fr"),
}
DRAWS = 2000


@dataclass(frozen=True)
class Held:
    """Held-out sentences of one corpus: which utterance says each in each language, and which text.

    Attributes
    ----------
    sentences : tuple of str
        Spoken in every language.
    spoken : dict of language to ndarray of int
        Utterances, a sentence a row.
    written : dict of language to ndarray of int
        Texts.
    """

    name: str
    sentences: tuple[str, ...]
    spoken: dict[str, NDArray[np.int64]]
    written: dict[str, NDArray[np.int64]]


def held_out(material: Material, part: str, corpus: str, languages: Sequence[str], reader: str = "") -> Held:
    """Collect the sentences of one part that are spoken in all `languages`, by one reader if one is named."""
    primary: dict[tuple[str, str], int] = {}
    for number, each in enumerate(material.utterances):
        wanted = each.reader == reader if reader else each.held_out != "reader"
        if each.part == part and each.corpus == corpus and each.language in languages and wanted:
            primary.setdefault((each.sentence, each.language), number)
    ids = sorted({sentence for sentence, _ in primary})
    ids = [sentence for sentence in ids if all((sentence, language) in primary for language in languages)]
    spoken = {
        language: np.array([primary[sentence, language] for sentence in ids], dtype=np.int64) for language in languages
    }
    written: dict[str, NDArray[np.int64]] = {}
    for language in material.corpora[corpus].languages:
        texts = [material.corpora[corpus].text(sentence, language) for sentence in ids]
        if all(texts):
            written[language] = np.array([material.text_number(text) for text in texts if text], dtype=np.int64)
    return Held(f"{corpus}{':' + reader if reader else ''}", tuple(ids), spoken, written)


def hits(x: Array, y: Array) -> NDArray[np.float64]:
    """Return for every row of x whether its nearest row of y is its own; ties share a hit."""
    unit = []
    for rows in (x, y):
        centred = np.asarray(rows, dtype=np.float64) - rows.mean(axis=0, dtype=np.float64)
        unit.append(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-30))
    return np.asarray(np.diag(best_in_rows(unit[0] @ unit[1].T)))


@dataclass
class Cells:
    """Hits by row of the table, a column a sentence: averaged over the row's languages."""

    n: int
    rows: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def value(self, row: str) -> float:
        """Return the mean of a row."""
        return float(self.rows[row].mean())

    def interval(self, row: str, seed: int = 0) -> tuple[float, float]:
        """Return a 95 % interval of the mean, over sentences."""
        values = self.rows[row]
        drawn = np.random.default_rng(seed).integers(len(values), size=(DRAWS, len(values)))
        low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
        return float(low), float(high)


def directions(
    spoken: Mapping[str, Array], written: Mapping[str, Array], pivot: str, texts: Mapping[str, Array]
) -> dict[str, NDArray[np.float64]]:
    """Return the hits in every direction.

    Parameters
    ----------
    spoken, written : mapping of language to ndarray, shape (sentences, features)
        In one space.
    pivot : str
        Its speech is compared with the other languages' text and speech.
    texts : mapping of language to ndarray
        The text model's own embeddings.

    Returns
    -------
    dict
        ``same``: speech to the text that it says. ``cross``: the pivot's speech to the other languages' text.
        ``cross_all``: every speech to every other language's text. ``speech``: the pivot's speech to the other
        languages' and back. ``text``: the pivot's text to the other languages'.
    """
    others = [language for language in spoken if language != pivot]
    rows = {"same": np.mean([hits(spoken[language], written[language]) for language in spoken], axis=0)}
    if others:
        rows["cross"] = np.mean([hits(spoken[pivot], written[language]) for language in others], axis=0)
        pairs = [(language, other) for language in spoken for other in spoken if language != other]
        rows["cross_all"] = np.mean([hits(spoken[language], written[other]) for language, other in pairs], axis=0)
        both = [(spoken[pivot], spoken[language]) for language in others]
        rows["speech"] = np.mean([hits(*pair[::way]) for pair in both for way in (1, -1)], axis=0)
        rows["text"] = np.mean([hits(texts[pivot], texts[language]) for language in others], axis=0)
    return rows


def text_draws(material: Material, corpus: str, tested: Sequence[str], draws: int = 300) -> dict[str, Any] | None:
    """Return how well the text model itself does on other draws of sentences like those of the test.

    Retrieval from the pivot's text to the other languages' text, among sentences that are learned from and could have
    been held out. Of Tux Paint as many as in the test are names that are spoken in nine languages.

    Parameters
    ----------
    material : Material
    corpus : str
    tested : sequence of str
        The test's sentences.
    draws : int

    Returns
    -------
    dict or None
        ``mean`` and ``sd`` over the draws, ``of`` how many sentences; ``nine`` the number of names in nine languages,
        and the means over draws of the test's size that hold nothing but those or none of them. None if there are not
        twice as many sentences to draw from as the test has.
    """
    languages, pivot = GROUPS[corpus]
    random = np.random.default_rng(0)
    learned = {each.sentence for each in material.utterances if each.part == "train" and each.corpus == corpus} & set(
        candidates(material.corpora)[corpus].sentences
    )
    nine = set(in_nine_languages(material.corpora).sentences) if corpus == "tuxpaint" else set()
    some, rest = sorted(learned & nine), sorted(learned - nine)
    wanted = len(nine.intersection(tested))
    if len(learned) < 2 * len(tested):
        return None

    def drawn(first: int, second: int) -> NDArray[np.float64]:
        values = []
        for _ in range(draws):
            chosen = [*random.permutation(some)[:first], *random.permutation(rest)[:second]]
            vectors = {language: text_vectors_of(material, corpus, chosen, language) for language in languages}
            values.append(
                [hits(vectors[pivot], vectors[language]).mean() for language in languages if language != pivot]
            )
        return np.asarray(np.mean(values, axis=1))

    like = drawn(wanted, len(tested) - wanted)
    about = {"mean": float(like.mean()), "sd": float(like.std()), "draws": draws, "of": len(learned), "nine": wanted}
    if wanted:
        about |= {
            "nine only": float(drawn(len(tested), 0).mean()),
            "others only": float(drawn(0, len(tested)).mean()),
        }
    return about


def text_vectors_of(material: Material, corpus: str, sentences: Sequence[str], language: str) -> Array:
    """Return the normalised text embeddings of some sentences that are learned from."""
    texts = [material.corpora[corpus].text(sentence, language) for sentence in sentences]
    return _unit(material.targets.pooled[[material.text_number(text) for text in texts if text]])


def text_vectors(material: Material, held: Held) -> dict[str, Array]:
    """Return the normalised text embeddings of some held-out sentences, by language."""
    return {language: _unit(material.targets.pooled[rows]) for language, rows in held.written.items()}


def speech_vectors(adapter: PocketAdapter, material: Material, held: Held) -> dict[str, Array]:
    """Return the pooled speech embeddings of some held-out sentences, by language."""
    return {
        language: points["pooled"] for language, points in speech_levels(adapter, material, held, layers=False).items()
    }


def speech_levels(
    adapter: PocketAdapter, material: Material, held: Held, *, layers: bool = True
) -> dict[str, dict[str, Array]]:
    """Return the same by language and point."""
    numbers = np.concatenate(list(held.spoken.values()))
    levels = speak(adapter, material, [int(number) for number in numbers], layers=layers)
    n = len(held.sentences)
    return {
        language: {point: vectors[place * n : (place + 1) * n] for point, vectors in levels.items()}
        for place, language in enumerate(held.spoken)
    }


def judged(spoken: Mapping[str, Array], material: Material, held: Held, pivot: str) -> Cells:
    """Return the table's cells of some speech embeddings against the text embeddings."""
    texts = text_vectors(material, held)
    return Cells(len(held.sentences), directions(spoken, texts, pivot, texts))


def _unit(rows: NDArray[np.floating]) -> Array:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


class Ridge:
    """The control without length adaptation and text layers: Whisper's pooled last layer, mapped linearly.

    The penalty is the one of five that does best in same-language retrieval on validation sentences.
    """

    def __init__(self, material: Material, held: Sequence[tuple[Held, str]]) -> None:
        chosen = material.chosen("train")
        x = self._pooled(material, chosen)
        y = _unit(material.targets.pooled[material.text_of[chosen]]).astype(np.float64)
        self.mean, self.spread = x.mean(axis=0), x.std(axis=0)
        x = (x - self.mean) / self.spread
        self.offset = y.mean(axis=0)
        gram, cross = x.T @ x, x.T @ (y - self.offset)
        scores = {}
        for penalty in (0.001, 0.003, 0.01, 0.03, 0.1):
            self.map = np.linalg.solve(gram + penalty * len(x) * np.eye(x.shape[1]), cross)
            cells = [
                judged(self.speech(material, sentences), material, sentences, pivot).value("same")
                for sentences, pivot in held
            ]
            scores[penalty] = (float(np.mean(cells)), self.map)
        self.penalty = max(scores, key=lambda penalty: scores[penalty][0])
        self.map = scores[self.penalty][1]

    @staticmethod
    def _pooled(material: Material, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.stack([material.speech(int(number)).double().mean(dim=0).numpy() for number in chosen])

    def speech(self, material: Material, held: Held) -> dict[str, Array]:
        """Return what the map makes of some held-out sentences' speech."""
        return {
            language: _unit(((self._pooled(material, rows) - self.mean) / self.spread) @ self.map + self.offset)
            for language, rows in held.spoken.items()
        }

    def folded(self) -> RidgeMap:
        """Return the map as it is shipped: from Whisper's own features, with the standardisation folded in."""
        weight = self.map / self.spread[:, None]
        return RidgeMap(weight, self.offset - self.mean @ weight)


def by_length(material: Material, held: Held, pivot: str) -> dict[str, NDArray[np.float64]]:
    """Return the hits of a baseline that uses only log duration and the log length of the text in letters."""

    def scaled(values: Sequence[float]) -> NDArray[np.float64]:
        logs = np.log(np.asarray(values, dtype=np.float64))
        return np.asarray((logs - logs.mean()) / max(float(logs.std()), 1e-12))

    spoken = {language: scaled(material.lengths[rows].tolist()) for language, rows in held.spoken.items()}
    written = {language: scaled([len(material.texts[row]) for row in rows]) for language, rows in held.written.items()}

    def near(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.diag(best_in_rows(-np.abs(x[:, None] - y[None]))))

    others = [language for language in spoken if language != pivot]
    rows = {"same": np.mean([near(spoken[language], written[language]) for language in spoken], axis=0)}
    if others:
        rows["cross"] = np.mean([near(spoken[pivot], written[language]) for language in others], axis=0)
        both = [(spoken[pivot], spoken[language]) for language in others]
        rows["speech"] = np.mean([near(*pair[::way]) for pair in both for way in (1, -1)], axis=0)
    return rows


def levels(spoken: Mapping[str, Mapping[str, Array]], material: Material, held: Held) -> dict[str, dict[str, float]]:
    """Return for every shared point, as means over languages: how far apart speech and text are.

    ``centroid_gap`` is babelscope's (sentences scaled to length 1); ``over_spread`` is the distance of the two means
    over the root of the text's mean squared distance from its own; ``cka`` is debiased, of one language, with log
    duration and log length of the text regressed out of both sides; ``same`` is retrieval from speech to text.
    """
    rows: dict[str, dict[str, list[float]]] = {}
    for language, utterances in held.spoken.items():
        written = text_levels(material, held, language)
        lengths = np.stack(
            [
                np.log(material.lengths[utterances]),
                np.log([len(material.texts[row]) for row in held.written[language]]),
            ],
            axis=1,
        )
        for point, text in written.items():
            speech = spoken[language][point]
            row = rows.setdefault(point, {})
            spread = np.sqrt(np.square(text - text.mean(axis=0)).sum(axis=1).mean())
            for name, value in (
                ("centroid_gap", centroid_gap(speech, text)),
                ("over_spread", float(np.linalg.norm(speech.mean(axis=0) - text.mean(axis=0)) / spread)),
                ("cka", linear_cka(regress_out(speech, lengths), regress_out(text, lengths))),
                ("same", float(hits(speech, text).mean())),
            ):
                row.setdefault(name, []).append(value)
    return {point: {name: float(np.mean(values)) for name, values in row.items()} for point, row in rows.items()}


@torch.inference_mode()
def text_levels(material: Material, held: Held, language: str) -> dict[str, Array]:
    """Return what some held-out sentences' texts are at every shared point."""
    texts = [material.texts[row] for row in held.written[language]]
    blocks = [material.teacher.text_layers(texts[first : first + 32]) for first in range(0, len(texts), 32)]
    return {point: torch.cat([block[point] for block in blocks]).numpy() for point in blocks[0]}


def validation_score(adapter: PocketAdapter, material: Material) -> dict[str, float]:
    """Return what a recipe and a seed are chosen by, on validation sentences, and its parts.

    ``score`` is the mean over Asterisk and Tux Paint of same-language and cross-language (every pair) retrieval.
    """
    scores: dict[str, float] = {}
    for corpus, (languages, pivot) in GROUPS.items():
        held = held_out(material, "validation", corpus, languages)
        cells = judged(speech_vectors(adapter, material, held), material, held, pivot)
        scores |= {f"{corpus} {row}": cells.value(row) for row in ("same", "cross_all", "speech")}
    score = [scores[f"{corpus} {row}"] for corpus in GROUPS for row in ("same", "cross_all")]
    for language in SPOKEN["fillets"]:
        held = held_out(material, "validation", "fillets", (language,))
        spoken = speech_vectors(adapter, material, held)
        scores[f"fillets {language}"] = judged(spoken, material, held, language).value("same")
    return {"score": float(np.mean(score)), **scores}
