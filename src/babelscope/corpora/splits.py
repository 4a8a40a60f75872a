"""Data sets with a file for each language and split: read from a local copy, or from the hub through the cache.

A split from the hub is kept in the cache: its rows, its recordings packed, and a record of both.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import filelock

from babelscope import languages as codes
from babelscope.cache import cache_folder, naming_the_disk, write_atomically
from babelscope.corpora.options import chosen_languages, data_folder
from babelscope.corpora.packing import Packed, packed_before
from babelscope.corpora.readings import Split
from babelscope.errors import UsageError
from babelscope.fetch.archives import is_safe_name
from babelscope.fetch.progress import Progress, SilentProgress, TerminalProgress


@dataclass(frozen=True)
class Kept:
    """One split of one language in the cache; `packed` is None where only texts were requested."""

    commit: str
    rows: Path
    packed: Packed | None


#: Writes the rows to a path; returns the commit that they are of, and their recordings.
Fetch = Callable[[Path, Progress], tuple[str, Packed | None]]


class HubSplits:
    """Splits of one revision of a data set.

    A split of which only texts were requested has a record that names no zip; it is fetched whole when speech is.

    `name` is the corpus and its folder in the cache, `revision` a branch, a tag or a commit; `commits` are those of the
    splits that were requested.
    """

    def __init__(self, name: str, revision: str, progress: bool) -> None:
        if not is_safe_name(revision):
            raise UsageError(f"corpus {name!r} has no revision={revision!r}: give a branch, a tag or a commit")
        self.name, self.revision, self.progress = name, revision, progress
        self.commits: set[str] = set()

    def get(self, language: str, split: str, suffix: str, audio: bool, fetch: Fetch) -> Kept:
        """Return a split; what was fetched before is used without contacting the hub again.

        `suffix` is that of the file with the rows; `fetch` is called, by one process at a time, if the cache lacks it.
        """
        folder = cache_folder() / "corpora" / self.name / "hub" / self.revision.replace("/", "_") / language
        rows, record = folder / f"{split}{suffix}", folder / f"{split}.json"
        kept = self._recorded(rows, record, audio)
        if kept is None:
            lock = cache_folder() / "locks" / f"{self.name}-{language}-{split}.lock"
            with naming_the_disk(lock):
                lock.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(lock):  # two processes would append to one download
                kept = self._recorded(rows, record, audio) or self._fetched(rows, record, fetch)
        self.commits.add(kept.commit)
        return kept

    def _recorded(self, rows: Path, record: Path, audio: bool) -> Kept | None:
        try:
            entry = json.loads(record.read_text(encoding="utf-8"))
            commit, name = str(entry["commit"]), entry["packed"]
            packed = packed_before(cache_folder() / "corpora" / self.name / name) if audio and name else None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Kept(commit, rows, packed) if rows.is_file() and (packed or not audio) else None

    def _fetched(self, rows: Path, record: Path, fetch: Fetch) -> Kept:
        with contextlib.ExitStack() as stack:
            shown: Progress = stack.enter_context(TerminalProgress()) if self.progress else SilentProgress()
            commit, packed = fetch(rows, shown)
        line = json.dumps({"commit": commit, "packed": packed.path.name if packed else None}) + "\n"
        write_atomically(record, lambda temporary: temporary.write_text(line, encoding="utf-8"))
        return Kept(commit, rows, packed)


class SplitReader(Protocol):
    """How one data set's splits are read."""

    def looked_for(self, root: Path, language: str, split: str) -> Path:
        """Return the file by which a local copy has a split, for messages."""

    def has(self, root: Path, language: str, split: str) -> bool:
        """Return whether a local copy has a split."""

    def local(self, root: Path, language: str, split: str) -> Split:
        """Read a split of a local copy."""

    def remote(self, hub: HubSplits, language: str, split: str) -> Split:
        """Read a split from the hub."""


def read_splits(
    corpus: str,
    repository: str,
    reader: SplitReader,
    path: Path | None,
    *,
    languages: Sequence[str] | None,
    splits: Sequence[str],
    revision: str,
    progress: bool,
) -> tuple[dict[str, list[Split]], list[str]]:
    """Return the splits of each language by its FLEURS code, and notes on where they are from.

    `path` is a local copy, or None for the hub; the other options are those of
    :func:`babelscope.corpora.fleurs.load_release`.
    """
    chosen = chosen_languages(languages)
    if path is None:
        if not chosen:
            raise UsageError(f"corpus {corpus!r} from the hub needs languages: one is up to several gigabytes")
        hub = HubSplits(corpus, revision, progress)
        read = {language: [reader.remote(hub, language, split) for split in splits] for language in chosen}
        return read, [f"{repository} at {', '.join(sorted(hub.commits))}."]
    root = data_folder(corpus, path)
    chosen = chosen or [
        known.fleurs for known in codes.LANGUAGES if all(reader.has(root, known.fleurs, split) for split in splits)
    ]
    if not chosen:
        raise UsageError(
            f"corpus {corpus!r}: {root} has no language with {' and '.join(splits)} (looked for "
            f"{reader.looked_for(root, 'en_us', splits[0])}): name the folder of the data set"
        )
    return {language: [reader.local(root, language, split) for split in splits] for language in chosen}, []
