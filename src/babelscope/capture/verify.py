"""Whether a store still holds what was written: every checksum, every number, and what killed runs left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from babelscope.capture.journal import Journal, folder_of
from babelscope.capture.layout import SCHEMA, key_of, shard_key, small_keys
from babelscope.capture.locking import lock
from babelscope.capture.places import Folder, Place
from babelscope.capture.store import Activations
from babelscope.errors import UsageError

#: Called with what is being read, how many blocks are done, and how many there are.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Damage:
    """Something that is not as it was written.

    Attributes
    ----------
    where : str
        Such as ``"speech en, sentences 's0128' to 's0255'"``.
    what : str
        What is wrong with it.
    keys : tuple of str
        What has to be removed for it to be made anew.
    """

    where: str
    what: str
    keys: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes
    ----------
    blocks, done : int
        Blocks that the store will have, and that are there.
    read : int
        Bytes of activations that were read, as numbers.
    damages : tuple of Damage
    leftovers : tuple of str
        Unfinished files of killed runs: they harm nothing, and the next run removes them.
    repaired : bool
        Whether the damaged blocks and leftovers were removed.
    """

    blocks: int
    done: int
    read: int
    damages: tuple[Damage, ...]
    leftovers: tuple[str, ...]
    repaired: bool

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged. A store that is not complete can be sound."""
        return not self.damages

    def lines(self) -> list[str]:
        """Return the verdict, a line a damage and one to sum up."""
        lines = [f"damaged: {damage}" for damage in self.damages]
        more = f", {len(self.leftovers)} unfinished file(s) of killed runs" if self.leftovers else ""
        lines.append(
            f"{self.done} of {self.blocks} blocks are there, {self.read / 1e6:.1f} MB of activations read, "
            f"{len(self.damages)} damaged{more}"
        )
        if self.damages or (self.leftovers and self.repaired):
            lines.append(
                "what was damaged or unfinished has been removed: encode or run again to make it anew"
                if self.repaired
                else "run 'babelscope verify' with --repair, and then encode or run again: only that is made anew"
            )
        return lines


def verify(path: Path | str, *, repair: bool = False, progress: Progress | None = None) -> Verdict:
    """Read a whole store, block by block, and check it.

    Of every block that is done: that all its chunks can be read and have their checksums, that there is a finite number
    for every feature of every point and sentence, a positive count of positions, and a length. Of every language that
    has such a block: that its texts can be read.

    Parameters
    ----------
    path : Path or str
        A folder or URL.
    repair : bool
        Remove what is damaged, and with it the mark that it is done: ``babelscope encode`` and ``run`` make exactly
        that anew. The store is locked meanwhile.
    progress : callable, optional

    Returns
    -------
    Verdict

    Raises
    ------
    DataError
        If there is no store, its labels cannot be read (then nothing of it can be told apart: encode again), or, to
        repair it, another run is writing.
    UsageError
        If a store of an earlier version shall be repaired.
    """
    held = Activations(path)
    if repair and held.schema != SCHEMA:
        raise UsageError(f"{path} is of an earlier version of babelscope, and cannot be repaired: encode again")
    if not repair:
        return _verdict(held, progress, repaired=False)
    with lock(path):
        verdict = _verdict(Activations(path), progress, repaired=True)
        for damage in verdict.damages:
            for key in damage.keys:  # the activations first: without them nothing of the block counts
                held.place.delete(key)
        if isinstance(held.place, Folder):
            held.place.tidy()
            held.place.forget()
            Journal.clear(held.path)
    return verdict


def _verdict(held: Activations, progress: Progress | None, *, repaired: bool) -> Verdict:
    done = np.argwhere(held.done)
    damages: list[Damage] = []
    read = 0
    checked = _Checked(held)
    for number, (modality, language, block) in enumerate(done.tolist()):
        if progress:
            progress(f"{held.modalities[modality]} {held.languages[language]}", number, len(done))
        size, wrong = checked.block(modality, language, block)
        read += size
        if wrong:
            text = held.modalities[modality] == "text"
            keys = (shard_key(modality, language, block), *small_keys(modality, language, block, text=text))
            damages.append(Damage(checked.where(modality, language, block), wrong, keys))
    for language in sorted({int(place) for place in done[:, 1]}):
        damages += checked.language(language)
    leftovers = tuple(map(str, _leftovers(held.place)))
    return Verdict(int(held.done.size), len(done), read, tuple(damages), leftovers, repaired)


def _leftovers(place: Place) -> list[Path]:
    """Return what killed runs left, batches and a former store included: of these a next run takes what it can."""
    if not isinstance(place, Folder):
        return []
    beside = [one for one in (folder_of(place.location), place.former) if one and one.is_dir()]
    return [*place.leftovers(), *beside]


class _Checked:
    """Reads the parts of a store by place."""

    def __init__(self, held: Activations) -> None:
        self.held = held
        self.arrays: dict[str, Any] = dict(zarr.open_group(held.place.store(), mode="r").arrays())
        names = [str(name) for name in held.dataset["point"].values]
        self.rows = {
            modality: [(names.index(point), point, held.width(point, modality)) for point in held.points(modality)]
            for modality in held.modalities
        }
        self.sentences = [str(sentence) for sentence in held.dataset["sentence"].values]

    def _part(self, block: int) -> slice:
        start = block * self.held.block
        return slice(start, min(start + self.held.block, len(self.sentences)))

    def where(self, modality: int, language: int, block: int) -> str:
        part = self._part(block)
        return (
            f"{self.held.modalities[modality]} {self.held.languages[language]}, sentences "
            f"{self.sentences[part.start]!r} to {self.sentences[part.stop - 1]!r}"
        )

    def block(self, modality: int, language: int, block: int) -> tuple[int, str]:
        """Return the bytes of a block's numbers, and what is wrong with it ("" if nothing is)."""
        try:
            with self.held.place.naming():
                return self._block(modality, language, block)
        except (OSError, ValueError, RuntimeError) as error:
            return 0, " ".join(f"it cannot be read ({error})".split())

    def _block(self, modality: int, language: int, block: int) -> tuple[int, str]:
        part, name = self._part(block), self.held.modalities[modality]
        kept = self._kept(modality, language, part)
        size = 0
        positions = np.asarray(self.arrays["positions"][modality, :, language, part])
        for row, point, width in self.rows[name]:
            values = np.asarray(self.arrays["activation"][modality, row, language, part])[:, :width]
            size += values.nbytes
            if not np.isfinite(values[kept]).all():
                return size, f"activations at {point} are missing or not finite"
            if (positions[row][kept] < 1).any():
                return size, f"counts of positions at {point} are missing"
        amounts = np.asarray(self.arrays["tokens" if name == "text" else "seconds"][language, part])
        if not np.isfinite(amounts[kept]).all():
            return size, "lengths are missing"
        for more in ("token_ids",) if name == "text" else ():
            if more in self.arrays:
                np.asarray(self.arrays[more][language, part])
        if "rounding" in self.arrays:
            np.asarray(self.arrays["rounding"][modality, :, language, part])
        return size, ""

    def _kept(self, modality: int, language: int, part: slice) -> Any:
        """Which sentences of a block were encoded; the others were skipped, and say why."""
        if "skipped" not in self.arrays:
            return np.ones(part.stop - part.start, dtype=bool)
        return np.array([not str(reason) for reason in np.asarray(self.arrays["skipped"][modality, language, part])])

    def language(self, language: int) -> Iterator[Damage]:
        """Yield what is wrong with what is known of a language's sentences."""
        code = self.held.languages[language]
        for name in ("text", "recording", "reader", "content"):
            if name not in self.arrays:  # older stores have no contents
                continue
            key = key_of(name, language, 0)
            try:
                with self.held.place.naming():
                    np.asarray(self.arrays[name][language])
                if self.held.schema != SCHEMA or self.held.place.exists(key):
                    continue
                wrong = "it is missing"
            except (OSError, ValueError, RuntimeError) as error:
                wrong = " ".join(f"it cannot be read ({error})".split())
            # The texts go too: without them the language is described anew.
            yield Damage(f"{name} of {code}", wrong, (key_of("text", language, 0), key))
