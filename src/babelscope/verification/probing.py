"""What has to be known of a side before its first run: which points hold, and whether padding changes the numbers.

A model that is described by rules is measured once, in a few forward passes, and the outcome is kept in the cache
folder under the hash of its weights and of everything else that it depends on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from babelscope.errors import DataError
from babelscope.sides import Side, WeightsFile, with_points
from babelscope.verification.checks import Examination
from babelscope.verification.measurements import keep, kept, key_of
from babelscope.verification.watching import deviations


@dataclass(frozen=True)
class Probe:
    """What was measured of a side.

    Attributes
    ----------
    exact_in_batches : bool
        Whether utterances may run in padded batches.
    worst : mapping of str to float
        By how much a padded batch differs from its utterances alone, by point; empty if no batch could be run. Infinity
        where it is not finite.
    left_out : mapping of str to str
        Points that are not as described, and what was seen.
    shortest : int
        The shortest utterance with finite activations, in samples or characters.
    notes : tuple of str
        The same for a reader of the numbers, a sentence each.
    """

    exact_in_batches: bool
    worst: Mapping[str, float] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    shortest: int = 1
    notes: tuple[str, ...] = ()


def probe(
    side: Side, weights: Iterable[WeightsFile] = (), *, language: str = "en", options: Mapping[str, Any] | None = None
) -> Probe:
    """Measure a side in a few forward passes, or take what was measured of the same weights before.

    Parameters
    ----------
    side : Side
        Of one language, with its weights.
    weights : iterable of WeightsFile
        What it was read from. Nothing is kept in the cache, or taken from it, if there are none.
    language : str
    options : mapping, optional
        What else changes its numbers: a prompt, an adapter.

    Returns
    -------
    Probe
        To be applied with :func:`apply`.

    Raises
    ------
    DataError
        If it takes no utterance, or no point holds.
    """
    files = tuple(weights)
    if not files:
        return measure(side, language)
    key = _key(side, files, language, options or {})
    outcome = _from_plain(kept("probes", key))
    if outcome is None:
        outcome = measure(side, language)
        keep("probes", key, _plain(outcome))
    return outcome


def apply(probe: Probe, side: Side) -> None:
    """Leave out of a side the points that do not hold, and say whether it is exact in batches.

    Parameters
    ----------
    probe : Probe
    side : Side
        Is changed.
    """
    side.points = tuple(point for point in side.points if point.name not in probe.left_out)
    side.exact_in_batches = probe.exact_in_batches


def measure(side: Side, language: str = "en") -> Probe:
    """Measure a side; see :func:`probe`.

    Raises
    ------
    DataError
        If it takes no utterance, or no point holds; if it overflows in 16 bits.
    """
    examination = Examination(side, language)
    if examination.dtype in (torch.float16, torch.bfloat16) and (overflow := examination.overflow()):
        raise DataError(f"the {side.modality} side: {overflow}")
    left_out: dict[str, str] = {}

    def leave_out(check: str, rows: Iterable[Any]) -> bool:
        wrong = {row.point: row.text for row in rows if row.outcome == "fails"}
        if "" in wrong:
            raise DataError(f"the {side.modality} side does not hold ({check}): {wrong['']}")
        left_out.update(wrong)
        examination.side = with_points(side, [point for point in examination.side.points if point.name not in left_out])
        if not examination.side.points:
            name, reason = next(iter(left_out.items()))
            raise DataError(f"no point of the {side.modality} side holds: {name}: {reason}")
        return bool(wrong)

    while leave_out("fires", list(examination.fires())):
        pass
    leave_out("widths", list(examination.widths()))
    low, high = examination.bounds
    middle = min(max(examination.typical // 2, low), high)
    leave_out("lengths", list(examination.lengths(sorted({low, middle, examination.typical}))))
    worst, why = _worst(examination, sorted({low, middle, examination.typical}))
    exact = bool(worst) and max(worst.values()) <= examination.tolerance
    notes = [f"{side.modality.capitalize()}: {why}"]
    notes += [f"Left out: {name}: {reason}." for name, reason in left_out.items()]
    return Probe(exact, worst, left_out, low, tuple(notes))


def _worst(examination: Examination, sizes: list[int]) -> tuple[dict[str, float], str]:
    """Return by how much a padded batch differs from its items alone, and a sentence that says so."""
    side = examination.side
    alone = "so utterances run one at a time."
    packed = next((point.name for point in side.points if point.layout == "td"), None)
    if packed:
        return {}, f"{packed} packs its positions, {alone}"
    if side.modality == "text":
        sizes = sorted({*sizes, examination.bounds[0] + 5})
    items = [examination.item(size) for size in sizes]
    try:
        worst = deviations(side, items, [examination.alone(size).values for size in sizes])
    except Exception as error:  # a model may raise anything for a padded batch
        return {}, f"a padded batch cannot be run ({' '.join(str(error).split())[:200]}), {alone}"
    point = max(worst, key=lambda name: worst[name])
    if worst[point] == 0:
        return worst, "a padded batch gives the same as one utterance at a time, so they run in batches."
    share = f"{worst[point]:.0e} of the largest activation" if math.isfinite(worst[point]) else "a number not finite"
    measured = f"a padded batch differs from one utterance at a time by {share} at most (at {point})"
    if worst[point] > examination.tolerance:
        return worst, f"{measured}, {alone}"
    return worst, f"{measured}, so they run in batches."


def _key(side: Side, weights: tuple[WeightsFile, ...], language: str, options: Mapping[str, Any]) -> str:
    """Return a hash of all that the outcome depends on."""
    return key_of(
        {
            "weights": [file.sha256 for file in weights],
            "dtype": str(next(side.root.parameters()).dtype),
            "device": side.device.type,
            "language": language,
            "options": {name: str(value) for name, value in sorted(options.items())},
            "side": [type(side).__module__, type(side).__qualname__, side.modality, side.longest, side.window],
            "points": [str(point) for point in side.points],
        }
    )


def _plain(probe: Probe) -> dict[str, Any]:
    worst = {name: value if math.isfinite(value) else None for name, value in probe.worst.items()}
    return {**asdict(probe), "worst": worst}


def _from_plain(plain: Any) -> Probe | None:
    """Return what the cache holds; None if there is nothing."""
    if plain is None:
        return None
    worst = {name: math.inf if value is None else float(value) for name, value in plain["worst"].items()}
    return Probe(**{**plain, "worst": worst, "notes": tuple(plain["notes"])})
