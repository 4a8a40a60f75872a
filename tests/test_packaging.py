"""What a user installs: the action on a pull request, and that recipes and pages name what pyproject does."""

from __future__ import annotations

import http.server
import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from babelscope import compare
from babelscope.testing.planted import Planted, planted_activations

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


class Api:
    """The comments of a pull request, as GitHub's API gives and takes them."""

    def __init__(self) -> None:
        self.comments: list[dict[str, Any]] = [{"id": 1, "body": "looks good"}]
        self.asked: list[tuple[str, str, str | None]] = []
        self.refuses = False
        self.url = ""


@pytest.fixture
def api() -> Iterator[Api]:
    state = Api()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def _answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            content = json.loads(self.rfile.read(size)) if size else {}
            state.asked.append((self.command, self.path, self.headers.get("Authorization")))
            if state.refuses:
                self.send_error(403)
                return
            answer: Any
            if self.command == "GET":
                answer = state.comments if "page=1" in self.path else []
            elif self.command == "PATCH":
                answer = next(each for each in state.comments if self.path.endswith(f"/comments/{each['id']}"))
                answer["body"] = content["body"]
            else:
                answer = {"id": len(state.comments) + 1, "body": content["body"]}
                state.comments.append(answer)
            data = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PATCH = do_POST = _answer  # noqa: N815

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("result")
    stored = planted_activations(folder / "a.zarr", {"a": Planted(meaning=0.5)}, n=24, languages=("xa", "xb"), width=8)
    compare(stored, ["linear_cka"], permutations=19, interval=False, controls=["none"]).save(folder / "result")
    return folder / "result"


def _act(api: Api, result: Path, folder: Path, **inputs: str) -> tuple[int, str]:
    """Run the last step of the action, as a runner does."""
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    step = next(step for step in action["runs"]["steps"] if step.get("id") == "check")
    given = {name: str(told.get("default", "")) for name, told in action["inputs"].items()} | inputs
    given["result"] = str(result)
    given["token"] = "secret"
    environment = {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: given[found[1]], value)
        for name, value in step["env"].items()
    }
    environment["ACTION"] = str(ROOT)
    (folder / "event.json").write_text(json.dumps({"pull_request": {"number": 7}}))
    runner = {
        "GITHUB_API_URL": api.url,
        "GITHUB_REPOSITORY": "owner/name",
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        "RUNNER_TEMP": str(folder),
        "NO_PROXY": "127.0.0.1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-c", step["run"]], env=os.environ | runner | environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_the_action_comments_its_table_once_and_updates_it(api: Api, result: Path, tmp_path: Path) -> None:
    code, said = _act(api, result, tmp_path, arguments="--max modality_gap=2 --min modality_similarity=0.99")
    assert code == 1, said
    (_, comment) = api.comments
    assert comment["body"].startswith("<!-- babelscope-check: babelscope check -->")
    assert "**1 of 2 rules failed**" in comment["body"] and "| **FAIL** | " in comment["body"]
    assert (tmp_path / "summary").read_text() == comment["body"]
    assert (tmp_path / "output").read_text().startswith("passed=false\n")
    assert {token for *_, token in api.asked} == {"Bearer secret"}

    code, said = _act(api, result, tmp_path, arguments="--max modality_gap=2")
    assert code == 0 and len(api.comments) == 2, said
    assert "all 1 rules passed" in api.comments[1]["body"]
    _act(api, result, tmp_path, arguments="--max modality_gap=2", title="another study")
    assert len(api.comments) == 3, "results with titles of their own have comments of their own"


def test_an_action_that_may_not_comment_still_checks(api: Api, result: Path, tmp_path: Path) -> None:
    api.refuses = True
    code, said = _act(api, result, tmp_path, arguments="--max modality_gap=2")
    assert code == 0 and "::warning::" in said
    code, said = _act(api, result, tmp_path, arguments="--max no_such=2", comment="false")
    assert code == 2 and "no_such" in (tmp_path / "summary").read_text()


def test_what_is_given_to_the_action_is_no_program(api: Api, result: Path, tmp_path: Path) -> None:
    title = "a | b <img src=x> @someone `x` $(touch hacked)"
    _act(api, result, tmp_path, arguments="--max modality_gap=2 ; touch hacked $(touch hacked)", title=title)
    assert not list(tmp_path.glob("hacked")) and not Path("hacked").exists()
    body = api.comments[1]["body"]
    assert "<img" not in body and "@someone" not in body


def test_the_conda_recipe_needs_what_the_wheel_needs() -> None:
    recipe = yaml.safe_load((ROOT / "packaging" / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
    other = {"pytorch": "torch", "pysoundfile": "soundfile", "soxr-python": "soxr"}
    named = [line.partition(" ") for line in recipe["requirements"]["run"]]
    needs = {other.get(name, name) + bound for name, _, bound in named if name != "python"}
    assert needs == set(PROJECT["project"]["dependencies"])
    assert recipe["context"]["version"] == PROJECT["project"]["version"]


def test_rattler_build_renders_the_conda_recipe() -> None:
    rattler_build = pytest.importorskip("rattler_build")  # pip install py-rattler-build
    text = (ROOT / "packaging" / "conda" / "recipe.yaml").read_text(encoding="utf-8")
    (made,) = rattler_build.Stage0Recipe.from_yaml(text).render(rattler_build.VariantConfig())
    assert str(made.recipe.package.version) == PROJECT["project"]["version"]


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]


def test_a_package_index_shows_no_link_that_leads_nowhere() -> None:
    shown = (ROOT / "README.md").read_text(encoding="utf-8")
    for rule in PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        shown = re.sub(rule["pattern"], rule["replacement"], shown)
    links = re.findall(r"\]\(([^)]+)\)", shown)
    assert all(re.match(r"https?:|#", link) for link in links), links
    assert "pip install babelscope" in shown[:3000]
