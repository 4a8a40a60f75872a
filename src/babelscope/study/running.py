"""Running a study, from its corpus to its report.

A study that is run again resumes where it was stopped: blocks that are encoded stay encoded, and scores that were
computed from the same activations with the same options are kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from babelscope import models
from babelscope.capture.jobs import EncodeConfig
from babelscope.corpora import Corpus
from babelscope.corpora.checks.output import in_short, problems_to_json
from babelscope.engines import open_engine
from babelscope.gaps.caveats import with_corpus_caveat
from babelscope.gaps.clusters import compared, documents_of
from babelscope.gaps.folder import clear, locked_output, save
from babelscope.gaps.result import Result
from babelscope.progress import Progress, silent
from babelscope.report import write_report
from babelscope.report.listening import write_listening_page
from babelscope.study.baselines import add_baselines
from babelscope.study.encoding import StudyEncoder
from babelscope.study.model import build_model_on, variant_of, with_training_note
from babelscope.study.preflight import check_start, checked_corpus
from babelscope.study.scores import scores_of
from babelscope.study.sections import SECTIONS, Material, add_sections, check_sections
from babelscope.study.settings import Study
from babelscope.tracking import Logged, track


@dataclass(frozen=True)
class Outcome:
    """What a study left: its result, its report, where everything is, and what became of logging it to trackers."""

    result: Result
    report: Path
    folder: Path
    seconds: float
    logged: Sequence[Logged] = ()


def run(
    study: Study,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    command: str = "",
    address: str | None = None,
    notice: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Run a study from its corpus to its report.

    Parameters
    ----------
    study : Study
    overwrite : bool
        Replace activations of another study that stand in the output folder.
    progress : callable, optional
        Called with what is being done.
    command : str
        What the user typed, for the report.
    address : str, optional
        Of the Ray cluster to join, for the engine "ray".
    notice : callable
        Called with each line of what the check of the corpus warns of, before the model is loaded.

    Returns
    -------
    Outcome

    Raises
    ------
    BabelscopeError
        In one line; what was finished is kept, and a second run resumes from there.
    """
    started = time.monotonic()
    tell = progress or silent
    planned = check_start(study)
    corpus, check = checked_corpus(study, planned, tell)
    for line in in_short(check):
        notice(line)
    with open_engine(study.engine, address=address, replicas=study.replicas, tell=tell) as engine:
        tell("loading the model", 0, 0)
        model = with_training_note(build_model_on(engine, study), study, corpus)
        check_sections(study.sections, model)
        variants = [variant_of(model, study.model, table) if engine.has_weights else None for table in study.baselines]
        encoder = StudyEncoder(corpus, engine, overwrite, tell)
        activations = encoder.encode(model, study)
        second = encoder.encode_second(model, study)
        with locked_output(study.output):
            result = scores_of(study, activations, tell, second, executor=engine.executor)
            add_baselines(result, study, encoder, model, variants, activations)
            result.meta["study"] = {
                "name": study.name,
                "created": result.meta["study"]["created"],
                "command": command,
                "keys": study.keys(),
                "seconds": round(time.monotonic() - started, 1),
            }
            result.meta["corpus_check"] = {"problems": problems_to_json(check), "sampled": list(check.sampled)}
            result.meta["caveats"] = with_corpus_caveat(result.meta["caveats"], check.problems)
            rows = compared(activations, study.clusters)
            material = Material(
                model,
                engine.has_weights,
                EncodeConfig(**study.model.encode_options()),
                corpus,
                rows,
                study.output,
                study.seed,
                documents_of(rows, study.clusters),
                tell,
            )
            add_sections(result, study.sections, material)
            save(result, study.output, study.activations)
            clear(study.output / SECTIONS)
            tell("writing the report", 0, 0)
            report = write_report(result, study.output)
            _write_listening_page(result, corpus, study)
    logged: list[Logged] = []
    if study.tracking is not None:
        tell("logging", 0, 0)
        logged = track(study.output, study.tracking, again=False)
    return Outcome(result, report, study.output, time.monotonic() - started, logged)


def _write_listening_page(result: Result, corpus: Corpus, study: Study) -> None:
    """Write ``lens.html`` where positions were read; one of an earlier run is removed where they were not."""
    path, readings = study.output / "lens.html", result.tables.get("lens_readings")
    if readings is None:
        path.unlink(missing_ok=True)
        return
    cells = [
        (corpus.text(sentence, language) or "", corpus.recordings(sentence, language)[0])
        for sentence, language in dict.fromkeys(zip(readings["sentence"], readings["language"], strict=True))
    ]
    note = " ".join(f"{line.removeprefix('lens: ').capitalize()}." for line in result.meta["sections"]["lens"]["notes"])
    title = f"What {models.readable(study.model.name)} reads at each layer of speech"
    write_listening_page(readings, cells, path, title=title, note=note)
