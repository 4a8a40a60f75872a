"""A result passes its rules or does not, in one line each; what finds no number fails, unknown names are refused."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from babelscope.check import (
    Rules,
    apply,
    check,
    no_worse,
    parse_bound,
    parse_required,
    parse_rule,
    require,
    write_junit,
)
from babelscope.cli import main
from babelscope.errors import UsageError
from babelscope.gaps import Result, compare
from babelscope.testing import Planted, planted_activations

LANGUAGES = ("swh", "deu", "hau")
MEASURES = ("svcca(variance=0.9)", "linear_cka", "retrieval", "xsim")


def made(folder: Path, *, meaning: float = 0.6, seed: int = 0, n: int = 40, interval: bool = True) -> Result:
    """A study of synthetic activations with so much common meaning at the output."""
    points = {"shared.0": Planted(meaning=0.1), "shared.1": Planted(meaning=meaning, language=0.1)}
    store = planted_activations(folder / "a.zarr", points, n=n, languages=LANGUAGES, seed=seed)
    found = compare(store, MEASURES, permutations=19, controls=("none", "length_regressed"), interval=interval)
    found.meta["corpus"]["fingerprint"] = "the same"
    return found


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return made(tmp_path_factory.mktemp("result"))


@pytest.fixture(scope="module")
def worse(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return made(tmp_path_factory.mktemp("worse"), meaning=0.15, seed=1)


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The same model in all that matters: other noise, as much meaning."""
    return made(tmp_path_factory.mktemp("again"), seed=2)


def number_of(result: Result, text: str) -> float:
    """The number that a rule is about, out of its line."""
    line = apply(parse_rule("max", text, -99.0, result), result).line
    return float(line.split("=-99: ")[1].split(" ")[0])


def cell(
    result: Result, kind: str, measure: str, group: str, column: str, point: str = "shared.1", control: str = "none"
) -> float:
    table = result.curves
    row = table[
        (table["kind"] == kind)
        & (table["measure"] == measure)
        & (table["group"] == group)
        & (table["point"] == point)
        & (table["control"] == control)
    ]
    assert len(row) == 1
    return float(row[column].iloc[0])


@pytest.mark.parametrize(
    ("rule", "meant"),
    [
        ("retrieval", ("modality_similarity", "retrieval", "mean", "chance_corrected")),
        ("retrieval.speech", ("modality_similarity", "retrieval", "mean", "chance_corrected")),
        ("retrieval.speech.swh", ("modality_similarity", "retrieval", "swh", "chance_corrected")),
        ("retrieval.swh", ("modality_similarity", "retrieval", "swh", "chance_corrected")),
        ("retrieval.text.swh-deu", ("language_similarity_text", "retrieval", "swh-deu", "chance_corrected")),
        ("retrieval.language_similarity_speech:value", ("language_similarity_speech", "retrieval", "mean", "value")),
        ("retrieval.cross_similarity.swh-hau", ("cross_similarity", "retrieval", "swh-hau", "chance_corrected")),
        ("linear_cka.speech.hau:low", ("modality_similarity", "linear_cka", "hau", "low")),
        (
            "svcca( variance = 0.90 ).speech.hau",
            ("modality_similarity", "svcca(variance=0.9)", "hau", "chance_corrected"),
        ),
        ("linear_cka.swh:p", ("modality_similarity", "linear_cka", "swh", "p")),
        ("linear_cka.swh@shared.0", ("modality_similarity", "linear_cka", "swh", "chance_corrected", "shared.0")),
        (
            "linear_cka.swh:value:length_regressed",
            ("modality_similarity", "linear_cka", "swh", "value", "shared.1", "length_regressed"),
        ),
    ],
)
def test_a_rule_names_one_number(rule: str, meant: tuple[str, ...], result: Result) -> None:
    assert number_of(result, rule) == pytest.approx(cell(result, *meant), abs=1e-3)


def test_a_gap_is_what_similarity_leaves(result: Result) -> None:
    mean = cell(result, "modality_similarity", "linear_cka", "mean", "chance_corrected")
    assert number_of(result, "modality_gap") == pytest.approx(1 - mean, abs=1e-3)
    raw = cell(result, "language_similarity_text", "retrieval", "mean", "value")
    assert number_of(result, "language_gap_text.retrieval:value") == pytest.approx(1 - raw, abs=1e-3)
    assert number_of(result, "modality_gap.xsim.swh:value") == pytest.approx(
        cell(result, "modality_similarity", "xsim", "swh", "value"), abs=1e-3
    )
    low, value, high = (number_of(result, f"modality_gap.swh:{column}") for column in ("low", "value", "high"))
    assert low < value < high
    assert high == pytest.approx(1 - cell(result, "modality_similarity", "linear_cka", "swh", "low"), abs=1e-3)


def test_the_worst_and_a_languages_pairs(result: Result) -> None:
    each = {one: cell(result, "modality_similarity", "retrieval", one, "value") for one in LANGUAGES}
    lowest = min(each, key=lambda one: each[one])
    verdict = apply(parse_rule("min", "retrieval.speech.worst:value", 0.0, result), result)
    assert verdict.passed
    assert f"worst of 3: {lowest}" in verdict.line
    rule = parse_rule("max", "modality_gap.retrieval.worst:value", 1.0, result)
    assert f"{1 - min(each.values()):.4g} <= 1" in apply(rule, result).line  # the largest gap, where gaps are bounded
    pairs = [cell(result, "language_similarity_speech", "retrieval", pair, "value") for pair in ("swh-deu", "swh-hau")]
    assert number_of(result, "retrieval.language_similarity_speech.swh:value") == pytest.approx(
        np.mean(pairs), abs=1e-3
    )


def test_a_resource_class_has_a_number_where_the_result_tells_classes(result: Result) -> None:
    table = result.curves[result.curves["group"] == "mean"].assign(group="low", chance_corrected=0.25)
    classed = dataclasses.replace(result, tables={"by_class": table[table["kind"] == "modality_similarity"]})
    assert number_of(classed, "modality_gap.low") == 0.75
    assert not apply(parse_rule("max", "language_gap_text.low", 1, classed), classed).passed


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("modality_gpa", "did you mean 'modality_gap'"),
        ("retreival.speech", "did you mean 'retrieval'"),
        ("speech.swh", "no metric 'speech'"),
        ("retrieval.speach", "did you mean 'speech'"),
        ("retrieval.speech.swhh", "did you mean 'swh'"),
        ("retrieval.speech.swh.deu", "'deu' is one name too many"),
        ("retrieval.speech:valu", "did you mean 'value'"),
        ("retrieval:length_only", "is now the baseline 'lengths': write above_baseline.lengths"),
        ("retrieval:length_regresed", "did you mean 'length_regressed'"),
        ("retrieval@shared.9", "did you mean 'shared.1'"),
        ("retrieval..swh", "a name is empty"),
        ("svcca(varianc=0.9)", "did you mean 'variance'"),
    ],
)
def test_what_nobody_knows_is_refused(rule: str, said: str, result: Result) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(")):
        parse_rule("max", rule, 1.0, result)


@pytest.mark.parametrize(
    "rule",
    [
        "retrieval.speech.fra",  # a language, but none of the result's
        "retrieval.text.swh-fra",
        "mutual_knn",  # a measure that was not taken
        "svcca(variance=0.5)",
        "retrieval:strings_regressed",
        "retrieval.text.worst:shuffled",
    ],
)
@pytest.mark.parametrize("bound", ["max", "min"])
def test_a_rule_that_matches_no_row_fails(rule: str, bound: str, result: Result) -> None:
    limit = 1e9 if bound == "max" else -1e9  # any number would pass
    verdict = apply(parse_rule(bound, rule, limit, result), result)  # type: ignore[arg-type]
    assert not verdict.passed
    assert verdict.line.startswith("FAIL")
    assert "matches no row" in verdict.line


def test_a_number_that_is_none_fails(result: Result) -> None:
    empty = dataclasses.replace(result, curves=result.curves.assign(chance_corrected=math.nan))
    for bound, limit in (("max", 1e9), ("min", -1e9)):
        verdict = apply(parse_rule(bound, "modality_gap.swh", limit, empty), empty)  # type: ignore[arg-type]
        assert not verdict.passed
        assert "no chance_corrected" in verdict.line


def test_a_measure_with_several_parameters_must_be_told_apart(result: Result) -> None:
    more = result.curves[result.curves["measure"] == "svcca(variance=0.9)"].assign(measure="svcca(variance=0.5)")
    both = dataclasses.replace(result, curves=pd.concat([result.curves, more]))
    with pytest.raises(UsageError, match=r"has svcca\(variance=0.\d\) and svcca"):
        parse_rule("max", "svcca", 1.0, both)


def test_distances_of_means_have_rules(result: Result) -> None:
    table = result.tables["centroids"].query("kind == 'modality_gap' and point == 'shared.1'").set_index("language_a")
    assert number_of(result, "centroid_distance") == pytest.approx(table["distance"].mean(), abs=1e-3)
    assert number_of(result, "centroid_distance.deu:high") == pytest.approx(table["high"]["deu"], abs=1e-3)
    assert number_of(result, "centroid_distance.worst") == pytest.approx(table["distance"].max(), abs=1e-3)
    pair = result.tables["centroids"].query("kind == 'language_gap_text' and point == 'shared.0'").iloc[0]
    rule = f"centroid_distance.text.{pair['language_a']}-{pair['language_b']}@shared.0"
    assert number_of(result, rule) == pytest.approx(pair["distance"], abs=1e-3)
    bare = dataclasses.replace(result, tables={})
    assert "no distances of means" in apply(parse_rule("max", "centroid_distance", 9.0, bare), bare).line
    for wrong, said in (
        ("centroid_distance.swx", "did you mean 'swh'"),
        ("centroid_distance:calibrated", "has no 'calibrated'"),
        ("centroid_distance@shared.2", "did you mean 'shared.1'"),
        ("centroid_distanse", "did you mean 'centroid_distance'"),
    ):
        with pytest.raises(UsageError, match=said):
            parse_rule("max", wrong, 1.0, result)


def test_what_the_model_has_above_a_baseline_has_rules(result: Result) -> None:
    table = result.tables["against_baselines"].query("point == 'shared.1' and measure == 'linear_cka'")
    speech = table[table["kind"] == "modality_similarity"].set_index("baseline")
    strongest = speech[speech["strongest"]].iloc[0]
    assert number_of(result, "above_baseline") == pytest.approx(strongest["difference"], abs=1e-3)
    assert number_of(result, "above_baseline.strongest:low") == pytest.approx(strongest["low"], abs=1e-3)
    assert number_of(result, "above_baseline.lengths:high") == pytest.approx(speech["high"]["lengths"], abs=1e-3)
    text = table[(table["kind"] == "language_similarity_text") & table["strongest"]].iloc[0]
    assert number_of(result, "above_baseline.text") == pytest.approx(text["difference"], abs=1e-3)
    other = result.tables["against_baselines"].query(
        "point == 'shared.0' and measure == 'retrieval' and kind == 'modality_similarity' and baseline == 'lengths'"
    )
    rule = "above_baseline.lengths.speech.retrieval@shared.0"
    assert number_of(result, rule) == pytest.approx(other["difference"].iloc[0], abs=1e-3)
    line = apply(parse_rule("min", "above_baseline:low", 0.0, result), result).line
    assert line.startswith("FAIL") and "above lengths, the strongest baseline" in line and line.endswith("n 40")
    bare = dataclasses.replace(result, tables={})
    assert "has no baselines" in apply(parse_rule("min", "above_baseline:low", 0.0, bare), bare).line
    lacking = apply(parse_rule("min", "above_baseline.xsim", 0.0, result), result)
    assert not lacking.passed
    for wrong, said in (
        ("above_baseline.lenghts", "did you mean 'lengths'"),
        ("above_baseline:p", "has no 'p'"),
        ("above_baseline.lengths.speech.swh", "one name too many"),
        ("above_baseline@shared.2", "did you mean 'shared.1'"),
    ):
        with pytest.raises(UsageError, match=said):
            parse_rule("min", wrong, 0.0, result)


def test_findings_have_rules_and_verdicts_can_be_required(result: Result) -> None:
    table = result.tables["findings"].query("id == 'convergence' and group == 'all'").set_index("basis")
    row = table.loc["chance_corrected"]
    assert number_of(result, "finding.convergence") == pytest.approx(row["effect"], abs=1e-3)
    assert number_of(result, "finding.convergence:low") == pytest.approx(row["low"], abs=1e-3)
    raw = table.loc["raw_svcca"]
    assert number_of(result, "finding.convergence:raw_svcca") == pytest.approx(raw["effect"], abs=1e-3)
    told = {wanted: require("finding.convergence", wanted, result) for wanted in ("holds", "holds not", "cannot tell")}
    assert [wanted for wanted, verdict in told.items() if verdict.passed] == [row["verdict"]]
    assert all(f"{row['verdict']}; effect " in verdict.line for verdict in told.values())
    asked = Rules(required=(parse_required("finding.convergence=holds-not"),))
    assert [verdict.passed for verdict in check(result, asked)] == [row["verdict"] == "holds not"]
    for wrong, said in (
        ("finding", "say which finding"),
        ("finding.convergense", "did you mean 'convergence'"),
        ("finding.convergence.mid", "has no group 'mid'"),
        ("finding.convergence:raw_svca", "did you mean 'raw_svcca'"),
        ("finding.convergence@shared.0", "about all points"),
    ):
        with pytest.raises(UsageError, match=said):
            parse_rule("min", wrong, 1.0, result)
    with pytest.raises(UsageError, match="only a finding has a verdict"):
        require("modality_gap", "holds", result)
    with pytest.raises(UsageError, match="did you mean 'holds'"):
        parse_required("finding.convergence=hold")


def test_nothing_becomes_worse_by_itself(result: Result, again: Result, worse: Result) -> None:
    for other in (result, again):
        assert all(verdict.passed for verdict in no_worse(other, result))
    found = no_worse(worse, result)
    failed = {verdict.rule.partition(": ")[2] for verdict in found if not verdict.passed}
    assert {
        "modality_similarity by linear_cka",
        "modality_similarity by retrieval",
        "modality_similarity by xsim",
    } <= failed
    assert all(verdict.passed for verdict in no_worse(result, worse))  # better is not worse
    assert all(verdict.passed for verdict in no_worse(worse, result, tolerance=2.0))
    assert len(found) == 4 * len(MEASURES)


def test_a_baseline_must_be_of_the_same_sentences_and_measures(result: Result, tmp_path: Path) -> None:
    def but(part: str, key: str, value: object) -> Result:
        return dataclasses.replace(result, meta={**result.meta, part: {**result.meta[part], key: value}})

    for part, key, value, said in (
        ("corpus", "fingerprint", "another", "different corpora"),
        ("corpus", "n", 39, r"numbers of sentences \(40 and 39\)"),
        ("corpus", "languages", ["swh"], "different languages"),
        ("options", "measures", ["retrieval"], "different measures"),
        ("options", "conventions", {}, "different conventions"),
        ("options", "pooling", "max", "different poolings"),
    ):
        with pytest.raises(UsageError, match=said):
            no_worse(result, but(part, key, value))
    less = dataclasses.replace(result, curves=result.curves[result.curves["kind"] != "cross_similarity"])
    failed = [verdict for verdict in no_worse(less, result) if not verdict.passed]
    assert len(failed) == len(MEASURES)
    skipped = [verdict.line for verdict in no_worse(result, result) if verdict.line.startswith("skip")]
    assert len(skipped) == 4 and all("svcca(variance=0.9)" in line and "intervals" in line for line in skipped)
    assert all("matches no row" in verdict.line for verdict in failed)
    plain = made(tmp_path, interval=False)
    with pytest.raises(UsageError, match=r"have no intervals.*--tolerance"):
        no_worse(plain, plain)
    assert all(verdict.passed for verdict in no_worse(plain, plain, tolerance=0.01))


def test_what_chance_reaches_is_not_compared(result: Result) -> None:
    saturated = dataclasses.replace(result, curves=result.curves.assign(null_mean=1.0))
    lines = {verdict.rule: verdict for verdict in no_worse(saturated, saturated)}
    assert not lines["no worse than baseline: modality_similarity by linear_cka"].passed
    assert "says nothing" in lines["no worse than baseline: modality_similarity by linear_cka"].line


def test_rules_stand_in_a_file(tmp_path: Path, result: Result) -> None:
    result.save(tmp_path / "old")
    path = tmp_path / "rules.toml"
    path.write_text(
        """
no_worse_than = "old"
tolerance = 0.01

[max]
modality_gap = 0.9
"modality_gap.swh@shared.1" = 1

[min]
retrieval.speech.swh = 0.1
"svcca(variance=0.9).speech:value" = 0.2

[require]
finding.convergence = "holds"
"""
    )
    assert Rules.load(path).required == (("finding.convergence", "holds"),)
    rules = Rules.load(path)
    assert rules.bounds == (
        ("max", "modality_gap", 0.9),
        ("max", "modality_gap.swh@shared.1", 1.0),
        ("min", "retrieval.speech.swh", 0.1),
        ("min", "svcca(variance=0.9).speech:value", 0.2),
    )
    assert rules.no_worse_than == tmp_path / "old"
    assert len(check(result, rules)) == 5 + 4 * len(MEASURES)
    for text, said in (
        ("maximum = 1", "did you mean 'max'"),
        ("max = 1", "is a table"),
        ('[max]\nmodality_gap = "0.4"', "not a number"),
        ("[max]\nmodality_gap = nan", "not a number"),
        ("no_worse_than = 3", "folder"),
        ('[require]\n"finding.convergence" = "hold"', "did you mean 'holds'"),
        ("require = 1", "is a table"),
        ("[max", "not valid TOML"),
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=said):
            Rules.load(path)
    with pytest.raises(UsageError, match="no file of rules"):
        Rules.load(tmp_path / "none.toml")
    for text in ("modality_gap", "=3", "modality_gap=much", "modality_gap=nan"):
        with pytest.raises(UsageError, match="write a rule and a number"):
            parse_bound(text, "max")


def test_the_command_line_says_a_line_a_rule_and_its_exit_code(
    tmp_path: Path, result: Result, worse: Result, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = str(result.save(tmp_path / "old")), str(worse.save(tmp_path / "new"))
    assert main(["check", old, "--max", "modality_gap=0.9", "--min", "retrieval.speech.swh=0.1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("pass  --max modality_gap=0.9: 0.")
    assert lines[0].endswith("modality_similarity by linear_cka at shared.1, mean of 3, n 40")
    junit = tmp_path / "out" / "gaps.xml"
    given = [
        "check",
        new,
        "--max",
        "modality_gap=0.01",
        "--require",
        "finding.convergence=holds",
        "--no-worse-than",
        old,
        "--junit",
        str(junit),
    ]
    assert main(given) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("FAIL  --max modality_gap=0.01: ")
    cases = ElementTree.parse(junit).getroot().findall("testsuite/testcase")
    assert [case.find("failure") is not None for case in cases] == [line.startswith("FAIL") for line in lines]
    assert {len(cases), len(lines)} == {2 + 4 * len(MEASURES)}
    assert main(["check", old, "--max", "modality_gpa=1"]) == 2
    assert main(["check", old]) == 2
    assert "there is no rule" in capsys.readouterr().err
    assert main(["check", str(tmp_path / "nowhere"), "--max", "modality_gap=1"]) == 1
    (tmp_path / "rules.toml").write_text("[max]\nmodality_gap = 0.9\n")
    assert main(["check", old, "--rules", str(tmp_path / "rules.toml")]) == 0


def test_junit_holds_any_text(tmp_path: Path) -> None:
    from babelscope.check import Verdict

    path = write_junit([Verdict('a <b> & "c"\x00\x1b', False, "FAIL <script>\x07")], tmp_path / "x.xml")
    case = ElementTree.parse(path).getroot().find("testsuite/testcase")
    assert case is not None
    assert case.get("name") == 'a <b> & "c"��'
