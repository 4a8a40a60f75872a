"""What a study will take, before it is run: utterances, points, memory, disk, arithmetic, and hours on this machine.

Hours are measured: a few utterances of each modality go through the model, after one to warm up. Arithmetic is
counted by torch while they do.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from babelscope.capture import Capture
from babelscope.capture.position_encoding import PositionsPlan, plan_positions, with_positions
from babelscope.capture.preparing import item_of, prepare
from babelscope.capture.second_readings import second_recordings
from babelscope.corpora import Corpus
from babelscope.corpora.checks.output import in_short
from babelscope.models import Modality, Model, Prepared
from babelscope.models.planning import Plan
from babelscope.study.model import build_model
from babelscope.study.preflight import check_comparisons, check_start, checked_corpus
from babelscope.study.sections import check_sections, costs
from babelscope.study.settings import Study

#: Utterances of each modality that are tried: the shortest, some between, the longest.
TRIED = 4


@dataclass(frozen=True)
class SideForecast:
    """What one modality takes.

    Attributes
    ----------
    utterances : int
        Over all languages.
    points : int
    parameters : int
        Of one language's weights.
    flops : float
        For all utterances: twice the multiplications and additions of matrices, convolutions and attention.
    seconds : float
        For all utterances on this machine, preparation included.
    """

    modality: Modality
    utterances: int
    points: int
    parameters: int
    flops: float
    seconds: float


@dataclass(frozen=True)
class Forecast:
    """What a study takes.

    Attributes
    ----------
    sentences : int
    languages : tuple of str
    sides : tuple of SideForecast
    memory : int
        Bytes of the weights, as loaded.
    disk : int
        Bytes of the activations, before compression.
    comparisons : int
        Pairs of representations that are compared under every measure.
    second : tuple of (str, int)
        Languages whose sentences have second recordings, by other readers, and how many: encoded too, for the noise
        ceiling.
    second_seconds : float
        What encoding those takes on this machine.
    tokens : PositionsPlan, optional
        What keeping positions takes, where the study has a section ``[tokens]``.
    tokens_seconds : float
        What running those utterances again takes on this machine.
    warnings : tuple of str
        What the check of the corpus warns of.
    sections : tuple of (str, str)
        What each further section of the study takes, as label and value.
    """

    sentences: int
    languages: tuple[str, ...]
    sides: tuple[SideForecast, ...]
    memory: int
    disk: int
    comparisons: int
    warnings: tuple[str, ...] = ()
    second: tuple[tuple[str, int], ...] = ()
    second_seconds: float = 0.0
    tokens: PositionsPlan | None = None
    tokens_seconds: float = 0.0
    sections: tuple[tuple[str, str], ...] = ()

    def rows(self) -> list[tuple[str, str]]:
        """Return the forecast as label and value, for printing."""
        rows = [
            ("sentences", str(self.sentences)),
            ("languages", f"{len(self.languages)}: {', '.join(self.languages)}"),
        ]
        rows += [
            (
                side.modality,
                f"{side.utterances} utterances at {side.points} points, {side.parameters / 1e6:.1f} M parameters, "
                f"{side.flops / 1e12:.2f} TFLOP, {_hours(side.seconds)} on this machine",
            )
            for side in self.sides
        ]
        if self.second:
            count = sum(number for _, number in self.second)
            rows.append(
                (
                    "ceilings",
                    f"{count} second recordings in {', '.join(language for language, _ in self.second)}: "
                    f'{_hours(self.second_seconds)} more on this machine (corpus.ceilings = "none" leaves them out)',
                )
            )
        if self.tokens is not None:
            rows.append(
                (
                    "tokens",
                    f"{self.tokens.positions} positions of {self.tokens.utterances} utterances: "
                    f"{self.tokens.disk / 1e9:.3f} GB on disk, {self.tokens.memory / 1e6:.0f} MB in memory at most, "
                    f"{_hours(self.tokens_seconds)} more on this machine",
                )
            )
        rows += self.sections
        rows.append(("memory", f"{self.memory / 1e9:.2f} GB for the weights"))
        rows.append(("disk", f"{self.disk / 1e9:.3f} GB for the activations, before compression"))
        rows.append(("comparisons", f"{self.comparisons} pairs of representations, each under every measure"))
        return rows


def _hours(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def forecast(study: Study) -> Forecast:
    """Say what a study will take; loads its corpus and model, and tries a few utterances.

    Parameters
    ----------
    study : Study

    Returns
    -------
    Forecast

    Raises
    ------
    BabelscopeError
        Whatever is wrong with the corpus or the model.
    """
    planned = check_start(study)
    corpus, check = checked_corpus(study, planned)
    model = build_model(study)
    check_sections(study.sections, model)
    sides = tuple(_try(model, modality, corpus) for modality in model.modalities)
    memory = Plan(model, from_weights=True).memory[study.model.dtype]
    cells = len(corpus.sentences) * len(corpus.languages)
    disk = sum(4 * point.width * cells for side in model.sides.values() for point in side.points)
    heard = study.corpus.ceilings == "auto" and "speech" in model.sides
    readings = second_recordings(corpus, study.corpus.max_seconds) if heard else {}
    second = tuple((language, len(own)) for language, own in readings.items())
    tokens = None
    if study.tokens is not None:
        kept = with_positions(model, study.tokens.points).model
        tokens = plan_positions(kept, corpus, study.tokens.n, study.seed)
    return Forecast(
        len(corpus.sentences),
        tuple(corpus.languages),
        sides,
        memory,
        disk,
        len(check_comparisons(model, corpus.languages, study.match, study.kinds)),
        tuple(in_short(check)),
        second,
        sum(side.seconds / side.utterances for side in sides if side.modality == "speech")
        * sum(number for _, number in second),
        tokens,
        tokens.shared * sum(side.seconds for side in sides) if tokens is not None else 0.0,
        tuple(
            costs(
                study.sections,
                model,
                len(corpus.sentences),
                len(corpus.languages),
                {side.modality: side.seconds / side.utterances for side in sides},
            )
        ),
    )


def _try(model: Model, modality: Modality, corpus: Corpus) -> SideForecast:
    language = corpus.languages[0]
    side = model.sides[modality].for_language(language)
    sentences = sorted(corpus.sentences, key=lambda sentence: _extent(corpus, sentence, language, modality))
    tried = [sentences[int(index)] for index in np.unique(np.linspace(0, len(sentences) - 1, TRIED).round())]

    def prepared(sentence: str) -> Prepared:
        return prepare(side, item_of(corpus, modality, sentence, language), sentence, language).prepared

    with Capture(side) as capture:
        capture.run(side.collate([prepared(tried[0])]))
        started = time.perf_counter()
        batches = [side.collate([prepared(sentence)]) for sentence in tried]
        for batch in batches:
            capture.run(batch)
        if side.device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
        with FlopCounterMode(display=False) as counter:
            for batch in batches:
                capture.run(batch)
    utterances = len(corpus.sentences) * len(corpus.languages)
    scale = utterances / len(tried)
    return SideForecast(
        modality, utterances, len(side.points), side.parameters, counter.get_total_flops() * scale, seconds * scale
    )


def _extent(corpus: Corpus, sentence: str, language: str, modality: Modality) -> float:
    if modality == "text":
        return float(len(corpus.text(sentence, language) or ""))
    return corpus.recordings(sentence, language)[0].seconds or 0.0
