"""A resumable download over HTTP."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import httpx

from babelscope.cache import naming_the_disk, sha256_of
from babelscope.errors import FetchError
from babelscope.fetch.progress import Progress, SilentProgress
from babelscope.fetch.sources import WebFile

#: Attempts after a broken connection, without a single new byte.
ATTEMPTS = 4


def certificates() -> ssl.SSLContext:
    """Return the authorities to trust: those that ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` names, or certifi's."""
    return _read_certificates(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _read_certificates(file: str | None, folder: str | None) -> ssl.SSLContext:
    """Read them once for each setting of the environment: that takes longer than a small file."""
    return httpx.create_ssl_context()


class _OverlongError(Exception):
    pass


def download_web_file(
    source: WebFile,
    target: Path,
    progress: Progress | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    wait: float = 1.0,
) -> None:
    """Download `source` to `target`, resuming from ``target.part``.

    A header for authorisation is not passed on to another host. The second try waits `wait` seconds, each further one
    twice as long. FetchError: no network, a refusal by the server, or other bytes than pinned (the file is removed
    then).
    """
    progress = progress or SilentProgress()
    partial = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    timeout = httpx.Timeout(30.0, connect=15.0)
    attempt, reason = 0, "nothing was sent"
    with httpx.Client(
        follow_redirects=True, timeout=timeout, headers=dict(headers or {}), verify=certificates()
    ) as client:
        while attempt < ATTEMPTS:
            before = partial.stat().st_size if partial.exists() else 0
            if before >= source.size:
                break
            try:
                _receive(client, source, partial, before, progress)
            except _OverlongError:
                break
            except httpx.HTTPStatusError as error:
                code, phrase = error.response.status_code, error.response.reason_phrase
                if code == 416:  # what is here already does not fit what is there now
                    partial.unlink(missing_ok=True)
                elif code < 500 and code not in (408, 429):
                    raise FetchError(f"{source.url} answered {code} {phrase}: it may have moved") from error
                reason = f"answered {code}"
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                reason = str(error) or type(error).__name__
            else:
                reason = "the connection was cut"
            after = partial.stat().st_size if partial.exists() else 0
            attempt = 0 if after > before else attempt + 1
            if after < source.size and attempt < ATTEMPTS:
                time.sleep(wait * 2 ** min(attempt, 5) / 2)
    if not partial.exists() or partial.stat().st_size < source.size:
        raise FetchError(f"no network to {source.url} ({reason}): run again when there is one, finished parts are kept")
    if partial.stat().st_size != source.size or sha256_of(partial) != source.sha256:
        partial.unlink()
        raise FetchError(
            f"{source.url} is not the file that was pinned (sha256 differs): it was removed; run again, or report it"
        )
    partial.replace(target)


def _receive(client: httpx.Client, source: WebFile, partial: Path, start: int, progress: Progress) -> None:
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with client.stream("GET", source.url, headers=headers) as response:
        response.raise_for_status()
        there = response.headers.get("Content-Range", "")
        resumed = response.status_code == 206 and there.startswith(f"bytes {start}-")
        done = start if resumed else 0
        with naming_the_disk(partial), partial.open("ab" if resumed else "wb") as handle:
            # As it comes: a chunk size would lose what is gathered when the line is cut.
            for chunk in response.iter_raw():
                handle.write(chunk)
                done += len(chunk)
                progress.update(done)
                if done > source.size:
                    raise _OverlongError
