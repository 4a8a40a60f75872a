"""What a verification of a model finds: a row for every check at every point, and what they come to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

#: Of the structure of :meth:`Verification.to_json`; a key may be added without a new number.
FORMAT = 1

#: "note" is a property to know of, neither right nor wrong; "untested" says why a check did not run.
Outcome = Literal["holds", "fails", "note", "untested"]

#: Worst first.
OUTCOMES: tuple[Outcome, ...] = ("fails", "untested", "note", "holds")

#: How many different things that were measured a summary names.
SHOWN = 3

#: What each check asks, in the order in which they are shown.
CHECKS: dict[str, str] = {
    "description": "point names are unique, depths rise from 0 to 1, the model is in evaluation mode",
    "fires": "every point fires as often as it says, in the order of the points",
    "widths": "every point has the axes and the width that it says",
    "shortest": "the shortest utterance gives finite activations",
    "refusal": "what is too short is refused in one line",
    "lengths": "positions are as many as claimed, from the shortest to the longest",
    "silence": "digital silence gives finite activations, or is refused in one line",
    "full scale": "a recording at full scale gives finite activations",
    "batches": "a padded batch equals its utterances alone, position by position",
    "rerun": "the same utterance gives the same bits again, after another one",
    "own forward": "equals the model's own forward pass through its own processor",
    "pooled silence": "whether silence behind a recording is pooled",
    "added silence": "by how much a second of silence behind a recording changes the recording's own positions",
    "range": "activations stay within the range of the number format",
    "same modules": "text and speech run the same modules, with the same parameters and adapters",
}


@dataclass(frozen=True)
class Row:
    """One check at one point, or of a whole side.

    Attributes
    ----------
    check : str
        One of :data:`CHECKS`.
    side : {"text", "speech", "both"}
    point : str
        Empty if the check is of the side.
    outcome : {"holds", "fails", "note", "untested"}
    measured : float or str
        A number as a share of the largest activation, or what was seen.
    allowed : float or None
        Largest number that holds; None where the check measures none.
    remedy : str
        What to do if it fails; empty otherwise.
    """

    check: str
    side: str
    point: str
    outcome: Outcome
    measured: float | str
    allowed: float | None = None
    remedy: str = ""

    @property
    def text(self) -> str:
        """What was measured, for people."""
        where = f" at {self.point}" if self.point else ""
        if isinstance(self.measured, str):
            return self.measured + where
        measured = "not finite" if not math.isfinite(self.measured) else f"{self.measured:.1e}"
        if self.allowed is None:
            return f"{measured} of the largest activation{where}"
        return f"{measured}{where} (allowed: {self.allowed:.0e})"


@dataclass(frozen=True)
class Verification:
    """What was measured of a model.

    Attributes
    ----------
    model : str
    rows : tuple of Row
        In the order of :data:`CHECKS`, and of the points.
    about : mapping
        Device, dtype, language, versions, weights: what the figures are of.
    seconds : float
    """

    model: str
    rows: tuple[Row, ...]
    about: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether no check fails."""
        return all(row.outcome != "fails" for row in self.rows)

    @property
    def failures(self) -> tuple[Row, ...]:
        """The rows that fail."""
        return tuple(row for row in self.rows if row.outcome == "fails")

    def summary_rows(self) -> list[Row]:
        """Return one row for each check of each side: the first that fails, else the one with the largest number."""
        groups: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            groups.setdefault((row.check, row.side), []).append(row)
        order = list(CHECKS)
        return [
            row
            for key in sorted(groups, key=lambda key: (("both", "text", "speech").index(key[1]), order.index(key[0])))
            for row in _summarised(groups[key])
        ]

    def summary(self) -> str:
        """Return in one line whether everything holds, and how many checks failed."""
        kinds = {(row.check, row.side): row.outcome for row in self.summary_rows()}
        failed = [f"{check} ({side})" for (check, side), outcome in kinds.items() if outcome == "fails"]
        notes = sum(outcome == "note" for outcome in kinds.values())
        untested = sum(outcome == "untested" for outcome in kinds.values())
        holding = sum(outcome == "holds" for outcome in kinds.values())
        counts = f"{holding} checks hold, {len(failed)} fail, {notes} notes, {untested} untested ({self.seconds:.0f} s)"
        return f"{self.model}: {counts}" + (f"; what fails: {', '.join(failed)}" if failed else "")

    def to_json(self) -> dict[str, Any]:
        """Return everything as what JSON holds; a number that is not finite is null."""
        return {
            "format": FORMAT,
            "model": self.model,
            "holds": self.holds,
            "summary": self.summary(),
            **self.about,
            "seconds": round(self.seconds, 2),
            "checks": dict(CHECKS),
            "rows": [_plain(row) for row in self.rows],
        }


def _plain(row: Row) -> dict[str, Any]:
    plain = asdict(row)
    if isinstance(row.measured, float) and not math.isfinite(row.measured):
        plain["measured"] = None
    return plain


def _summarised(rows: Sequence[Row]) -> list[Row]:
    """Return the worst row of one check of one side; of rows that note different things, all of them."""
    worst = min((row.outcome for row in rows), key=OUTCOMES.index)
    chosen = [row for row in rows if row.outcome == worst]
    if worst == "fails":
        more = f" (and at {len(chosen) - 1} more points)" if len(chosen) > 1 else ""
        return [replace(chosen[0], measured=chosen[0].text + more, point="", allowed=None)] if more else chosen
    numbers = [row for row in chosen if isinstance(row.measured, float)]
    if numbers:
        return [max(numbers, key=lambda row: float(row.measured))]
    if worst != "holds":
        more = f" (and {len(chosen) - SHOWN} more notes)" if len(chosen) > SHOWN else ""
        return (
            [*chosen[: SHOWN - 1], replace(chosen[SHOWN - 1], measured=chosen[SHOWN - 1].text + more, point="")]
            if more
            else chosen
        )
    texts = list(dict.fromkeys(str(row.measured) for row in chosen))
    points = f" at {len(chosen)} points" if chosen[0].point and len(chosen) > 1 else ""
    shown = "; ".join(texts[:SHOWN]) + (f"; and {len(texts) - SHOWN} more" if len(texts) > SHOWN else "")
    return [replace(chosen[0], measured=shown + points, point=chosen[0].point if len(chosen) == 1 else "")]
