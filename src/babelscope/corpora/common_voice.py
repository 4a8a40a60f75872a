"""Common Voice: sentences read by volunteers in over a hundred languages, not parallel; from a local copy.

A release as it is unpacked: ``cv-corpus-*/{language}/{split}.tsv`` and ``cv-corpus-*/{language}/clips``. Each
language has its own sentences: a study is of one language, and measures the gap between its speech and its text.
Several people may read a sentence, which gives the floor of another reader. Known from the program that writes the
files (common-voice/CorporaCreator) and from public copies: the columns, that fields are not quoted, the splits.
``sentence_id`` came with later releases; before that, a sentence is identified by its text. Downloads have needed an
account since October 2025, so nothing is fetched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from babelscope.corpora.clips import plain_clip, read_tsv
from babelscope.corpora.corpus import MODALITIES, Corpus
from babelscope.corpora.options import Broken, Choice, chosen_splits, data_folder, pick_languages
from babelscope.corpora.readings import Row, Split, assemble, in_folder
from babelscope.errors import UsageError

SPLITS = ("train", "dev", "test", "validated", "other", "invalidated")
LICENCE = "CC0-1.0"
ATTRIBUTION = "Common Voice, Ardila et al. 2020 (arXiv 1912.06670), Mozilla and its contributors"
NOTES = (
    "Languages are not parallel: each has sentences of its own.",
    "Readers are the volunteers' client ids; one person may have several.",
)


def load(
    path: Path | str,
    *,
    languages: Sequence[str] | None = None,
    splits: str | Sequence[str] = "test",
    recording: str = "first",
    others: bool = True,
    broken: str = "refuse",
    truncated: str = "keep",
    modalities: Sequence[str] = MODALITIES,
) -> Corpus:
    """Load the corpus ``common-voice`` from a local copy.

    Parameters
    ----------
    path : path
        A release (``cv-corpus-22.0-2025-06-20``), the folder that holds one, or the folder of one language.
    languages : list of str, optional
        As the release names them, or in any code that :func:`babelscope.languages.language` knows; all if left out.
    splits : str or list of str
        Of train, dev, test, validated (which has the others), other and invalidated; ``"train+dev"`` is a union.
    recording, others, broken, truncated, modalities
        As :func:`babelscope.corpora.fleurs.load_release`.

    Returns
    -------
    Corpus
        Languages as the release names them, sentences by their ids, or by a digest of language and text. ``labels`` has
        ``sentence_domain`` where the release has it.

    Raises
    ------
    UsageError
        For an unknown language, split or option, or a folder that is no release.
    DataError
        If a file is missing or broken, or a row or a clip is; the message names file and line.
    """
    choice = Choice("common-voice", recording, others, broken, truncated, modalities)
    wanted = chosen_splits("common-voice", splits, SPLITS)
    folders = _folders(Path(path), wanted)
    dropped = Broken(broken)
    labels: dict[str, dict[str, str]] = {}
    read: dict[str, list[Split]] = {}
    for language in pick_languages("common-voice", languages, folders):
        folder = folders[language]
        rows: list[Row] = []
        for split in wanted:
            rows += _rows(folder / f"{split}.tsv", language, dropped, labels)
        unique = list({row.file: row for row in reversed(rows)}.values())[::-1]  # validated has the clips of the others
        read[language] = [Split(unique, in_folder(folder / "clips") if choice.audio else None)]
    return assemble(
        read,
        choice,
        dropped,
        title=f"Common Voice, {'+'.join(wanted)}: sentences read by volunteers",
        licence=LICENCE,
        attribution=ATTRIBUTION,
        notes=NOTES,
        labels={sentence: own for sentence, own in labels.items() if own},
    )


def _folders(path: Path, splits: Sequence[str]) -> dict[str, Path]:
    """Language to folder."""
    data_folder("common-voice", path)

    def holds(folder: Path) -> bool:
        return all((folder / f"{split}.tsv").is_file() for split in splits)

    if holds(path):
        return {path.resolve().name: path}
    releases = [path, *sorted(path.glob("cv-corpus-*"))]
    by_release = [
        {folder.name: folder for folder in sorted(release.iterdir()) if holds(folder)} for release in releases
    ]
    complete = [folders for folders in by_release if folders]
    if len(complete) > 1:
        raise UsageError(f"corpus 'common-voice': {path} has {len(complete)} releases: name the folder of one")
    if not complete:
        raise UsageError(
            f"corpus 'common-voice': {path} has no language with {' and '.join(splits)} "
            f"(looked for {path / 'en' / (splits[0] + '.tsv')}): name the folder of a release"
        )
    return complete[0]


def _rows(path: Path, language: str, broken: Broken, labels: dict[str, dict[str, str]]) -> list[Row]:
    rows: list[Row] = []
    wrong = partial(broken.add, language)
    for where, fields in read_tsv(path, ("client_id", "path", "sentence"), wrong):
        text = " ".join(fields["sentence"].split())
        clip = plain_clip(where, fields["path"], wrong)
        if not text:
            wrong(f"{where} has no sentence")
        if not text or clip is None:
            continue
        digest = hashlib.sha256(f"{language}\0{fields['sentence']}".encode()).hexdigest()[:16]
        sentence = fields.get("sentence_id") or digest
        own = labels.setdefault(sentence, {})
        if domain := fields.get("sentence_domain"):
            own["sentence_domain"] = domain
        gender = fields.get("gender", "").split("_")[0]  # male_masculine in later releases
        rows.append(Row(where, "", sentence, clip, text, None, fields["client_id"], gender))
    return rows
