"""Files of the Hugging Face hub: resumed over several runs, and checked against the hash that the hub tells.

``huggingface_hub`` says where a file is, which commit that is, and its hash. It does the downloading no longer here: as
of its release 2.4 a download that ends with its process starts again at the first byte (its partial file bears a random
name and is removed), and content is compared by size alone.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

import httpx
import huggingface_hub
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

from babelscope.cache import write_atomically
from babelscope.errors import FetchError
from babelscope.fetch.progress import Progress
from babelscope.fetch.sources import WebFile
from babelscope.fetch.web import download_web_file

#: Bytes. Files that git holds itself are small; a larger one without a sha256 is refused.
MAX_PLAIN_BYTES = 64 * 2**20


class HubFile(NamedTuple):
    """A file of one commit.

    Attributes
    ----------
    url : str
        With the commit in it: what is resumed later is the same file.
    commit : str
    digest : str
        sha256 (64 digits) of a large file, git's own sha1 (40 digits) of a small one.
    size : int
        Bytes; 0 if it was not told, as it may be for a small file.
    """

    url: str
    commit: str
    digest: str
    size: int


def cached_hub_file(repository: str, path: str, *, revision: str = "main") -> Path | None:
    """Return a data set's file out of huggingface_hub's own cache, or None if it is not there. Asks no server."""
    found = huggingface_hub.try_to_load_from_cache(repository, path, repo_type="dataset", revision=revision)
    return Path(found) if isinstance(found, str) else None


def hub_file(repository: str, path: str, *, revision: str = "main") -> HubFile:
    """Ask the hub (``$HF_ENDPOINT``, if set) for a file of a data set.

    Parameters
    ----------
    repository : str
        As ``google/fleurs``.
    path : str
        Inside it.
    revision : str
        A branch, a tag or a commit.

    Returns
    -------
    HubFile

    Raises
    ------
    FetchError
        If ``$HF_HUB_OFFLINE`` is set, there is no network, or no such file.
    """
    name = f"{path} of {repository} ({revision})"
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise FetchError(f"{name} is not here, and HF_HUB_OFFLINE is set: unset it, or give a local copy")
    url = huggingface_hub.hf_hub_url(repository, path, repo_type="dataset", revision=revision)
    try:
        told = huggingface_hub.get_hf_file_metadata(url)
    except OfflineModeIsEnabled as error:
        raise FetchError(f"{name} is not here, and offline mode forbids to fetch it: give a local copy") from error
    except EntryNotFoundError as error:
        raise FetchError(f"the hub has no {name}: it may have moved") from error
    except RepositoryNotFoundError as error:
        raise FetchError(f"the hub has no data set {repository}, or wants a token for it") from error
    except HfHubHTTPError as error:
        raise FetchError(f"the hub refused {name} ({error})") from error
    except Exception as error:  # of whichever HTTP library huggingface_hub uses underneath
        if "httpx" not in type(error).__module__ and not isinstance(error, OSError):
            raise
        reason = str(error) or type(error).__name__
        raise FetchError(
            f"no network to {url} ({reason}): run again when there is one, or give a local copy"
        ) from error
    if not told.etag or not told.commit_hash or (told.size is None and len(told.etag) == 64):
        raise FetchError(f"the hub told no hash, size or commit of {name}: {url} may be no hub")
    pinned = huggingface_hub.hf_hub_url(repository, path, repo_type="dataset", revision=told.commit_hash)
    return HubFile(pinned, told.commit_hash, told.etag, told.size or 0)


def download_hub_file(file: HubFile, target: Path, progress: Progress | None = None) -> None:
    """Download to `target`; a large file goes on from ``target.part`` where an earlier run was cut.

    Raises
    ------
    FetchError
        No network, a refusal by the server, or other bytes than the hub told of (they are removed then).
    """
    if re.fullmatch(r"[0-9a-f]{64}", file.digest):
        download_web_file(WebFile(file.url, file.digest, file.size), target, progress)
        return
    if not re.fullmatch(r"[0-9a-f]{40}", file.digest) or file.size > MAX_PLAIN_BYTES:
        raise FetchError(f"{file.url} bears no sha256 ({file.digest!r}, {file.size} bytes): refused")
    try:
        # Unencoded, for the size and the hash are of the bytes themselves.
        answer = httpx.get(file.url, follow_redirects=True, timeout=30.0, headers={"Accept-Encoding": "identity"})
        answer.raise_for_status()
    except httpx.HTTPStatusError as error:
        raise FetchError(f"{file.url} answered {error.response.status_code}: it may have moved") from error
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise FetchError(f"no network to {file.url} ({reason}): run again when there is one") from error
    data = answer.content
    # git's name of a file: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
    if hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() != file.digest:
        raise FetchError(f"{file.url} is not the file that the hub told of (its git hash differs): run again")
    write_atomically(target, lambda temporary: temporary.write_bytes(data))
