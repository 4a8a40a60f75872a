"""Real tokenizers of a few hundred pieces, of each kind that released models have.

The pieces are learned by byte-pair merges from a few sentences in seven languages, always the same, so that the same
name gives the same ids. Special tokens come after the pieces at ids that are no class's defaults, unless the
released tokenizer has them in front.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

#: Of which the pieces are learned.
SENTENCES = (
    "The train leaves in the morning and arrives before night.",
    "The old man in the house reads the newspaper every morning.",
    "Le train part le matin et arrive avant la nuit, dans une heure.",
    "Der alte Mann liest jeden Morgen die Zeitung, und dann geht er.",
    "El tren sale por la mañana y llega antes de la noche.",
    "Поезд отправляется утром и прибывает до ночи.",
    "火车早上出发，晚上之前到达。",
    "القطار يغادر في الصباح ويصل قبل الليل",
)

#: How many merges every tokenizer has.
MERGES = 64

#: How many pieces a byte-level vocabulary has before its special tokens: every byte, then the merges.
BYTE_PIECES = 256 + MERGES

Merge = tuple[str, str]


def learn(words: Iterable[Sequence[str]]) -> list[Merge]:
    """Learn byte-pair merges: the most frequent pair first, among equals the first in order of code points."""
    counts = Counter(tuple(word) for word in words)
    merges: list[Merge] = []
    for _ in range(MERGES):
        pairs: Counter[Merge] = Counter()
        for word, number in counts.items():
            for pair in pairwise(word):
                pairs[pair] += number
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        merged: Counter[tuple[str, ...]] = Counter()
        for word, number in counts.items():
            merged[_merge(word, best)] += number
        counts = merged
    return merges


def _merge(word: tuple[str, ...], pair: Merge) -> tuple[str, ...]:
    pieces: list[str] = []
    for piece in word:
        if pieces and (pieces[-1], piece) == pair:
            pieces[-1] += piece
        else:
            pieces.append(piece)
    return tuple(pieces)


@cache
def _byte_level() -> tuple[list[str], list[Merge]]:
    """Return the 256 letters that stand for bytes and the merges over them."""
    from tokenizers import pre_tokenizers

    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = [piece for sentence in SENTENCES for piece, _ in split.pre_tokenize_str(sentence)]
    return sorted(split.alphabet()), learn(words)


@cache
def _spaced() -> tuple[list[str], list[Merge]]:
    """Return the letters of the sentences and the merges over words that begin with the mark of a space."""
    words = ["▁" + word for sentence in SENTENCES for word in sentence.split()]
    letters = sorted({letter for word in words for letter in word} | set("abcdefghijklmnopqrstuvwxyz0123456789?!'-:"))
    return letters, learn(words)


def byte_level(kind: str, special: Sequence[str], **settings: Any) -> Any:
    """Return a byte-level tokenizer of a transformers class, its special tokens after the pieces.

    Parameters
    ----------
    kind : str
        A class such as ``Qwen2Tokenizer``.
    special : sequence of str
        Get the ids from :data:`BYTE_PIECES` on, in this order.
    **settings
        For the class's constructor.
    """
    letters, merges = _byte_level()
    pieces = [*letters, *("".join(merge) for merge in merges), *special]
    return _tokenizer(kind, {piece: number for number, piece in enumerate(pieces)}, special, merges=merges, **settings)


def spaced(
    kind: str,
    first: Sequence[str],
    special: Sequence[str] = (),
    *,
    fallback: bool = False,
    begin: str = "",
    **settings: Any,
) -> Any:
    """Return a byte-pair tokenizer over letters and the mark of a space, as SentencePiece makes it.

    Parameters
    ----------
    kind : str
        A class such as ``GemmaTokenizer``.
    first : sequence of str
        The tokens before the pieces.
    special : sequence of str
        The special tokens after them.
    fallback : bool
        Whether there are 256 pieces more for bytes.
    begin : str
        A token that is put before every text.
    **settings
        For the class's constructor.
    """
    letters, merges = _spaced()
    codes = [f"<0x{byte:02X}>" for byte in range(256)] if fallback else []
    pieces = [*first, *codes, *letters, *("".join(merge) for merge in merges), *special]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = _tokenizer(kind, vocabulary, [*first, *special], merges=merges, **settings)
    if begin:
        from tokenizers import processors

        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=[begin, "$A"], special_tokens=[(begin, vocabulary[begin])]
        )
    return tokenizer


def unigram(kind: str, first: Sequence[str], last: Sequence[str] = (), **settings: Any) -> Any:
    """Return a unigram tokenizer: the pieces that were merged first are the likeliest.

    Parameters
    ----------
    kind : str
        A class such as ``XLMRobertaTokenizer``.
    first, last : sequence of str
        The special tokens before and after the pieces.
    **settings
        For the class's constructor.
    """
    letters, merges = _spaced()
    pieces = [(token, 0.0) for token in first]
    pieces += [("".join(merge), -3.0 - number / 32) for number, merge in enumerate(merges)]
    pieces += [(letter, -6.0 - number / 64) for number, letter in enumerate(letters)]
    pieces += [(token, 0.0) for token in last]
    return _tokenizer(kind, pieces, [*first, *last], **settings)


def word_pieces(kind: str, first: Sequence[str], **settings: Any) -> Any:
    """Return a WordPiece tokenizer: pieces within a word begin with ``##``."""
    letters, merges = _spaced()
    joined = ["".join(merge) for merge in merges]
    starts = [piece[1:] for piece in joined if piece.startswith("▁") and len(piece) > 1]
    inner = [f"##{piece}" for piece in joined if not piece.startswith("▁")]
    plain = [letter for letter in letters if letter != "▁"]
    pieces = dict.fromkeys([*first, *plain, *(f"##{letter}" for letter in plain), *starts, *inner])
    return _tokenizer(kind, {piece: number for number, piece in enumerate(pieces)}, first, **settings)


def plain(first: Sequence[str], last: Sequence[str]) -> Any:
    """Return a byte-pair tokenizer over words that adds no token of its own, as models that only write letters have."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters, merges = _spaced()
    pieces = [*first, *letters, *("".join(merge) for merge in merges), *last]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token=first[0], fuse_unk=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, unk_token=first[0], pad_token=last[-1])


def tekken(special: Sequence[str]) -> dict[str, Any]:
    """Return the content of a ``tekken.json`` (Mistral's format): bytes by rank, special tokens before them."""
    merges = _byte_level()[1]
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    of_letter = {letter: byte for byte, letter in bytes_to_unicode().items()}
    pieces = [bytes([byte]) for byte in range(256)]
    pieces += [bytes(of_letter[letter] for letter in "".join(merge)) for merge in merges]
    return {
        "config": {
            "pattern": r"\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            "num_vocab_tokens": len(pieces),
            "default_vocab_size": len(pieces) + len(special),
            "default_num_special_tokens": len(special),
            "version": "v7",
        },
        "vocab": [
            {
                "rank": rank,
                "token_bytes": base64.b64encode(piece).decode("ascii"),
                "token_str": piece.decode("utf-8", "replace"),
            }
            for rank, piece in enumerate(pieces)
        ],
        "special_tokens": [
            {"rank": rank, "token_str": token, "is_control": True} for rank, token in enumerate(special)
        ],
    }


def _tokenizer(kind: str, vocabulary: Any, special: Sequence[str], **settings: Any) -> Any:
    import transformers

    tokenizer = getattr(transformers, kind)(vocab=vocabulary, **settings)
    known = set(tokenizer.all_special_tokens)
    tokenizer.add_tokens(list(special), special_tokens=True)
    wrong = [token for token in known if token not in _names(vocabulary)]
    if wrong:
        raise AssertionError(f"{kind} has tokens of its own that the vocabulary lacks: {wrong}")
    return tokenizer


def _names(vocabulary: Mapping[str, int] | Sequence[tuple[str, float]]) -> set[str]:
    return set(vocabulary) if isinstance(vocabulary, Mapping) else {piece for piece, _ in vocabulary}
