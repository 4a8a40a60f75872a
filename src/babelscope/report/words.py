"""How names and numbers are written for a reader: the same words in the charts, on the page and in the terminal."""

from __future__ import annotations

import math
import re

#: What a reader calls the comparisons.
KIND_TITLES: dict[str, str] = {
    "modality_gap": "Modality gap",
    "language_gap_text": "Language gap in text",
    "language_gap_speech": "Language gap in speech",
    "cross_gap": "Cross gap",
}

#: What is compared with what, in a few words.
KIND_LINES: dict[str, str] = {
    "modality_gap": "text against speech of the same language",
    "language_gap_text": "text against text of another language",
    "language_gap_speech": "speech against speech of another language",
    "cross_gap": "speech of one language against text of another",
}

#: What a reader calls the heat maps.
MAP_TITLES: dict[str, str] = {
    "text": "Text against text",
    "speech": "Speech against speech",
    "cross": "Speech (rows) against text (columns)",
    "text-speech": "Text against speech, along the layers",
}

CONTROL_TITLES: dict[str, str] = {
    "none": "as it is",
    "length_regressed": "length regressed out",
    "length_only": "length alone",
    "shuffled": "shuffled",
}

_MEASURE_TITLES: dict[str, str] = {
    "svcca": "SVCCA",
    "pwcca": "PWCCA",
    "cca": "CCA",
    "cv_cca": "Cross-validated CCA",
    "linear_cka": "Linear CKA",
    "rbf_cka": "RBF CKA",
    "procrustes": "Procrustes",
    "rsa": "RSA",
    "mutual_knn": "Mutual k-NN",
    "retrieval": "Retrieval P@1",
    "xsim": "xSIM",
    "mexa": "MEXA",
    "anc": "Average neuron-wise correlation",
    "centroid_gap": "Centroid gap",
}

#: Written where there is no number.
NOTHING = "–"


def measure_head(measure: str) -> str:
    """Return the name of a measure without its parameters: ``svcca`` of ``svcca(variance=0.99)``."""
    return measure.split("(", 1)[0].strip()


def measure_title(measure: str) -> str:
    """Return a measure as a reader calls it: ``SVCCA, variance 0.99`` of ``svcca(variance=0.99)``.

    A measure that is not known here is shown as it is written in the scores.
    """
    title = _MEASURE_TITLES.get(measure_head(measure))
    match = re.fullmatch(r"[^()]*(?:\((.*)\))?", measure.strip(), flags=re.DOTALL)
    if title is None or match is None:
        return measure
    parts = []
    for part in (match.group(1) or "").split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if value == "True":
            parts.append(name)
        elif value == "False":
            parts.append(f"not {name}")
        elif name:
            parts.append(f"{name} {value}".strip())
    return ", ".join([title, *parts]).replace("_", " ")


def slug(name: str) -> str:
    """Return a name fit for a file or an anchor: letters, digits, dots and hyphens only."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.") or "unnamed"


def number(value: object, digits: int = 2) -> str:
    """Write a number with `digits` decimals, or a dash where there is none."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return NOTHING
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def p_value(value: object) -> str:
    """Write a p-value: ``< 0.001``, three decimals below 0.1, two above; a dash where there is none."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return NOTHING
    if value < 0.001:
        return "< 0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


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
