"""Cuts of Lhotse, one JSON object a line: each supervision is a segment of a recording."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from babelscope.corpora.manifest.errors import RefusedError, shown
from babelscope.corpora.manifest.tables import base_of


def cut_rows(cut: Mapping[str, Any], folder: Path) -> Iterator[Mapping[str, Any]]:
    """Yield a row for every supervision of a cut; for the cut itself if it has none.

    Raises
    ------
    RefusedError
        If it is mixed or padded, or its recording is no file.
    """
    kind = cut.get("type")
    if kind not in (None, "Cut", "MonoCut", "MultiCut"):
        remedy = "write the cuts as recordings of their own first (save_audios)"
        raise RefusedError(f"is a {shown(kind)}, which no single file holds", remedy, kind="cut-type")
    recording = cut.get("recording")
    if not isinstance(recording, Mapping):
        raise RefusedError(
            "has no recording: features cannot be read", "write cuts with recordings", kind="no-recording"
        )
    source = _source(recording)
    audio = str(base_of(folder, source).absolute() / source)
    begin, lasts = _number(cut, "start"), _number(cut, "duration")
    supervisions = cut.get("supervisions") or ()
    if not isinstance(supervisions, Sequence) or not all(isinstance(each, Mapping) for each in supervisions):
        raise RefusedError(f"has supervisions {shown(supervisions)}", "write the cuts again", kind="cut-type")
    for each in supervisions or ({"id": cut.get("id")},):
        start = begin + _number(each, "start")
        yield {
            "sentence": each.get("id") or cut.get("id"),
            "language": each.get("language"),
            "text": each.get("text") or None,
            "audio": audio,
            "reader": each.get("speaker"),
            "start": start,
            "seconds": _number(each, "duration") or lasts,
        }


def _source(recording: Mapping[str, Any]) -> str:
    sources = recording.get("sources")
    first = sources[0] if isinstance(sources, Sequence) and len(sources) == 1 else None
    if not isinstance(first, Mapping):
        raise RefusedError(
            "has a recording of several files, or none", "write one file a recording", kind="no-recording"
        )
    if first.get("type") == "command":
        remedy = "run it once, and name the file that it writes"
        raise RefusedError("names a command, which is never executed", remedy, kind="command")
    if first.get("type") != "file" or not isinstance(first.get("source"), str):
        remedy = "write the recordings to files"
        raise RefusedError(
            f"has a recording of type {shown(first.get('type'))}, which is no file", remedy, kind="no-recording"
        )
    return str(first["source"])


def _number(fields: Mapping[str, Any], name: str) -> float:
    value = fields.get(name, 0.0)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RefusedError(f"has {name} {shown(value)}", "it must be a number", kind=f"broken-{name}")
    return float(value)
