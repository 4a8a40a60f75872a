"""Fuzz a reader with atheris: whatever the bytes, a value comes out or a BabelscopeError of one line.

``python tests/hostile/fuzz/fuzz.py manifest|audio|checkpoint|archive [SECONDS] [CORPUS]``. It needs atheris (``pip
install atheris``), which libFuzzer stops at the first finding: the bytes are left as ``crash-*`` in the working folder.
Put them into ``tests/hostile/findings/`` under ``READER-name.bin`` once it is mended: the suite reads what is there.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))


def main() -> None:
    """Run one harness for so many seconds."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["babelscope", "csv", "json", "zipfile", "tarfile", "gzip"]):
        readers: Any = importlib.import_module("readers")
    name, seconds = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "60"
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Path(sys.argv[3]) if len(sys.argv) > 3 else Path(scratch) / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(readers.seeds(name)):
            (corpus / f"seed-{number}").write_bytes(seed)
        folder = Path(scratch) / "input"
        folder.mkdir()
        atheris.Setup(
            [
                sys.argv[0],
                str(corpus),
                f"-max_total_time={seconds}",
                "-max_len=16384",
                "-timeout=20",
                "-rss_limit_mb=3000",
                "-print_final_stats=1",
            ],
            lambda data: readers.read(name, data, folder),
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
