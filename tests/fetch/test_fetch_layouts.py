"""From packages in the real layouts to a corpus: the small archives here have the paths of the real ones."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from babelscope import corpora
from babelscope.audio import load_audio
from babelscope.cache import CACHE_VARIABLE
from babelscope.errors import FetchError, UsageError
from babelscope.fetch import ASSETS, catalogue
from babelscope.fetch.sources import DebianPackage, Recipe, Source
from making_archives import compress, deb_of, sha256, tar_of


def tone(seconds: float, kind: str = "OGG", rate: int = 44_100) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, 0.3 * np.sin(np.arange(int(seconds * rate)) * 0.05), rate, format=kind)
    return out.getvalue()


#: One second: 64 kbit. Any bytes are some sound in G.722; these are noise.
G722 = np.random.default_rng(0).bytes(8_000)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def build(cache: Path, recipe: Recipe, name: str, contents: dict[Source, bytes]) -> Path:
    """Run a recipe on downloads that are given, and record the asset as fetch does."""
    downloads, folder = cache / "downloads", cache / "assets" / name
    downloads.mkdir(parents=True)
    folder.mkdir(parents=True)
    for source, data in contents.items():
        (downloads / source.file_name).write_bytes(data)
    recipe.build({source.file_name: downloads / source.file_name for source in contents}, folder)
    files = {path.name: sha256(path.read_bytes()) for path in folder.iterdir()}
    (folder / "asset.json").write_text(json.dumps({"name": name, "files": files}))
    return folder


def transcript(language: str) -> bytes:
    extra = "digits/0: cero\ndigits/0: diez\n" if language == "es" else "digits/0: zero\n"
    mark = "\ufeff" if language == "it" else ""
    return (
        f"{mark}; Core Asterisk Sounds\n\nvm-goodbye: Goodbye: now in {language}.\nletters/at: at [@]\n"
        f"beep: [a tone]\nsilence/1: (1 second of silence)\nconfbridge-join: <beep>\nnot-recorded: nothing\n{extra}"
    ).encode()


VOICES = {
    "en": "en_US_f_Allison",
    "es": "es_MX_f_Allison",
    "fr": "fr_CA_f_June",
    "it": "it_IT_m_Carlo",
    "ru": "ru_RU_f_IvrvoiceRU",
}

SPOKEN = ("vm-goodbye", "letters/at", "digits/0", "beep", "silence/1", "confbridge-join")


def check_asterisk(corpus: corpora.Corpus) -> None:
    assert corpus.sentences == ("digits/0", "letters/at", "vm-goodbye")
    assert corpus.text("vm-goodbye", "it") == "Goodbye: now in it."
    assert corpus.text("letters/at", "en") == "at"
    assert corpus.text("digits/0", "es") == "cero"
    primary = corpus.recordings("vm-goodbye", "fr")[0]
    assert primary.reader == "June" and primary.seconds == 1.0
    assert load_audio(primary).shape == (16_000,)


def packages(name: str) -> dict[str, Source]:
    """The first recipe's Debian packages by name."""
    sources = ASSETS[name].recipes[0].sources
    return {source.package: source for source in sources if isinstance(source, DebianPackage)}


def asterisk_from_debs(cache: Path, speech: Iterable[str] = SPOKEN) -> Path:
    contents: dict[Source, bytes] = {}
    known = packages("asterisk")
    for language, voice in VOICES.items():
        doc = f"usr/share/doc/asterisk-core-sounds-{language}"
        packed = gzip.compress(transcript(language))
        contents[known[f"asterisk-core-sounds-{language}"]] = deb_of(
            {f"{doc}/core-sounds-{language}.txt.gz": packed, f"{doc}/copyright": b""}
        )
        sounds = {f"usr/share/asterisk/sounds/{voice}/{name}.g722": G722 for name in speech}
        contents[known[f"asterisk-core-sounds-{language}-g722"]] = deb_of(sounds)
    second = {
        f"usr/share/asterisk/sounds/it_IT_f_Menardi/{name}.wav": tone(0.5, "WAV", 8000)
        for name in ("vm-goodbye", "beep")
    }
    contents[known["asterisk-prompt-it-menardi-wav"]] = deb_of(second)
    return build(cache, ASSETS["asterisk"].recipes[0], "asterisk", contents)


def test_asterisk_from_debian_packages(cache: Path) -> None:
    folder = asterisk_from_debs(cache)
    assert {path.name for path in folder.iterdir()} == {*ASSETS["asterisk"].files, "asset.json"}
    corpus = corpora.load("asterisk")
    check_asterisk(corpus)
    first, second = corpus.recordings("vm-goodbye", "it")
    assert (first.reader, second.reader, second.seconds) == ("Carlo", "Menardi", 0.5)
    assert load_audio(second).shape == (8_000,)
    assert len(corpora.load("asterisk", second_reader=False).recordings("vm-goodbye", "it")) == 1
    assert corpora.load("asterisk", languages=["it", "en"]).languages == ("it", "en")


@pytest.mark.parametrize("prefix", ["", "./"])
def test_asterisk_from_upstreams_archives_is_the_same_without_the_second_reader(cache: Path, prefix: str) -> None:
    contents: dict[Source, bytes] = {}
    for language, source in zip(catalogue.ASTERISK_LANGUAGES, ASSETS["asterisk"].recipes[1].sources, strict=True):
        files = {f"core-sounds-{language}.txt": transcript(language), f"LICENSE-asterisk-core-{language}-1.6.1": b"CC"}
        files |= {f"{name}.g722": G722 for name in SPOKEN}
        packed = compress(tar_of({prefix + name: data for name, data in files.items()}), "gz")
        contents[source] = packed
    folder = build(cache, ASSETS["asterisk"].recipes[1], "asterisk", contents)
    corpus = corpora.load("asterisk")
    check_asterisk(corpus)
    assert len(corpus.recordings("vm-goodbye", "it")) == 1
    web = {path.name: path.read_bytes() for path in folder.glob("*.[zt]*")}
    fingerprint = corpora.load("asterisk").fingerprint()
    again = asterisk_from_debs(cache.parent / "second")
    assert all((again / name).read_bytes() == data for name, data in web.items())
    assert len(fingerprint) == 64


def test_an_archive_packed_otherwise_is_told(cache: Path) -> None:
    with pytest.raises(FetchError, match=r"asterisk-core-sounds-en-g722 1\.6\.1-1 holds no recording"):
        asterisk_from_debs(cache, speech=())


STAMP = """A ladybug.
be.utf8=Кароўка-багоўка.
fr.utf8=Une coccinelle.
pt_BR.utf8=Uma joaninha.
ca@valencia.utf8=Una marieta.
ko.utf8=
nonsense without a language
"""


def tuxpaint(cache: Path) -> None:
    base = "usr/share/tuxpaint/stamps/animals/insects/cartoon/ladybug"
    latin = b"A bee.\nfr.utf8=Une abeille.\nes.utf8=\xf1\n"
    files = {
        f"{base}.txt": STAMP.encode(),
        f"{base}.png": b"picture",
        f"{base}.ogg": tone(0.5),
        f"{base}_desc_fr.ogg": tone(0.5),
        f"{base}_desc_lt.ogg": tone(0.5),
        f"{base.replace('ladybug', 'bee')}.txt": latin,
    }
    files |= {f"{base}_desc_{language}.ogg": tone(0.25) for language in catalogue.TUXPAINT_SPEECH if language != "fr"}
    package = packages("tuxpaint")["tuxpaint-stamps-default"]
    build(cache, ASSETS["tuxpaint"].recipes[0], "tuxpaint", {package: deb_of(files)})


def test_tuxpaint_from_its_debian_package(cache: Path) -> None:
    tuxpaint(cache)
    corpus = corpora.load("tuxpaint")
    ladybug, bee = "animals/insects/cartoon/ladybug", "animals/insects/cartoon/bee"
    assert corpus.sentences == (bee, ladybug)
    assert set(corpus.languages) == {"en", "be", "fr", "pt_BR", "ca@valencia"}
    assert corpus.text(ladybug, "en") == "A ladybug."
    assert corpus.text(ladybug, "pt_BR") == "Uma joaninha."
    assert corpus.text(bee, "be") is None
    (recording,) = corpus.recordings(ladybug, "fr")
    assert recording.seconds == pytest.approx(0.5)
    assert load_audio(recording).shape == (8_000,)
    assert corpus.recordings(bee, "fr") == ()
    assert len(corpus.select(languages=["fr", "be"])) == 1
    assert corpora.load("tuxpaint", languages=["fr"]).languages == ("fr",)
    with pytest.raises(UsageError, match="did you mean 'pt_BR'"):
        corpora.load("tuxpaint", languages=["pt_br"])
