"""Files of the Hugging Face hub: downloads are resumed by later runs, and checked against the hub's hash.

``huggingface_hub`` gives the address, commit and hash of a file. It is not used for downloading: as of its release 2.4
a download that ends with its process starts again at the first byte (its partial file has a random name and is
removed), and only the size of the content is checked. Files in its own cache are used after a check.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import filelock
import httpx
import huggingface_hub
from huggingface_hub import DatasetInfo, ModelInfo
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    filter_repo_objects,
)

from babelscope.cache import LOCK_MODE, cache_folder, make_folder, naming_the_disk, sha256_of, write_atomically
from babelscope.errors import DataError, FetchError
from babelscope.fetch.archives import is_safe_name
from babelscope.fetch.integrity import git_name, is_as_recorded
from babelscope.fetch.progress import Progress, SilentProgress
from babelscope.fetch.sources import HubSnapshot, WebFile
from babelscope.fetch.web import certificates, download_web_file

#: Bytes. Files that git holds itself are small; a larger one without a sha256 is refused.
MAX_PLAIN_BYTES = 64 * 2**20

#: Characters of a repository's name, as the hub allows them.
MAX_NAME = 96

#: Seconds to wait for an answer of the hub.
REACHED_WITHIN = 5.0

Kind = Literal["dataset", "model"]
#: Prefixes of repository names, where models and data sets share a name space.
_PREFIXES: dict[Kind, str] = {"dataset": "datasets/", "model": ""}
_NAMED: dict[Kind, str] = {"dataset": "data set", "model": "model"}


class HubFile(NamedTuple):
    """A file of one commit; its size in bytes."""

    url: str  # with the commit in it: what is resumed later is the same file
    commit: str
    digest: str  # sha256 (64 digits) of a large file, git's own sha1 (40 digits) of a small one
    size: int


class CachedFile(NamedTuple):
    """A verified file of one commit in huggingface_hub's own cache."""

    path: Path
    commit: str
    digest: str


def cached_hub_file(repository: str, path: str, *, revision: str = "main", kind: Kind = "dataset") -> CachedFile | None:
    """Return a file out of huggingface_hub's own cache, its content checked, or None. No server is contacted.

    DataError if it is damaged: its cache names a file by its hash.
    """
    cached = huggingface_hub.try_to_load_from_cache(repository, path, repo_type=kind, revision=revision)
    return _checked(Path(cached)) if isinstance(cached, str) else None


def _checked(path: Path) -> CachedFile:
    blob = path.resolve()
    commit = path.parts[path.parts.index("snapshots") + 1] if "snapshots" in path.parts else "unknown"
    if re.fullmatch(r"[0-9a-f]{64}", blob.name):
        digest, how = sha256_of(path), "sha256"
    elif re.fullmatch(r"[0-9a-f]{40}", blob.name):
        digest, how = git_name(path.read_bytes()), "git hash"
    else:  # a system without links keeps copies under the files' own names: no hash to compare with
        return CachedFile(path, commit, sha256_of(path))
    if digest != blob.name:
        raise DataError(f"{path} is damaged ({how} differs): remove {blob} and run again")
    return CachedFile(path, commit, digest)


@contextlib.contextmanager
def explained(name: str, url: str, repository: str, kind: Kind) -> Iterator[None]:
    """Refuse in offline mode, and turn what the hub's client raises into one line."""
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise FetchError(f"{name} is not here, and HF_HUB_OFFLINE is set: unset it, or give a local copy")
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise FetchError(f"{name} is not here, and offline mode is on: give a local copy") from error
    except GatedRepoError as error:
        raise FetchError(_gated(repository, kind)) from error
    except (EntryNotFoundError, RevisionNotFoundError) as error:
        raise FetchError(f"the hub has no {name}: it may have moved") from error
    except RepositoryNotFoundError as error:
        named = f"{_NAMED[kind]} {repository}"
        hint = "check the name; of a private one, set HF_TOKEN"
        raise FetchError(f"the hub has no {named}, or wants a token for it: {hint}") from error
    except HfHubHTTPError as error:
        code = error.response.status_code if error.response is not None else 0
        remedy = ": set HF_TOKEN to a token that may do this" if code in (401, 403) else ""
        raise FetchError(f"the hub refused {name} ({error.args[0] if error.args else error}){remedy}") from error
    except HFValidationError as error:
        raise FetchError(f"{repository!r} is neither a local folder nor a name of a repository") from error
    except Exception as error:  # of whichever HTTP library huggingface_hub uses underneath
        if "httpx" not in type(error).__module__ and not isinstance(error, OSError):
            raise
        reason = str(error) or type(error).__name__
        raise FetchError(
            f"no network to {url} ({reason}): run again when there is one, or give a local copy"
        ) from error


def _gated(repository: str, kind: Kind) -> str:
    """Return the remedy for a repository whose licence must be accepted before it is fetched."""
    page = f"{huggingface_hub.constants.ENDPOINT}/{_PREFIXES[kind]}{repository}"
    return (
        f"{_NAMED[kind]} {repository} is gated: accept its licence on {page}, then set HF_TOKEN to a token of the "
        f"account that did"
    )


def _wants_licence(error: BaseException | None) -> bool:
    """Whether the hub refused a file because its licence was not accepted."""
    return isinstance(error, httpx.HTTPStatusError) and error.response.headers.get("X-Error-Code") == "GatedRepo"


def download_hub_file(file: HubFile, target: Path, progress: Progress | None = None) -> None:
    """Download to `target`; the download of a large file resumes from ``target.part``.

    FetchError: no network, a refusal by the server, or other bytes than the hub's hash is of (they are removed then).
    """
    if re.fullmatch(r"[0-9a-f]{64}", file.digest):
        download_web_file(WebFile(file.url, file.digest, file.size), target, progress, headers=build_hf_headers())
        return
    if not re.fullmatch(r"[0-9a-f]{40}", file.digest) or file.size > MAX_PLAIN_BYTES:
        raise FetchError(f"{file.url} has no sha256 ({file.digest!r}, {file.size} bytes): refused")
    try:
        # Unencoded, for the size and the hash are of the bytes themselves.
        plain = build_hf_headers() | {"Accept-Encoding": "identity"}
        answer = httpx.get(file.url, follow_redirects=True, timeout=30.0, headers=plain, verify=certificates())
        answer.raise_for_status()
    except httpx.HTTPStatusError as error:
        raise FetchError(f"{file.url} answered {error.response.status_code}: it may have moved") from error
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise FetchError(f"no network to {file.url} ({reason}): run again when there is one") from error
    data = answer.content
    if git_name(data) != file.digest:
        raise FetchError(f"{file.url} is not the file that the hub lists (its git hash differs): run again")
    write_atomically(target, lambda temporary: temporary.write_bytes(data))


class HubFolder(NamedTuple):
    """Files of one commit, in a local folder; and the licence that the model's card names, if it is known."""

    path: Path
    commit: str
    licence: str = ""


def hub_folder(
    repository: str,
    wanted: Sequence[str],
    *,
    revision: str = "main",
    kind: Kind = "model",
    progress: Progress | None = None,
    needed: tuple[str, str] | None = None,
) -> HubFolder:
    """Return a folder with the files of a model or data set, every one checked against the hub's hash.

    Files that were fetched before are used without contacting the hub. Files in huggingface_hub's own cache are used if
    all are there, and also if the hub cannot be reached. `wanted` are names, with shell wildcards;
    those that match nothing are ignored. `needed` is a pattern that some file must match, and what to do if none does.

    FetchError if a file is missing and cannot be fetched, or does not match the hub's hash; DataError if one that was
    fetched before, or is in huggingface_hub's own cache, is damaged.
    """
    place, record = _place_of(repository, wanted, revision, kind)
    if known := _fetched_before(f"{_PREFIXES[kind]}{repository}", record, checked=True):
        return known
    try:
        listed = hub_listing(repository, wanted, revision=revision, kind=kind, needed=needed)
    except FetchError:
        if kept := _fetched_before(repository, record, checked=False):
            (progress or SilentProgress()).say(
                f"{repository} was fetched by an earlier version of babelscope, which kept no hashes: used unchecked"
            )
            return kept
        if kept := kept_by_huggingface(repository, wanted, revision=revision, kind=kind):
            return kept
        raise
    commit, files = listed.commit, listed.files
    cached = [cached_hub_file(repository, name, revision=commit, kind=kind) for name in files]
    if all(cached) and cached[0] is not None:
        return HubFolder(cached[0].path.parents[len(Path(next(iter(files))).parts) - 1], commit, listed.licence)
    lock = cache_folder() / "locks" / f"hub-{place.name}.lock"
    make_folder(lock.parent)
    shown = progress or SilentProgress()
    with filelock.FileLock(lock, mode=LOCK_MODE):  # otherwise two processes append to one download
        for name, file in files.items():
            target = place / commit / name
            if not is_as_recorded(target, file.digest):
                shown.start(f"{repository}: {name}", file.size)
                try:
                    download_hub_file(file, target, shown)
                except FetchError as error:
                    if _wants_licence(error.__cause__):
                        raise FetchError(_gated(repository, kind)) from error
                    raise
                shown.finish()
        digests = {name: file.digest for name, file in files.items()}
        line = json.dumps({"commit": commit, "files": digests, "licence": listed.licence}) + "\n"
        write_atomically(record, lambda temporary: temporary.write_text(line, encoding="utf-8"))
    return HubFolder(place / commit, commit, listed.licence)


def _place_of(repository: str, wanted: Sequence[str], revision: str, kind: Kind) -> tuple[Path, Path]:
    """Return the folder of a repository's commits, and the file that records what was fetched of it."""
    named = re.fullmatch(r"[\w.-]+(/[\w.-]+)?", repository) and len(repository) <= MAX_NAME
    if not named or not is_safe_name(repository):
        raise FetchError(f"{repository!r} is neither a local folder nor a name of a repository")
    place = cache_folder() / "hub" / f"{_PREFIXES[kind]}{repository}".replace("/", "--")
    key = hashlib.sha256("\0".join([revision, *sorted(wanted)]).encode()).hexdigest()[:16]
    return place, place / f"{key}.json"


def _recorded(record: Path) -> tuple[HubFolder, dict[str, str]] | None:
    """Return the folder that a record is of, and its files' digests (empty where an earlier version kept none)."""
    try:
        entry = json.loads(record.read_text(encoding="utf-8"))
        folder, files = record.parent / str(entry["commit"]), entry["files"]
        digests = dict(files) if isinstance(files, dict) else dict.fromkeys(files, "")
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return HubFolder(folder, folder.name, str(entry.get("licence", ""))), digests


def _fetched_before(repository: str, record: Path, *, checked: bool) -> HubFolder | None:
    """Return a folder all of whose files were fetched before, with hashes if `checked`; None if one is missing."""
    known = _recorded(record)
    if known is None or not all((known[0].path / name).is_file() for name in known[1]):
        return None
    folder, digests = known
    if not all(digests.values()):
        return None if checked else folder
    for name, digest in digests.items():
        if not is_as_recorded(folder.path / name, digest):
            raise DataError(
                f"{folder.path / name} is damaged (it is not as it was fetched): run 'babelscope fetch "
                f"hf:{repository}', which fetches it again"
            )
    return folder


class CachedModel(NamedTuple):
    """A model or data set that was fetched: the folder of its files, and their recorded digests (empty if none is)."""

    name: str
    folder: Path
    digests: dict[str, str]


def cached_models() -> Iterator[CachedModel]:
    """Yield the models and data sets that were fetched by a hub id."""
    for record in sorted((cache_folder() / "hub").glob("*/*.json")):
        if (known := _recorded(record)) is not None:
            name = record.parent.name
            name = name.replace("--", "/", 2 if name.startswith("datasets--") else 1)
            yield CachedModel(name, known[0].path, known[1])


def remove_damaged(repository: str, *, every: bool = False) -> None:
    """Remove the files of a model that are not as they were fetched, or all: they are fetched again where needed."""
    for cached in cached_models():
        if cached.name == repository:
            for name, digest in cached.digests.items():
                if every or (digest and not is_as_recorded(cached.folder / name, digest, full=True)):
                    with naming_the_disk(cached.folder / name):
                        (cached.folder / name).unlink(missing_ok=True)


def check_hub(seconds: float | None = None) -> None:
    """Check within a few seconds whether the hub answers: name resolution alone can take a minute otherwise.

    FetchError if it does not, or offline mode is on.
    """
    seconds = REACHED_WITHIN if seconds is None else seconds
    url = huggingface_hub.constants.ENDPOINT
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise FetchError("the hub is not contacted, because HF_HUB_OFFLINE is set")
    reasons: list[str] = [f"no answer in {seconds:g} s"]

    def ask() -> None:
        try:
            httpx.head(url, timeout=seconds, verify=certificates())
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            reasons.append(str(error) or type(error).__name__)
        else:
            reasons.append("")

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    if reasons[-1]:
        raise FetchError(f"no network to {url} ({reasons[-1]}): run again when there is one")


def download_snapshot(source: HubSnapshot, folder: Path, progress: Progress) -> None:
    """Download the files of a commit into a folder; complete ones are kept.

    FetchError if the hub does not answer, lacks a file, or has other weights than were pinned.
    """
    check_hub()
    listed = hub_listing(source.repository, source.files, revision=source.revision, kind="model")
    weights = listed.files.get("model.safetensors")
    if weights is None or weights.digest != source.sha256:
        raise FetchError(f"{source}: model.safetensors is not the file that was pinned (sha256 differs)")
    for name, file in listed.files.items():
        if not is_as_recorded(folder / name, file.digest):
            progress.start(f"{source.repository}: {name}", file.size)
            download_hub_file(file, folder / name, progress)
            progress.finish()


class Listing(NamedTuple):
    """The wanted files of a commit, as the hub lists them, never none; and the licence that its card names."""

    commit: str
    files: dict[str, HubFile]
    licence: str = ""


def hub_listing(
    repository: str,
    wanted: Sequence[str],
    *,
    revision: str = "main",
    kind: Kind = "dataset",
    needed: tuple[str, str] | None = None,
) -> Listing:
    """Ask the hub which files a data set or model has at a branch, a tag or a commit.

    `wanted` are names, with shell wildcards; `needed` is a pattern that some file must match, and what to do if none
    does. FetchError: no network, offline mode, nothing there by that name, a licence that was not accepted, or
    none of the files.
    """
    name = f"{_NAMED[kind]} {repository} ({revision})"
    asked = f"{' and '.join(wanted)} of {name}" if len(wanted) < 3 else name
    address = f"{huggingface_hub.constants.ENDPOINT}/{_PREFIXES[kind]}{repository}"
    api = huggingface_hub.HfApi()
    with explained(asked, address, repository, kind):
        info: ModelInfo | DatasetInfo
        if kind == "model":
            info = api.model_info(repository, revision=revision, files_metadata=True, timeout=30.0)
        else:
            info = api.dataset_info(repository, revision=revision, files_metadata=True, timeout=30.0)
    commit, files = info.sha or "", {}
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise FetchError(f"the hub gave no commit of {name}")
    if re.fullmatch(r"[0-9a-f]{40}", revision) and revision != commit:
        raise FetchError(f"the hub answered with commit {commit} of {name}: run again, or report it")
    if info.gated and not huggingface_hub.get_token():
        raise FetchError(_gated(repository, kind))
    for file in info.siblings or []:
        if not list(filter_repo_objects([file.rfilename], allow_patterns=list(wanted))):
            continue
        if not is_safe_name(file.rfilename):
            raise FetchError(f"{name} has a file with a name that is refused: {file.rfilename!r}")
        digest = file.lfs.sha256 if file.lfs else file.blob_id
        if not digest or file.size is None:
            raise FetchError(f"the hub gave no hash or size of {file.rfilename} of {name}")
        url = huggingface_hub.hf_hub_url(repository, file.rfilename, repo_type=kind, revision=commit)
        files[file.rfilename] = HubFile(url, commit, digest, file.size)
    if not files:
        raise FetchError(f"{name} has none of the files {', '.join(wanted[:12])}: it is another kind of {_NAMED[kind]}")
    if needed and not list(filter_repo_objects(files, allow_patterns=[needed[0]])):
        raise FetchError(
            f"{name} has no {needed[0]}{_instead(info.siblings or [])}: {needed[1]}{_conversion(api, repository, kind)}"
        )
    return Listing(commit, files, _licence_of(info))


#: Suffixes of files with weights that are not read.
_NOT_READ = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".gguf", ".onnx", ".nemo")


def _instead(siblings: Sequence[RepoSibling]) -> str:
    names = sorted(file.rfilename for file in siblings if file.rfilename.endswith(_NOT_READ))
    return f" but {names[0]}, and pickled or other formats are not read" if names else ""


def _conversion(api: huggingface_hub.HfApi, repository: str, kind: Kind) -> str:
    """Return the pull request with the hub's own conversion to safetensors; empty if there is none."""
    with contextlib.suppress(Exception):  # only a hint: no error is worth reporting
        for each in api.get_repo_discussions(
            repository, repo_type=kind, author="SFconvertbot", discussion_type="pull_request", discussion_status="open"
        ):
            if each.author == "SFconvertbot":
                return f"; or take the hub's own conversion, {repository}@refs/pr/{each.num}"
    return ""


def _licence_of(info: ModelInfo | DatasetInfo) -> str:
    """Return the licence of a repository's card: its own name for it, where it is none of the hub's list."""
    card: dict[str, Any] = info.card_data.to_dict() if info.card_data else {}  # type: ignore[no-untyped-call]
    name = card.get("license_name") if card.get("license") in (None, "other") else card["license"]
    return str(name or card.get("license") or "")


def kept_by_huggingface(
    repository: str, wanted: Sequence[str], *, revision: str = "main", kind: Kind = "dataset"
) -> HubFolder | None:
    """Return the folder of huggingface_hub's own cache with the files that are wanted, their content checked, or None.

    Asks no server: whether files of the same name are missing there is not known. DataError if one is damaged.
    """
    try:
        folder = Path(
            huggingface_hub.snapshot_download(
                repository, repo_type=kind, revision=revision, allow_patterns=list(wanted), local_files_only=True
            )
        )
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, OSError):
        return None
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    there = list(filter_repo_objects(names, allow_patterns=list(wanted)))
    for name in there:
        _checked(folder / name)
    return HubFolder(folder, folder.name) if there else None
