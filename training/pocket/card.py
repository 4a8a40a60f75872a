"""The model card, written from the results: no figure in it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_ROWS = {
    "same": "same-language speech → text",
    "cross": "{pivot} speech → other languages' text",
    "cross_all": "every language's speech → every other's text",
    "speech": "{pivot} speech ↔ other languages' speech",
}
_SYSTEMS = ("length only", "untrained", "ridge", "trained")


def card(results: Mapping[str, Any]) -> str:
    """Return the card in Markdown.

    Parameters
    ----------
    results : mapping
        The content of ``results.json``.
    """
    chosen = next(run for run in results["validation"] if run["name"] == results["chosen"])
    tables = results["tables"]
    sections = [_HEAD, _data(results), _recipe(chosen, results), _ablations(results)]
    sections.append(_RESULTS.replace("LOOKS", _looks(results)))
    for name, title in (("asterisk", "Asterisk"), ("tuxpaint", "Tux Paint, six languages")):
        sections += [_main(title, tables[name]), _drawn(tables[name], results.get("draws", {}).get(name))]
    sections += [_others(tables), _by_language(tables), _levels(results), _LIMITS]
    return "\n\n".join(section.strip() for section in sections if section) + "\n"


def _figure(cell: Mapping[str, Any]) -> str:
    low, high = cell["interval"]
    return f"{_short(cell['value'])} [{_short(low)}, {_short(high)}]"


def _short(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.2f}"


def _main(title: str, table: Mapping[str, Any]) -> str:
    lines = [
        f"**{title}** ({table['n']} sentences; {', '.join(table['languages'])})",
        "",
        "| | chance | length only | untrained | ridge | trained | seeds | text → text |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in (row for row in _ROWS if row in table["rows"]):
        cells = table["rows"][row]
        figures = [_figure(cells[name]) if name in cells else "–" for name in _SYSTEMS]
        seeds = " ".join(_short(value) for value in cells["seeds"].values())
        text = _figure(table["text-text"]) if row in ("cross", "speech") else "–"
        what = _ROWS[row].format(pivot=table["pivot"])
        lines.append(f"| {what} | {_short(table['chance'])} | {' | '.join(figures)} | {seeds} | {text} |")
    return "\n".join(lines)


def _drawn(table: Mapping[str, Any], draws: Mapping[str, Any] | None) -> str:
    """Say how hard this draw of sentences is to the text model itself."""
    if draws is None:
        return ""
    text = (
        f"How hard a draw of {table['n']} sentences is varies: E5's own text → text is "
        f"{_short(table['text-text']['value'])} here, and {_short(draws['mean'])} (s.d. {_short(draws['sd'])}) in "
        f"{draws['draws']} draws of as many, of the same kind, from the {draws['of']} that are learned from."
    )
    if draws["nine"]:
        text += (
            f" {draws['nine']} of them are names that are spoken in nine languages, for the demonstration in nine. "
            f"Those are harder: draws of such names alone have {_short(draws['nine only'])}, of the others alone "
            f"{_short(draws['others only'])}."
        )
    return text


def _augmentation(recipe: Mapping[str, Any]) -> str:
    texts = {
        "jitter": f"up to {recipe['jitter']} positions cut from its start",
        "warp": f"tempo changed by up to {recipe['warp']:.0%}",
        "dropout": f"dropout {recipe['dropout']:g}",
    }
    return "".join(f", {text}" for key, text in texts.items() if recipe[key])


def _translations(recipe: Mapping[str, Any]) -> str:
    """Say what the other translations of a sentence are to the contrast."""
    if not recipe.get("across"):
        return "other translations of the sentence left out"
    return f"{recipe['across']:.0%} of the aim spread evenly over the sentence's translations"


def _looks(results: Mapping[str, Any]) -> str:
    """Say how often the test sentences were looked at, and what was shown before on these or on others."""
    here = [run for run in results["before"] if run["split"] == results["split"]]
    there = [run for run in results["before"] if run["split"] != results["split"]]
    text = "The test sentences were looked at once, after recipe and seed had been chosen."
    if here:
        times = {1: "twice", 2: "three times"}.get(len(here), f"{len(here) + 1} times")
        text = (
            f"The test sentences were looked at {times}, each time after recipe and seed had been chosen on validation "
            f"sentences. Before (same-language, then the second row): {_shipped(here)}."
        )
    if there:
        text += (
            "\nThey were drawn anew, from sentences that no earlier draw had tested or chosen by. On the sentences of "
            "earlier draws, which are others and therefore no comparison (same-language, then the second row): "
            f"{_shipped(there)}."
        )
    return text


def _shipped(before: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(
        f"weights `{run['weights_sha256'][:12]}` (validation {run['score']:.3f}) had "
        + ", ".join(
            f"{_short(run[corpus]['same'])} and {_short(run[corpus]['cross'])} on {title}"
            for corpus, title in (("asterisk", "Asterisk"), ("tuxpaint", "Tux Paint"))
        )
        for run in before
    )


def _ablations(results: Mapping[str, Any]) -> str:
    """Return what other runs scored, by what they change; runs on another draw's sentences by themselves."""
    base = next(run for run in results["validation"] if run["name"] == results["chosen"])["recipe"]
    sections = []
    for mine, title in (
        (True, "Other runs, by what differs from the shipped recipe; validation sentences:"),
        (False, "Runs that were judged on an earlier draw's validation sentences, by what differs from the same:"),
    ):
        rows = [_ablation(run, base) for run in results["ablations"] if (run["split"] == results["split"]) is mine]
        if rows:
            head = "| | score | Asterisk same | Asterisk cross | Tux Paint same | Tux Paint cross |"
            sections.append("\n".join([title, "", head, "|---|---|---|---|---|---|", *rows]))
    return "\n\n".join(sections)


def _ablation(run: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    recipe = run["recipe"]
    # A run made before a number could be chosen is without it: it was 0 then, or off.
    then = {key: recipe.get(key, type(value)(0)) for key, value in base.items() if key != "shape"}
    changes = [f"{key} {value}" for key, value in then.items() if value != base[key] and key != "seed"]
    changes += [f"{key} {value}" for key, value in recipe["shape"].items() if value != base["shape"][key]]
    changes += [f"seed {recipe['seed']}"] if recipe["seed"] else []
    cells = [f"{run[f'{corpus} {row}']:.3f}" for corpus in ("asterisk", "tuxpaint") for row in ("same", "cross_all")]
    return f"| {', '.join(changes) or 'none'} | {run['score']:.3f} | {' | '.join(cells)} |"


def _others(tables: Mapping[str, Any]) -> str:
    lines = [
        "**Beyond what was learned** (same-language speech → text, then speech → English text, by the same columns)",
        "",
        "| | n | chance | length only | untrained | ridge | trained | seeds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, table in tables.items():
        if name in ("asterisk", "tuxpaint"):
            continue
        for row in (row for row in _ROWS if row in table["rows"]):
            cells = table["rows"][row]
            figures = [_figure(cells[system]) if system in cells else "–" for system in _SYSTEMS]
            seeds = " ".join(_short(value) for value in cells["seeds"].values())
            what = name if row == "same" else f"{name} → English text"
            lines.append(f"| {what} | {table['n']} | {_short(table['chance'])} | {' | '.join(figures)} | {seeds} |")
    return "\n".join(lines)


def _by_language(tables: Mapping[str, Any]) -> str:
    texts = [
        f"{title}: "
        + ", ".join(f"{language} {_short(value)}" for language, value in tables[name]["by language"].items())
        for name, title in (("asterisk", "Asterisk"), ("tuxpaint", "Tux Paint"))
    ]
    return f"Same-language retrieval by language. {'. '.join(texts)}."


def _levels(results: Mapping[str, Any]) -> str:
    sections = ["### Layer by layer\n\nMeans over languages; trained, then untrained in brackets."]
    for name, title in (("asterisk", "Asterisk"), ("tuxpaint", "Tux Paint")):
        seeds, untrained = results["levels"][name]["seeds"], results["levels"][name]["untrained"]
        trained = seeds[results["chosen"]]
        lines = [
            f"**{title}**",
            "",
            "| point | centroid gap | means' distance over text's spread | CKA, length regressed out | P@1 |",
            "|---|---|---|---|---|",
        ]
        for point in sorted(trained, key=_depth):
            row = trained[point]
            cells = [f"{row[key]:.2f} ({untrained[point][key]:.2f})" for key in _LEVELS]
            lines.append(f"| `{point}` | {' | '.join(cells)} |")
        falls = [_fall(levels, key) for levels in (trained, untrained) for key in _LEVELS[:2]]
        lines += [
            "",
            f"From shared input to pooled the centroid gap falls by {falls[0]:.0%} (untrained {falls[2]:.0%}), the "
            f"distance over the spread by {falls[1]:.0%} (untrained {falls[3]:.0%}). By seed: "
            + ", ".join(f"{_fall(each, _LEVELS[0]):.0%} and {_fall(each, _LEVELS[1]):.0%}" for each in seeds.values())
            + ".",
        ]
        sections.append("\n".join(lines))
    return "\n\n".join(sections)


def _depth(point: str) -> int:
    """Return where a shared point stands among the others."""
    ends = {"shared.input": -1, "pooled": 1000}
    return ends[point] if point in ends else int(point.rpartition(".")[2])


_LEVELS = ("centroid_gap", "over_spread", "cka", "same")


def _fall(levels: Mapping[str, Mapping[str, float]], key: str) -> float:
    return 1 - levels["pooled"][key] / levels["shared.input"][key]


def _data(results: Mapping[str, Any]) -> str:
    amounts = results["learned_from"]
    minutes = sum(row["minutes"] for row in amounts.values())
    recordings = sum(int(row["recordings"]) for row in amounts.values())
    lines = ["| | recordings | minutes |", "|---|---|---|"]
    lines += [f"| {name} | {row['recordings']:.0f} | {row['minutes']:.1f} |" for name, row in amounts.items()]
    data = _DATA
    for word, name in (("ASTERISK", "asterisk"), ("READER", "unseen reader")):
        data = data.replace(word, str(results["tables"][name]["n"]))
    return f"{data}\n\nLearned from: {recordings} recordings, {minutes:.0f} minutes.\n\n" + "\n".join(lines)


def _recipe(chosen: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    recipe = chosen["recipe"]
    seeds = "; ".join(
        f"{run['name']} {run['score']:.3f} ({run['seconds'] / 60:.0f} min)" for run in results["validation"]
    )
    return f"""## Recipe

`python -m training.pocket` (see `training/README.md`) makes these files from fetched
recordings. The adapter has {recipe["shape"]["convolutions"]} convolutions (kernel
{recipe["shape"]["kernel"]}, stride 2), {recipe["shape"]["width"]} wide, and a residual network
{recipe["shape"]["hidden"]} wide. Epochs towards a text's mean word embedding: {recipe["warm_epochs"]:g}; then
{recipe["epochs"]:g} through all twelve frozen layers: contrast with the bank of all training texts (temperature
{recipe["temperature"]:g}{", centred" if recipe["centred"] else ""}; {_translations(recipe)}), twice
(1 - cosine), {recipe["distance"]:g} times the squared distance. Up to {recipe["masked"]:.0%} of an utterance masked in
time{_augmentation(recipe)}. AdamW, rate {recipe["rate"]:g}, decay {recipe["decay"]:g}, batches of {recipe["batch"]}.

Three seeds, on validation sentences (mean of same- and cross-language retrieval over Asterisk and Tux Paint; wall time
with other work on the same two cores): {seeds}.
Shipped: {results["chosen"]}.
Split `{results["split"][:12]}`, weights `{results["weights_sha256"][:12]}`."""


_HEAD = """
# pocket

A small joint speech-text model, to look inside: Whisper-base's encoder (frozen), a length adapter (these weights,
half precision), and the twelve layers of multilingual-e5-small (frozen) that speech and text share. The pooled output
of a recording is taught to be E5's embedding of what is said. It is no general speech encoder: see the limits.
"""

_DATA = """
## Data and licences

| corpus | licence | what of it |
|---|---|---|
| Asterisk core sounds 1.6.1 | CC-BY-SA-3.0 (en, es, fr), CC-BY-3.0 (it, ru) | prompts, one reader a language |
| Tux Paint stamps 2022.06.04 | GPL-2.0-or-later | names of things, nine languages |
| Fish Fillets NG 1.0.1 | GPL-2.0-only | acted dialogue: Dutch is learned from, Czech is never |

None of these licences forbids learning from the recordings, and none was written with trained weights in mind. The
recordings themselves are not in these weights; on that ground they are shipped, with all sources named. Whether weights
are a work derived from what they were learned from is not settled. If they were, the share-alike terms of CC-BY-SA-3.0
and of GPL-2.0 could not both be met by one file: whoever must be certain trains an adapter on one of the corpora
(`SPOKEN` in `training/pocket/split.py` lists them). What is ours in the weights is offered as the code is, under
Apache-2.0. Whisper-base and multilingual-e5-small, which are not in this file, are MIT.

Asterisk core sounds are by Allison Smith (en, es), June Wallack (fr), Carlo Flora (it) and ivrvoice.ru (ru); Tux Paint
stamps by Bill Kendrick and the Tux Paint contributors; Fish Fillets by ALTAR interactive, Ivo and Pavel Danihelka, and
the translators.

Held out by sentence, in every language (`split.json`): 60 Asterisk prompts of four words or more, 97 Tux Paint names
complete in six languages, 120 Fish Fillets lines for the test; 30, 60 and 60 others for choosing. Recordings of more
than 29 s are left out: of the 60 prompts ASTERISK are tested, and READER with the second Italian reader. What is worded
like a held-out sentence, in any language of any of the corpora, was dropped from training. Never learned from at all:
the second Italian reader (Menardi), and Czech.
"""

_RESULTS = """
## Results on the test sentences

Precision at 1 by cosine, each side centred by its own mean; 95 % intervals over sentences; seeds as they come.
LOOKS
*Length only* knows the durations; *untrained* is the same adapter before training; *ridge* is a linear map from
Whisper's pooled last layer to E5's embedding, its penalty chosen on validation sentences.
"""

_LIMITS = """
## Limits

- Readers and domain are shared between training and held-out sentences, and prompts are templated: these figures are
  for new sentences of known readers. The unseen reader and the unseen language above are the measure of the rest.
- A linear map of pooled Whisper already retrieves much: a high P@1 alone shows no joint model. Look at both controls.
- In every language but English and Spanish (one woman reads both) language and reader are confounded.
- Fish Fillets is acted and its translations are free; its figures are low for both reasons.
- Recordings longer than half a minute are refused; most of what was learned from is shorter than five seconds.
- E5 is read from four-bit weights.
"""
