"""What is compared with what: each language's speech and text, and each pair of languages, at every point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations, product
from typing import Literal, NamedTuple

from babelscope.errors import UsageError, did_you_mean
from babelscope.gaps.old_names import current_kind
from babelscope.gaps.pairing import Places, pairs_of_points
from babelscope.gaps.result import KINDS
from babelscope.similarity import Measure

Kind = Literal[
    "modality_similarity",
    "language_similarity_text",
    "language_similarity_speech",
    "cross_similarity",
    "reader_similarity",
]

#: Which text point a speech point is compared with, where the two sides have no point in common.
MATCHES: dict[str, str] = {
    "output": "every speech point with the text side's output (its last point before those that both sides share)",
    "depth": "every speech point with the text point nearest in relative depth",
    "all": "every speech point with every text point",
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


def plan(activations: Places, match: str = "output", kinds: Sequence[str] | None = None) -> list[Comparison]:
    """List every comparison that a store allows.

    At a point that both sides share, speech is compared with text at that same point. Elsewhere `match` decides,
    because two towers have no common depth. The fourth kind, ``cross_similarity``, compares the speech of each language
    with the text of every other, at the places of the modality similarity: with L languages L (L - 1) comparisons a
    place, as many as the two language similarities together.

    Parameters
    ----------
    activations : Activations
        Or anything that knows its languages and points.
    match : {"output", "depth", "all"}
        ``all`` gives the cross-layer map: each speech point of its own with every text point of its own, as many
        comparisons a language as there are pairs of points.
    kinds : sequence of str, optional
        Of :data:`~babelscope.gaps.result.KINDS`; all by default.

    Returns
    -------
    list of Comparison
        Modality similarities first (a is speech, b is text), then text-text and speech-speech of each pair of
        languages, then speech against text of each ordered pair (a is speech).

    Raises
    ------
    UsageError
        If `match` or a kind is unknown, or nothing of what was asked can be compared.
    """
    if match not in MATCHES:
        raise UsageError(f"match {match!r} is unknown; {did_you_mean(match, MATCHES)}")
    wanted = check_kinds(kinds)
    languages, modalities = activations.languages, activations.modalities
    across = pairs_of_points(activations, match) if {"text", "speech"} <= set(modalities) else []

    def speech_against_text(kind: Kind, pairs: Iterable[tuple[str, str]]) -> list[Comparison]:
        return [
            Comparison(kind, Place("speech", speech_point, spoken), Place("text", text_point, written))
            for (speech_point, text_point), (spoken, written) in product(across if kind in wanted else (), pairs)
        ]

    comparisons = speech_against_text("modality_similarity", zip(languages, languages, strict=True))
    within: dict[str, Kind] = {"text": "language_similarity_text", "speech": "language_similarity_speech"}
    for modality in modalities:
        for point in activations.points(modality) if within[modality] in wanted else ():
            comparisons += [
                Comparison(within[modality], Place(modality, point, first), Place(modality, point, second))
                for first, second in combinations(languages, 2)
            ]
    comparisons += speech_against_text("cross_similarity", permutations(languages, 2))
    if not comparisons:
        count = "one language" if len(languages) == 1 else f"{len(languages)} languages"
        asked = "nothing" if kinds is None else f"none of {', '.join(wanted)}"
        raise UsageError(
            f"{activations.name} has {count} ({', '.join(languages)}) and only "
            f"{'/'.join(modalities)}: {asked} can be compared; encode a second language or the other modality"
        )
    return comparisons


def by_space(
    measures: Sequence[Measure], comparisons: Sequence[Comparison]
) -> Iterator[tuple[str, list[Measure], list[int]]]:
    """Yield the measures between any two spaces, and those of one space, with the comparisons that they allow.

    Each with a name for the two, and the comparisons by their numbers; what has no measure or comparison is left out.
    """
    for name, same_space in (("any-space", False), ("one-space", True)):
        chosen = [measure for measure in measures if measure.same_space is same_space]
        allowed = [at for at, one in enumerate(comparisons) if one.same_space or not same_space]
        if chosen and allowed:
            yield name, chosen, allowed


def check_kinds(kinds: Sequence[str] | None) -> list[str]:
    """Return the kinds that are asked for, in the order of :data:`~babelscope.gaps.result.KINDS`; all if None.

    UsageError if one is unknown, or none is asked for.
    """
    kinds = None if kinds is None else [current_kind(kind, "kinds") for kind in kinds]
    for kind in kinds or ():
        if kind not in KINDS:
            raise UsageError(f"kinds: {kind!r} is unknown; {did_you_mean(kind, KINDS)}")
    if kinds is not None and not kinds:
        raise UsageError(f"kinds is empty: name at least one of {', '.join(KINDS)}")
    return [kind for kind in KINDS if kinds is None or kind in kinds]
