"""Which text points each speech point is compared with, and which of them stands for it along the depth.

Decided once, when a study is compared, and stored as the table ``pairing`` of its result.
"""

from __future__ import annotations

from typing import Protocol

import pandas as pd

from babelscope.gaps.result import TABLE_COLUMNS


class Places(Protocol):
    """What a plan must know of activations, stored or not."""

    name: str

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages, in order."""

    @property
    def modalities(self) -> tuple[str, ...]:
        """Of text and speech, those there are."""

    @property
    def shared_points(self) -> tuple[str, ...]:
        """Names of the points of both modalities."""

    def points(self, modality: str) -> tuple[str, ...]:
        """Names of a modality's points, in order."""

    def depth(self, point: str, modality: str) -> float:
        """Relative depth of a point."""


def pairs_of_points(places: Places, match: str) -> list[tuple[str, str]]:
    """Return every speech point with the text points that it is compared with.

    A point that both sides share is compared with itself, any other as `match` says
    (:data:`babelscope.gaps.comparisons.MATCHES`).
    """
    shared = set(places.shared_points)
    texts = places.points("text")
    own = [point for point in texts if point not in shared] or list(texts)
    pairs: list[tuple[str, str]] = []
    for point in places.points("speech"):
        if point in shared:
            pairs.append((point, point))
        elif match == "all":
            pairs += [(point, text) for text in own]
        elif match == "depth":
            depth = places.depth(point, "speech")
            pairs.append((point, min(own, key=lambda text: abs(places.depth(text, "text") - depth))))
        else:
            pairs.append((point, own[-1]))
    return pairs


def pairing_table(places: Places, match: str) -> pd.DataFrame:
    """Return columns ``pairing`` of :data:`babelscope.gaps.result.TABLE_COLUMNS`, a row a pair of points.

    ``shown`` marks the one text point that stands for a speech point along the depth: the point itself where both sides
    share it, else the deepest.
    """
    pairs = pairs_of_points(places, match)
    shown: dict[str, str] = {}
    for speech, text in sorted(pairs, key=lambda pair: places.depth(pair[1], "text")):
        if shown.get(speech) != speech:
            shown[speech] = text
    rows = [(speech, text, shown[speech] == text) for speech, text in pairs]
    return pd.DataFrame(rows, columns=list(TABLE_COLUMNS["pairing"]))


def shown_points(scores: pd.DataFrame, pairing: pd.DataFrame | None = None) -> dict[str, str]:
    """Return the text point that stands for each speech point, in the order of the scores.

    It is worked out from the scores where a result of an earlier version lacks the table ``pairing``.
    """
    if pairing is not None:
        kept = pairing[pairing["shown"].astype(bool)]
        return dict(zip(kept["speech_point"].astype(str), kept["text_point"].astype(str), strict=True))
    rows = scores[(scores["kind"] == "modality_similarity") & scores["depth_a"].notna()]
    pairs = rows[["point_a", "point_b", "depth_b"]].drop_duplicates(["point_a", "point_b"])
    shown: dict[str, str] = {}
    for speech, text in pairs.sort_values("depth_b", kind="stable")[["point_a", "point_b"]].astype(str).to_numpy():
        if shown.get(speech) != speech:
            shown[speech] = text
    return shown
