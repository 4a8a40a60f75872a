"""Engines: that of this process, and those that packages offer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from babelscope.engines import GROUP, Engine, Local, check_engine, engines, open_engine
from babelscope.errors import UsageError
from babelscope.models import Model
from babelscope.study import schema


def test_an_unknown_engine_is_refused_with_a_hint() -> None:
    with pytest.raises(UsageError, match=r"'rya' is unknown; did you mean 'ray'"):
        check_engine("rya")


@pytest.mark.parametrize("option", [{"address": "auto"}, {"replicas": 2}])
def test_the_local_engine_takes_no_option_of_a_cluster(option: dict[str, Any]) -> None:
    refused = pytest.raises(UsageError, match=rf"^{next(iter(option))}: the local engine takes none")
    with refused, open_engine("local", **option):
        pass


def test_the_local_engine_is_this_process(tiny_model: Model) -> None:
    with open_engine() as engine:
        assert isinstance(engine, Local) and engine.has_weights and engine.executor is None
        assert engine.load_model(lambda: tiny_model) is tiny_model


# -- engines of other packages
# --------------------------------------------------------------------------------------------------------------------
class Elsewhere(Local):
    """An engine that notes what it was opened with."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options


@contextmanager
def elsewhere(replicas: int = 1, progress: Any = None) -> Iterator[Engine]:
    """Open the engine."""
    yield Elsewhere({"replicas": replicas, "progress": progress})


def test_a_package_offers_an_engine(offer: Callable[..., None]) -> None:
    offer(GROUP, elsewhere=f"{__name__}:elsewhere", local=f"{__name__}:elsewhere")
    assert engines()[0] == "local" and {"elsewhere", "ray"} <= set(engines())
    assert "elsewhere" in schema()["properties"]["engine"]["anyOf"][0]["enum"]
    check_engine("elsewhere")
    with open_engine("elsewhere", replicas=3, tell=print) as engine:
        assert isinstance(engine, Elsewhere) and engine.options == {"replicas": 3, "progress": print}
    with open_engine() as engine:
        assert not isinstance(engine, Elsewhere), "the name of this process's own is not to be had"


def test_an_option_that_it_does_not_take_is_refused(offer: Callable[..., None]) -> None:
    offer(GROUP, elsewhere=f"{__name__}:elsewhere")
    refused = pytest.raises(UsageError, match=r"^address: the elsewhere engine takes none")
    with refused, open_engine("elsewhere", address="auto"):
        pass


@pytest.mark.parametrize("value", ["no_such_module:engine", f"{__name__}:no_such_name"])
def test_one_that_cannot_be_loaded_is_named(offer: Callable[..., None], value: str) -> None:
    offer(GROUP, broken=value)
    refused = pytest.raises(UsageError, match=rf"^engine 'broken' \({value}\) cannot be loaded: \w+: ")
    with refused as raised, open_engine("broken"):
        pass
    assert "\n" not in str(raised.value)
