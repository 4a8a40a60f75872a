"""Where a result comes from: its title and date, and what it takes to run the study again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from babelscope.gaps.result import Result
from babelscope.report.queries import get, items, mapping
from babelscope.report.wording import number, span

#: Lines on what was left out that a page shows.
MOST_LINES = 100


def provenance(result: Result) -> list[tuple[str, list[str]]]:
    """Return what it takes to run the study again, pairs of a name and its lines; what was not recorded is left out."""
    meta = result.meta

    def lines(value: object) -> list[str]:
        if value is None or value == "" or value == [] or value == {}:
            return []
        if isinstance(value, dict):
            return [
                f"{key}: {', '.join(map(str, one)) if isinstance(one, (list, tuple)) else one}"
                for key, one in value.items()
            ]
        return [str(one) for one in value] if isinstance(value, (list, tuple)) else [str(value)]

    weights = []
    for file in items(get(meta, "model", "weights")):
        if isinstance(file, dict):
            checksum = f"sha256 {file['sha256']}" if file.get("sha256") else None
            weights.append("  ".join(str(one) for one in (file.get("file"), checksum, file.get("source")) if one))
    dropped = mapping(meta, "corpus", "dropped")
    minutes = mapping(meta, "corpus", "minutes")
    seconds = get(meta, "study", "seconds")
    table = [
        ("Study", lines(get(meta, "study", "name"))),
        ("Command", lines(get(meta, "study", "command"))),
        ("Time taken", [span(seconds)] if seconds is not None else []),
        ("Model", lines(get(meta, "model", "name"))),
        ("Revision", lines(get(meta, "model", "revision"))),
        ("Weights", weights),
        ("Model notes", lines(get(meta, "model", "notes"))),
        ("Corpus", lines(get(meta, "corpus", "title") or get(meta, "corpus", "name"))),
        ("Corpus fingerprint", lines(get(meta, "corpus", "fingerprint"))),
        ("Corpus notes", lines(get(meta, "corpus", "notes"))),
        ("Dropped by filters", [f"{name}: {count} sentences" for name, count in dropped.items() if count]),
        ("Not in the corpus", _first(lines(get(meta, "corpus", "left_out")))),
        ("Sentences skipped", _first(_skipped(meta))),
        ("Readers", [", ".join(lines(get(meta, "corpus", "readers")))]),
        ("Minutes of speech", [", ".join(f"{key}: {number(one, 1)}" for key, one in minutes.items())]),
        ("Options", lines({key: one for key, one in mapping(meta, "options").items() if key != "conventions"})),
        ("Versions", [", ".join(f"{key} {one}" for key, one in mapping(meta, "versions").items())]),
    ]
    return [(name, text_lines) for name, text_lines in table if any(text_lines)]


def _first(lines: list[str]) -> list[str]:
    """Return the first lines, and how many more there are."""
    more = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], f"… and {more} more: result.json has all"] if more > 0 else lines


def _skipped(meta: dict[str, Any]) -> list[str]:
    """Return what could not be encoded, a line each, under a line that says what that means."""
    skipped = [cell for cell in items(get(meta, "corpus", "skipped")) if isinstance(cell, dict)]
    if not skipped:
        return []
    count = len({cell.get("sentence") for cell in skipped})
    heading = f"{count} sentence{' was' if count == 1 else 's were'} left out of all languages and both modalities:"
    return [heading, *(str(cell.get("reason")) for cell in skipped)]


def title(result: Result) -> str:
    """Return what the study is called."""
    names = (get(result.meta, "study", "name"), get(result.meta, "model", "name"), "babelscope study")
    return next(str(name) for name in names if name)


def date(result: Result) -> str:
    """Return when it was made, to the minute."""
    created = str(get(result.meta, "study", "created") or "")
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    zone = {None: "", "UTC": " UTC"}.get(moment.tzname(), f" {moment:%z}")
    return f"{moment:%Y-%m-%d %H:%M}{zone}" if len(created) > 10 else created
