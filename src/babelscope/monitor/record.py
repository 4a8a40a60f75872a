"""The log of a monitor, as JSON Lines: one line for each event, only ever appended to.

A line of the event ``gaps`` holds all gaps of one probe, so that a killed run leaves complete probes. A run that
resumes from a checkpoint appends ``resume`` with its step: events logged from that step on belong to steps that are
repeated.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd

from babelscope.cache import naming_the_disk
from babelscope.errors import DataError, UsageError
from babelscope.gaps.old_names import renewed_log
from babelscope.monitor.measuring import LABELS, NUMBERS

#: Columns of :func:`read_log`.
LOG_COLUMNS: tuple[str, ...] = ("step", "time", *LABELS, *NUMBERS, "n", "seconds", "share")


class Record:
    """A log that is being written: created, or continued; an incomplete last line of a killed run is removed.

    `identity` are the monitor's options, JSON-able. UsageError if the log is another monitor's, DataError if it is
    damaged or cannot be written.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path, self.identity = path, json.loads(json.dumps(identity))
        self.last: dict[str, Any] | None = None
        self.steps: list[int] = []
        self.resumes = False
        with naming_the_disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            events = _events(path, cut=True) if path.exists() else []
        for event in events:
            if event["event"] == "start" and event["monitor"] != self.identity:
                own, other = self.identity, event["monitor"]
                differing = sorted(key for key in own.keys() | other.keys() if own.get(key) != other.get(key))
                raise UsageError(
                    f"{path} is the log of another monitor (other {', '.join(differing)}): name another log, or delete "
                    "it"
                )
            self._note(event)

    def _note(self, event: dict[str, Any]) -> None:
        self.resumes = True
        if event["event"] == "gaps":
            self.last = event
            self.steps.append(event["step"])

    def write(self, event: str, **content: Any) -> None:
        """Append one line, and flush it to the disk."""
        self._note({"event": event, **content})
        line = json.dumps({"event": event, **content}, ensure_ascii=False, allow_nan=False)
        with naming_the_disk(self.path), self.path.open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")
            handle.flush()
            os.fsync(handle.fileno())


def _events(path: Path, *, cut: bool) -> list[dict[str, Any]]:
    """Return the complete lines of a log; with `cut`, remove an incomplete one at its end."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if cut and whole < len(content):
        with path.open("rb+") as handle:
            handle.truncate(whole)
    events: list[dict[str, Any]] = []
    for number, line in enumerate(content[:whole].splitlines(), 1):
        try:
            event = json.loads(line)
            event["event"]
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path}, line {number} is no event of a monitor's log: repair or delete it") from error
        events.append(renewed_log(event))
    return events


def read_log(path: Path | str) -> pd.DataFrame:
    """Read a monitor's log as one tidy table.

    Parameters
    ----------
    path : Path or str
        What a :class:`~babelscope.monitor.GapMonitor` writes, also while it writes.

    Returns
    -------
    DataFrame
        One row a probe, comparison and measure; columns ``step, time, kind, point, against, language_a, language_b,
        measure, value, null_mean, null_q95, chance_corrected, calibrated, p, n, seconds, share``: seconds of the probe,
        and what all probing had cost by then as a share of the training time. Probes of steps that a resumed run
        repeated are excluded.

    Raises
    ------
    DataError
        If there is no log, or a line of it is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"there is no log {path}")
    probes: list[dict[str, Any]] = []
    for event in _events(path, cut=False):
        if event["event"] == "resume":
            probes = [probe for probe in probes if probe["step"] < event["step"]]
        elif event["event"] == "gaps":
            probes.append(event)
    of_probe = ("step", "time", "seconds", "share")
    rows = [{name: probe[name] for name in of_probe} | row for probe in probes for row in probe["gaps"]]
    table = pd.DataFrame(rows, columns=list(LOG_COLUMNS))
    return table.astype(dict.fromkeys((*NUMBERS, "share"), "float64"))
