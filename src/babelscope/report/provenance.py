"""What is needed to run the study again: model, weights, corpus, options, versions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from babelscope.gaps.result import Result
from babelscope.report import words

#: Lines on what was left out that a page shows.
MOST_LINES = 100


def section(result: Result) -> list[tuple[str, list[str]]]:
    """Return pairs of a name and its lines; what was not recorded is left out."""
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

    weights = [
        "  ".join(
            str(one)
            for one in (
                part.get("file"),
                f"sha256 {part['sha256']}" if part.get("sha256") else None,
                part.get("source"),
            )
            if one
        )
        for part in items(get(meta, "model", "weights"))
        if isinstance(part, dict)
    ]
    seconds = get(meta, "study", "seconds")
    table = [
        ("Study", lines(get(meta, "study", "name"))),
        ("Command", lines(get(meta, "study", "command"))),
        ("Time taken", [words.span(seconds)] if seconds is not None else []),
        ("Model", lines(get(meta, "model", "name"))),
        ("Revision", lines(get(meta, "model", "revision"))),
        ("Weights", weights),
        ("Model notes", lines(get(meta, "model", "notes"))),
        ("Corpus", lines(get(meta, "corpus", "title") or get(meta, "corpus", "name"))),
        ("Corpus fingerprint", lines(get(meta, "corpus", "fingerprint"))),
        ("Corpus notes", lines(get(meta, "corpus", "notes"))),
        ("Dropped by filters", _dropped(meta)),
        ("Not in the corpus", _first(lines(get(meta, "corpus", "left_out")))),
        ("Sentences skipped", _first(_skipped(meta))),
        ("Readers", [", ".join(lines(get(meta, "corpus", "readers")))]),
        (
            "Minutes of speech",
            [", ".join(f"{key}: {words.number(one, 1)}" for key, one in pairs(get(meta, "corpus", "minutes")))],
        ),
        ("Options", lines({key: one for key, one in pairs(get(meta, "options")) if key != "conventions"})),
        ("Versions", [", ".join(f"{key} {one}" for key, one in pairs(get(meta, "versions")))]),
    ]
    return [(name, found) for name, found in table if any(found)]


def _dropped(meta: dict[str, Any]) -> list[str]:
    """Return how many sentences each filter of the corpus dropped, where it dropped any."""
    return [f"{name}: {count} sentences" for name, count in pairs(get(meta, "corpus", "dropped")) if count]


def _first(lines: list[str]) -> list[str]:
    """Return the first lines, and how many more there are."""
    more = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], f"… and {more} more: result.json has all"] if more > 0 else lines


def _skipped(meta: dict[str, Any]) -> list[str]:
    """Return what could not be encoded, a line each, under a line that says what that means."""
    found = [one for one in items(get(meta, "corpus", "skipped")) if isinstance(one, dict)]
    if not found:
        return []
    count = len({one.get("sentence") for one in found})
    told = f"{count} sentence{' was' if count == 1 else 's were'} left out of all languages and both modalities:"
    return [told, *(str(one.get("reason")) for one in found)]


def title(result: Result) -> str:
    """Return what the study is called."""
    for name in (get(result.meta, "study", "name"), get(result.meta, "model", "name")):
        if name:
            return str(name)
    return "babelscope study"


def date(result: Result) -> str:
    """Return when it was made, to the minute."""
    created = str(get(result.meta, "study", "created") or "")
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    zone = {None: "", "UTC": " UTC"}.get(moment.tzname(), f" {moment:%z}")
    return f"{moment:%Y-%m-%d %H:%M}{zone}" if len(created) > 10 else created


def sides(result: Result) -> list[dict[str, Any]]:
    """Return each side of the model with the stretch of depth that every stage takes."""
    found = []
    for side in items(get(result.meta, "model", "sides")):
        points = [point for point in items(get(side, "points")) if isinstance(point, dict)]
        stages: dict[str, list[Any]] = {}
        for point in points:
            stages.setdefault(str(point.get("stage", "")), []).append(point)
        found.append(
            {
                "modality": get(side, "modality"),
                "family": get(side, "family"),
                "count": len(points),
                "stages": [
                    {
                        "name": name,
                        "first": here[0].get("name"),
                        "last": here[-1].get("name"),
                        "from": here[0].get("depth"),
                        "to": here[-1].get("depth"),
                    }
                    for name, here in stages.items()
                ],
                "widths": [str(width) for width in dict.fromkeys(point.get("width") for point in points)],
            }
        )
    return found


def get(meta: Any, *keys: str) -> Any:
    """Return what stands under nested keys, or None."""
    for key in keys:
        meta = meta.get(key) if isinstance(meta, dict) else None
    return meta


def items(value: object) -> list[Any]:
    """Return a value as a list: a text is one item, whatever is no list is none."""
    if isinstance(value, str):
        return [value] if value else []
    return list(value) if isinstance(value, (list, tuple)) else []


def pairs(value: object) -> list[tuple[Any, Any]]:
    """Return the items of a dictionary; whatever is none has none."""
    return list(value.items()) if isinstance(value, dict) else []
