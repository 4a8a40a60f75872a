"""Where a store is: a folder, or a URL of an object store. What is written there is there whole, or not at all.

A folder's files are flushed to the disk and put in place in one step, and so is the folder's own entry: what was
written before a power loss is there after it. An object store keeps an object whole by its own promise.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import shutil
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import zarr
from zarr.abc.store import Store
from zarr.core.buffer import Buffer
from zarr.storage import LocalStore

from babelscope.cache import flush_folder, naming_the_disk, put_in_place
from babelscope.capture.text_codec import counting_texts
from babelscope.errors import DataError, UsageError, did_you_mean

#: URL schemes of object stores, and of the one in this process's memory.
SCHEMES = ("s3", "gs", "az", "memory")

#: How a file is called while it is written.
PARTIAL = ".partial"

#: The lock of a store on a URL, next to the store's own objects.
LOCK_KEY = ".babelscope.lock"

_URL = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):/+(.*)$")  # one slash is what pathlib makes of two
_MEMORY: dict[str, Any] = {}


def storage_of(location: Path | str) -> Storage:
    """Return the place of a path or URL; UsageError if its scheme is unknown, or its package is not installed."""
    url = _URL.match(str(location))
    if url is None or len(url[1]) == 1:  # one letter is a drive
        return Folder(Path(location))
    scheme, rest = url[1].lower(), url[2].strip("/")
    if scheme == "file":
        return Folder(Path("/" + rest))
    if scheme not in SCHEMES:
        raise UsageError(f"{location}: there is no store of kind {scheme!r}; {did_you_mean(scheme, SCHEMES)}")
    if "/" not in rest and scheme != "memory":
        raise UsageError(f"{location}: name a folder in the bucket, such as {scheme}://{rest or 'bucket'}/study.zarr")
    return Bucket(f"{scheme}://{rest}")


def is_url(location: Path | str) -> bool:
    """Whether a store's location is a URL rather than a folder."""
    return isinstance(storage_of(location), Bucket)


def tidy(location: Path | str) -> None:
    """Remove what killed runs left in a store and next to it; only to be called while it is locked."""
    place = storage_of(location)
    if isinstance(place, Folder):
        place.tidy()


class _FlushedStore(LocalStore):
    """Zarr's folder, but what is set is on the disk when the call returns."""

    async def set(self, key: str, value: Buffer) -> None:
        if self.read_only:
            raise OSError(f"{self.root} was opened for reading")
        await asyncio.to_thread(write_flushed, self.root / key, value.to_bytes())


def write_flushed(path: Path, content: bytes) -> None:
    """Write a file whole, flush it, put it in place in one step, and flush the folder's entry of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}{PARTIAL}")
    put_in_place(path, temporary, lambda place: place.write_bytes(content))


class _Place(ABC):
    """What :class:`Folder` and :class:`Bucket` share, which have the same methods; keys are paths within, by ``/``."""

    location: Path | str  # a folder, or a URL
    name: str  # its last part

    @abstractmethod
    def store(self, *, read_only: bool = True) -> Store:
        """Return it as Zarr takes it."""

    def arrays(self) -> dict[str, Any]:
        """Return the arrays of a store, to be read."""
        with counting_texts():
            return dict(zarr.open_group(self.store(), mode="r").arrays())

    def __str__(self) -> str:
        return str(self.location)


class Folder(_Place):
    """A store in a folder of a file system."""

    def __init__(self, path: Path) -> None:
        self.location: Path = path
        self.name = path.name

    def store(self, *, read_only: bool = True) -> Store:
        """Return it as Zarr takes it."""
        return _FlushedStore(self.location, read_only=read_only)

    def read(self, key: str) -> bytes | None:
        """Return what stands under a key; None if nothing does."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return (self.location / key).read_bytes()
        return None

    def write(self, key: str, content: bytes) -> None:
        """Write what stands under a key: it is there whole, or what stood there before is."""
        with self.naming():
            write_flushed(self.location / key, content)

    def fingerprints(self) -> dict[str, str]:
        """Return the size of each file, and but for activations, whose chunks have one of their own, its CRC-32."""
        prints = {}
        for key in self.keys():
            path = self.location / key
            prints[key] = str(path.stat().st_size)
            if not key.startswith("activation/c"):
                prints[key] += f" {zlib.crc32(path.read_bytes())}"
        return prints

    def exists(self, key: str) -> bool:
        """Whether something stands under a key."""
        return (self.location / key).is_file()

    def keys(self, folder: str = "") -> Iterator[str]:
        """Yield every key, or every one in a folder."""
        for path in (self.location / folder).rglob("*"):
            if path.is_file():
                yield path.relative_to(self.location).as_posix()

    def delete(self, key: str) -> None:
        """Remove what stands under a key, if something does."""
        with self.naming():
            (self.location / key).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the store: out of the way in one step, and then at leisure."""
        away = self.location.with_name(f".{self.name}.{secrets.token_hex(6)}.old")
        with self.naming():
            self.location.rename(away)
            away.unlink() if away.is_symlink() else shutil.rmtree(away)  # what is linked to stays: it may be shared

    @property
    def previous(self) -> Path:
        """Where a store is that was set aside."""
        return self.location.with_name(f".{self.name}.former")

    def set_aside(self) -> None:
        """Put the store aside in one step, in place of an earlier one."""
        self.drop_previous()
        with self.naming():
            self.location.rename(self.previous)

    def drop_previous(self) -> None:
        """Remove what was set aside."""
        with self.naming():
            if self.previous.exists():
                Folder(self.previous).clear()

    def leftovers(self) -> list[Path]:
        """Return what killed runs left next to the store and in it; only to be asked while the store is locked."""
        beside = self.location.parent.glob(f".{self.name}.*")
        named = re.compile(rf"\.{re.escape(self.name)}\.[0-9a-f]{{12}}\.(making|old)")
        within = self.location.rglob(f".*{PARTIAL}") if self.location.is_dir() else ()
        return sorted([*(path for path in beside if named.fullmatch(path.name)), *within])

    def tidy(self) -> None:
        """Remove what killed runs left; only to be called while the store is locked."""
        with self.naming():
            for path in self.leftovers():
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def create(self, contents: Mapping[str, bytes]) -> None:
        """Write a new store next to its place, and put it there in one step."""
        making = self.location.with_name(f".{self.name}.{secrets.token_hex(6)}.making")
        with self.naming():
            try:
                for key, content in contents.items():
                    write_flushed(making / key, content)
                for folder in sorted({(making / key).parent for key in contents}, reverse=True):
                    flush_folder(folder)
                making.replace(self.location)
                flush_folder(self.location.parent)
            finally:
                shutil.rmtree(making, ignore_errors=True)

    def naming(self) -> Any:
        """Return a context that turns what is complained of here into one line."""
        return naming_the_disk(self.location)


class Bucket(_Place):
    """A store below a URL of an object store, as obstore reaches it: credentials come from the environment."""

    def __init__(self, url: str) -> None:
        self.location: str = url
        self.name = url.rstrip("/").rpartition("/")[2]

    @cached_property
    def reached(self) -> Any:
        """The object store, rooted at the URL."""
        return _reach(self.location)

    def store(self, *, read_only: bool = True) -> Store:
        """Return it as Zarr takes it."""
        from zarr.storage import ObjectStore

        return ObjectStore(self.reached, read_only=read_only)

    def read(self, key: str) -> bytes | None:
        """Return what stands under a key; None if nothing does."""
        with self.naming(), contextlib.suppress(FileNotFoundError):
            return bytes(self.reached.get(key).bytes())
        return None

    def write(self, key: str, content: bytes) -> None:
        """Write what stands under a key: an object store does that in one step."""
        with self.naming():
            self.reached.put(key, content)

    def fingerprints(self) -> dict[str, str]:
        """Return the size of each object: reading them all would take long."""
        with self.naming():
            return {str(entry["path"]): str(entry["size"]) for listed in self.reached.list() for entry in listed}

    def exists(self, key: str) -> bool:
        """Whether something stands under a key."""
        with self.naming(), contextlib.suppress(FileNotFoundError):
            self.reached.head(key)
            return True
        return False

    def keys(self, folder: str = "") -> Iterator[str]:
        """Yield every key, or every one in a folder."""
        with self.naming():
            for entries in self.reached.list(prefix=folder or None):
                yield from (str(entry["path"]) for entry in entries)

    def delete(self, key: str) -> None:
        """Remove what stands under a key, if something does."""
        with self.naming(), contextlib.suppress(FileNotFoundError):
            self.reached.delete(key)

    def clear(self) -> None:
        """Remove the store, and first what makes it one."""
        keys = [key for key in self.keys() if key not in (LOCK_KEY, "zarr.json")]
        self.delete("zarr.json")  # first, or a half-removed store would still be one
        for key in keys:
            self.delete(key)

    def set_aside(self) -> None:
        """Remove the store: objects cannot be renamed."""
        self.clear()

    def drop_previous(self) -> None:
        """There is nothing."""

    def create(self, contents: Mapping[str, bytes]) -> None:
        """Write a new store, and last what makes it one. What a removal that was stopped left there is removed."""
        self.clear()
        with self.naming():
            for key in sorted(contents, key=lambda key: key == "zarr.json"):  # the root's last: it makes the store one
                self.reached.put(key, contents[key])

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Return a context that turns what is complained of here into one line."""
        from obstore.exceptions import BaseError

        try:
            yield
        except BaseError as error:
            reason = " ".join(str(error).split())[:300]
            raise DataError(
                f"{self.location}: the object store does not answer as it should ({reason}): check the URL, the "
                f"credentials in the environment and the network, and run again"
            ) from error


#: Where a store is.
Storage = Folder | Bucket


def _reach(url: str) -> Any:
    try:
        from obstore.store import MemoryStore, from_url
    except ImportError as error:
        raise UsageError(f"{url}: stores on URLs need a further package: pip install obstore") from error
    scheme, _, rest = url.partition("://")
    if scheme == "memory":
        return _MEMORY.setdefault(rest, MemoryStore())
    try:
        return cast(Any, from_url)(url)
    except Exception as error:  # obstore has no common base for what a configuration may lack
        raise UsageError(f"{url}: {' '.join(str(error).split())[:300]}") from error
