"""Logs the run's own gaps by babelscope's monitor while it trains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from babelscope.monitor import FunctionProbe, GapMonitor
from training.pocket.judge import Array, held_out
from training.pocket.loop import Run, speak
from training.pocket.material import Material
from training.pocket.split import SPOKEN

#: Points that are looked at, of those where the same weights see speech and text.
POINTS = ("shared.input", "shared.layer.2", "shared.layer.5", "shared.layer.8", "shared.layer.11", "pooled")
#: Largest share of the training time that the probes may cost.
BUDGET = 0.05
#: Corpus and languages whose validation sentences are looked at.
WATCHED = ("asterisk", SPOKEN["asterisk"])
#: Steps between probes; the monitor takes fewer where they would cost more than a twentieth of the time.
EVERY = 50


def monitor(run: Run, every: int = EVERY, budget: float = BUDGET) -> GapMonitor:
    """Return a monitor of the run's gaps on validation sentences."""
    sentences = held_out(run.material, "validation", *WATCHED)
    n = len(sentences.sentences)
    numbers = [int(number) for number in np.concatenate(list(sentences.spoken.values()))]

    def speech() -> Mapping[str, Mapping[str, Array]]:
        levels = speak(run.adapter, run.material, numbers, layers=True)
        return {
            language: {point: levels[point][place * n : (place + 1) * n] for point in POINTS}
            for place, language in enumerate(sentences.spoken)
        }

    text = {
        language: _text(run.material, [int(row) for row in sentences.written[language]])
        for language in sentences.spoken
    }
    probe = FunctionProbe(speech, text, modules=[run.adapter, run.material.teacher.bert])
    return GapMonitor(probe, Path(run.folder) / "gaps.jsonl", every=every, budget=budget)


@torch.inference_mode()
def _text(material: Material, rows: list[int]) -> dict[str, Array]:
    levels = material.teacher.text_layers([material.texts[row] for row in rows])
    return {point: levels[point].numpy() for point in POINTS}
