"""Every tiny folder through ``hf:FOLDER``: by rules alone, it passes what anybody's model must pass."""

from __future__ import annotations

import pytest

from babelscope import models
from babelscope.models import Model
from babelscope.testing import ModelTests, tiny
from babelscope.testing.tiny import ARCHITECTURES

#: Unlike ones, for the quick tests: group norm, a text encoder with a dense head, one that is told the language,
#: a decoder, a model that hears and reads.
QUICK = ("wav2vec2", "labse", "nllb", "qwen3", "gemma-4-unified")


@pytest.fixture(
    scope="module",
    params=[name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ARCHITECTURES],
)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tiny(request.param, tmp_path_factory.mktemp(request.param))
    return models.load(f"hf:{folder}")


class TestGenericModels(ModelTests):
    """All of :class:`ModelTests`, padded or one by one as the probe decides."""

    languages = ("en", "de")
    spread = 6_000
    longest_text = 20

    @pytest.fixture
    def model(self, loaded: Model) -> Model:
        return loaded
