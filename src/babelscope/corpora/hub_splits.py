"""Splits of a data set on the hub, each kept in the cache: its rows, its recordings packed, and a record of both."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import filelock

from babelscope.cache import cache_folder, naming_the_disk, write_atomically
from babelscope.corpora.packing import Packed, packed_before
from babelscope.errors import UsageError
from babelscope.fetch.archives import is_safe_name
from babelscope.fetch.progress import Progress, SilentProgress, TerminalProgress


@dataclass(frozen=True)
class Kept:
    """One split of one language in the cache; `packed` is None where texts alone were asked for."""

    commit: str
    rows: Path
    packed: Packed | None


#: Writes the rows to a path; returns the commit that they are of, and their recordings.
Fetch = Callable[[Path, Progress], tuple[str, Packed | None]]


class HubSplits:
    """Splits of one revision of a data set.

    A split whose texts alone were asked for has a record that names no zip; it is fetched whole when speech is.

    Parameters
    ----------
    name : str
        The corpus; its folder in the cache.
    revision : str
        A branch, a tag or a commit.
    progress : bool
        Whether downloads are shown on the error stream.

    Attributes
    ----------
    commits : set of str
        Of the splits that were asked for.

    Raises
    ------
    UsageError
        If the revision's name is refused.
    """

    def __init__(self, name: str, revision: str, progress: bool) -> None:
        if not is_safe_name(revision):
            raise UsageError(f"corpus {name!r} has no revision={revision!r}: give a branch, a tag or a commit")
        self.name = name
        self.revision = revision
        self.progress = progress
        self.commits: set[str] = set()

    def get(self, language: str, split: str, suffix: str, audio: bool, fetch: Fetch) -> Kept:
        """Return a split; what was fetched before is used without asking the hub again.

        Parameters
        ----------
        language, split : str
        suffix : str
            Of the file with the rows: ``".tsv"``.
        audio : bool
            Whether recordings are asked for.
        fetch : callable
            Called, by one process at a time, if the cache does not have it.

        Returns
        -------
        Kept
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
            told = json.loads(record.read_text(encoding="utf-8"))
            commit, name = str(told["commit"]), told["packed"]
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
