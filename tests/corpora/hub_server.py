"""A loopback server that speaks the hub's routes for one data set or model, and misbehaves on demand."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Serves `files` of a data set or a model.

    As on the hub, a large file's route tells what it is and sends one on to another host, which knows bytes alone.

    ``bodies``: other content for a path than its hash tells of; ``cuts``: path to the bytes after which its next
    answers break off; ``refused``: paths whose content is refused (from the first cut on, if ``refused_after_a_cut``);
    ``asked``: method, path, range, of content from that other host; ``card``: what the model's card says; ``gated``:
    whether a licence must be accepted first, which no token here has done; ``revisions``: those whose list was asked
    for; ``conversion``: number of a pull request with weights in safetensors.
    """

    def __init__(self, repository: str, files: dict[str, bytes], kind: str) -> None:
        self.repository = repository
        self.kind = kind
        self.files = files
        self.bodies: dict[str, bytes] = {}
        self.cuts: dict[str, list[int]] = {}
        self.refused: set[str] = set()
        self.refused_after_a_cut = False
        self.asked: list[tuple[str, str, str | None]] = []
        self.card: dict[str, object] = {}
        self.gated = False
        self.conversion = 0
        self.revisions: list[str] = []
        self.url = ""


def is_large(path: str) -> bool:
    """Whether git does not hold it itself."""
    return path.endswith((".gz", ".parquet", ".safetensors"))


def digest_of(path: str, data: bytes) -> str:
    """What the hub gives as a file's hash: sha256 of large files, else git's own."""
    if is_large(path):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@contextlib.contextmanager
def serving(repository: str, files: dict[str, bytes], kind: str = "dataset") -> Iterator[Hub]:
    hub = Hub(repository, files, kind)

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            self.path = urllib.parse.unquote(self.path)
            start = f"/{'datasets/' if hub.kind == 'dataset' else ''}{hub.repository}/resolve/"
            if self.path.startswith(f"/api/{hub.kind}s/{hub.repository}/revision/"):
                self._listing()
                return
            if self.path.startswith(f"/api/{hub.kind}s/{hub.repository}/discussions"):
                self._discussions()
                return
            if self.path.startswith("/bytes/"):
                self._content(self.path.removeprefix("/bytes/"), body)
                return
            revision, _, path = self.path.removeprefix(start).partition("/")
            known = self.path.startswith(start) and revision in ("main", COMMIT)
            if not known or path not in hub.files:
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if not is_large(path):
                self._content(path, body)
                return
            self.send_response(302)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("X-Linked-ETag", f'"{digest_of(path, hub.files[path])}"')
            self.send_header("X-Linked-Size", str(len(hub.files[path])))
            self.send_header("Location", f"{hub.url.replace('127.0.0.1', 'localhost')}/bytes/{path}")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _listing(self) -> None:
            hub.asked.append((self.command, "the list", None))
            siblings = []
            for path, data in hub.files.items():
                told = {"rfilename": path, "size": len(data), "blobId": digest_of("", data)}
                if is_large(path):
                    told["lfs"] = {"sha256": digest_of(path, data), "size": len(data), "pointerSize": 130}
                siblings.append(told)
            hub.revisions.append(self.path.split("/revision/", 1)[1].partition("?")[0])
            told_of = {"id": hub.repository, "sha": COMMIT, "siblings": siblings, "cardData": hub.card}
            answer = json.dumps(told_of | ({"gated": "manual"} if hub.gated else {})).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def _discussions(self) -> None:
            one = {
                "title": "Adding `safetensors` variant of this model",
                "num": hub.conversion,
                "author": {"name": "SFconvertbot"},
                "createdAt": "2024-03-27T00:00:00.000Z",
                "isPullRequest": True,
                "status": "open",
                "repo": {"name": hub.repository, "type": hub.kind},
            }
            listed = [one] if hub.conversion else []
            answer = json.dumps({"discussions": listed, "count": len(listed), "start": 0}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def _content(self, path: str, body: bool) -> None:
            wanted = self.headers.get("Range")
            hub.asked.append((self.command, path, wanted))
            if body and path in hub.refused:
                self.send_error(403)
                return
            if body and hub.gated:
                self.send_response(403)
                self.send_header("X-Error-Code", "GatedRepo")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            data = hub.bodies.get(path, hub.files[path])
            first = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and body else 0
            self.send_response(206 if first else 200)
            if not is_large(path):
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("ETag", f'"{digest_of(path, hub.files[path])}"')
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - first))
            self.end_headers()
            if body:
                rest = data[first:]
                if hub.cuts.get(path):
                    rest = rest[: hub.cuts[path].pop(0)]
                    if hub.refused_after_a_cut:
                        hub.refused.add(path)
                self.wfile.write(rest)
                self.close_connection = True

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def point_the_client_to(
    url: str, patch: pytest.MonkeyPatch, cache: Path | None = None, *, offline: bool = False
) -> None:
    """Let huggingface_hub ask this address, without a proxy; its own cache is the folder, if one is given."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        patch.delenv(name, raising=False)
        patch.delenv(name.lower(), raising=False)
    patch.setattr(constants, "ENDPOINT", url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}")
    patch.setattr(constants, "HF_HUB_OFFLINE", offline)
    if cache is not None:
        patch.setattr(constants, "HF_HUB_CACHE", str(cache))
