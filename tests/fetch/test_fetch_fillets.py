"""Fish Fillets: dialogues read from its scripts by pattern, and recordings found by level and name."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from babelscope import corpora
from babelscope.audio import load_audio
from babelscope.cache import CACHE_VARIABLE
from babelscope.corpora.fillets import read_dialogues
from babelscope.errors import DataError, UsageError
from babelscope.fetch import ASSETS
from babelscope.fetch.sources import DebianPackage, Source
from making_archives import deb_of, sha256

GAME = "usr/share/games/fillets-ng"

CZECH = """\ufeff
dialogId("let-m-oko", "font_small", "Can you see \\"that\\"?")
dialogStr("Vidíš \\"to\\"?\\nNo tak.")

dialogId("let-v-vrak", "font_big",
    "A wreck.")
dialogStr("Vrak.")
dialogId("let-x-bez", "font_statue", "Untranslated.")
dialogId("let-x-nic", "font_statue", "Silence")
dialogStr("")
os.execute("this is never run")
"""


def sound() -> bytes:
    out = io.BytesIO()
    soundfile.write(out, 0.3 * np.sin(np.arange(8_000) * 0.05), 16_000, format="OGG")
    return out.getvalue()


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    recipe = ASSETS["fillets"].recipes[0]
    packages = {source.package: source for source in recipe.sources if isinstance(source, DebianPackage)}
    english = 'dialogId("let-m-oko", "font_small", "Can you see that?")\n'
    shared = 'dialogId("bor-v-nuda", "font_big", "How dull.")\ndialogStr("Nuda.")\n'
    contents: dict[Source, bytes] = {
        packages["fillets-ng-data"]: deb_of(
            {
                f"{GAME}/script/airplane/dialogs_cs.lua": CZECH.encode(),
                f"{GAME}/script/airplane/dialogs_en.lua": english.encode(),
                f"{GAME}/script/airplane/code.lua": b"nothing",
                f"{GAME}/script/share/bore_dialogs_cs.lua": shared.encode(),
                f"{GAME}/script/share/intro_dialogs_cs.lua": shared.encode(),
            }
        ),
        packages["fillets-ng-data-cs"]: deb_of(
            {
                f"{GAME}/sound/airplane/cs/let-m-oko.ogg": sound(),
                f"{GAME}/sound/share/borejokes/cs/bor-v-nuda.ogg": sound(),
            }
        ),
        packages["fillets-ng-data-nl"]: deb_of({f"{GAME}/sound/airplane/nl/let-m-oko.ogg": sound()}),
    }
    downloads, folder = tmp_path / "downloads", tmp_path / "assets" / "fillets"
    downloads.mkdir()
    folder.mkdir(parents=True)
    for source, data in contents.items():
        (downloads / source.file_name).write_bytes(data)
    recipe.build({source.file_name: downloads / source.file_name for source in contents}, folder)
    assert {path.name for path in folder.iterdir()} == set(ASSETS["fillets"].files)
    record(folder)
    return folder


def record(folder: Path) -> None:
    """Record what is there, as fetch does."""
    files = {name: sha256((folder / name).read_bytes()) for name in ASSETS["fillets"].files}
    (folder / "asset.json").write_text(json.dumps({"name": "fillets", "files": files}))


def test_a_dialogue_is_its_name_its_text_and_who_speaks() -> None:
    assert list(read_dialogues(CZECH.encode(), "cs")) == [
        ("let-m-oko", 'Vidíš "to"? No tak.', "small fish"),
        ("let-v-vrak", "Vrak.", "big fish"),
    ]
    assert [name for name, _, _ in read_dialogues(CZECH.encode(), "en")] == [
        "let-m-oko",
        "let-v-vrak",
        "let-x-bez",
        "let-x-nic",
    ]


def test_from_its_debian_packages(fetched: Path) -> None:
    corpus = corpora.load("fillets")
    assert corpus.languages == ("cs", "en")
    assert corpus.sentences == ("airplane/let-m-oko", "airplane/let-v-vrak", "borejokes/bor-v-nuda")
    (recording,) = corpus.recordings("airplane/let-m-oko", "cs")
    assert recording.reader == "cs small fish" and recording.seconds == pytest.approx(0.5)
    assert load_audio(recording).shape == (8_000,)
    assert corpus.recordings("airplane/let-v-vrak", "cs") == ()
    assert corpus.recordings("borejokes/bor-v-nuda", "cs")[0].reader == "cs big fish"
    with pytest.raises(UsageError, match="no language 'cz'"):
        corpora.load("fillets", languages=["cz"])


def test_a_damaged_archive_is_told(fetched: Path) -> None:
    with zipfile.ZipFile(fetched / "texts.zip", "w") as empty:
        empty.writestr("airplane/code.lua", "")
    with pytest.raises(DataError, match="run 'babelscope fetch fillets', which gets it again"):
        corpora.load("fillets")
    record(fetched)
    with pytest.raises(DataError, match="hold no line of dialogue"):
        corpora.load("fillets")
    (fetched / "texts.zip").write_bytes(b"PK")
    record(fetched)
    with pytest.raises(DataError, match="cannot be read"):
        corpora.load("fillets")
