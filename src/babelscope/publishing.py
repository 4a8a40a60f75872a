"""Results on the Hugging Face hub: pushed as a data set with a card, and opened again, each file checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
import pandas as pd
import yaml
from huggingface_hub import CommitOperationAdd, EvalResult
from huggingface_hub.repocard_data import eval_results_to_model_index

from babelscope.errors import DataError, FetchError, UsageError
from babelscope.fetch.hub import cached_models, explained, hub_folder, hub_listing
from babelscope.gaps import Result

#: What is read of a published result.
FILES = ("result.json", "scores.parquet", "curves.csv", "tables/*.parquet")

#: What is pushed, as far as the folder has it; neither activations nor recordings.
_PUSHED = (*FILES, "scores.csv", "report.html", "report.md", "figures/*.svg")

_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)


def open_result(source: Path | str) -> Result:
    """Open a result: of a folder, or one that was pushed to the hub.

    Parameters
    ----------
    source : Path or str
        A folder, or ``hf:owner/name`` or ``hf:owner/name@revision`` of a data set on the hub. Without a revision the
        hub is asked for the latest; where it cannot be, the last one that was opened here is.

    Returns
    -------
    Result

    Raises
    ------
    DataError
        If there is no result, or it is damaged.
    FetchError
        If it is on the hub and cannot be had.
    UsageError
        If the name is no name of the hub.
    """
    if not str(source).startswith("hf:"):
        return Result.load(source)
    repository, _, revision = str(source).removeprefix("hf:").partition("@")
    _check_name(repository)
    try:
        commit = hub_listing(repository, FILES, revision=revision or "main", needed=("result.json", _WHAT)).commit
    except FetchError:
        before = [cached.folder for cached in cached_models() if cached.name == f"datasets/{repository}"]
        kept = [folder for folder in before if folder.is_dir() and folder.name.startswith(revision)]
        if not kept:
            raise
        commit = max(kept, key=lambda folder: folder.stat().st_mtime).name
    return Result.load(hub_folder(repository, FILES, revision=commit, kind="dataset").path)


_WHAT = "it is no result that 'babelscope push' published"


def push_result(folder: Path | str, repository: str, *, private: bool = False) -> str:
    """Publish a result as a data set on the hub.

    Parameters
    ----------
    folder : Path or str
        With ``result.json``. Scores, tables, report and figures are pushed; recordings, texts and activations are not.
    repository : str
        ``owner/name``; made if there is none. What is there is replaced, in one commit.
    private : bool
        Of a new repository.

    Returns
    -------
    str
        The address of the commit.

    Raises
    ------
    DataError
        If the folder holds no result, or a damaged one.
    FetchError
        If the hub cannot be reached, or refuses.
    UsageError
        If the name is no name of the hub.
    """
    pushed = contents(folder, repository)
    api = huggingface_hub.HfApi()
    with explained(f"result {repository}", huggingface_hub.constants.ENDPOINT, repository, "dataset"):
        api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        made = api.create_commit(
            repository,
            [CommitOperationAdd(name, content) for name, content in pushed.items()],
            commit_message="A result of babelscope",
            repo_type="dataset",
        )
    return str(made.commit_url)


def contents(folder: Path | str, repository: str) -> dict[str, bytes]:
    """Return what is pushed, by name: the files of a result, its card, and metadata for a model's card.

    Raises
    ------
    DataError
        If the folder holds no result, or a damaged one.
    UsageError
        If the name is no name of the hub.
    """
    _check_name(repository)
    folder = Path(folder)
    result = Result.load(folder)
    files = {name: path.read_bytes() for name, path in published_files(folder).items()}
    index = yaml.safe_dump(model_index(result), sort_keys=False, allow_unicode=True)
    return {"README.md": card(result, repository).encode(), **files, "model-index.yml": index.encode()}


def published_files(folder: Path | str) -> dict[str, Path]:
    """Return the files of a result that may be published, by name: neither activations, texts nor recordings."""
    folder = Path(folder)
    return {
        path.relative_to(folder).as_posix(): path
        for pattern in _PUSHED
        for path in sorted(folder.glob(pattern))
        if path.is_file() and not path.name.startswith(".")
    }


def _check_name(repository: str) -> None:
    if not _NAME.fullmatch(repository):
        raise UsageError(f"{repository!r} is no name of the hub: write owner/name")


def _means(result: Result) -> pd.DataFrame:
    """Return the means over languages at the deepest point of each kind and measure, without a control."""
    curves = result.curves
    means = curves[(curves["group"] == "mean") & (curves["control"] == "none") & curves["chance_corrected"].notna()]
    return means.loc[means.groupby(["kind", "measure"], sort=False)["depth"].idxmax()]


def model_index(result: Result) -> dict[str, Any]:
    """Return a result as the ``model-index`` of a model's card: the means over languages at the output.

    Paste it into the metadata of the card. Values are chance-corrected: 0 is the null's mean, 1 perfect agreement.
    """
    corpus, model = result.meta["corpus"], result.meta["model"]
    results = [
        EvalResult(
            task_type="feature-extraction",
            dataset_type=str(corpus["name"]),
            dataset_name=str(corpus.get("title") or corpus["name"]),
            dataset_config=str(row["kind"]),
            dataset_revision=str(corpus["fingerprint"])[:12],
            metric_type=str(row["measure"]),
            metric_name=f"{row['measure']} at {row['point']}, chance-corrected, n {int(row['n'])}",
            metric_value=round(float(row["chance_corrected"]), 6),
        )
        for _, row in _means(result).iterrows()
    ]
    name = str(model["name"])
    return {"model-index": eval_results_to_model_index(name, results) if results else [{"name": name, "results": []}]}


def card(result: Result, repository: str) -> str:
    """Return the card of a published result, in Markdown."""
    meta = result.meta
    corpus, model = meta["corpus"], meta["model"]
    about = {
        "pretty_name": f"babelscope: {model['name']} on {corpus['name']}",
        "license": "other",
        "license_name": str(corpus.get("licence") or "see the corpus"),
        "tags": ["babelscope", "interpretability", "speech", "representation-similarity"],
        "configs": [{"config_name": "scores", "data_files": "scores.parquet"}],
    }
    lines = ["---", yaml.safe_dump(about, sort_keys=False, allow_unicode=True).strip(), "---", ""]
    lines += [f"# {_plain(model['name'])} on {_plain(corpus.get('title') or corpus['name'])}", ""]
    lines += [f"- {_plain(sentence)}" for sentence in meta.get("headline", ())]
    lines += ["", "Means over languages at the output; 0 is what unrelated sentences give, 1 perfect agreement:", ""]
    lines += ["| kind | measure | point | chance-corrected | n |", "|---|---|---|---|---|"]
    lines += [
        f"| {_plain(row['kind'])} | {_plain(row['measure'])} | {_plain(row['point'])} | "
        f"{row['chance_corrected']:.3f} | {int(row['n'])} |"
        for _, row in _means(result).iterrows()
    ]
    weights = [f"{file.get('file')} ({file.get('source')}), sha256 {file.get('sha256')}" for file in _weights(model)]
    facts = {
        "Model": f"{model['name']}, revision {model.get('revision') or 'unknown'}; {model.get('licence') or ''}",
        "Weights": "; ".join(weights),
        "Corpus": f"{corpus['n']} sentences in {', '.join(corpus['languages'])}; {corpus.get('licence') or ''}",
        "Attribution": str(corpus.get("attribution") or ""),
        "Versions": ", ".join(f"{name} {version}" for name, version in meta.get("versions", {}).items()),
        "Measures": ", ".join(map(str, meta.get("options", {}).get("measures", ()))),
    }
    lines += ["", *(f"- **{name}**: {_plain(fact)}" for name, fact in facts.items() if fact.strip("; "))]
    lines += ["", "```python", "import babelscope", f'result = babelscope.open_result("hf:{repository}")', "```", ""]
    lines.append("`model-index.yml` holds the means as metadata for the model's own card. Recordings are not included.")
    return "\n".join(lines) + "\n"


def _weights(model: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in model.get("weights", ()) if isinstance(each, Mapping)]


def _plain(value: object) -> str:
    """Return a text as it can stand in Markdown: neither a link nor HTML nor a cell's end."""
    text = " ".join(str(value).split())
    for mark in ("\\", "`", "*", "[", "]", "<", ">", "|"):
        text = text.replace(mark, f"\\{mark}" if mark != "<" else "&lt;")
    return text


__all__ = ["DataError", "card", "contents", "model_index", "open_result", "published_files", "push_result"]
