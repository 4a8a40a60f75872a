"""A checkpoint's own tokenizer: read without running code, refused if it came without its vocabulary."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from babelscope import languages
from babelscope.errors import DataError
from babelscope.models.adapters.loading import first_line
from babelscope.models.weights.folder import silent

#: Share of a model's vocabulary that its tokenizer must have: without its files transformers makes one nearly empty.
_LEAST_SHARE = 0.2


def read_tokenizer(folder: Path, vocabulary: int | None = None) -> Any:
    """Read the tokenizer of a folder in transformers' format.

    Parameters
    ----------
    vocabulary : int, optional
        How many tokens the model knows.

    Returns
    -------
    transformers.PreTrainedTokenizerBase
        Its ``__call__`` neither pads nor cuts.

    Raises
    ------
    DataError
        If it cannot be read, came without its vocabulary, or has more tokens than the model.
    """
    import transformers

    try:
        with silent():
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # the library raises whatever its parts do
        raise DataError(
            f"weights: the tokenizer in {folder} cannot be read ({first_line(error)}): add the checkpoint's own files "
            f"(tokenizer.json, tokenizer_config.json, vocabulary)"
        ) from error
    own = len(tokenizer)
    if vocabulary is not None and own < _LEAST_SHARE * vocabulary:
        raise DataError(
            f"weights: the tokenizer in {folder} has {own} tokens and the model {vocabulary}: its vocabulary is not "
            f"there, add tokenizer.json or the checkpoint's vocabulary"
        )
    if vocabulary is not None and max(tokenizer.get_vocab().values(), default=0) >= vocabulary + _SPARE:
        raise DataError(
            f"weights: the tokenizer in {folder} has {own} tokens and the model {vocabulary}: they are files of "
            f"different models"
        )
    return tokenizer


#: How many ids beyond its table a model's tokenizer may have: tokens that were added and that no text is made of.
_SPARE = 1024


class Tokens:
    """Turns texts into token ids, one at a time; of tokenizers with a code for each language, after that code."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        #: What a fast tokenizer runs by itself: quicker, and to the same ids.
        self._fast: Tokenizer | None = getattr(tokenizer, "_tokenizer", tokenizer)
        if isinstance(self._fast, Tokenizer):
            self._fast.no_padding()
            self._fast.no_truncation()
        else:
            self._fast = None
        self._lock = threading.Lock()  # the code of the language is kept by the tokenizer
        self._codes = _language_codes(tokenizer)

    @property
    def by_language(self) -> bool:
        """Whether the model is given the language, as a tag among the tokens."""
        return bool(self._codes)

    def __call__(self, text: str, language: str, *, special: bool = True) -> list[int]:
        """Return a text's ids.

        Parameters
        ----------
        special : bool
            Whether the tokens that the model was trained with stand around it.

        Raises
        ------
        DataError
            If the tokenizer has no code for the language.
        """
        if self._fast is not None and not self._codes:
            return list(self._fast.encode(text, add_special_tokens=special).ids)
        with self._lock:
            if self._codes:
                self.tokenizer.src_lang = self._code(language)
            ids: list[int] = self.tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
        return ids

    def around(self, language: str) -> tuple[list[int], list[int]]:
        """Return the tokens that stand before and after a text."""
        bare = self("a", language, special=False)
        whole = self("a", language)
        for start in range(len(whole) - len(bare) + 1):
            if whole[start : start + len(bare)] == bare:
                return whole[:start], whole[start + len(bare) :]
        return [], []

    def _code(self, language: str) -> str:
        wanted = [language]
        if languages.is_code(language):
            standard = languages.standard(language)
            wanted += [languages.nllb(language), standard, standard.split("-")[0]]
        primary = wanted[-1].split("_")[0]
        codes = [code for code in wanted if code in self._codes]
        codes += [code for code in self._codes if code.split("_")[0] == primary]
        if not codes:
            raise DataError(
                f"the tokenizer has no code for {language!r} among its {len(self._codes)}: leave the language out"
            )
        return codes[0]


def _language_codes(tokenizer: Any) -> Sequence[str]:
    """Return the codes of languages that a tokenizer can put before a text; none if it puts none."""
    if not hasattr(type(tokenizer), "src_lang") and not hasattr(tokenizer, "src_lang"):
        return ()
    for name in ("lang_code_to_id", "lang_code_to_token", "fairseq_language_code"):
        codes = getattr(tokenizer, name, None)
        if isinstance(codes, dict) and codes:
            return tuple(codes)
    added = getattr(tokenizer, "additional_special_tokens", None) or getattr(tokenizer, "extra_special_tokens", None)
    return tuple(str(code) for code in added or ())
