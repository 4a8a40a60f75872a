"""Studies: one file in, one folder out; wrong keys are named; a second run redoes nothing."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pandas as pd
import pytest

import babelscope
from babelscope.errors import BabelscopeError, DataError, UsageError
from babelscope.study import run
from babelscope.study.settings import Study
from study_keys import described_keys


@pytest.fixture
def study_file(tmp_path: Path, manifest: Path, whisper_folder: Path, e5_folder: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(
        f"""
name = "tones"
output = "out"
seed = 3
permutations = 49
measures = ["linear_cka", "svcca(variance=0.9)", "retrieval"]

[corpus]
source = "manifest"
path = "{manifest}"
languages = ["xa", "xb"]
n = 10

[model]
name = "whisper-base+e5-small"
window_seconds = 2
weights = {{ whisper-base = "{whisper_folder}", e5-small = "{e5_folder}" }}
""",
        encoding="utf-8",
    )
    return path


def test_a_study_runs_from_file_to_report(study_file: Path) -> None:
    steps: list[str] = []
    outcome = run(
        Study.load(study_file),
        progress=lambda what, done, total: steps.append(what),
        command="babelscope run study.toml",
    )
    folder = study_file.parent / "out"
    assert outcome.folder == folder and outcome.report == folder / "report.html"
    for name in (
        "activations.zarr",
        "scores.parquet",
        "scores.csv",
        "curves.csv",
        "result.json",
        "report.html",
    ):
        assert (folder / name).exists(), name
    assert {"encoding text xa", "encoding speech xb", "writing the report"} <= set(steps)
    scores = pd.read_parquet(folder / "scores.parquet")
    assert set(scores["measure"]) == {"linear_cka", "svcca(variance=0.9)", "retrieval"}
    assert set(scores["control"]) == {"none", "length_regressed", "shuffled"}
    meta = outcome.result.meta
    assert meta["options"]["seed"] == 3 and meta["study"]["command"] == "babelscope run study.toml"
    assert meta["corpus"]["n"] == 10 and len(meta["corpus"]["fingerprint"]) == 64
    assert all(len(weights["sha256"]) == 64 for weights in meta["model"]["weights"])
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "tones" in page and "window of 2 s" in page

    steps.clear()
    again = run(Study.load(study_file), progress=lambda what, done, total: steps.append(what))
    assert not any(step.startswith(("encoding", "comparing")) for step in steps)
    pd.testing.assert_frame_equal(again.result.scores, outcome.result.scores)


@pytest.mark.usefixtures("figure_files")
def test_a_study_writes_its_figures_in_the_page_and_as_files(study_file: Path) -> None:
    keys = {"kinds": ["modality_similarity"], "measures": ["linear_cka"], "intervals": False}
    outcome = run(Study.load(study_file, keys))
    assert re.search(r'"layer_curves\.modality_similarity":\{"wide":\{', outcome.report.read_text(encoding="utf-8"))
    files = {path.name for path in (outcome.folder / "figures").iterdir()}
    assert {f"layer_curves.modality_similarity.{suffix}" for suffix in ("svg", "png", "pdf", "csv")} <= files


def test_another_seed_compares_again_but_encodes_only_if_the_sentences_change(
    study_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = study_file.read_text().replace("seed = 3", "seed = 3\nintervals = false")
    study_file.write_text(re.sub("measures = .*", 'measures = ["linear_cka"]', text))
    with monkeypatch.context() as earlier:
        for module in ("gaps.options", "study.scores"):
            earlier.setattr(f"babelscope.{module}.STATISTICS", 1)
        run(Study.load(study_file))
    steps: list[str] = []
    run(Study.load(study_file), progress=lambda what, done, total: steps.append(what))
    assert "comparing again: an earlier version made nulls or intervals in another way" in steps
    steps.clear()
    study_file.write_text(study_file.read_text().replace("permutations = 49", "permutations = 59"))
    run(Study.load(study_file), progress=lambda what, done, total: steps.append(what))
    assert any(step.startswith("comparing") for step in steps) and not any(
        step.startswith("encoding") for step in steps
    )
    study_file.write_text(study_file.read_text().replace("n = 10", "n = 9"))
    with pytest.raises(UsageError, match="--overwrite"):
        run(Study.load(study_file))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("permutations = 49", "permutatons = 49", r"permutatons: there is no such key; did you mean 'permutations'"),
        ("n = 10", "n = 'ten'", r"corpus\.n: .*'ten'"),
        ("languages", "langauges", r"corpus\.langauges: there is no such key; did you mean 'languages'"),
        ('source = "manifest"', "", r"corpus\.source: this key is missing"),
        ('source = "manifest"', 'source = "astersk"', r"corpus\.source: 'astersk' is unknown; did you mean 'asterisk'"),
        ("window_seconds = 2", "window_seconds = -2", r"model\.window_seconds: "),
        ("whisper-base+e5-small", "whisper-base+e5-smal", r"model\.name: model 'e5-smal' is unknown; did you mean"),
        ("window_seconds = 2", "pooling = 'men'", r"model\.pooling: pooling 'men' is unknown; did you mean 'mean'"),
        ("window_seconds = 2", "dtype = 'float31'", r"model\.dtype: "),
        ("linear_cka", "linear_cak", r"measures: there is no measure 'linear_cak': did you mean 'linear_cka'"),
        ("variance=0.9", "varaince=0.9", r"measures: .*did you mean 'variance'"),
        (
            "seed = 3",
            "seed = 3\ncontrols = ['none', 'legnth_regressed']",
            r"controls: 'legnth_regressed' is unknown; did you mean 'length_regressed'",
        ),
        ("seed = 3", "seed = 3\nmatch = 'output_'", r"match: "),
        ("permutations = 49", "permutations = 5", r"permutations: .*19"),
        ("seed = 3", "seed = ", "is not valid TOML"),
        ("[corpus]", "[corpus", r"is not valid TOML: .*line"),
        ('languages = ["xa", "xb"]', 'languages = ["xa", "xbb"]', "xbb"),
        ("n = 10", "n = 100", "100"),
        ("n = 10", "n = 3", "needs at least"),
        ('languages = ["xa", "xb"]', 'ids = ["s01", "nobody"]', "nobody"),
        ("seed = 3", "seed = 3\npoints = ['speech.layr.*']", "no point 'speech.layr"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(study_file: Path, old: str, new: str, words: str) -> None:
    text = study_file.read_text(encoding="utf-8")
    assert old in text
    study_file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BabelscopeError, match=words) as caught:
        run(Study.load(study_file))
    assert "\n" not in str(caught.value)
    assert not (study_file.parent / "out" / "report.html").exists()


def test_paths_of_a_model_are_relative_to_the_study(
    tmp_path: Path, whisper_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from babelscope.study import build_model
    from babelscope.testing import tiny

    folder = tmp_path / "studies"
    tiny("sonar-speech", folder / "encoders")
    encoder = next((folder / "encoders").glob("spenc*.pt"))
    tiny("sonar-text-original", folder / "text")
    (folder / "tokens.json").write_bytes((folder / "text" / "tokenizer.json").read_bytes())
    (folder / "text" / "tokenizer.json").unlink()
    start = "[corpus]\nsource = 'asterisk'\n[model]\nname = 'sonar'\nweights = 'text/sonar_text_encoder.pt'\n"
    told = {
        "a folder": "options = { tokenizer = 'tokens.json', speech_weights = 'encoders' }",
        "a table": "options = { tokenizer = './tokens.json', speech_weights = "
        f"{{ en = 'encoders/{encoder.name}' }} }}",
    }
    monkeypatch.chdir(tmp_path)
    for said in told.values():
        (folder / "study.toml").write_text(start + said)
        assert build_model(Study.load("studies/study.toml")).modalities == ("text", "speech")
    table = Study.load("studies/study.toml").model
    assert table.weights == str(folder / "text" / "sonar_text_encoder.pt")
    assert table.options["tokenizer"] == str(folder / "tokens.json")
    (folder / "study.toml").write_text(start + "options = { tokenizer = 'facebook/nllb-200-distilled-600M' }")
    assert Study.load("studies/study.toml").model.options["tokenizer"] == "facebook/nllb-200-distilled-600M"


@pytest.mark.parametrize("name", ["e5-small", "sonar", "seamless-m4t-v2-large"])
def test_a_window_is_refused_before_anything_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "study.toml").write_text(f"[corpus]\nsource = 'asterisk'\n[model]\nname = '{name}'\nwindow_seconds = 8")
    with pytest.raises(UsageError, match=rf"{name} takes no window \(whisper-base does\): leave it out"):
        Study.load(tmp_path / "study.toml")
    with pytest.raises(UsageError, match=rf"window_seconds: {name} takes no window"):
        babelscope.models.load(name, window_seconds=8)
    study = Study.parse({"corpus": {"source": "asterisk"}, "model": {"name": "whisper-base", "window_seconds": 8}})
    assert study.changed(model=name).model.window_seconds is None
    assert study.changed(model="whisper-base+e5-small").model.window_seconds == 8


def test_a_text_model_or_points_of_text_need_no_recordings(tmp_path: Path, e5_folder: Path) -> None:
    from babelscope.study import build_corpus, build_model
    from fleurs_fixture import tones, write

    copy = write(tmp_path / "fleurs", tones(["en_us", "it_it", "zu_za"]))
    for archive in copy.rglob("*.tar.gz"):
        archive.write_bytes(b"not an archive")
    (copy / "data" / "zu_za" / "test.tsv").write_bytes(b"\xff")
    corpus = {"source": "fleurs", "path": str(copy), "languages": ["en_us", "it_it"]}
    text = {"corpus": corpus, "model": {"name": "e5-small", "weights": str(e5_folder)}}
    study = Study.parse(text)
    activations = babelscope.encode(build_model(study), build_corpus(study), tmp_path / "text.zarr")
    assert activations.complete and activations.modalities == ("text",) and len(activations.sentences) == 6
    both = {"corpus": corpus, "model": {"name": "seamless-m4t-v2-large"}}
    assert len(build_corpus(Study.parse(both | {"points": ["text.layer.*", "text.norm"]}))) == 6
    for points in (["all"], ["text.norm", "shared.*"], ["speech.norm"]):
        with pytest.raises(DataError, match=r"test.tar.gz"):
            build_corpus(Study.parse(both | {"points": points}))


def test_a_study_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no study"):
        Study.load(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not valid TOML"):
        Study.load(tmp_path / "binary.toml")


def test_every_key_is_described() -> None:
    described = described_keys()
    for key in ("corpus.source", "model.window_seconds", "measures", "match"):
        assert described[key]


def test_the_five_lines_of_the_api(manifest: Path, whisper_folder: Path, e5_folder: Path, tmp_path: Path) -> None:
    corpus = babelscope.corpora.load("manifest", path=manifest).select(languages=["xa", "xb"], n=8)
    weights = {"whisper-base": str(whisper_folder), "e5-small": str(e5_folder)}
    model = babelscope.models.load("whisper-base+e5-small", weights=weights, window_seconds=2)
    activations = babelscope.encode(model, corpus, tmp_path / "activations.zarr")
    result = babelscope.compare(activations, ["linear_cka"], permutations=19, interval=False)
    assert babelscope.write_report(result, tmp_path, figures=False).stat().st_size > 10_000


def test_a_recording_that_goes_bad_is_named_and_the_rest_is_kept(
    study_file: Path, manifest: Path, tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(manifest.parent, folder)
    text = study_file.read_text(encoding="utf-8").replace(str(manifest), str(folder / "manifest.csv"))
    study_file.write_text(text.replace("n = 10\n", ""), encoding="utf-8")
    (folder / "xb-4.wav").write_bytes((folder / "xb-4.wav").read_bytes()[:30])
    with pytest.raises(DataError, match=r"xb-4\.wav") as caught:
        run(Study.load(study_file))
    assert "\n" not in str(caught.value)


def test_the_example_study_is_valid() -> None:
    path = Path(__file__).parent.parent / "examples" / "study.toml"
    assert Study.load(path).corpus.source == "asterisk"
    assert tomllib.loads(path.read_text(encoding="utf-8"))["measures"]
