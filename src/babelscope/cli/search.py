"""Commands that search by meaning: index, query, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from babelscope.cli.console import records, say, show, showing, volume, write_csv
from babelscope.cli.program import RESULTS, AsJson, app, command, print_help
from babelscope.errors import UsageError
from babelscope.text_table import Column, TextTable

search_app = typer.Typer(invoke_without_command=True)
app.add_typer(search_app, name="search", rich_help_panel=RESULTS)


@search_app.callback(invoke_without_command=True)
def search(context: typer.Context) -> None:
    """Find sentences by meaning: text or recording, of any language, among texts and recordings of any.

    Example: babelscope search query "good day" --index my-index
    """
    if context.invoked_subcommand is None:
        print_help(context)


@command(search_app, "index")
def search_index(
    source: Annotated[str, typer.Argument(help="A folder, a manifest, or a corpus's name.")],
    index: Annotated[Path, typer.Option("--index", "-i", help="The index: a folder, made or added to.")],
    model: Annotated[str, typer.Option("--model", "-m", help="A model whose sides share a space.")] = "pocket",
    weights: Annotated[str | None, typer.Option("--weights", help="A local folder or hub id of that model.")] = None,
    language: Annotated[str, typer.Option("--language", "-l", help="Of all that a folder holds.")] = "",
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Of a manifest or corpus this language; repeat for more.")
    ] = None,
    modality: Annotated[str | None, typer.Option("--modality", help="text or speech; both if left out.")] = None,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Of a corpus only sentences that the model was not trained on.")
    ] = False,
    window: Annotated[float | None, typer.Option("--window-seconds", min=1, help="Longer recordings are cut.")] = None,
    hop: Annotated[float | None, typer.Option("--hop-seconds", help="Windows begin so far apart.")] = None,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Most items in one forward pass.")] = 8,
    as_json: AsJson = False,
) -> None:
    """Index texts and recordings; what is there already is not done again. Stopped, it resumes from there.

    Example: babelscope search index recordings --index my-index
    """
    from babelscope.search.items import HOP_SECONDS, WINDOW_SECONDS, check_source

    check_source(source)
    from babelscope import models as every
    from babelscope.search import Embedder, Index, items_of

    with showing() as tell:
        tell("loading the model", 0, 0)
        loaded = every.load(model, weights=weights, device=device)
        embedder = Embedder(loaded, {"name": model, "weights": weights}, batch_size)
        longest = window or WINDOW_SECONDS
        made = Index.create(index, embedder, window=longest, hop=hop or min(HOP_SECONDS, longest))
        cut = {"window": made.about["window_seconds"], "hop": made.about["hop_seconds"]}
        for name, asked in (("window", window), ("hop", hop)):
            if asked is not None and asked != cut[name]:
                raise UsageError(
                    f"--{name}-seconds {asked:g}: the index {index} has {cut[name]:g}; leave it out, or make another "
                    "index"
                )
        tell("reading", 0, 0)
        ids = every.held_out(model, source) if held_out else None
        items = items_of(source, language=language, languages=only or None, modality=modality, ids=ids, **cut)
        added = made.add(items, embedder, progress=tell)
    outcome = {"index": index, "added": added, "items": len(Index(index)), "model": model, "seconds": cut}
    show(as_json, outcome)
    if not as_json:
        say(f"{added} added, {outcome['items']} in all: {index}")


@command(search_app, "query")
def search_query(
    query: Annotated[str, typer.Argument(help="A text, or a recording's file.")],
    index: Annotated[Path, typer.Option("--index", "-i", help="An index, from babelscope search index.")],
    k: Annotated[int, typer.Option("--number", "-n", min=1, help="How many to find.")] = 10,
    language: Annotated[
        str, typer.Option("--language", "-l", help="Of the query, for models that must know it (SONAR, SeamlessM4T).")
    ] = "",
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Find only in this language; repeat for more.")
    ] = None,
    modality: Annotated[str | None, typer.Option("--modality", help="Find only text or speech.")] = None,
    centre: Annotated[
        bool, typer.Option("--centre/--no-centre", help="Subtract the means of texts and of speech first.")
    ] = True,
    weights: Annotated[
        str | None, typer.Option("--weights", help="Where the index's model is, if it has moved.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    html: Annotated[Path | None, typer.Option("--html", help="Write a page on which one can listen.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the table as CSV.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find what is nearest in meaning to a text or a recording.

    Example: babelscope search query "please enter your password" --index my-index --html found.html
    """
    from babelscope import models as every
    from babelscope.audio import SUFFIXES
    from babelscope.search import Embedder, Index, write_page
    from babelscope.search.vectors import read_recording

    searched = Index(index)
    spoken = Path(query).suffix.lower() in SUFFIXES
    samples = read_recording(query) if spoken else None
    with showing() as tell:
        tell("loading the model", 0, 0)
        made = searched.about["load"]
        loaded = every.load(made["name"], weights=weights or made.get("weights"), device=device)
        embedder = Embedder(loaded, made)
        searched.check(embedder)
        vector = embedder.text(query, language) if samples is None else embedder.speech(samples, language, query)
        kind = "text" if samples is None else "speech"
        nearest = searched.find(vector, kind, k, modality=modality, languages=only, centre=centre)
    about = (
        f"{len(searched)} items, model {made['name']} (revision {embedder.model.revision}), cosine at {embedder.point}"
        + (", after subtracting the means of texts and of speech" if centre else "")
    )
    write_csv(csv, nearest)
    page = write_page(nearest, html, query=query, heard=samples, about=about) if html is not None else None
    rows = records(nearest)
    for row in rows:
        row["sentence"] += "" if row["whole"] else f", {row['start']:.1f} to {row['end']:.1f} s"
    columns = (
        Column("rank", "#", right=True),
        Column("score", text=lambda score: f"{score:.3f}", right=True),
        "kind",
        "language",
        Column("text", "what", prose=True),
        Column("sentence", "where"),
    )
    show(as_json, nearest, TextTable(columns, rows), *(() if volume.quiet else (about,)))
    if page is not None and not as_json:
        say(f"Page: {page}")


@command(search_app, "evaluate")
def search_evaluate(
    index: Annotated[Path, typer.Option("--index", "-i", help="An index of a manifest or corpus.")],
    centre: Annotated[
        bool, typer.Option("--centre/--no-centre", help="Subtract each side's own mean first, as a study does.")
    ] = True,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the table as CSV.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how well an index finds translations, between all its kinds and languages.

    Example: babelscope search evaluate --index my-index
    """
    from babelscope.search import Index
    from babelscope.search import evaluate as measure

    retrieval = measure(Index(index), centre=centre)
    write_csv(csv, retrieval)
    rows = records(retrieval)
    for row in rows:
        row |= {end: f"{row[f'{end}_kind']} {row[f'{end}_language']}" for end in ("from", "to")}
    shares = (
        Column(key, title, lambda share: f"{share:.3f}", right=True)
        for key, title in (("p_at_1", "P@1"), ("mrr", "MRR"), ("chance", None))
    )
    table = TextTable(["from", "to", Column("n", "sentences", right=True), *shares], rows, "Retrieval")
    show(as_json, retrieval, table)
