"""The outcome of a study: one tidy table of scores, the gap curves made from it, and where everything came from."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from babelscope.cache import sha256_of, write_atomically
from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.gaps.kinds import GAPS, KINDS
from babelscope.gaps.old_names import current_kind, lengths_as_baseline, renewed

if TYPE_CHECKING:
    import xarray as xr

#: Where ``result.json`` keeps the sha256 of the other files, by name; no part of :attr:`Result.meta`.
FILES = "files"

__all__ = [
    "CONTROLS",
    "CURVE_COLUMNS",
    "FILES",
    "GAPS",
    "KINDS",
    "SCORE_COLUMNS",
    "TABLE_COLUMNS",
    "Result",
]

#: Columns of the scores table, in order. One row is one comparison under one measure and one control.
SCORE_COLUMNS: tuple[str, ...] = (
    "model",
    "kind",  # modality_similarity | language_similarity_text | language_similarity_speech | cross_similarity
    "point_a",
    "stage_a",
    "depth_a",
    "modality_a",
    "language_a",
    "point_b",
    "stage_b",
    "depth_b",
    "modality_b",
    "language_b",
    "measure",  # as written, e.g. "svcca(variance=0.99)"
    "control",  # of CONTROLS
    "value",
    "null_mean",
    "null_sd",
    "null_q95",
    "chance_corrected",  # (value - null_mean) / (best - null_mean): what is compared, averaged and subtracted
    "calibrated",  # (value - null_q95) / (best - null_q95), floored at 0 (Gröger et al. 2026)
    "p",
    "low",
    "high",
    "n",
    "kx",
    "ky",
    "convention",
    # What voices leave of perfect agreement, sqrt(ceiling of a x ceiling of b): of speech the similarity of two readers
    # of a sentence, of text 1 (:mod:`babelscope.gaps.readers`); NaN where there is no second recording.
    "ceiling",
    "null",  # "closed form", "permutation", "permutation of clusters" (and "tail of ..."), or empty without one
)

#: Columns of the curves table: the scores of one kind at one point, over languages (modality similarity) or language
#: pairs. ``low`` and ``high`` of a mean are for other sentences and languages (:mod:`babelscope.gaps.by_class`), or for
#: other sentences alone with fewer than 3 languages. A cross-layer map (match="all") is the rows of ``group ==
#: "mean"``, one a pair of `point` (speech) and `against` (text).
CURVE_COLUMNS: tuple[str, ...] = (
    "kind",
    "measure",
    "control",
    "point",  # point_a of the scores it summarises
    "against",  # their point_b
    "stage",
    "depth",
    "group",  # a language, a pair "en-fr" (cross similarity: speech-text), or "mean" over all of them
    "value",
    "null_mean",
    "null_q95",
    "chance_corrected",
    "calibrated",
    "low",
    "high",
    "ceiling",
    "p",  # NaN where group == "mean"
    "n",
    "groups",  # how many languages or pairs the row averages (1 unless group == "mean")
)

#: Columns of the further tables, by name.
_TABLES: dict[str, str] = {
    # The curves averaged over the languages (or pairs) of one resource class: `group` is "all", "high", "medium",
    # "low", or "high-low" for pairs across classes (cross similarity: speech-text); the other columns are those of the
    # curves. `low` and `high` are for other sentences and other languages (control "none" only).
    "by_class": " ".join(CURVE_COLUMNS),
    # Shares of a point's variance; `component` is sentence, language, modality, sentence:language, sentence:modality,
    # language:modality or rest. `part` is "all" (speech and text crossed), or "text" or "speech" alone.
    "decomposition": "part point stage depth component share low high n convention",
    # Distances between mean vectors at one point, over the spread within; `kind` is one of GAPS.
    "centroids": "kind point stage depth language_a language_b distance low high n",
    # The study's findings as tests. `basis` is "chance_corrected" (the leading measure), "raw_svcca" or
    # "chance_corrected_svcca" (where the leading measure is another); `group` is "all", a resource class, or "high-low"
    # (a difference of two classes); one row an id, group and basis. `p_adjusted` is Holm's, over all findings of the
    # basis; `verdict` is holds, holds not or cannot tell; `evidence` and `caveats` are JSON lists (of {table, where,
    # column, value}; of {id, text}).
    "findings": (
        "id group basis measure statement effect effect_of low high p p_adjusted verdict n groups evidence caveats"
    ),
    # Where a language's speech fails to reach its text: one row a language and stage. `similarity` is that of speech
    # and text at the stage's end (`point`), chance-corrected; `text_similarity` is that of the language's texts with
    # those of the other languages, where the last stage ends; `loss` is how much less similarity the language gains
    # over the stage than the others do on average; `output_deficit` is how much lower it is than the others' mean at
    # the last point, and `deficit` on average over all points from the stage on, each stage counting as much. All
    # intervals hold together, over languages and stages (max-t). A language is said to be lower if the interval of any
    # of its deficits lies above 0; `deficit_shrunk` is its size after empirical Bayes. `worst` marks the stage at which
    # such a deficit arises, if that is known (before `deficit` was a column: the largest loss, if its interval lay
    # above 0); `rank` is the language's, 1 being most similar (untested); `detectable` is the smallest `output_deficit`
    # that would be found with 80 % probability; `evidence` is a JSON list as in the findings. (Before `detectable` was
    # a column, losses were against the language whose speech ended most similar to its text.)
    "diagnosis": (
        "language resource_class measure stage point similarity text_similarity loss low high worst rank "
        "output_deficit output_deficit_low output_deficit_high deficit deficit_low deficit_high deficit_shrunk "
        "detectable advice evidence"
    ),
    # One row a language: the names and classes that it goes by, its lengths, its modality similarity where it is
    # highest (`p` is corrected for all languages and points, Holm).
    "languages": (
        "language name script family resource_class tokens_per_word tokens_median seconds_median point measure "
        "value chance_corrected ceiling low high p rank"
    ),
    # What each language costs in retrieval at the output: its own speech against text (`value`), the mean of the other
    # languages, and `cost`, how much lower it is, with an interval that holds for all languages together (98 %, max-t).
    "costs": "language measure point against value others cost low high n",
    # Where speech and text are most similar, on average over the languages: one row a speech point. `low` and `high`
    # are of `value` and hold for all points together (max-t); `chance_corrected` is their mean; `best` marks
    # the largest; `candidate` whether no other point is known to be higher (99.5 %, all pairs of points together).
    "most_similar": "measure point against stage depth value low high chance_corrected best candidate n languages",
    # One row a pair of languages: what the tokenizer does to them, and how similar their texts are.
    "tokens": (
        "language_a language_b tokens_per_word_a tokens_per_word_b shared_token_share point measure chance_corrected"
    ),
    # How far tokens go with similarity over pairs of languages, at the text side's output: Spearman's `rho`;
    # `predictor` is "shared_token_share", or "tokens_per_word_ratio", |log| of the two languages' tokens a word; `p` is
    # Mantel's.
    "associations": "point measure predictor rho low high p languages pairs",
    # What is reached in place of the model (`baseline`: lengths, strings, sounds, input), by the same measures: one row
    # a language (speech against text) or pair, and their mean (`group` as in the curves). The interval is for other
    # sentences.
    "baselines": (
        "baseline kind measure language_a language_b group value null_mean null_q95 chance_corrected p low high n "
        "groups convention"
    ),
    # The model against each baseline (those above, and other models by their label): one row a point, over the
    # languages or pairs that both have, `groups` of `of`. `difference` is of the chance-corrected means, with its
    # interval for other sentences, all points of a kind and measure together (max-t); `strongest` marks the baseline
    # with the largest chance-corrected mean at that point.
    "against_baselines": (
        "kind measure point against baseline value chance_corrected baseline_value baseline_chance_corrected "
        "difference low high strongest n groups of"
    ),
    # The curves (control "none") of other models on the same sentences, `model` being their label.
    "beside": " ".join(["model", *CURVE_COLUMNS]),
    # Their distances between mean vectors.
    "beside_centroids": "model kind point stage depth language_a language_b distance low high n",
    # How the scores at the output deviate from draw to draw: `part` is "blocks" (without one block of the sentences) or
    # "halves" (on two halves), scaled so that sums of squares are variances (:mod:`babelscope.similarity.deviations`).
    # `group` is a language (modality similarity) or "mean".
    "draws": "kind measure point against group part draw deviation",
    # Which text points each speech point was compared with; `shown` marks the one that stands for it along the depth.
    "pairing": "speech_point text_point shown",
    # Two dimensions of each sentence at each point, for looking at: `x` and `y` are the first two principal axes.
    "projection": "point modality language sentence x y share_x share_y",
}

#: The same, each column by itself.
TABLE_COLUMNS: dict[str, tuple[str, ...]] = {name: tuple(columns.split()) for name, columns in _TABLES.items()}

CONTROLS: dict[str, str] = {
    "none": "as it is",
    "length_regressed": "log duration and token count regressed out of both sides",
    "strings_regressed": "leading directions of the transcripts' letters regressed out of both sides",
    "sounds_regressed": "leading directions of the transcripts' phones regressed out of both sides",
    "shuffled": "one side's sentences shuffled: what unrelated data gives",
}

#: Those of a study that names none.
DEFAULT_CONTROLS: tuple[str, ...] = ("none", "length_regressed", "shuffled")


#: What the numbers of the curves are, for labelled arrays.
LONG_NAMES: dict[str, str] = {
    "value": "similarity, as the measure gives it",
    "null_mean": "mean similarity of unrelated sentences",
    "null_q95": "95th percentile of the similarity of unrelated sentences",
    "chance_corrected": "similarity less the null's mean, over that of perfect agreement",
    "calibrated": "similarity above the null's 95th percentile, over that of perfect agreement, at least 0",
    "low": "lower end of the 95 % interval",
    "high": "upper end of the 95 % interval",
    "ceiling": "what voices leave of perfect agreement",
    "p": "probability that unrelated sentences do as well",
    "n": "number of sentences",
    "groups": "number of languages or pairs that are averaged",
}


def table_of(name: str, rows: Sequence[Mapping[str, Any]] = ()) -> pd.DataFrame:
    """Return rows as one of the further tables, with its columns."""
    return pd.DataFrame(rows, columns=list(TABLE_COLUMNS[name]))


@dataclass(frozen=True)
class Result:
    """What a study found.

    Attributes
    ----------
    scores : DataFrame
        One row a comparison, measure and control; columns :data:`SCORE_COLUMNS`.
    curves : DataFrame
        The similarities along the depth; columns :data:`CURVE_COLUMNS`.
    meta : dict
        Provenance and texts, JSON-able: ``study`` (name, created, command), ``model`` (name, revision, sides, notes),
        ``corpus`` (name, fingerprint, languages, n, licence, attribution, readers, seconds), ``options`` (measures,
        controls, permutations, seed, pooling, match, interval_of_means, statistics), ``versions``, ``headline`` (list
        of sentences), ``headline_parts`` (each as texts and numbers with their places: :mod:`babelscope.gaps.traced`),
        ``caveats`` (list of {id, title, text}).
    tables : dict of str to DataFrame
        What further analyses found, one tidy table each; columns :data:`TABLE_COLUMNS`. A table that the study allows
        no rows of is absent.
    """

    scores: pd.DataFrame
    curves: pd.DataFrame
    meta: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def save(self, folder: Path | str) -> Path:
        """Write ``scores.parquet``, ``scores.csv``, ``curves.csv``, ``tables/*.parquet`` and ``result.json``.

        Each is replaced whole; a table of an earlier result that this one lacks is removed. ``result.json`` is written
        last, with the sha256 of all that :meth:`load` reads, and one of another result is removed first: a folder that
        has it holds all of one result. A result that was loaded gives the same bytes as the one that was saved.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._take_away_another(folder / "result.json")
        read = [write_atomically(folder / "scores.parquet", partial(_write_parquet, self.scores))]
        write_atomically(folder / "scores.csv", lambda path: self.scores.to_csv(path, index=False))
        read.append(write_atomically(folder / "curves.csv", lambda path: self.curves.to_csv(path, index=False)))
        tables_folder = folder / "tables"
        tables_folder.mkdir(exist_ok=True)
        for name, table in sorted(self.tables.items()):
            read.append(write_atomically(tables_folder / f"{name}.parquet", partial(_write_parquet, table)))
        for path in tables_folder.glob("*.parquet"):
            if path.stem not in self.tables:
                path.unlink()
        digests = {path.relative_to(folder).as_posix(): sha256_of(path) for path in read}
        text = json.dumps(self.meta | {FILES: digests}, indent=2, ensure_ascii=False)
        write_atomically(folder / "result.json", lambda path: path.write_text(text, encoding="utf-8"))
        return folder

    def _take_away_another(self, path: Path) -> None:
        """Remove ``result.json`` unless it is of the same study, whose tables are the same."""
        try:
            identity = json.loads(path.read_text(encoding="utf-8"))["identity"]
        except (OSError, ValueError, KeyError, TypeError):
            identity = None
        if identity is None or identity != self.meta.get("identity"):
            path.unlink(missing_ok=True)

    def to_dataframe(self, table: str = "curves", **equal: str) -> pd.DataFrame:
        """Return a table as a tidy DataFrame of its own.

        Parameters
        ----------
        table : str
            ``curves``, ``scores``, or one of :attr:`tables`.
        **equal : str
            Columns and what they must equal, such as ``kind="modality_similarity", control="none", group="swh"``.

        Raises
        ------
        UsageError
            If there is no such table, column, or value in it.
        DataError
            If the result has no rows of that table.
        """
        every = {"curves": self.curves, "scores": self.scores, **self.tables}
        if table in TABLE_COLUMNS and table not in every:
            raise DataError(f"the result has no rows of {table!r}: the study allowed none; it has {', '.join(every)}")
        rows = every[_known("table", table, every)]
        for column, value in equal.items():
            _known(f"column of {table}", column, list(map(str, rows.columns)))
            there = list(map(str, rows[column].unique()))
            value = current_kind(value, "kind") if column == "kind" and value not in there else value
            rows = rows[rows[column].astype(str) == _known(f"{column} in {table}", value, there)]
        return rows.reset_index(drop=True).copy()

    def to_xarray(self, kind: str = "modality_similarity") -> xr.Dataset:
        """Return the similarities of one kind along the depth, as labelled arrays.

        Parameters
        ----------
        kind : str
            One of :data:`KINDS` that the study has.

        Returns
        -------
        Dataset
            Dimensions ``measure``, ``control``, ``point`` (in the order of depth) and ``group`` (languages or pairs,
            and ``mean``), and ``against`` where a point was compared with several; every number of the curves is a
            variable, NaN where there is none. ``stage`` and ``depth`` are coordinates of ``point``.

        Raises
        ------
        UsageError
            If the result has no such kind.
        """
        rows = self.to_dataframe("curves", kind=kind)
        several = rows.groupby("point")["against"].nunique().max() > 1
        dimensions = ["measure", "control", "point", *(["against"] if several else []), "group"]
        labels = {name: list(dict.fromkeys(rows[name])) for name in dimensions}
        places = rows.drop_duplicates("point").set_index("point").loc[labels["point"]]
        of_point = ("stage", "depth") if several else ("stage", "depth", "against")
        numbers = [name for name in rows.select_dtypes("number").columns if name != "depth"]
        arrays = rows.set_index(dimensions)[numbers].to_xarray().reindex(labels)
        arrays = arrays.assign_coords({name: ("point", places[name].to_numpy()) for name in of_point})
        for name in numbers:
            arrays[name].attrs = {"long_name": LONG_NAMES.get(name, name.replace("_", " ")), "units": "1"}
        arrays["depth"].attrs = {"long_name": "relative depth of the point within its side", "units": "1"}
        arrays.attrs = {"kind": kind, "title": KINDS[kind]} | {
            section: str(self.meta.get(section, {}).get("name", "")) for section in ("model", "corpus")
        }
        return arrays

    def report(self, folder: Path | str) -> Path:
        """Write ``report.html`` and its figures into a folder, and return the page's path.

        Parameters
        ----------
        folder : Path or str
            Made if need be; usually where the result was saved.
        """
        reports = importlib.import_module("babelscope.report")  # which is above: a result knows nothing of reports
        return Path(reports.write_report(self, folder))

    @property
    def plot(self) -> Any:
        """The figures of the report, a method each: ``result.plot.curves()`` is an Altair chart.

        ``dir(result.plot)`` lists them; :class:`babelscope.report.plots.Plots`.
        """
        return importlib.import_module("babelscope.report.plots").Plots(self)

    @classmethod
    def load(cls, folder: Path | str) -> Result:
        """Read what :meth:`save` wrote.

        Raises
        ------
        DataError
            If the folder holds no result, or a damaged one.
        """
        folder = Path(folder)
        if not (folder / "result.json").is_file():
            raise DataError(
                f"{folder} holds no result (no result.json): run 'babelscope compare' or 'babelscope run' first"
            )
        try:
            meta = json.loads((folder / "result.json").read_text(encoding="utf-8"))
            for name, digest in meta.pop(FILES, {}).items():
                if sha256_of(folder / name) != digest:
                    raise ValueError(f"{name} is not as it was written")
            scores = pd.read_parquet(folder / "scores.parquet")
            curves = pd.read_csv(folder / "curves.csv", keep_default_na=False, na_values=[""])
            # What begins with a dot is half a table, of a run that was killed or is writing.
            table_paths = (path for path in sorted((folder / "tables").glob("*.parquet")) if path.name[0] != ".")
            tables = {path.stem: pd.read_parquet(path) for path in table_paths}
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise DataError(f"the result in {folder} is damaged ({error}): run 'babelscope compare' again") from error
        scores, curves, meta, tables = renewed(scores, curves, meta, tables, folder)
        if "baselines" not in tables and len(alone := lengths_as_baseline(scores)):
            tables["baselines"] = alone.reindex(columns=list(TABLE_COLUMNS["baselines"]))
        return cls(scores, curves, meta, tables)


def _write_parquet(table: pd.DataFrame, path: Path) -> None:
    """Write a table, so that equal tables give equal bytes.

    A column of texts may be of the type ``object`` where it was computed, and is of the type ``str`` once it was read;
    and columns may be in pieces. Neither is kept.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    settled = pa.Table.from_pandas(table.infer_objects(), preserve_index=False)
    pq.write_table(settled.combine_chunks(), path)


def _known(what: str, name: str, there: Iterable[str]) -> str:
    choices = list(there)
    if name not in choices:
        raise UsageError(f"the result has no {what} {name!r}: {did_you_mean(name, choices)}")
    return name
