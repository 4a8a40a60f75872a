from __future__ import annotations

import re
from collections import Counter

import pytest

from babelscope.errors import UsageError
from babelscope.languages import (
    LANGUAGES,
    Language,
    codes_of,
    fleurs,
    language,
    nllb,
    seamless,
    sonar_speech,
    whisper,
)


def test_all_of_fleurs_is_there_once() -> None:
    codes = [each.fleurs for each in LANGUAGES]
    assert len(codes) == len(set(codes)) == 102
    assert codes == sorted(codes)
    for each in LANGUAGES:
        assert re.fullmatch(r"[a-z]{2,3}(_han[st])?_([a-z]{2}|419)", each.fleurs)
        assert re.fullmatch(r"[a-z]{3}_[A-Z][a-z]{3}", each.iso)
        assert each.script == each.iso[-4:]
        assert each.name and each.family and each.branch
        assert each.nllb_resource in ("high", "low")
        assert each.joshi is None or 0 <= each.joshi <= 5
        assert bool(each.resource) == (each.joshi is not None)
    for column in ("name", "iso", "nllb"):
        assert len({getattr(each, column) for each in LANGUAGES}) == 102
    for column in ("seamless", "whisper", "sonar_speech"):
        given = [getattr(each, column) for each in LANGUAGES if getattr(each, column)]
        assert len(given) == len(set(given))


def test_whisper_codes_are_in_its_tokenizer() -> None:
    from transformers.models.whisper.tokenization_whisper import LANGUAGES as TOKENS

    assert {each.whisper for each in LANGUAGES if each.whisper} <= TOKENS.keys()
    for each in LANGUAGES:
        if each.whisper:  # the tokenizer's own English names agree; three languages go by another there
            other = {"my": "myanmar", "nb": "norwegian", "fil": "tagalog"}.get(each.fleurs.split("_")[0], each.name)
            assert TOKENS[each.whisper] in other.lower()
        else:
            assert each.name.lower() not in TOKENS.values() and each.fleurs.split("_")[0] not in TOKENS


def test_nllb_codes_are_in_its_tokenizer() -> None:
    from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

    assert {each.nllb for each in LANGUAGES} <= set(FAIRSEQ_LANGUAGE_CODES)
    other = {each.fleurs for each in LANGUAGES if each.iso != each.nllb}
    assert other == {"cmn_hans_cn", "fil_ph"}


def test_seamless_codes_are_those_of_its_documentation() -> None:
    # Its text vocabulary is NLLB's, the script left out, and cmn where NLLB has zho.
    for each in LANGUAGES:
        if each.seamless:
            assert each.seamless == {"zho": "cmn"}.get(each.nllb[:3], each.nllb[:3])
            assert each.seamless_speech
        else:
            assert not each.seamless_text and not each.seamless_speech
    missing = {each.fleurs for each in LANGUAGES if not each.seamless}
    assert missing == {"ha_ng", "ln_cd", "mi_nz", "nso_za", "umb_ao", "wo_sn"}
    speech_only = {each.fleurs for each in LANGUAGES if each.seamless and not each.seamless_text}
    assert speech_only == {"ast_es", "kam_ke", "kea_cv", "lb_lu", "oc_fr", "xh_za"}
    # 97 rows of its table are text: FLEURS lacks ary, arz, cmn_Hant, eus, mai, mni and nno.
    assert sum(each.seamless_text for each in LANGUAGES) == 90


def test_sonar_speech_encoders() -> None:
    # 57 in the README and English; every one is of a language in FLEURS.
    assert sum(bool(each.sonar_speech) for each in LANGUAGES) == 58
    assert sonar_speech("en") == "eng" and sonar_speech("zho_Hans") == "cmn" and sonar_speech("sv") == "swe"
    with pytest.raises(UsageError, match=r"no speech encoder for Afrikaans \(af_za\)"):
        sonar_speech("af")


@pytest.mark.parametrize("each", LANGUAGES, ids=lambda each: each.fleurs)
def test_every_code_leads_back(each: Language) -> None:
    for code in codes_of(each):
        for written in (code, code.upper(), code.replace("_", "-"), f" {code} "):
            assert language(written) is each
    assert fleurs(each.iso) == each.fleurs
    assert nllb(each.fleurs) == each.nllb


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ("en EN-US eng eng_Latn eng-latn", "en_us"),
        ("zh cmn zho zho_Hans cmn_Hans zh-CN cmn-Hans-CN", "cmn_hans_cn"),
        ("yue yue_Hant", "yue_hant_hk"),
        ("nb no nob nob_Latn", "nb_no"),
        ("tl fil tgl fil_Latn", "fil_ph"),
        ("jw jv jav", "jv_id"),
        ("ms zsm zlm", "ms_my"),
        ("es spa es_419", "es_419"),
        ("he heb", "he_il"),
    ],
)
def test_what_people_write(codes: str, expected: str) -> None:
    assert {fleurs(code) for code in codes.split()} == {expected}


def test_the_codes_of_the_other_corpora() -> None:
    given = "en es fr it ru be bg ca da de el fi gl hu is lt nl pl pt_BR ro sk sv ta vi zu"
    assert len({fleurs(code) for code in given.split()}) == len(given.split())


def test_what_a_system_lacks_is_said() -> None:
    assert (seamless("en_us"), whisper("eng_Latn"), seamless("ast", "speech")) == ("eng", "en", "ast")
    with pytest.raises(UsageError, match=r"SeamlessM4T does not have Hausa \(ha_ng\)"):
        seamless("ha")
    with pytest.raises(UsageError, match=r"takes Asturian \(ast_es\) as speech only"):
        seamless("ast")
    with pytest.raises(UsageError, match="no modality 'audio'"):
        seamless("en", "audio")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"Whisper has no token for Irish \(ga_ie\)"):
        whisper("gle")


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("en_uk", "did you mean 'en_us'"),
        ("German", "German is 'de_de'"),
        ("swahilli", "Swahili is 'sw_ke'"),
        ("eu", "LANGUAGES lists them"),
        ("zho_Hant", "among the 102"),
        ("", "among the 102"),
    ],
)
def test_unknown_codes_are_refused_with_a_hint(code: str, hint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(hint)) as caught:
        language(code)
    assert repr(code) in str(caught.value)


def test_resource_classes() -> None:
    assert (language("en").resource, language("uk").resource, language("zu").resource) == ("high", "medium", "low")
    assert language("kea").resource == "" and language("kea").joshi is None
    assert Counter(each.resource for each in LANGUAGES) == {"high": 24, "medium": 26, "low": 48, "": 4}
    assert Counter(each.nllb_resource for each in LANGUAGES) == {"high": 49, "low": 53}
