"""Everything that is checked of a model, side by side, and then of both together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from babelscope.errors import UsageError
from babelscope.progress import Progress
from babelscope.sides import MODALITIES, Modality, Model, Side
from babelscope.verification.checks import Examination
from babelscope.verification.items import prepare
from babelscope.verification.measurements import versions
from babelscope.verification.result import CHECKS, Row, Verification
from babelscope.verification.sharing import apart, changed_settings, different_parameters, record, replay


def verify(model: Model, *, language: str = "en", full: bool = False, progress: Progress | None = None) -> Verification:
    """Check that a model is what it says, with synthetic texts and noise: see :data:`CHECKS`.

    Parameters
    ----------
    model : Model
        Registered, a pair, or from another package.
    language : str
        What items are prepared as, and whose weights are taken where each language has its own.
    full : bool
        Try every residue modulo the strides, and long texts; else about twenty lengths for a side.
    progress : callable, optional

    Returns
    -------
    Verification
        A check that raises is a row that fails, with what it raised.

    Raises
    ------
    UsageError
        If the model does not take the language, or has no weights.
    """
    begun = time.monotonic()
    sides = {modality: model.sides[modality].for_language(language) for modality in model.modalities}
    for side in sides.values():
        if side.device.type == "meta":
            raise UsageError(f"model {model.name} was only planned: load it to verify it")
    examinations = {modality: Examination(side, language, full) for modality, side in sides.items()}
    steps: list[tuple[str, str, Callable[[], Iterator[Row]]]] = [
        (modality, check, run)
        for modality, examination in examinations.items()
        for check, run in examination.checks().items()
    ]
    if len(sides) == 2:
        steps.append(("both", "same modules", lambda: _same_modules(model, sides, language)))
    rows: list[Row] = []
    for number, (side_name, check, run) in enumerate(steps):
        if progress:
            progress(f"{check} ({side_name})", number, len(steps))
        rows += _rows(side_name, check, run)
    order = list(CHECKS)
    rows.sort(key=lambda row: (("both", *MODALITIES).index(row.side), order.index(row.check)))
    return Verification(model.name, tuple(rows), _about(model, sides, language, full), time.monotonic() - begun)


def _rows(side: str, check: str, run: Callable[[], Iterator[Row]]) -> list[Row]:
    """Return a check's rows; if it raises, those until then, and one that fails with what was raised."""
    rows: list[Row] = []
    try:
        rows.extend(run())
    except Exception as error:  # a model may raise anything; it is what the check measures
        said = " ".join(str(error).split())[:300] or "no message"
        rows.append(Row(check, side, "", "fails", f"{type(error).__name__}: {said}", remedy="see the error"))
    return rows


def _about(model: Model, sides: dict[Modality, Side], language: str, full: bool) -> dict[str, Any]:
    first = next(iter(sides.values()))
    return {
        "device": str(first.device),
        "dtype": str(next(first.root.parameters()).dtype).removeprefix("torch."),
        "language": language,
        "full": full,
        "weights": [vars(file) for file in model.weights],
        "options": {name: str(value) for name, value in model.options.items()},
        "versions": versions(),
    }


def _same_modules(model: Model, sides: dict[Modality, Side], language: str) -> Iterator[Row]:
    """At every shared point both sides have one module, one set of parameters, and one state of its adapters."""
    names = model.shared_points
    if not names:
        yield Row("same modules", "both", "", "note", "the two sides share no point: they are two models")
        return
    text, speech = sides["text"], sides["speech"]
    alike = []
    for name in names:
        ours, theirs = (next(point for point in side.points if point.name == name) for side in (text, speech))
        if not ours.module and not theirs.module:
            yield Row("same modules", "both", name, "holds", "a vector that both sides return")
            continue
        modules = [side.root.get_submodule(point.module) for side, point in ((text, ours), (speech, theirs))]
        described = [(point.stage, point.depth, point.width) for point in (ours, theirs)]
        different = different_parameters(*modules)
        problem = ""
        if described[0] != described[1]:
            problem = "stage, depth or width differ between the sides"
        elif different:
            problem = f"{len(different)} parameters are not the same in both, such as {different[0]}"
        elif modules[0] is not modules[1]:
            problem = "two module objects with the same parameters"
        if problem:
            remedy = "let both sides use one module, or name the points differently"
            yield Row("same modules", "both", name, "fails", problem, remedy=remedy)
        else:
            alike.append(name)
    yield from _same_function(sides, alike, language)


def _same_function(sides: dict[Modality, Side], names: list[str], language: str) -> Iterator[Row]:
    """Feed each shared module, in the pass of a text, what a recording fed it, and compare what it gives."""
    items = {modality: prepare(side, Examination(side, language).typical, language) for modality, side in sides.items()}
    points = {modality: [point for point in side.points if point.name in names] for modality, side in sides.items()}
    recorded = record(sides["speech"], items["speech"], points["speech"])
    replayed = replay(sides["text"], items["text"], points["text"], recorded)
    for name in names:
        if name not in recorded or name not in replayed:
            yield Row("same modules", "both", name, "untested", "its module did not run on both sides")
            continue
        difference = apart(recorded[name], replayed[name])
        changed = changed_settings(recorded[name], replayed[name])
        if difference is None:
            yield Row(
                "same modules", "both", name, "untested", "it does not give the same bits when fed the same twice"
            )
        elif difference > 0:
            reason = f" ({changed[0]})" if changed else ""
            yield Row(
                "same modules",
                "both",
                name,
                "fails",
                f"fed the same, it gives another output for text than for speech, by {difference:.1e}{reason}",
                remedy="switch adapters such as LoRA the same for both sides, or give the sides points of other names",
            )
        else:
            yield Row("same modules", "both", name, "holds", "one module, the same output for the same input")
