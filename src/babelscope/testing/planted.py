"""Synthetic activations with planted gaps: a store like any other, in which every share of the variance is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babelscope.capture.second_readings import place_of_language
from babelscope.capture.store import Activations, Block, Layout, Writer, now, versions
from babelscope.errors import UsageError, did_you_mean
from babelscope.stages import MODALITIES, Stage


@dataclass(frozen=True)
class Planted:
    """What a point's vectors are made of: shares of variance, which with the rest (noise of each utterance) sum to 1.

    Attributes
    ----------
    meaning : float
        Common to a sentence's texts and recordings in all languages.
    modality : float
        Common to a sentence's texts in all languages, or to its recordings: what keeps the modalities apart.
    language : float
        Common to a sentence's text and recording in one language: what keeps languages apart.
    length : float
        Proportional to the utterance's standardised log length, in one direction of the space.
    spread : float
        How much the languages differ: each language's share of meaning *in speech* is ``meaning`` plus a number drawn
        for the language, uniform with this standard deviation; its noise makes up for it.
    lost : mapping of language to float
        How much less meaning the speech of a language has than ``meaning``, noise in its place.
    stage : str
        A :class:`~babelscope.models.base.Stage`: what the point is for.
    reader : float
        Share of the variance of *speech* that is each recording's own, so that a second reader brings another: all
        other shares of speech are of what it leaves.
    readers_differ : float
        How much readers differ in that share: uniform around `reader` with this standard deviation, a draw a language
        and reader.
    """

    meaning: float = 0.0
    modality: float = 0.0
    language: float = 0.0
    length: float = 0.0
    spread: float = 0.0
    lost: Mapping[str, float] = field(default_factory=dict)
    stage: str = "shared"
    reader: float = 0.0
    readers_differ: float = 0.0

    @property
    def noise(self) -> float:
        """Share of each utterance's own noise, in text."""
        return 1.0 - self.meaning - self.modality - self.language - self.length

    @property
    def reach(self) -> float:
        """How far a language's share of meaning in speech can are from its mean, either way."""
        return float(3.0**0.5) * self.spread

    def check(self, name: str) -> None:
        """Raise UsageError unless every share that can be drawn is a share."""
        least = self.meaning - self.reach - max([0.0, *self.lost.values()])
        most = self.meaning + self.reach - min([0.0, *self.lost.values()])
        others = self.modality + self.language + self.length
        if min(self.modality, self.language, self.length, self.spread, least) < -1e-12 or most + others > 1 + 1e-12:
            raise UsageError(f"planted shares at {name} are negative or sum to more than 1: {self}")
        widest = float(3.0**0.5) * self.readers_differ
        if self.reader - widest < -1e-12 or self.reader + widest > 1 + 1e-12:
            raise UsageError(f"planted reader at {name} is no share for every reader: {self}")
        if self.stage not in list(Stage):
            raise UsageError(f"planted stage {self.stage!r} at {name} is unknown; {did_you_mean(self.stage, Stage)}")


def planted_likeness(planted: Planted, kind: str, *, width: int = 24) -> float:
    """Return the linear CKA that a kind of comparison has at a point, on infinitely many sentences and languages.

    With covariances S_xx, S_yy, S_xy of the two sides it is tr(S_xy S_xy') / sqrt(tr(S_xx^2) tr(S_yy^2)). Without
    length every covariance is a multiple of the identity, and CKA is the square of the share that the two sides have
    in common.

    Parameters
    ----------
    planted : Planted
        Without ``lost``, which belongs to languages by name, and with readers that do not differ.
    kind : str
        One of :data:`babelscope.gaps.KINDS`.
    width : int
        Features of the point; it matters only with a share of length, which has one direction.

    Returns
    -------
    float
        The mean over the languages that could be drawn (``spread``), or over pairs of them.
    """
    own_voice = 1 - planted.reader
    if kind == "reader_similarity":
        return own_voice**2
    voices = {"language_similarity_text": 1.0, "language_similarity_speech": own_voice**2}.get(kind, own_voice)
    at, weights = np.polynomial.legendre.leggauss(32)
    speech = planted.meaning + planted.reach * at
    weights = weights / 2
    if kind == "language_similarity_text":
        common = np.full((1, 1), planted.meaning + planted.modality)
        over = np.ones((1, 1))
    elif kind == "language_similarity_speech":
        common = np.sqrt(np.multiply.outer(speech, speech)) + planted.modality
        over = np.multiply.outer(weights, weights)
    else:
        own = planted.language if kind == "modality_similarity" else 0.0
        common = np.sqrt(planted.meaning * speech)[None] + own
        over = weights[None]

    def squares(rest: NDArray[np.float64] | float, length: float) -> NDArray[np.float64]:
        # tr((a I + b w u u')^2) / w for a unit vector u.
        return np.asarray(rest**2 + 2 * rest * length + width * length**2)

    together = CORRELATION * planted.length
    return voices * float((over * squares(common, together)).sum() / squares(1 - planted.length, planted.length))


#: Of the log lengths of two utterances of one sentence: 0.95^2 / (0.95^2 + 0.05^2).
CORRELATION = 0.95**2 / (0.95**2 + 0.05**2)


def planted_activations(
    path: Path | str,
    points: Mapping[str, Planted],
    *,
    n: int = 60,
    languages: Sequence[str] = ("xa", "xb", "xc"),
    width: int = 24,
    seed: int = 0,
    falling: float = 0.0,
    texts: Sequence[str] | Mapping[str, Sequence[str]] = (),
    clusters: Sequence[str] = (),
    together: float = 0.0,
    second: bool | Sequence[int] = False,
    readers: int = 3,
) -> Activations:
    """Write a store of synthetic activations at points that both modalities share.

    Every component is Gaussian in all `width` directions, with standard deviation 1 unless `falling` is given. The
    length of a sentence (log-normal) is nearly the same in every language and modality, as it is in life.

    Parameters
    ----------
    path : Path or str
        Where; must not exist.
    points : mapping of str to Planted
        In the order of depth.
    n : int
        Sentences.
    languages : sequence of str
    width : int
        Features of every point.
    seed : int
    falling : float
        The i-th direction has standard deviation ``i ** -falling``; shares of variance are the same in each.
    texts : sequence of str, or mapping of language to sequence of str, optional
        Of the sentences, in every language or in each.
    clusters : sequence of str, optional
        What each sentence is said to belong to.
    together : float
        The share of the variance of every component that the sentences of one cluster have in common.
    second : bool or sequence of int
        Whether a second reader reads every sentence, in every language; or which sentences, by number. They are stores
        of their own in addition to the first (:mod:`babelscope.capture.second_readings`).
    readers : int
        In each language, in turn, with no voice of their own.

    Returns
    -------
    Activations

    Raises
    ------
    UsageError
        If a point's shares are negative or sum to more than 1.
    """
    for name, planted in points.items():
        planted.check(name)
    sentences = tuple(f"s{index:04}" for index in range(n))
    rows = tuple(
        {
            "modality": "both",
            "name": name,
            "stage": points[name].stage,
            "depth": index / max(len(points) - 1, 1),
            "width": width,
            "formula": "1",
            "module": "",
        }
        for index, name in enumerate(points)
    )
    note = "Synthetic activations with planted shares of variance."
    sides = [
        {"modality": modality, "family": "planted", "unit": "", "parameters": 0, "points": list(rows)}
        for modality in MODALITIES
    ]
    provenance = {
        "model": {
            "name": "planted",
            "revision": str(seed),
            "options": {},
            "notes": [note],
            "shared": True,
            "weights": [],
            "sides": sides,
        },
        "corpus": {
            "name": "planted",
            "title": "planted",
            "fingerprint": str(seed),
            "languages": list(languages),
            "n": n,
            "notes": [],
        },
        "pooling": "none",
        "created": now(),
        "versions": versions(),
    }
    identity: dict[str, object] = {
        "planted": {name: _known_of(planted) for name, planted in points.items()},
        "n": n,
        "languages": list(languages),
        "seed": seed,
        "width": width,
    }
    identity |= {name: value for name, value in (("falling", falling), ("together", together)) if value}
    writer = Writer(Path(path), Layout(sentences, tuple(languages), MODALITIES, rows, n, identity, provenance))
    if clusters:
        writer.write_clusters(dict(zip(sentences, clusters, strict=True)))
    draw = partial(
        planted_vectors, points, n=n, languages=languages, width=width, seed=seed, falling=falling, clusters=clusters,
        together=together,
    )  # fmt: skip
    vectors, lengths = draw()
    names = [f"reader {index % readers}" for index in range(n)]
    for column, language in enumerate(languages):
        given = list(texts[language] if isinstance(texts, Mapping) else texts)
        written = given or [f"text of {sentence}" for sentence in sentences]
        writer.write_language(column, {"text": written, "recording": [""] * n, "reader": names})
        for modality in MODALITIES:
            positions = {name: [1] * n for name in points}
            block = Block(vectors[modality, language], positions, list(map(float, lengths[modality, language])))
            writer.write_block(modality, column, slice(0, n), block)
    writer.finish()
    if second is not False:
        chosen = list(range(n)) if second is True else list(second)
        others, _ = draw(second=True)
        spoken = tuple(row | {"modality": "speech"} for row in rows)
        read = tuple(sentences[row] for row in chosen)
        for language in languages:
            second_identity = identity | {"second": [language, chosen]}
            layout = Layout(read, (language,), ("speech",), spoken, n, second_identity, provenance)
            own = Writer(place_of_language(Path(path), language), layout)
            nothing, reader = [""] * len(chosen), [f"other of {language}"] * len(chosen)
            own.write_language(0, {"text": nothing, "recording": nothing, "reader": reader})
            vectors_there = {name: values[chosen] for name, values in others["speech", language].items()}
            amounts = [float(lengths["speech", language][row]) for row in chosen]
            ones = {name: [1] * len(chosen) for name in points}
            own.write_block("speech", 0, slice(0, len(chosen)), Block(vectors_there, ones, amounts))
            own.finish()
    return Activations(path)


def _known_of(planted: Planted) -> dict[str, object]:
    """Return the shares, without those of readers where there are none: stores of before had no such."""
    shares = asdict(planted)
    return {name: value for name, value in shares.items() if name not in ("reader", "readers_differ") or value}


def planted_vectors(
    points: Mapping[str, Planted],
    *,
    n: int,
    languages: Sequence[str],
    width: int = 24,
    seed: int = 0,
    falling: float = 0.0,
    clusters: Sequence[str] = (),
    together: float = 0.0,
    second: bool = False,
) -> tuple[dict[tuple[str, str], dict[str, NDArray[np.float32]]], dict[tuple[str, str], NDArray[np.float64]]]:
    """Return what :func:`planted_activations` writes: vectors and lengths, by modality and language.

    With `second`, the recordings are those of the second readers.

    Returns
    -------
    vectors : dict of (modality, language) to dict of point to ndarray, shape (n, width)
    lengths : dict of (modality, language) to ndarray, shape (n,)
    """
    scale = np.arange(1, width + 1) ** -float(falling)
    generator = np.random.default_rng(seed)
    of_languages = np.random.default_rng([seed, 1])
    base = generator.standard_normal(n)
    logs = {
        (modality, language): 2.0 + 0.4 * (0.95 * base + 0.05 * generator.standard_normal(n))
        for modality in MODALITIES
        for language in languages
    }
    codes = np.unique(list(clusters), return_inverse=True)[1] if together else None

    def drawn() -> NDArray[np.float64]:
        own = generator.standard_normal((n, width))
        if codes is None:
            return own
        common = generator.standard_normal((int(codes.max()) + 1, width))[codes]
        return np.asarray(np.sqrt(together) * common + np.sqrt(1 - together) * own)

    of_readers = np.random.default_rng([seed, 2, int(second)])
    vectors: dict[tuple[str, str], dict[str, NDArray[np.float32]]] = {key: {} for key in logs}
    for name, planted in points.items():
        meaning = drawn()
        of_modality = {modality: drawn() for modality in MODALITIES}
        of_language = {language: drawn() for language in languages}
        direction = generator.standard_normal(width)
        direction *= np.sqrt(width) / np.linalg.norm(direction)
        spoken = {
            language: planted.meaning + planted.reach * of_languages.uniform(-1, 1) - planted.lost.get(language, 0.0)
            for language in languages
        }
        for modality, language in logs:
            length = (logs[modality, language] - logs[modality, language].mean()) / logs[modality, language].std()
            share = max(spoken[language], 0.0) if modality == "speech" else planted.meaning
            made = (
                np.sqrt(share) * meaning
                + np.sqrt(planted.modality) * of_modality[modality]
                + np.sqrt(planted.language) * of_language[language]
                + np.sqrt(planted.length) * length[:, None] * direction
                + np.sqrt(max(planted.noise + planted.meaning - share, 0.0)) * drawn()
            )
            vectors[modality, language][name] = np.asarray(scale * made, dtype=np.float32)
        if planted.reader or planted.readers_differ:
            for language in languages:
                share = planted.reader + 3.0**0.5 * planted.readers_differ * of_readers.uniform(-1, 1)
                voice = scale * of_readers.standard_normal((n, width))
                heard = np.sqrt(1 - share) * vectors["speech", language][name] + np.sqrt(share) * voice
                vectors["speech", language][name] = np.asarray(heard, dtype=np.float32)
    return vectors, {key: np.exp(logged) for key, logged in logs.items()}
