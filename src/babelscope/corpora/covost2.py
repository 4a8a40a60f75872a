"""CoVoST 2: clips of Common Voice with translations, 21 languages into English and English into 15; a local copy.

``covost_v2.{source}_{target}.tsv`` (``path, translation, split``) with Common Voice's ``validated.tsv``, or
``covost_v2.{source}_{target}.{split}.tsv`` (``path, sentence, translation, client_id``), which CoVoST's own script
makes of both; and the clips of Common Voice (its release 4). Known from that script (facebookresearch/covost): names,
columns, and how fields are escaped. A row is a sentence, parallel by its clip: the source language is spoken and
written, the targets are written only. So speech and text are compared within the source language, and texts across
languages; a sentence that several people read occurs several times, which
``Corpus.select(distinct=True)`` resolves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from babelscope.corpora.clips import clip_name, plain_clip, read_tsv
from babelscope.corpora.corpus import MODALITIES, Corpus
from babelscope.corpora.options import Broken, Choice, chosen_splits, data_folder, pick_languages, same_language
from babelscope.corpora.readings import Row, Split, assemble, in_folder
from babelscope.errors import DataError, UsageError

SPLITS = ("train", "dev", "test")
LICENCE = "CC0-1.0"
ATTRIBUTION = "CoVoST 2, Wang et al. 2020 (arXiv 2007.10310); Common Voice, Ardila et al. 2020 (arXiv 1912.06670)"
NOTES = ("Only the source language is spoken; the others are translations of its sentences.",)

_NAME = re.compile(r"covost_v2\.([a-z]{2}(?:-[A-Z]{2})?)_([a-z]{2}(?:-[A-Z]{2})?)(?:\.(train|dev|test))?\.tsv")


def load(
    path: Path | str,
    *,
    languages: Sequence[str] | None = None,
    splits: str | Sequence[str] = "test",
    clips: Path | str | None = None,
    broken: str = "refuse",
    truncated: str = "keep",
    modalities: Sequence[str] = MODALITIES,
) -> Corpus:
    """Load the corpus ``covost2`` from a local copy.

    Parameters
    ----------
    path : path
        The folder with CoVoST's TSV files, or one above it that is named by the source language.
    languages : list of str, optional
        The spoken language first, then those of its translations that are wanted, by any of their codes. Can be left
        out where the folder has one source language: then all are taken.
    splits : str or list of str
        Of train, dev and test; ``"train+dev"`` is a union.
    clips : path, optional
        Common Voice's folder of the source language, with ``clips`` and ``validated.tsv`` in it; where CoVoST's files
        are, if left out.
    broken, truncated, modalities
        As :func:`babelscope.corpora.fleurs.load_release`.

    Returns
    -------
    Corpus
        Languages as CoVoST names them, sentences by the names of their clips.

    Raises
    ------
    UsageError
        For an unknown language, split or option, or a folder that is no copy.
    DataError
        If a file is missing or broken, or a row or a clip is; the message names file and line.
    """
    choice = Choice("covost2", "first", True, broken, truncated, modalities)
    wanted = chosen_splits("covost2", splits, SPLITS)
    root = _root(Path(path), languages)
    source, targets = _pairs(root, languages)
    recorded = Path(clips) if clips is not None else root
    dropped = Broken(broken)
    spoken: dict[str, Row] = {}
    written: dict[str, list[Row]] = {}
    for target in targets:
        for where, fields in _fields(root, recorded, source, target, wanted, dropped):
            clip = plain_clip(where, fields["path"], partial(dropped.add, source))
            if clip is None:
                continue
            sentence = PurePosixPath(clip).stem
            text, translated = (" ".join(fields[name].split()) for name in ("sentence", "translation"))
            if text:
                spoken.setdefault(clip, Row(where, "", sentence, clip, text, None, fields["client_id"]))
            else:
                dropped.add(source, f"{where} has no sentence", sentence)
            if translated:
                written.setdefault(target, []).append(Row(where, "", sentence, "", translated, None, ""))
            else:
                dropped.add(target, f"{where} has no translation", sentence)
    read = {source: [Split(list(spoken.values()), in_folder(recorded / "clips") if choice.audio else None)]}
    if languages is None or len(languages) > 1:
        read |= {target: [Split(written.get(target, []), None)] for target in targets}
    return assemble(
        read,
        choice,
        dropped,
        title=f"CoVoST 2, {'+'.join(wanted)}: Common Voice's clips with translations",
        licence=LICENCE,
        attribution=ATTRIBUTION,
        notes=NOTES,
    )


def _root(path: Path, languages: Sequence[str] | None) -> Path:
    data_folder("covost2", path)
    below = [path, *(folder for folder in sorted(path.iterdir()) if folder.is_dir())]
    roots = [folder for folder in below if any(_NAME.fullmatch(file.name) for file in folder.iterdir())]
    if languages and not isinstance(languages, str) and len(roots) > 1:
        roots = [folder for folder in roots if same_language(languages[0], folder.name)] or roots
    if not roots:
        raise UsageError(f"corpus 'covost2': {path} has no file such as covost_v2.fr_en.tsv: name the folder of CoVoST")
    if len(roots) > 1:
        names = ", ".join(folder.name for folder in roots)
        raise UsageError(f"corpus 'covost2': {path} has several folders ({names}): name one, or the spoken language")
    return roots[0]


def _pairs(root: Path, languages: Sequence[str] | None) -> tuple[str, list[str]]:
    """Return the source language and the targets, out of the names of files."""
    pairs: dict[str, dict[str, None]] = {}
    for file in sorted(root.iterdir()):
        if match := _NAME.fullmatch(file.name):
            pairs.setdefault(match[1], {})[match[2]] = None
    if languages is None:
        if len(pairs) > 1:
            raise UsageError(f"corpus 'covost2': {root} has several spoken languages ({', '.join(pairs)}): name one")
        source = next(iter(pairs))
        return source, list(pairs[source])
    if isinstance(languages, str):
        raise UsageError(f"languages is a list, as in [{languages!r}]")
    (source,) = pick_languages("covost2", languages[:1], pairs)
    return source, pick_languages("covost2", languages[1:], pairs[source]) if languages[1:] else list(pairs[source])


def _fields(
    root: Path, recorded: Path, source: str, target: str, splits: Sequence[str], dropped: Broken
) -> Iterator[tuple[str, dict[str, str]]]:
    broken = partial(dropped.add, source)
    made = [root / f"covost_v2.{source}_{target}.{split}.tsv" for split in splits]
    whole = root / f"covost_v2.{source}_{target}.tsv"
    if all(file.is_file() for file in made):
        for file in made:
            yield from read_tsv(file, ("path", "sentence", "translation", "client_id"), broken, escaped=True)
        return
    if not whole.is_file():
        missing = next(file for file in made if not file.is_file())
        raise DataError(f"corpus 'covost2' has no split {missing.suffixes[-2][1:]!r}: {missing} is missing")
    validated = recorded / "validated.tsv"
    if not validated.is_file():
        raise DataError(
            f"corpus 'covost2': {validated} is missing, in which Common Voice has the sentences of {whole.name}: give "
            "Common Voice's folder as clips"
        )
    needed = ("path", "sentence", "client_id")
    known = {clip_name(own["path"]): own for _, own in read_tsv(validated, needed, broken, escaped=True)}
    for where, fields in read_tsv(whole, ("path", "translation", "split"), broken, escaped=True):
        # As CoVoST's script splits them: train is Common Voice's and what CoVoST added to it.
        own = known.get(clip_name(fields["path"]))
        if fields["split"].removesuffix("_covost") in splits and own is not None:
            yield where, own | {"translation": fields["translation"]}
