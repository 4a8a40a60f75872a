"""Whether a store still holds what was written: every checksum, every number, and what killed runs left."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from babelscope.capture.inventory import INVENTORY, read_inventory
from babelscope.capture.journal import Journal, folder_of
from babelscope.capture.layout import SCHEMA, key_of, shard_key, small_keys
from babelscope.capture.locking import lock
from babelscope.capture.positions import INDEX, Positions, key_of_utterance, listed, place_of_positions
from babelscope.capture.storage import Folder, Storage, storage_of
from babelscope.capture.store import Activations, DamagedLabelsError
from babelscope.errors import BabelscopeError, DataError, UsageError
from babelscope.progress import Progress

#: The arrays of what is known of a language's sentences.
DESCRIBING = ("text", "recording", "reader", "content")


@dataclass(frozen=True)
class Damage:
    """Something that is not as it was written: where, what is wrong, and what is removed for it to be made again."""

    where: str
    what: str
    keys: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True)
class Verdict:
    """The result of checking a store.

    Attributes
    ----------
    store : str
        Its name.
    blocks, done : int
        Blocks that the store will have, and that are there; 0 if its description is damaged.
    read : int
        Bytes of activations that were read, as numbers.
    leftovers : tuple of str
        Unfinished files of killed runs: they harm nothing, and the next run removes them.
    repaired : bool
        Whether the damaged blocks and leftovers were removed.
    unit : str
        What is counted: blocks, or utterances of a store of positions.
    """

    store: str
    blocks: int
    done: int
    read: int
    damages: tuple[Damage, ...]
    leftovers: tuple[str, ...]
    repaired: bool
    unit: str = "blocks"

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged. A store that is not complete can be sound."""
        return not self.damages

    @property
    def repairable(self) -> bool:
        """Whether all that is damaged can be removed and made again."""
        return all(damage.keys for damage in self.damages)

    @property
    def settled(self) -> bool:
        """Whether nothing is damaged, or all that was has been removed."""
        return self.sound or (self.repaired and self.repairable)

    def lines(self) -> list[str]:
        """Return the verdict, a line a damage and one to sum up."""
        lines = [f"damaged: {damage}" for damage in self.damages]
        more = f", {len(self.leftovers)} unfinished file(s) of killed runs" if self.leftovers else ""
        lines.append(
            f"{self.store}: {self.done} of {self.blocks} {self.unit} are there, {self.read / 1e6:.1f} MB of "
            f"activations read, {len(self.damages)} damaged{more}"
        )
        if not self.repairable:
            lines.append(f"{self.store} cannot be repaired: delete it and encode or run again")
        elif self.damages or (self.leftovers and self.repaired):
            lines.append(
                "what was damaged or unfinished has been removed: encode or run again to make it again"
                if self.repaired
                else "run 'babelscope verify' with --repair, and then encode or run again: only that is made again"
            )
        return lines


def stores_beside(path: Path | str) -> list[Path]:
    """Return the stores that belong to a store, in folders next to it: second readings and the like."""
    place = storage_of(path)
    if not isinstance(place, Folder):
        return []
    stem = re.escape(place.name.removesuffix(".zarr"))
    folders = [each for each in place.location.parent.glob("*") if re.fullmatch(rf"{stem}\.\w+", each.name)]
    return sorted(store for folder in folders for store in folder.glob("*.zarr") if store.is_dir())


def verify_all(path: Path | str, *, repair: bool = False, progress: Progress | None = None) -> list[Verdict]:
    """Check a store and those that belong to it: second readings, and positions that are not pooled."""
    verdicts = [verify(each, repair=repair, progress=progress) for each in (path, *stores_beside(path))]
    positions = place_of_positions(path)
    if storage_of(positions).exists(INDEX):
        verdicts.append(verify_positions(positions, repair=repair, progress=progress))
    return verdicts


def verify(path: Path | str, *, repair: bool = False, progress: Progress | None = None) -> Verdict:
    """Read a whole store, block by block, and check it.

    Of every block that is done: that all its chunks can be read and have their checksums, that there is a finite number
    for every feature of every point and sentence, a positive count of positions, and a length. Of every language that
    has such a block: that its texts can be read. Of the coordinates: that they are what was written. Of a store that
    was complete: that every file is there and as it was (of an object store, that it has its size). Stores of earlier
    versions have no record of their files, so that one that is gone is noticed only where its values cannot be.

    Parameters
    ----------
    repair : bool
        Remove what is damaged, and with it the mark that it is done: ``babelscope encode`` and ``run`` make exactly
        that again. The store is locked meanwhile.

    Raises
    ------
    DataError
        If there is no store, or, to repair it, another run is writing.
    UsageError
        If a store of an earlier version shall be repaired.
    """
    place = storage_of(path)
    if not place.exists("zarr.json") and read_inventory(place) is None:
        raise DataError(f"{path} is not a store of activations (no zarr.json): run 'babelscope encode' first")
    if not repair:
        return _verdict(place, progress, repaired=False)
    with lock(path):
        verdict = _verdict(place, progress, repaired=True)
        if verdict.damages and verdict.repairable:
            keys = list(dict.fromkeys(key for damage in verdict.damages for key in damage.keys))
            if "zarr.json" not in keys:  # by the inventory a store without its root is known again
                keys.insert(0, INVENTORY)
            for key in keys:  # the activations first: without them nothing of the block counts
                place.delete(key)
        if isinstance(place, Folder):
            place.tidy()
            place.drop_previous()
            Journal.clear(place.location)
    return verdict


def _verdict(place: Storage, progress: Progress | None, *, repaired: bool) -> Verdict:
    leftovers = tuple(map(str, _leftovers(place)))
    inventory = read_inventory(place)
    differing = dict(inventory.differing(place)) if inventory else {}
    try:
        if "zarr.json" in differing:
            raise DataError(f"zarr.json: {differing['zarr.json']}")
        stored = Activations(place.location)
    except DamagedLabelsError as error:
        chunks = [key for label in error.labels for key in ({f"{label}/c/0", f"{label}/zarr.json"} & set(place.keys()))]
        damage = Damage(f"coordinate {', '.join(error.labels)}", "not as it was written", (*chunks, INVENTORY))
        return Verdict(place.name, 0, 0, 0, (damage,), leftovers, repaired)
    except DataError as error:
        keys = ("zarr.json",) if inventory else ()
        wrong = differing.get("zarr.json", str(error).partition(": run 'babelscope")[0])
        return Verdict(place.name, 0, 0, 0, (Damage("zarr.json", wrong, keys),), leftovers, repaired)
    if repaired and stored.schema != SCHEMA:
        raise UsageError(f"{place} is of an earlier version of babelscope, and cannot be repaired: encode again")
    done = np.argwhere(stored.done)
    damages: list[Damage] = []
    read = 0
    checked = _Checked(stored)
    for number, (modality, language, block) in enumerate(done.tolist()):
        if progress:
            progress(f"{stored.modalities[modality]} {stored.languages[language]}", number, len(done))
        size, wrong = checked.block(modality, language, block)
        read += size
        if wrong:
            damages.append(checked.damaged_block(modality, language, block, wrong))
    for language in sorted({int(place) for place in done[:, 1]}):
        damages += checked.language(language)
    damages += [checked.damaged_file(key, wrong) for key, wrong in differing.items()]
    if inventory is None and stored.inventoried and (stored.complete or place.exists(INVENTORY)):
        damages.append(Damage(INVENTORY, "the list of the store's files is missing or damaged", (INVENTORY,)))
    named = {damage.where: damage for damage in reversed(damages)}  # what was found first says most
    return Verdict(
        place.name, int(stored.done.size), len(done), read, tuple(reversed(named.values())), leftovers, repaired
    )


def verify_positions(path: Path | str, *, repair: bool = False, progress: Progress | None = None) -> Verdict:
    """Read a whole store of positions, utterance by utterance, and check it, as :func:`verify`.

    What `repair` removes, a study with [tokens] makes again.
    """
    if not repair:
        return _verdict_on_positions(path, progress, repaired=False)
    with lock(path):
        verdict = _verdict_on_positions(path, progress, repaired=True)
        for damage in verdict.damages:
            for key in damage.keys:
                storage_of(path).delete(key)
    return verdict


def _verdict_on_positions(path: Path | str, progress: Progress | None, *, repaired: bool) -> Verdict:
    name = storage_of(path).name
    try:
        stored = Positions(path)
    except DataError as error:
        return Verdict(name, 0, 0, 0, (Damage(INDEX, str(error), ()),), (), repaired, "utterances")
    damages: list[Damage] = []
    read = done = 0
    cells = list(product(stored.modalities, stored.languages, stored.sentences))
    there = listed(stored.storage)
    for number, (modality, language, sentence) in enumerate(cells):
        key = key_of_utterance(modality, language, stored.sentences.index(sentence))
        done += key in there or f"{key}.skipped" in there
        if key not in there:
            continue
        if progress:
            progress(f"positions of {modality} {language}", number, len(cells))
        try:
            for point in stored.points(modality):
                read += stored.values(modality, language, sentence, point).nbytes
        except (DataError, OSError, ValueError, KeyError, TypeError, IndexError) as error:
            damages.append(Damage(f"positions of {modality} {language}, sentence {sentence!r}", str(error), (key,)))
    return Verdict(name, len(cells), done, read, tuple(damages), (), repaired, "utterances")


def _leftovers(place: Storage) -> list[Path]:
    """Return what killed runs left, batches and a previous store included: a next run reuses what it can of these."""
    if not isinstance(place, Folder):
        return []
    beside = [folder for folder in (folder_of(place.location), place.previous) if folder and folder.is_dir()]
    return [*place.leftovers(), *beside]


class _Checked:
    """Reads the parts of a store by place."""

    def __init__(self, stored: Activations) -> None:
        self.stored = stored
        self.arrays = stored.storage.arrays()
        names = [str(name) for name in stored.dataset["point"].values]
        self.rows = {
            modality: [(names.index(point), point, stored.width(point, modality)) for point in stored.points(modality)]
            for modality in stored.modalities
        }
        self.sentences = [str(sentence) for sentence in stored.dataset["sentence"].values]

    def _rows_of(self, block: int) -> slice:
        start = block * self.stored.block
        return slice(start, min(start + self.stored.block, len(self.sentences)))

    def damaged_block(self, modality: int, language: int, block: int, wrong: str) -> Damage:
        """Return the damage of a block, all of which is made again."""
        rows, name = self._rows_of(block), self.stored.modalities[modality]
        sentences = f"{self.sentences[rows.start]!r} to {self.sentences[rows.stop - 1]!r}"
        keys = (shard_key(modality, language, block), *small_keys(modality, language, block, text=name == "text"))
        return Damage(f"{name} {self.stored.languages[language]}, sentences {sentences}", wrong, keys)

    def damaged_file(self, key: str, wrong: str) -> Damage:
        """Return the damage of a file, by what it is a part of."""
        array, _, chunk = key.partition("/c.")
        numbers = [int(number) for number in chunk.split(".")] if re.fullmatch(r"\d+(\.\d+)*", chunk) else []
        if array in ("activation", "positions", "rounding") and len(numbers) >= 4:
            return self.damaged_block(numbers[0], numbers[2], numbers[3], f"{array}: {wrong}")
        if array == "skipped" and len(numbers) == 3:
            return self.damaged_block(numbers[0], numbers[1], numbers[2], f"{array}: {wrong}")
        if array in ("tokens", "token_ids", "seconds") and len(numbers) == 2:
            modality = self.stored.modalities.index("speech" if array == "seconds" else "text")
            return self.damaged_block(modality, numbers[0], numbers[1], f"{array}: {wrong}")
        if array in DESCRIBING and numbers:
            return self.damaged_text(array, numbers[0], wrong)
        return Damage(key, wrong, (key,))

    def damaged_text(self, name: str, language: int, wrong: str) -> Damage:
        """Return the damage of what is known of a language; the texts go too: without them it is described again."""
        keys = (key_of("text", language, 0), key_of(name, language, 0))
        return Damage(f"{name} of {self.stored.languages[language]}", wrong, keys)

    def block(self, modality: int, language: int, block: int) -> tuple[int, str]:
        """Return the bytes of a block's numbers, and what is wrong with it ("" if nothing is)."""
        try:
            with self.stored.storage.naming():
                return self._block(modality, language, block)
        except BabelscopeError:
            raise
        except (OSError, ValueError, RuntimeError) as error:
            return 0, " ".join(f"it cannot be read ({error})".split())

    def _block(self, modality: int, language: int, block: int) -> tuple[int, str]:
        rows, name = self._rows_of(block), self.stored.modalities[modality]
        kept = self._kept(modality, language, rows)
        size = 0
        positions = np.asarray(self.arrays["positions"][modality, :, language, rows])
        for row, point, width in self.rows[name]:
            values = np.asarray(self.arrays["activation"][modality, row, language, rows])[:, :width]
            size += values.nbytes
            if not np.isfinite(values[kept]).all():
                return size, f"activations at {point} are missing or not finite"
            if (positions[row][kept] < 1).any():
                return size, f"counts of positions at {point} are missing"
        amounts = np.asarray(self.arrays["tokens" if name == "text" else "seconds"][language, rows])
        if not np.isfinite(amounts[kept]).all():
            return size, "lengths are missing"
        if name == "text" and "token_ids" in self.arrays:
            np.asarray(self.arrays["token_ids"][language, rows])
        if "rounding" in self.arrays:
            rounding = np.asarray(self.arrays["rounding"][modality, :, language, rows])
            if not all(np.isfinite(rounding[row][kept]).all() for row, _, _ in self.rows[name]):
                return size, "what rounding did is missing"
        return size, ""

    def _kept(self, modality: int, language: int, rows: slice) -> Any:
        """Which sentences of a block were encoded; the others were skipped, and say why."""
        if "skipped" not in self.arrays:
            return np.ones(rows.stop - rows.start, dtype=bool)
        return np.array([not str(reason) for reason in np.asarray(self.arrays["skipped"][modality, language, rows])])

    def language(self, language: int) -> Iterator[Damage]:
        """Yield what is wrong with what is known of a language's sentences."""
        for name in DESCRIBING:
            if name not in self.arrays:  # older stores have no contents
                continue
            key = key_of(name, language, 0)
            try:
                with self.stored.storage.naming():
                    np.asarray(self.arrays[name][language])
                if self.stored.schema != SCHEMA or self.stored.inventoried or self.stored.storage.exists(key):
                    continue
                wrong = "it is missing"
            except BabelscopeError:
                raise
            except (OSError, ValueError, RuntimeError) as error:
                wrong = " ".join(f"it cannot be read ({error})".split())
            yield self.damaged_text(name, language, wrong)
