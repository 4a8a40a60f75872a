"""One writer a store, by name: who holds it, and whether the one who does is still alive.

In a folder the lock is a file next to the store that the operating system holds for a living process (flock) and lets
go when the process dies. On an object store it is an object that is put only if there is none. Both hold their owner's
name, and the owner gives a sign of life every :data:`BEAT` seconds; where nothing tells better (another machine), an
owner that was silent for :data:`SILENCE` seconds is taken for dead.

The lock saves work that would be done twice. It does not stand between two writers and a damaged store: every block is
written whole, and two runs of one study write the same.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from babelscope.cache import naming_the_disk
from babelscope.capture.layout import now
from babelscope.capture.storage import LOCK_KEY, Bucket, storage_of
from babelscope.errors import DataError

#: Seconds between two signs of life.
BEAT = 15.0

#: Seconds without a sign of life after which an owner on another machine is taken for dead.
SILENCE = 120.0

_held: set[int] = set()


def _let_go_in_child() -> None:
    """Close the locks in a forked child: it would hold on to them when its parent is long dead."""
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)


@dataclass(frozen=True)
class Owner:
    """Who writes, and since when, in UTC."""

    host: str
    pid: int
    user: str
    since: str

    @classmethod
    def me(cls) -> Owner:
        """Return this process."""
        try:
            user = getpass.getuser()
        except (OSError, KeyError, ImportError):  # an account without a name, as in many containers
            user = str(os.getuid()) if hasattr(os, "getuid") else "?"
        return cls(socket.gethostname(), os.getpid(), user, now())

    @classmethod
    def parse(cls, content: bytes) -> Owner | None:
        """Return who wrote a lock; None if nobody did, or another version of babelscope."""
        try:
            said = json.loads(content)
            return cls(str(said["host"]), int(said["pid"]), str(said["user"]), str(said["since"]))
        except (ValueError, KeyError, TypeError):
            return None

    @property
    def here(self) -> bool:
        """Whether it runs, or ran, on this machine."""
        return self.host == socket.gethostname()

    @property
    def dead(self) -> bool:
        """Whether it is known to have ended: it ran on this machine, where there is no such process."""
        if not self.here or os.name != "posix":
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False

    def encoded(self) -> bytes:
        """Return it as :meth:`parse` takes it."""
        return json.dumps(asdict(self)).encode()

    def __str__(self) -> str:
        return f"process {self.pid} of {self.user} on {self.host} since {self.since}"


@contextmanager
def lock(path: Path | str) -> Iterator[None]:
    """Hold a store, or any folder, for one writer; it need not exist.

    A DataError names the living owner that holds it. The lock of a dead one is released.
    """
    place = storage_of(path)
    with _bucket_lock(place) if isinstance(place, Bucket) else _folder_lock(place.location):
        yield


def _refused(path: Path | str, owner: Owner | None, more: str = "") -> DataError:
    who = str(owner) if owner else "another process"
    return DataError(f"another run ({who}) is using {path}: wait for it, or choose another output{more}")


def _elsewhere(lock_name: str, silent: float) -> str:
    return (
        f" (last sign of life {max(silent, 0):.0f} s ago; after {SILENCE:.0f} s without one the lock is released, or "
        f"delete {lock_name} if you know that it is dead)"
    )


@contextmanager
def _folder_lock(path: Path) -> Iterator[None]:
    file = path.with_name(f".{path.name}.lock")
    with naming_the_disk(file):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    _held.add(descriptor)
    try:
        _take(path, file, descriptor)
        try:
            with _beating(lambda: os.utime(file)):
                yield
        finally:
            if descriptor in _held:
                os.ftruncate(descriptor, 0)  # the file stays: removing it would race with whoever waits for it
    finally:
        if descriptor in _held:  # else this is a forked child, which let go of it
            _held.discard(descriptor)
            os.close(descriptor)


def _take(path: Path, file: Path, descriptor: int) -> None:
    ours = _flock(descriptor)
    owner = Owner.parse(file.read_bytes())
    if ours is False:
        raise _refused(path, owner)
    # The file of a run that ended is empty. Else its owner was killed; or it lives, on another machine or on a file
    # system that keeps no locks, and the system cannot know.
    if owner is not None and not (owner.here and ours) and not owner.dead:
        silent = _age(file)
        if silent < SILENCE:
            raise _refused(path, owner, _elsewhere(str(file), silent))
    with naming_the_disk(file):
        os.ftruncate(descriptor, 0)
        os.write(descriptor, Owner.me().encoded())


def _flock(descriptor: int) -> bool | None:
    """Take the system's lock: True if it is ours, False if another holds it, None if there is no such thing here."""
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


def _age(file: Path) -> float:
    """Return the seconds since a file was touched, by the clock of the file system that it is on."""
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f"{file.name}.") as probe:
        return Path(probe.name).stat().st_mtime - file.stat().st_mtime


@contextmanager
def _beating(beat: Callable[[], Any]) -> Iterator[None]:
    """Call `beat` every :data:`BEAT` seconds in a thread of its own, until the context ends."""
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(BEAT):
            with contextlib.suppress(Exception):  # the work itself will meet, and tell, what is wrong with the place
                beat()

    thread = threading.Thread(target=go_on, name="babelscope lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=1.0)


@contextmanager
def _bucket_lock(place: Bucket) -> Iterator[None]:
    from obstore.exceptions import AlreadyExistsError, PreconditionError

    reached, me = place.reached, Owner.me()
    with place.naming():
        try:
            mine = reached.put(LOCK_KEY, me.encoded(), mode="create")
        except AlreadyExistsError:
            mine = _taken_over(place, me)
    tag = {"e_tag": mine["e_tag"]}

    def beat() -> None:
        tag.update({"e_tag": reached.put(LOCK_KEY, me.encoded(), mode={"e_tag": tag["e_tag"]})["e_tag"]})

    try:
        with _beating(beat):
            yield
    finally:
        # Deleting has no condition: the lock of one who took it over meanwhile must not go with it.
        with contextlib.suppress(FileNotFoundError, PreconditionError):
            if Owner.parse(place.read(LOCK_KEY) or b"") == me:
                place.delete(LOCK_KEY)


def _taken_over(place: Bucket, me: Owner) -> Any:
    """Take the lock of an owner that is dead, on the condition that nobody else does."""
    from obstore.exceptions import AlreadyExistsError, PreconditionError

    try:
        lock_object = place.reached.get(LOCK_KEY)
        owner, tag = Owner.parse(bytes(lock_object.bytes())), lock_object.meta["e_tag"]
        silent = time.time() - lock_object.meta["last_modified"].timestamp()
        mode: Any = {"e_tag": tag}
        if owner is not None and not owner.dead and silent < SILENCE:
            more = "" if owner.here else _elsewhere(f"{place.location}/{LOCK_KEY}", silent)
            raise _refused(place.location, owner, more)
    except FileNotFoundError:  # let go this moment
        mode = "create"
    try:
        return place.reached.put(LOCK_KEY, me.encoded(), mode=mode)
    except (AlreadyExistsError, PreconditionError) as error:
        raise _refused(place.location, None) from error
