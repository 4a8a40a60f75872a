"""The catalogue: what is declared is well-formed, documented as it is, and what is said to be tested is."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from babelscope import models
from babelscope.cli import app
from babelscope.models.catalogue import CATALOGUE, Declaration
from babelscope.models.naming import declared, location
from babelscope.models.weights.places import hub_id
from babelscope.testing.tiny import ARCHITECTURES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("catalogue_page", DOCS / "catalogue.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_models_page_is_made_from_the_catalogue(page: ModuleType) -> None:
    text = (DOCS / "models.md").read_text(encoding="utf-8")
    assert page.with_tables(text) == text, "run python docs/catalogue.py"
    for name, declaration in CATALOGUE.items():
        assert name in models.known() or f"| `{name}` | `{declaration.source}`" in text


def test_what_a_model_is_tested_as_is_a_tiny_model() -> None:
    assert {declaration.tested_as for declaration in CATALOGUE.values()} - {""} <= set(ARCHITECTURES)
    assert {declaration.seen for declaration in CATALOGUE.values()} == {
        "",
        "configuration",
        "configuration and index",
        "weights",
    }


@pytest.mark.parametrize("declaration", CATALOGUE.values(), ids=list(CATALOGUE))
def test_a_declaration_is_well_formed(declaration: Declaration) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", declaration.name)
    where = location(declaration)
    assert (where is None) == bool(declaration.asset)
    assert where is None or hub_id(where.removeprefix("hf:")) == (declaration.source, declaration.revision)
    assert re.fullmatch(r"|[0-9a-f]{40}|refs/pr/\d+", declaration.revision)
    assert declaration.licence and declaration.summary and declaration.kind and declaration.modalities
    assert ("speech" in declaration.modalities) == declaration.kind.startswith("speech")
    assert declaration.prompt.count("{}") == (1 if declaration.prompt else 0)
    assert all(note.endswith(".") for note in declaration.notes)
    named = declared(f"hf:{declaration.source}")
    assert named is not None and (named.prefix, named.pooled) == (declaration.prefix, declaration.pooled)


def test_sources_are_declared_once() -> None:
    sources = [declaration.source for declaration in CATALOGUE.values()]
    assert len(sources) == len(set(sources)) >= 30


def test_the_list_names_every_model_with_its_licence() -> None:
    rows = json.loads(CliRunner().invoke(app, ["models", "list", "--json"]).stdout)
    assert {row["name"] for row in rows} == set(models.known()) | set(CATALOGUE)
    assert all(row["licence"] and row["summary"] for row in rows)
    plain = CliRunner().invoke(app, ["models"], env={"COLUMNS": "200"}).stdout
    assert all(name in plain for name in CATALOGUE)


def test_the_list_says_which_models_are_not_pinned_and_not_seen() -> None:
    rows = json.loads(CliRunner().invoke(app, ["models", "list", "--json"]).stdout)
    by_name = {row["name"]: row for row in rows}
    assert not by_name["bge-m3"]["pinned"] and not by_name["hubert-large"]["pinned"]
    assert by_name["qwen2-audio-7b"]["pinned"] and by_name["qwen2-audio-7b"]["seen"] == "configuration and index"
    lines = CliRunner().invoke(app, ["models"], env={"COLUMNS": "300"}).stdout.splitlines()
    (bge,) = [line for line in lines if " bge-m3 " in line]
    assert "not pinned" in bge
    (hubert,) = [line for line in lines if " hubert-large " in line]
    assert "refs/pr/1" in hubert and "nothing" in hubert
