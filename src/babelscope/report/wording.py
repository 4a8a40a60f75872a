"""How names and numbers are written for a reader: the same words in the charts, on the page and in the terminal."""

from __future__ import annotations

import math
import re

from babelscope.gaps.findings import CANNOT_TELL, HOLDS, HOLDS_NOT
from babelscope.gaps.naming import measure_head as measure_head
from babelscope.gaps.naming import measure_title as measure_title
from babelscope.numbers import NOTHING as NOTHING
from babelscope.numbers import number as number
from babelscope.numbers import p_value as p_value

#: What a reader calls the comparisons.
KIND_TITLES: dict[str, str] = {
    "modality_similarity": "Similarity of speech and text",
    "language_similarity_text": "Similarity of languages in text",
    "language_similarity_speech": "Similarity of languages in speech",
    "cross_similarity": "Similarity across both",
    "reader_similarity": "Noise ceiling of speech: two readers",
}

#: What a reader calls the gaps, which grow as things agree less.
GAP_TITLES: dict[str, str] = {
    "modality_gap": "Modality gap",
    "language_gap_text": "Language gap in text",
    "language_gap_speech": "Language gap in speech",
    "cross_gap": "Gap across both",
}

#: What is compared with what, in a few words.
KIND_LINES: dict[str, str] = {
    "modality_similarity": "speech and text of one language",
    "language_similarity_text": "texts of two languages",
    "language_similarity_speech": "speech of two languages",
    "cross_similarity": "speech of one language and text of another",
    "reader_similarity": "two recordings of a sentence by different readers, one language",
}

#: What a reader calls the heat maps.
MAP_TITLES: dict[str, str] = {
    "text": "Texts of two languages",
    "speech": "Speech of two languages",
    "cross": "Speech (rows) and text (columns)",
    "text-speech": "Speech and text of one language, along the layers",
    "readers": "Two readers of a sentence, along the layers",
}

CONTROL_TITLES: dict[str, str] = {
    "none": "as it is",
    "length_regressed": "after regressing out length",
    "length_only": "length alone",
    "strings_regressed": "after regressing out strings",
    "sounds_regressed": "after regressing out sounds",
    "shuffled": "shuffled",
}

#: What a reader calls a verdict of the findings.
VERDICT_TITLES: dict[str, str] = {HOLDS: "holds", HOLDS_NOT: "does not hold", CANNOT_TELL: "inconclusive"}


def slug(name: str) -> str:
    """Return a name fit for a file or an anchor: letters, digits, dots and hyphens only."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.") or "unnamed"


def plural(word: str, count: int) -> str:
    """Return the word, with an ``s`` unless there is one."""
    return word if count == 1 else f"{word}s"


def span(seconds: object) -> str:
    """Write a duration: ``48 s``, ``3 min 20 s``; a dash where there is none."""
    if not isinstance(seconds, (int, float)) or not math.isfinite(seconds):
        return NOTHING
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def listed(names: list[str], most: int = 12) -> str:
    """Write names as ``en, es and fr``; a long list ends with how many there are."""
    if len(names) > most:
        return ", ".join(names[:most]) + f", … ({len(names)} in all)"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
