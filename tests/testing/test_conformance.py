"""Models in tiny, in their released formats, pass the class that anybody's model must pass."""

from __future__ import annotations

import pytest

from babelscope import models
from babelscope.models import Model
from babelscope.testing import ModelTests, tiny


@pytest.fixture(scope="module")
def seamless_2(tmp_path_factory: pytest.TempPathFactory) -> Model:
    weights = tiny("seamless-m4t-v2", tmp_path_factory.mktemp("tiny-v2"))
    return models.load("seamless-m4t-v2-large", weights=str(weights))


@pytest.fixture(scope="module")
def seamless_1(tmp_path_factory: pytest.TempPathFactory) -> Model:
    weights = tiny("seamless-m4t", tmp_path_factory.mktemp("tiny-v1"))
    return models.load("seamless-m4t-medium", weights=str(weights))


class TestWhisperAndE5(ModelTests):
    """The pair, in a window of two seconds."""

    languages = ("xa", "xb")
    window = 32_000

    @pytest.fixture
    def model(self, tiny_model: Model) -> Model:
        return tiny_model


class TestSeamless2(ModelTests):
    languages = ("en", "deu", "zh")

    @pytest.fixture
    def model(self, seamless_2: Model) -> Model:
        return seamless_2


class TestSeamless1(ModelTests):
    languages = ("en", "fra")

    @pytest.fixture
    def model(self, seamless_1: Model) -> Model:
        return seamless_1
