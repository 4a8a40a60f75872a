"""The check of a corpus that a user names: a manifest, a corpus of a known source, or that of a study's file."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from babelscope.corpora import Corpus, load, manifest, sources, takes
from babelscope.corpora.checks import DECODED, CorpusCheck, Limits, check_corpus
from babelscope.corpora.checks.coverage import EMPTY
from babelscope.corpora.checks.result import broken_check
from babelscope.corpora.problems import Problem
from babelscope.errors import BabelscopeError, UsageError
from babelscope.progress import Progress, silent

#: Rows of a corpus from which on no model is imported into the same process, unless a text may be too long for it.
_LARGE = 200_000


def check_target(
    target: str,
    *,
    path: Path | None = None,
    languages: Sequence[str] | None = None,
    model: str | None = None,
    options: Mapping[str, Any] | None = None,
    decoded: int | None = DECODED,
    progress: Progress | None = None,
) -> tuple[CorpusCheck, Corpus | None]:
    """Check what a user names: a study's TOML file, whose model and measures count, a named corpus, or a manifest.

    `path` is where a local copy of a named corpus is, `model` whose limits count (of a study, another than it names),
    and `options` are those of the corpus, as a study's ``[corpus] options``. The corpus that comes with the check is
    None if no row of it can be used.

    Raises
    ------
    BabelscopeError
        If there is no such target, or its study's file is broken.
    """
    tell = progress or silent
    tell("reading the corpus", 0, 0)
    if Path(target).suffix.lower() == ".toml":
        return _check_study(target, path, languages, model, dict(options or {}), decoded, tell)
    corpus, problems = _loaded(target, path, languages, dict(options or {}))
    if corpus is None:
        return broken_check(target, problems), None
    pa.default_memory_pool().release_unused()  # reading a large manifest leaves as much again
    limits = [] if model is None else [_limits(model, apart=len(corpus) * len(corpus.languages) > _LARGE)]
    check = check_corpus(corpus, languages=languages, limits=limits, decoded=decoded, progress=tell)
    return check, corpus


def _limits(model: str, *, apart: bool) -> Limits:
    """Return how much a model takes; `apart`: from a process of its own, for what it imports takes much memory."""
    if not apart:
        return _model_limits(model, count=True)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as other:
        limits = other.submit(_model_limits, model, count=False).result()

    def count_tokens(text: str, language: str) -> int:
        return _counter(model)(text, language)

    return limits if limits.count_tokens is None else replace(limits, count_tokens=count_tokens)


def _model_limits(model: str, *, count: bool) -> Limits:
    from babelscope.study.preflight import limits_of

    limits = limits_of(model)
    return limits if count or limits.count_tokens is None else replace(limits, count_tokens=_unused)


def _unused(text: str, language: str) -> int:
    raise AssertionError("stands for a counter, which cannot be sent from another process")


@cache
def _counter(model: str) -> Callable[[str, str], int]:
    from babelscope.study.preflight import limits_of

    counter = limits_of(model).count_tokens
    assert counter is not None, "the other process has one"
    return counter


def _loaded(
    target: str, path: Path | None, languages: Sequence[str] | None, options: dict[str, Any]
) -> tuple[Corpus | None, tuple[Problem, ...]]:
    source = target if target in sources() else "manifest"
    for name in options:
        if not takes(source, name):
            raise UsageError(f"--option {name}: corpus {source!r} takes no such option")
    if target not in sources():
        if path is not None:
            raise UsageError(f"--path: {target!r} is not the name of a corpus; name the manifest alone")
        return _examined(Path(target), options)
    if target == "manifest":
        if path is None:
            raise UsageError("name the manifest's file: babelscope corpora check FILE")
        return _examined(path, options)
    if languages and takes(target, "languages"):
        options.setdefault("languages", list(languages))
    return load(target, path=path, **options), ()


def _examined(path: Path, options: dict[str, Any]) -> tuple[Corpus | None, tuple[Problem, ...]]:
    """Read a manifest with all that is wrong with it; without a corpus, the problems say why."""
    examined = manifest.examine(path, **options)
    return examined.corpus, examined.problems


def _check_study(
    target: str,
    path: Path | None,
    languages: Sequence[str] | None,
    model: str | None,
    options: dict[str, Any],
    decoded: int | None,
    progress: Progress,
) -> tuple[CorpusCheck, Corpus | None]:
    from babelscope.study.corpus import corpus_options, filtered, load_corpus
    from babelscope.study.preflight import check_corpus
    from babelscope.study.settings import Study

    study = Study.load(target).changed(model=model, corpus_path=path)
    chosen: dict[str, Any] = {"options": study.corpus.options | options}
    if languages:
        chosen["languages"] = list(languages)
    study = study.model_copy(update={"corpus": study.corpus.model_copy(update=chosen)})
    if study.corpus.source == "manifest" and not study.skip_bad:
        if study.corpus.path is None:
            raise UsageError(f"{target}: corpus.path: this key is missing")
        loaded, problems = _examined(study.corpus.path, corpus_options(study))
        if loaded is None:
            return broken_check(str(study.corpus.path), problems), None
    else:
        loaded = load_corpus(study)
    try:
        corpus = filtered(study, loaded)
    except BabelscopeError as error:
        check = check_corpus(study, loaded, decoded=decoded, progress=progress)
        if not {problem.kind for problem in check.problems} & EMPTY:  # the filters themselves leave nothing
            message, _, remedy = str(error).rpartition(": ")
            check = check.with_problems([Problem("filters", "error", message or remedy, remedy if message else "")])
        return check, loaded
    return check_corpus(study, corpus, before=loaded, decoded=decoded, progress=progress), corpus
