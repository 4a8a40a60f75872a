"""Assets of other packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from babelscope.fetch.catalogue import ASSETS, GROUP, Catalogue
from babelscope.fetch.sources import Asset, Recipe, WebFile


def build(downloads: Mapping[str, Path], folder: Path) -> None:
    """Make nothing."""


def made(name: str, *titles: str) -> Asset:
    source = WebFile("http://localhost/one.bin", "0" * 64, 1)
    return Asset(
        name, f"{name} by {titles[0]}", "MIT", "", (), tuple(Recipe(title, (source,), build) for title in titles)
    )


NEW, MORE = made("new", "theirs"), made("known", "theirs")


def test_a_package_offers_an_asset_and_further_recipes_for_one_that_is_known(offer: Callable[..., None]) -> None:
    offer(GROUP, new=f"{__name__}:NEW", known=f"{__name__}:MORE")
    catalogue = Catalogue([made("known", "ours, first", "ours, second")])
    assert catalogue["new"] == NEW
    assert catalogue["known"].what == "known by ours, first"
    assert [recipe.title for recipe in catalogue["known"].recipes] == ["ours, first", "ours, second", "theirs"]


def test_one_that_cannot_be_loaded_is_left_out_and_named(offer: Callable[..., None]) -> None:
    offer(GROUP, broken="no_such_module:ASSET")
    with pytest.warns(
        UserWarning, match=r"^asset 'broken' \(no_such_module:ASSET\) cannot be loaded and is left out: "
    ):
        assert "known" in Catalogue([made("known", "ours")])


@pytest.mark.plugins
def test_the_registries_copies_of_weights_come_in_as_a_plug_in() -> None:
    assert [recipe.origin for recipe in ASSETS["whisper-base"].recipes] == ["hub", "registry", "registry"]
    assert [recipe.origin for recipe in ASSETS["e5-small"].recipes] == ["hub", "registry"]
    assert ASSETS["e5-small-q4"].within == "e5-small"
