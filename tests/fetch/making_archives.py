"""Small archives in the layouts that are fetched, and a web server that misbehaves on demand."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.server
import io
import lzma
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa


def tar_of(files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return out.getvalue()


def compress(data: bytes, kind: str) -> bytes:
    if kind == "xz":
        return lzma.compress(data)
    if kind == "gz":
        return gzip.compress(data)
    if kind == "zst":
        return pa.Codec("zstd").compress(data, asbytes=True)  # type: ignore[no-any-return]
    return data


def ar_of(members: Mapping[str, bytes]) -> bytes:
    out = b"!<arch>\n"
    for name, data in members.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return out


def deb_of(
    files: Mapping[str, bytes], kind: str = "xz", links: Mapping[str, str] | None = None, control: str = ""
) -> bytes:
    packed = compress(tar_of({f"./{name}": data for name, data in files.items()}, links), kind)
    head = compress(tar_of({"./control": control.encode()}), "gz")
    suffix = f".{kind}" if kind else ""
    return ar_of({"debian-binary": b"2.0\n", "control.tar.gz": head, f"data.tar{suffix}": packed})


def wheel_of(path: Path, package: str, version: str, files: Mapping[str, bytes]) -> Path:
    name = package.replace("-", "_")
    wheel = path / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in files.items():
            archive.writestr(member, data)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Server:
    """Serves `files`; `cuts`: after how many bytes the next answers break off; `ranges`: whether parts are given.

    ``pause``: seconds between two kilobytes.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cuts: list[int] = []
        self.ranges = True
        self.pause = 0.0
        self.asked: list[tuple[str, str | None]] = []
        self.url = ""


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append((self.path, wanted))
            data = state.files.get(self.path)
            if data is None:
                self.send_error(404)
                return
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and state.ranges else 0
            if start and start >= len(data):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            rest = data[start:]
            rest = rest[: state.cuts.pop(0)] if state.cuts else rest
            size = 1024 if state.pause else len(rest)
            with contextlib.suppress(ConnectionError):  # whoever asked has been stopped
                for start in range(0, len(rest), max(size, 1)):
                    self.wfile.write(rest[start : start + size])
                    time.sleep(state.pause)
            self.close_connection = True

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
