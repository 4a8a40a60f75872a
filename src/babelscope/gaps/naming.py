"""What a reader calls the measures: one name each, in sentences, tables and pictures."""

from __future__ import annotations

import re

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
