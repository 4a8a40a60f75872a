"""What the tests of all areas share: tiny models in transformers' own format, and a corpus of synthetic tones."""

from __future__ import annotations

import csv
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from html import escape
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import torch
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import Unigram
from transformers import BertConfig, BertModel, WhisperConfig, WhisperForConditionalGeneration

from babelscope import corpora, models, report
from babelscope.corpora import Corpus
from babelscope.gaps import Result
from babelscope.models import Model
from babelscope.report import Heard, figure, write_report
from babelscope.report.figure import carried as figure_data
from babelscope.study import run

SAMPLE_RATE = 16_000
LANGUAGES = ("xa", "xb", "xc")

#: Test files that compute longest, the longest first: what starts first does not keep everybody waiting at the end.
LONGEST = ("test_printed_commands.py", "test_docs.py", "test_report_page.py", "test_kills.py", "test_real_study.py")


#: Without the plug-ins that come along, what needs them is left out: all else must pass without them.
PLUGINS = Path(models.__file__).parents[1] / "plugins"
collect_ignore = [] if PLUGINS.is_dir() else ["plugins"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))
    for item in [] if PLUGINS.is_dir() else items:
        if item.get_closest_marker("plugins") or "pocket_folder" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason="the plug-ins that come along are not here"))


#: Where studies and commands look up what writes a report.
_WRITERS: tuple[ModuleType, ...] = (sys.modules[run.__module__], report)


def write_page(result: Result, folder: Path | str, *, figures: bool = False, heard: Sequence[Heard] = ()) -> Path:
    """Write the page without drawing a figure, and no files of figures: both take longer than a study."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figure, "carried", lambda shown, on_demand: figure_data((), ()))
        patch.setattr(figure, "inline", lambda shown, width: f'<svg data-figure="{escape(shown.name)}"></svg>')
        patch.setattr(figure, "vega_script", str)
        return write_report(result, folder, figures=False, heard=heard)


def let_reports_be_written_by(writer: Callable[..., Path], patch: pytest.MonkeyPatch) -> None:
    """Let studies and commands write their report by a function."""
    for module in _WRITERS:
        patch.setattr(module, "write_report", writer)


@pytest.fixture(scope="session", autouse=True)
def reports_are_plain_pages() -> Iterator[None]:
    """Let the studies and commands of all tests write their report by :func:`write_page`."""
    with pytest.MonkeyPatch.context() as patch:
        let_reports_be_written_by(write_page, patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def disks_are_not_waited_for() -> Iterator[None]:
    """Leave out what guards files from a power loss alone: no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="module")
def whole_pages() -> Iterator[None]:
    """Let the studies of a test file write pages with all figures, though no files of them."""
    with pytest.MonkeyPatch.context() as patch:
        let_reports_be_written_by(partial(write_report, figures=False), patch)
        yield


@pytest.fixture
def figure_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the studies of a test write all figures, in the page and as files, as they do for everybody else."""
    let_reports_be_written_by(write_report, monkeypatch)


@pytest.fixture(scope="session")
def whisper_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Whisper of 2 layers, 16 wide, with random weights, as save_pretrained writes it."""
    folder = tmp_path_factory.mktemp("tiny-whisper")
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=60, num_mel_bins=80, d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_source_positions=1500,
        max_target_positions=20, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=3,
    )  # fmt: skip
    WhisperForConditionalGeneration(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def e5_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 3 layers, 12 wide, with random weights and a tokenizer of single letters."""
    folder = tmp_path_factory.mktemp("tiny-e5")
    torch.manual_seed(1)
    letters = "abcdefghijklmnopqrstuvwxyz:.,'▁"
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0), *((letter, -3.0) for letter in letters)]
    tokenizer = Tokenizer(Unigram(pieces, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = BertConfig(
        vocab_size=len(pieces), hidden_size=12, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=80, pad_token_id=1,
    )  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pocket_folder(whisper_folder: Path, e5_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``pocket``: a folder with a tiny Whisper, a tiny E5, an adapter and a ridge map, drawn wide."""
    from babelscope.plugins.pocket.adapter import AdapterShape, PocketAdapter, save_adapter
    from babelscope.plugins.pocket.ridge import RidgeMap, save_ridge

    made = tmp_path_factory.mktemp("tiny-pocket")
    shutil.copytree(whisper_folder, made / "whisper")
    shutil.copytree(e5_folder, made / "e5")
    shape = AdapterShape(input_width=16, width=12, hidden=20)
    generator = torch.Generator().manual_seed(3)
    adapter = PocketAdapter.untrained(4, 0.4 + torch.randn(50, 12, generator=generator), shape)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    save_adapter(adapter, made / "adapter.safetensors", {})
    drawn = np.random.default_rng(0)
    save_ridge(RidgeMap(drawn.normal(size=(16, 12)), drawn.normal(size=12)), made / "ridge.safetensors", {})
    return made


@pytest.fixture(scope="session")
def tiny_model(whisper_folder: Path, e5_folder: Path) -> Model:
    """The pair of both, in a window of two seconds."""
    weights = {"whisper-base": str(whisper_folder), "e5-small": str(e5_folder)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return models.load("whisper-base+e5-small", weights=weights, window_seconds=2)


def tone(seconds: float, hertz: float, seed: int = 0) -> np.ndarray:
    """A tone with a little noise, at 16 kHz."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.3 * np.sin(2 * np.pi * hertz * time) + 0.01 * generator.standard_normal(len(time))).astype(np.float32)


def write_manifest(folder: Path, sentences: int = 12, languages: tuple[str, ...] = LANGUAGES) -> Path:
    """A manifest of short texts and tones whose pitch follows the sentence, in several languages."""
    generator = np.random.default_rng(0)
    letters = list("abcdefghijklmnopqrstuvwxyz")
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as handle:
        rows = csv.writer(handle)
        rows.writerow(["sentence", "language", "text", "audio", "reader"])
        for number in range(sentences):
            for place, language in enumerate(languages):
                words = [
                    "".join(generator.choice(letters, generator.integers(2, 6)))
                    for _ in range(generator.integers(3, 6))
                ]
                audio = f"{language}-{number}.wav"
                seconds = float(generator.uniform(0.3, 1.8))
                soundfile.write(folder / audio, tone(seconds, 150 + 60 * number + 7 * place, number), SAMPLE_RATE)
                rows.writerow([f"s{number:02}", language, " ".join(words), audio, f"reader-{language}"])
    return folder / "manifest.csv"


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of :func:`write_manifest`."""
    return write_manifest(tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="session")
def tones(manifest: Path) -> Corpus:
    """Twelve sentences in three languages, complete."""
    return corpora.load("manifest", path=manifest)


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that installs a package with entry points of a group, for the length of the test."""

    def install(group: str, **entries: str) -> None:
        info = tmp_path / "offers-1.0.dist-info"
        info.mkdir()
        info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: offers\nVersion: 1.0\n", "utf-8")
        lines = [f"{name} = {value}" for name, value in entries.items()]
        info.joinpath("entry_points.txt").write_text("\n".join([f"[{group}]", *lines]), "utf-8")
        monkeypatch.syspath_prepend(tmp_path)

    return install
