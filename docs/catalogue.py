"""Writes the tables of the catalogue into models.md: python docs/catalogue.py. A test compares the page with them."""

from __future__ import annotations

from pathlib import Path

from babelscope.models.listing import Row, listed

PAGE = Path(__file__).parent / "models.md"
BEGIN, END = "<!-- catalogue: written by docs/catalogue.py -->", "<!-- end of the catalogue -->"

#: Which tiny model (babelscope.testing.tiny) is of a model's class: it passes all of ModelTests.
TESTED_AS = {
    "qwen2-audio-7b": "qwen2-audio",
    "qwen2.5-omni-3b": "qwen2.5-omni",
    "qwen2.5-omni-7b": "qwen2.5-omni",
    "qwen3-omni-30b": "qwen3-omni",
    "voxtral-mini-3b": "voxtral",
    "voxtral-small-24b": "voxtral",
    "voxtral-realtime-4b": "voxtral-realtime",
    "phi-4-multimodal": "phi-4-multimodal",
    "gemma-3n-e2b": "gemma-3n",
    "gemma-3n-e4b": "gemma-3n",
    "gemma-4-e2b": "gemma-4",
    "gemma-4-e4b": "gemma-4",
    "embeddinggemma-2": "embedding-gemma-2",
    "granite-speech-3.3-2b": "granite-speech",
    "granite-speech-3.3-8b": "granite-speech",
    "granite-speech-4.1-2b-plus": "granite-speech-plus",
    "audio-flamingo-3": "audio-flamingo-3",
    "qwen3-asr-0.6b": "qwen3-asr",
    "qwen3-asr-1.7b": "qwen3-asr",
    "glm-asr-nano": "glm-asr",
    "xls-r-300m": "xls-r",
    "mms-300m": "xls-r",
    "hubert-large": "hubert-large",
    "mhubert-147": "hubert",
    "wavlm-large": "wavlm-large",
    "wavlm-base-plus": "wavlm",
    "w2v-bert-2.0": "w2v-bert",
    "parakeet-ctc-0.6b": "parakeet",
    "parakeet-ctc-1.1b": "parakeet",
    "e5-base": "e5",
    "e5-large": "e5",
    "bge-m3": "bge-m3",
    "labse": "labse",
    "xlm-r-base": "xlm-r",
    "xlm-r-large": "xlm-r",
    "nllb-600m": "nllb",
    "mt5-base": "mt5",
    "qwen3-0.6b": "qwen3",
    "gemma-3-1b": "gemma-3",
} | {f"whisper-{size}": "whisper" for size in ("tiny", "small", "medium", "large-v2", "large-v3", "large-v3-turbo")}

#: What was seen of the released files: "configuration", "and index" where the names of its weights were, too.
SEEN = {
    **dict.fromkeys(
        (
            "qwen2-audio-7b",
            "qwen2.5-omni-3b",
            "qwen2.5-omni-7b",
            "voxtral-mini-3b",
            "voxtral-small-24b",
            "granite-speech-4.1-2b-plus",
            "audio-flamingo-3",
        ),
        "configuration and index",
    ),
    **dict.fromkeys(
        (
            "qwen3-omni-30b",
            "gemma-4-e2b",
            "gemma-4-e4b",
            "granite-speech-3.3-2b",
            "granite-speech-3.3-8b",
            "glm-asr-nano",
            "whisper-large-v3",
            "whisper-large-v3-turbo",
            "wavlm-large",
            "wavlm-base-plus",
            "w2v-bert-2.0",
            "parakeet-ctc-0.6b",
            "parakeet-ctc-1.1b",
            "bge-m3",
            "e5-base",
            "e5-large",
            "labse",
            "nllb-600m",
            "mt5-base",
        ),
        "configuration",
    ),
    **dict.fromkeys(("whisper-base", "e5-small"), "weights"),
}


def tables() -> str:
    """Return the catalogue as Markdown: a table for each kind of model."""
    parts = []
    for title, rows in listed().items():
        known = [row for row in rows if row.source]
        if known:
            lines = [f"### {title}", ""]
            lines += ["| name | model of the hub | size | languages | licence | tested as | seen |"]
            lines += ["|---|---|---|---|---|---|---|"]
            lines += [_line(row) for row in known]
            parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _line(row: Row) -> str:
    revision = row.revision[:12] if len(row.revision) == len("0" * 40) else row.revision
    source = f"`{row.source}`" + (f" at `{revision}`" if revision else "") + (" (gated)" if row.gated else "")
    tested = f"`{TESTED_AS[row.name]}`" if row.name in TESTED_AS else ""
    cells = (f"`{row.name}`", source, row.size, row.languages, row.licence, tested, SEEN.get(row.name, ""))
    return f"| {' | '.join(cells)} |"


def with_tables(page: str) -> str:
    """Return the text of models.md with today's tables."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
