"""What is compared with what: the modality gap of each language, the language gaps of each pair, at every point."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple

from babelscope.capture.store import Activations
from babelscope.errors import UsageError, did_you_mean

Kind = Literal["modality_gap", "language_gap_text", "language_gap_speech"]

#: Which text point a speech point is held against, where the two sides have no point in common.
MATCHES: dict[str, str] = {
    "output": "every speech point against the text side's output (its last point)",
    "depth": "every speech point against the text point nearest in relative depth",
    "all": "every speech point against every text point",
}


class Place(NamedTuple):
    """One representation: a point, in one modality of one language."""

    modality: str
    point: str
    language: str


@dataclass(frozen=True)
class Comparison:
    """Two representations of the same sentences, and what their difference is called."""

    kind: Kind
    a: Place
    b: Place

    @property
    def same_space(self) -> bool:
        """Whether both sides are vectors of one space, so that distances between them mean something."""
        return self.a.point == self.b.point


def plan(activations: Activations, match: str = "output") -> list[Comparison]:
    """List every comparison that a store allows.

    At a point that both sides share, speech is held against text at that same point. Elsewhere `match` decides, because
    two towers have no common depth.

    Parameters
    ----------
    activations : Activations
    match : {"output", "depth", "all"}

    Returns
    -------
    list of Comparison
        Modality gaps first (a is speech, b is text), then text-text and speech-speech of each pair of languages.

    Raises
    ------
    UsageError
        If `match` is unknown, or there is one language in one modality, so that nothing can be compared.
    """
    if match not in MATCHES:
        raise UsageError(f"match {match!r} is unknown; {did_you_mean(match, MATCHES)}")
    languages, modalities = activations.languages, activations.modalities
    found: list[Comparison] = []
    if {"text", "speech"} <= set(modalities):
        for speech_point, text_point in _across(activations, match):
            found += [
                Comparison("modality_gap", Place("speech", speech_point, language), Place("text", text_point, language))
                for language in languages
            ]
    kinds: dict[str, Kind] = {"text": "language_gap_text", "speech": "language_gap_speech"}
    for modality in modalities:
        for point in activations.points(modality):
            found += [
                Comparison(kinds[modality], Place(modality, point, first), Place(modality, point, second))
                for first, second in combinations(languages, 2)
            ]
    if not found:
        raise UsageError(
            f"{activations.path.name} has one language ({', '.join(languages)}) and only {'/'.join(modalities)}: "
            f"nothing can be compared; "
            "encode a second language or the other modality"
        )
    return found


def _across(activations: Activations, match: str) -> list[tuple[str, str]]:
    shared = set(activations.shared_points)
    texts = activations.points("text")
    pairs: list[tuple[str, str]] = []
    for point in activations.points("speech"):
        if point in shared:
            pairs.append((point, point))
        elif match == "all":
            pairs += [(point, text) for text in texts]
        elif match == "depth":
            depth = activations.depth(point, "speech")
            pairs.append((point, min(texts, key=lambda text: abs(activations.depth(text, "text") - depth))))
        else:
            pairs.append((point, texts[-1]))
    return pairs
