"""SONAR's published numbers: whoever has its weights names their folder in BABELSCOPE_SONAR, and this holds them to it.

Recordings of the speech side are ``audio_1.wav`` and ``audio_2.wav`` from ``tests/integration_tests/data/audio_files``
of SONAR's repository, put next to the weights.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from babelscope import models
from babelscope.audio import decode
from babelscope.models import Model, Side

FOLDER = Path(os.environ.get("BABELSCOPE_SONAR", "nowhere"))

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="BABELSCOPE_SONAR names no folder with SONAR's weights")


@pytest.fixture(scope="module")
def sonar() -> Model:
    return models.load("sonar", weights=str(FOLDER), options={"speech_languages": ["eng"]})


@torch.inference_mode()
def embed(side: Side, items: Sequence[Any], language: str) -> Tensor:
    side = side.for_language(language)
    batch = side.collate([side.prepare(item, language) for item in items])
    return side.forward(batch)["shared.embedding"].float()


def test_the_embedding_on_the_card_of_the_converted_port(sonar: Model) -> None:
    card = embed(sonar.sides["text"], ["My name is SONAR."], "eng_Latn")[0, :5]
    np.testing.assert_allclose(card, [-0.005286, 0.002008, -0.000562, 0.006344, 0.006329], atol=5e-6)


def test_cosines_of_english_and_french_from_sonars_own_tests(sonar: Model) -> None:
    english = embed(sonar.sides["text"], ["Hello, my name is Paul", "I'm working as a teacher"], "eng_Latn")
    french = embed(sonar.sides["text"], ["Bonjour, mon nom est Paul", "Je travaille comme professeur."], "fra_Latn")
    cosines = nn.functional.normalize(english, dim=1) @ nn.functional.normalize(french, dim=1).T
    np.testing.assert_allclose(cosines, [[0.9367, 0.3658], [0.3787, 0.8596]], atol=2e-4)


def test_inner_products_of_two_recordings_from_sonars_own_tests(sonar: Model) -> None:
    recordings = [FOLDER / "audio_1.wav", FOLDER / "audio_2.wav"]
    if not all(path.is_file() for path in recordings):
        pytest.skip("audio_1.wav and audio_2.wav are not next to the weights")
    heard = embed(sonar.sides["speech"], [decode(path) for path in recordings], "eng")
    np.testing.assert_allclose(heard[0] @ heard.T, [0.0429819, 0.00286825], atol=3e-5)
