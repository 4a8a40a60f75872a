"""Models on the hub that are known by a short name: a declaration each, of what their files do not say.

A declaration adds what is not in a model's files: its licence, its languages, the prefix that an embedder was trained
with, what a reader of its numbers must know. Points, widths and lengths are never declared: they come from the model's
configuration and processor, as they do for any hub id written ``hf:owner/name``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from babelscope.stages import Modality

#: What a model is, where the rules of :mod:`babelscope.models.adapters` are not to decide.
Kind = Literal["", "text-encoder", "text-decoder", "speech-encoder", "speech-llm", "encoder-decoder"]


@dataclass(frozen=True)
class Declaration:
    """A model of the hub, or in a local folder, in transformers' format.

    Attributes
    ----------
    name : str
        What a study calls it: a name of the catalogue, or ``owner/name`` of a hub id, or a folder's own name.
    source : str
        A hub id ``owner/name``, or a local folder.
    revision : str
        A commit, tag or branch of the hub id; empty for the hub's main branch as it is at the first fetch.
    licence : str
        Empty if it is not known.
    summary : str
        One line.
    modalities : tuple of {"text", "speech"}
        Empty if only the model's configuration says.
    languages : str
        A short phrase, such as ``about 100``; empty if it is not known.
    kind : str
        One of :data:`Kind`; empty if the model's class is to decide.
    prompt : str
        A text with ``{}`` where a sentence stands, for models that read a conversation; empty for the chat template
        that comes with the model.
    pooled : str
        How an embedder makes one vector of a sentence: "mean", "cls", "last", or the like with "-dense" for the dense
        layers of a sentence-transformers folder; empty if it is no embedder, or the folder says.
    prefix : str
        Text before every sentence, that the model was trained with.
    notes : tuple of str
        What a reader of its numbers must know, a sentence each.
    gated : bool
        Whether the hub asks to accept the licence first.
    parameters : int
        Millions, of all that the checkpoint holds; 0 if it is not known.

    Notes
    -----
    A licence is what was known when the declaration was written: where the hub's model card names one, that counts.
    """

    name: str
    source: str
    revision: str = ""
    licence: str = ""
    summary: str = ""
    modalities: tuple[Modality, ...] = ()
    languages: str = ""
    kind: Kind = ""
    prompt: str = ""
    pooled: str = ""
    prefix: str = ""
    notes: tuple[str, ...] = ()
    gated: bool = False
    parameters: int = 0


_WHISPER_LANGUAGES = "about 100"
_EUROPEAN = "25 of Europe"
_AUDIO = "en, zh and others"
_VOXTRAL = "en, es, fr, pt, hi, de, nl, it"
_CONVERTED = (
    "The main branch has pickled weights alone; this is the hub's own conversion to safetensors, a pull request that "
    "was not merged."
)
_NOT_CONVERTED = (
    "The main branch had pickled weights alone when it was last looked at: give a folder as weights, saved again with "
    "save_pretrained, or a revision that holds model.safetensors."
)


def _speech_llm(name: str, source: str, revision: str, summary: str, parameters: int, **more: Any) -> Declaration:
    settings = {"licence": "Apache-2.0", "modalities": ("text", "speech"), "kind": "speech-llm"} | more
    return Declaration(name, source, revision, summary=summary, parameters=parameters, **settings)


def _speech_encoder(name: str, source: str, revision: str, summary: str, parameters: int, **more: Any) -> Declaration:
    settings = {"licence": "Apache-2.0", "modalities": ("speech",), "kind": "speech-encoder"} | more
    return Declaration(name, source, revision, summary=summary, parameters=parameters, **settings)


def _text(name: str, source: str, revision: str, summary: str, parameters: int, **more: Any) -> Declaration:
    settings = {"licence": "MIT", "modalities": ("text",), "kind": "text-encoder"} | more
    return Declaration(name, source, revision, summary=summary, parameters=parameters, **settings)


def _whisper(size: str, parameters: int, revision: str, licence: str = "Apache-2.0") -> Declaration:
    about = f"Whisper {size}'s encoder; it hears 30 s, the recording and then silence"
    return _speech_encoder(
        f"whisper-{size}",
        f"openai/whisper-{size}",
        revision,
        about,
        parameters,
        licence=licence,
        languages=_WHISPER_LANGUAGES,
    )


def _e5(size: str, parameters: int, revision: str) -> Declaration:
    about = f"multilingual-e5-{size}: sentence embeddings, the mean of the last layer"
    source = f"intfloat/multilingual-e5-{size}"
    more: dict[str, Any] = {"languages": "about 100", "pooled": "mean", "prefix": "query: "}
    return _text(f"e5-{size}", source, revision, about, parameters, **more)


_DECLARED = (
    # Speech into a language model that reads text.
    _speech_llm(
        "qwen2-audio-7b",
        "Qwen/Qwen2-Audio-7B-Instruct",
        "0a095220c30b7b31434169c3086508ef3ea5bf0a",
        "Qwen2-Audio 7B Instruct: a Whisper-like encoder into Qwen",
        8397,
        languages=_AUDIO,
    ),
    _speech_llm(
        "qwen2.5-omni-3b",
        "Qwen/Qwen2.5-Omni-3B",
        "f75b40e3da2003cdd6e1829b1f420ca70797c34e",
        "Qwen2.5-Omni 3B: its thinker hears and reads; the talker is not loaded",
        5540,
        licence="Qwen Research License (not for commercial use)",
        languages=_AUDIO,
    ),
    _speech_llm(
        "qwen2.5-omni-7b",
        "Qwen/Qwen2.5-Omni-7B",
        "ae9e1690543ffd5c0221dc27f79834d0294cba00",
        "Qwen2.5-Omni 7B: its thinker hears and reads; the talker is not loaded",
        10730,
        languages=_AUDIO,
    ),
    _speech_llm(
        "qwen3-omni-30b",
        "Qwen/Qwen3-Omni-30B-A3B-Instruct",
        "26291f793822fb6be9555850f06dfe95f2d7e695",
        "Qwen3-Omni 30B-A3B Instruct: its thinker, a mixture of experts, hears and reads",
        35260,
        languages="19 in speech, 119 in text",
    ),
    _speech_llm(
        "voxtral-mini-3b",
        "mistralai/Voxtral-Mini-3B-2507",
        "3060fe34b35ba5d44202ce9ff3c097642914f8f3",
        "Voxtral Mini 3B: a Whisper-like encoder into Ministral",
        4676,
        languages=_VOXTRAL,
        prompt="<s>[INST]{}[/INST]",
    ),
    _speech_llm(
        "voxtral-small-24b",
        "mistralai/Voxtral-Small-24B-2507",
        "da5b42409f279fdd92febee0511a6c32828569c1",
        "Voxtral Small 24B: a Whisper-like encoder into Mistral Small",
        24260,
        languages=_VOXTRAL,
        prompt="<s>[INST]{}[/INST]",
    ),
    _speech_llm(
        "voxtral-realtime-4b",
        "mistralai/Voxtral-Mini-4B-Realtime-2602",
        "2769294da9567371363522aac9bbcfdd19447add",
        "Voxtral Mini 4B Realtime: a causal encoder whose output is added to the language model's input",
        4400,
        languages="13",
    ),
    _speech_llm(
        "phi-4-multimodal",
        "microsoft/Phi-4-multimodal-instruct",
        "refs/pr/70",
        "Phi-4-multimodal: a conformer into Phi-4-mini, with a LoRA for speech",
        5600,
        licence="MIT",
        languages="8 in speech, 24 in text",
        notes=(
            "The main branch is written for code that comes with it, which is never run; this is the pull request with "
            "the weights as transformers' own class names them.",
        ),
    ),
    _speech_llm(
        "gemma-3n-e2b",
        "google/gemma-3n-E2B-it",
        "5e092ebca197cdcd8d8b195040accf22693501bc",
        "Gemma 3n E2B: a conformer into Gemma",
        5400,
        licence="Gemma",
        gated=True,
    ),
    _speech_llm(
        "gemma-3n-e4b",
        "google/gemma-3n-E4B-it",
        "c1221e9c62e34a43ab7ffacd1be0ea71f126ef10",
        "Gemma 3n E4B: a conformer into Gemma",
        7800,
        licence="Gemma",
        gated=True,
    ),
    _speech_llm(
        "gemma-4-e2b",
        "google/gemma-4-E2B-it",
        "3e22461f65e89153144f8adb70e3b8c2cc9845a7",
        "Gemma 4 E2B: a conformer into Gemma",
        5104,
        languages="more than 140 in text",
    ),
    _speech_llm(
        "gemma-4-e4b",
        "google/gemma-4-E4B-it",
        "ee0ef6023621cff504d758262d4e04895a5af4a2",
        "Gemma 4 E4B: a conformer into Gemma",
        7941,
        languages="more than 140 in text",
    ),
    _speech_llm(
        "embeddinggemma-2",
        "google/embeddinggemma-2",
        "914f7f89142e33e77833254d9c9b90c3cef7303b",
        "EmbeddingGemma 2: text and speech into one space of embeddings, read in both directions",
        740,
        languages="more than 100",
    ),
    _speech_llm(
        "granite-speech-3.3-2b",
        "ibm-granite/granite-speech-3.3-2b",
        "4ac2f02f413c6169ae8c0ccc217115a366e552d7",
        "Granite Speech 3.3 2B: a conformer and a Q-Former into Granite, with a LoRA for speech",
        3009,
    ),
    _speech_llm(
        "granite-speech-3.3-8b",
        "ibm-granite/granite-speech-3.3-8b",
        "5670dcfae4a296e6993ac53eb25f638c6aaa54d0",
        "Granite Speech 3.3 8B: a conformer and a Q-Former into Granite, with a LoRA for speech",
        8649,
    ),
    _speech_llm(
        "granite-speech-4.1-2b-plus",
        "ibm-granite/granite-speech-4.1-2b-plus",
        "1454e6e1e33845ca9280ff65f52cf1141ba6e6e2",
        "Granite Speech 4.1 2B plus: a conformer and a Q-Former into Granite",
        2112,
    ),
    _speech_llm(
        "audio-flamingo-3",
        "nvidia/audio-flamingo-3-hf",
        "7d4bae64ee29878af6504ae6f6bb3e40492838ad",
        "Audio Flamingo 3: a Whisper-like encoder into Qwen2.5 7B",
        8267,
        licence="NVIDIA OneWay Noncommercial License",
        languages="en",
    ),
    _speech_llm(
        "qwen3-asr-0.6b",
        "Qwen/Qwen3-ASR-0.6B-hf",
        "",
        "Qwen3-ASR 0.6B: an encoder into Qwen3, which transcribes",
        782,
        languages="30, and 22 dialects of Chinese",
    ),
    _speech_llm(
        "qwen3-asr-1.7b",
        "Qwen/Qwen3-ASR-1.7B-hf",
        "bcd2b5b7f32b480ab5790554cfa8347f246a14f3",
        "Qwen3-ASR 1.7B: an encoder into Qwen3, which transcribes",
        2000,
        languages="30, and 22 dialects of Chinese",
    ),
    _speech_llm(
        "glm-asr-nano",
        "zai-org/GLM-ASR-Nano-2512",
        "61ba4e0b3309b6656edea3e93e419f7bd5c61957",
        "GLM-ASR Nano: a Whisper-like encoder into GLM, which transcribes",
        2136,
        licence="MIT",
        languages=_AUDIO,
    ),
    # Speech alone.
    _whisper("tiny", 39, "169d4a4341b33bc18d8881c4b69c2e104e1cc0af"),
    _whisper("base", 74, "e37978b90ca9030d5170a5c07aadb050351a65bb"),
    _whisper("small", 244, "973afd24965f72e36ca33b3055d56a652f456b4d"),
    _whisper("medium", 769, "abdf7c39ab9d0397620ccaea8974cc764cd0953e"),
    _whisper("large-v2", 1550, "ae4642769ce2ad8fc292556ccea8e901f1530655"),
    _whisper("large-v3", 1543, "06f233fe06e710322aca913c1bc4249a0d71fce1"),
    _whisper("large-v3-turbo", 809, "41f01f3fe87f28c78e2fbf8b568835947dd65ed9", licence="MIT"),
    _speech_encoder(
        "xls-r-300m",
        "facebook/wav2vec2-xls-r-300m",
        "081af4b2d98de3a437a3d2b4b7f9530f4a543097",
        "XLS-R 300M: wav2vec 2.0, trained on untranscribed speech",
        317,
        languages="128",
        notes=(_CONVERTED,),
    ),
    _speech_encoder(
        "mms-300m",
        "facebook/mms-300m",
        "",
        "MMS 300M: wav2vec 2.0, trained on untranscribed speech",
        317,
        licence="CC-BY-NC 4.0",
        languages="more than 1,400",
        notes=(_NOT_CONVERTED,),
    ),
    _speech_encoder(
        "hubert-large",
        "facebook/hubert-large-ll60k",
        "refs/pr/1",
        "HuBERT large, trained on untranscribed English",
        317,
        languages="en",
        notes=(_CONVERTED,),
    ),
    _speech_encoder(
        "mhubert-147",
        "utter-project/mHuBERT-147",
        "",
        "mHuBERT-147: HuBERT base, trained on untranscribed speech",
        95,
        licence="CC-BY-NC-SA 4.0",
        languages="147",
    ),
    _speech_encoder(
        "wavlm-large",
        "microsoft/wavlm-large",
        "refs/pr/6",
        "WavLM large, trained on untranscribed English",
        315,
        licence="CC-BY-SA 3.0",
        languages="en",
        notes=(_CONVERTED,),
    ),
    _speech_encoder(
        "wavlm-base-plus",
        "microsoft/wavlm-base-plus",
        "",
        "WavLM base plus, trained on untranscribed English",
        94,
        licence="CC-BY-SA 3.0",
        languages="en",
        notes=(_NOT_CONVERTED,),
    ),
    _speech_encoder(
        "w2v-bert-2.0",
        "facebook/w2v-bert-2.0",
        "da985ba0987f70aaeb84a80f2851cfac8c697a7b",
        "w2v-BERT 2.0: a conformer, trained on untranscribed speech",
        580,
        licence="MIT",
        languages="143",
    ),
    _speech_encoder(
        "parakeet-ctc-0.6b",
        "nvidia/parakeet-ctc-0.6b",
        "ad09ba1cc62743fbc9814de5d2016fca9096485a",
        "Parakeet CTC 0.6B: a fast conformer, which transcribes",
        609,
        licence="CC-BY 4.0",
        languages="en",
    ),
    _speech_encoder(
        "parakeet-ctc-1.1b",
        "nvidia/parakeet-ctc-1.1b",
        "a707e818195cb97c8f7da2fc36b221a29f69a5db",
        "Parakeet CTC 1.1B: a fast conformer, which transcribes",
        1063,
        licence="CC-BY 4.0",
        languages="en",
    ),
    _speech_encoder(
        "parakeet-tdt-0.6b-v3",
        "nvidia/parakeet-tdt-0.6b-v3",
        "7c35754d166cca382ad1e53e68b01e7c575f3a1d",
        "Parakeet TDT 0.6B v3: a fast conformer, which transcribes",
        600,
        licence="CC-BY 4.0",
        languages=_EUROPEAN,
    ),
    # Text alone.
    _e5("small", 118, "614241f622f53c4eeff9890bdc4f31cfecc418b3"),
    _e5("base", 278, "d128750597153bb5987e10b1c3493a34e5a4502a"),
    _e5("large", 560, "3d7cfbdacd47fdda877c5cd8a79fbcc4f2a574f3"),
    _text(
        "bge-m3",
        "BAAI/bge-m3",
        "",
        "BGE-M3: sentence embeddings, the first position of the last layer",
        568,
        languages="more than 100",
        pooled="cls",
        notes=(_NOT_CONVERTED,),
    ),
    _text(
        "labse",
        "sentence-transformers/LaBSE",
        "836121a0533e5664b21c7aacc5d22951f2b8b25b",
        "LaBSE: sentence embeddings, a dense layer on the first position",
        471,
        licence="Apache-2.0",
        languages="109",
        pooled="cls-dense",
    ),
    _text(
        "xlm-r-base",
        "FacebookAI/xlm-roberta-base",
        "e73636d4f797dec63c3081bb6ed5c7b0bb3f2089",
        "XLM-R base: a masked language model",
        278,
        languages="100",
    ),
    _text(
        "xlm-r-large",
        "FacebookAI/xlm-roberta-large",
        "c23d21b0620b635a76227c604d44e43a9f0ee389",
        "XLM-R large: a masked language model",
        560,
        languages="100",
    ),
    _text(
        "nllb-600m",
        "facebook/nllb-200-distilled-600M",
        "refs/pr/39",
        "NLLB-200 distilled 600M: the encoder of a translator",
        615,
        licence="CC-BY-NC 4.0",
        languages="202",
        notes=(_CONVERTED,),
    ),
    _text(
        "mt5-base",
        "google/mt5-base",
        "refs/pr/5",
        "mT5 base: the encoder",
        580,
        licence="Apache-2.0",
        languages="101",
        notes=(_CONVERTED,),
    ),
    _text(
        "qwen3-0.6b",
        "Qwen/Qwen3-0.6B-Base",
        "da87bfb608c14b7cf20ba1ce41287e8de496c0cd",
        "Qwen3 0.6B: a language model, read from left to right",
        596,
        licence="Apache-2.0",
        languages="119",
        kind="text-decoder",
    ),
    _text(
        "gemma-3-1b",
        "google/gemma-3-1b-pt",
        "fcf18a2a879aab110ca39f8bffbccd5d49d8eb29",
        "Gemma 3 1B: a language model, read from left to right",
        1000,
        licence="Gemma",
        languages="more than 140",
        kind="text-decoder",
        gated=True,
    ),
)

#: Those whose number of parameters could not be compared with a released configuration or list of tensors.
SIZES_NOT_VERIFIED = frozenset(
    (
        "voxtral-realtime-4b",
        "phi-4-multimodal",
        "gemma-3n-e2b",
        "gemma-3n-e4b",
        "embeddinggemma-2",
        "qwen3-asr-1.7b",
        "whisper-medium",
        "whisper-large-v2",
        "xls-r-300m",
        "mms-300m",
        "hubert-large",
        "mhubert-147",
        "parakeet-tdt-0.6b-v3",
        "xlm-r-base",
        "xlm-r-large",
        "mt5-base",
        "qwen3-0.6b",
        "gemma-3-1b",
    )
)

#: By name, in groups of a kind. A name with a loader of its own (:func:`babelscope.models.known`) is loaded by that;
#: what is declared of it here counts for its hub id.
CATALOGUE: dict[str, Declaration] = {each.name: each for each in _DECLARED}
