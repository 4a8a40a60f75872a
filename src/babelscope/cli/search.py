"""Commands that search by meaning: index, query, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from babelscope.cache import write_atomically
from babelscope.cli.console import out, say, showing
from babelscope.cli.program import app
from babelscope.errors import UsageError

search_app = typer.Typer(
    help='Find sentences by meaning, text or speech.\n\nExample: babelscope search query "good day" --index my-index',
    invoke_without_command=True,
)
app.add_typer(search_app, name="search")


@search_app.callback(invoke_without_command=True)
def search(context: typer.Context) -> None:
    """Find sentences by meaning: text or recording, of any language, among texts and recordings of any."""
    if context.invoked_subcommand is None:
        say(context.get_help())


@search_app.command("index")
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
) -> None:
    """Index texts and recordings; what is there already is not done again. Stopped, it goes on from there.

    Example: babelscope search index recordings --index my-index
    """
    from babelscope import models as every
    from babelscope.search import Embedder, Index, items_of
    from babelscope.search.items import HOP_SECONDS, WINDOW_SECONDS, check_source

    check_source(source)
    with showing() as tell:
        tell("loading the model", 0, 0)
        loaded = every.load(model, weights=weights, device=device)
        embedder = Embedder(loaded, {"name": model, "weights": weights}, batch_size)
        made = Index.create(
            index, embedder, window=window or WINDOW_SECONDS, hop=hop or min(HOP_SECONDS, window or WINDOW_SECONDS)
        )
        cut = {"window": made.about["window_seconds"], "hop": made.about["hop_seconds"]}
        for asked, held, option in ((window, cut["window"], "--window-seconds"), (hop, cut["hop"], "--hop-seconds")):
            if asked is not None and asked != held:
                raise UsageError(
                    f"{option} {asked:g}: the index {index} has {held:g}; leave it out, or make another index"
                )
        tell("reading", 0, 0)
        items = items_of(
            source,
            language=language,
            languages=only or None,
            modality=modality,
            ids=every.held_out(model, source) if held_out else None,
            **cut,
        )
        added = made.add(items, embedder, progress=tell)
    out.print(f"{added} added, {len(Index(index))} in all: {index}", markup=False, highlight=False, soft_wrap=True)


@search_app.command("query")
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
        bool, typer.Option("--centre/--no-centre", help="Take the means of texts and of speech off first.")
    ] = True,
    weights: Annotated[
        str | None, typer.Option("--weights", help="Where the index's model is, if it has moved.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    html: Annotated[Path | None, typer.Option("--html", help="Write a page on which one can listen.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the table as CSV.")] = None,
) -> None:
    """Find what is nearest in meaning to a text or a recording.

    Example: babelscope search query "please enter your password" --index my-index --html found.html
    """
    from babelscope import models as every
    from babelscope.audio import SUFFIXES
    from babelscope.search import Embedder, Index, write_page
    from babelscope.search.vectors import read_recording

    held = Index(index)
    spoken = Path(query).suffix.lower() in SUFFIXES
    samples = read_recording(query) if spoken else None
    with showing() as tell:
        tell("loading the model", 0, 0)
        made = held.about["load"]
        loaded = every.load(made["name"], weights=weights or made.get("weights"), device=device)
        embedder = Embedder(loaded, made)
        held.check(embedder)
        vector = embedder.text(query, language) if samples is None else embedder.speech(samples, language, query)
        kind = "text" if samples is None else "speech"
        found = held.find(vector, kind, k, modality=modality, languages=only, centre=centre)
    about = (
        f"{len(held)} items, model {made['name']} (revision {embedder.model.revision}), cosine at {embedder.point}"
        + (", means of texts and of speech taken off" if centre else "")
    )
    table = Table("#", "score", "kind", "language", Column("what", overflow="fold"), Column("where", overflow="fold"))
    for row in found.to_dict("records"):
        span = "" if row["whole"] else f", {row['start']:.1f} to {row['end']:.1f} s"
        cells = (str(row["rank"]), f"{row['score']:.3f}", row["kind"], row["language"] or "-", row["text"] or "-")
        table.add_row(*(escape(cell) for cell in (*cells, row["sentence"] + span)))
    out.print(table)
    say(about)
    if csv is not None:
        write_atomically(csv, lambda path: found.to_csv(path, index=False))
    if html is not None:
        page = write_page(found, html, query=query, heard=samples, about=about)
        say(f"Page: {page}")


@search_app.command("evaluate")
def search_evaluate(
    index: Annotated[Path, typer.Option("--index", "-i", help="An index of a manifest or corpus.")],
    centre: Annotated[
        bool, typer.Option("--centre/--no-centre", help="Take each side's own mean off first, as a study does.")
    ] = True,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the table as CSV.")] = None,
) -> None:
    """Measure how well an index finds translations, between all its kinds and languages.

    Example: babelscope search evaluate --index my-index
    """
    from babelscope.search import Index
    from babelscope.search import evaluate as measure

    found = measure(Index(index), centre=centre)
    table = Table("from", "to", "sentences", "P@1", "MRR", "chance", title="Retrieval", title_justify="left")
    for row in found.to_dict("records"):
        ends = (f"{row[f'{end}_kind']} {row[f'{end}_language']}" for end in ("from", "to"))
        numbers = (f"{row[name]:.3f}" for name in ("p_at_1", "mrr", "chance"))
        table.add_row(*(escape(cell) for cell in (*ends, str(row["n"]), *numbers)))
    out.print(table)
    if csv is not None:
        write_atomically(csv, lambda path: found.to_csv(path, index=False))
