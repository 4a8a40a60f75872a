"""The number of words of a sentence, also in scripts without spaces between words."""

from __future__ import annotations

import math
import re
import unicodedata

# Letters to a word, for scripts that put no space between words. Rough averages of running text: Chinese words have 1.5
# to 2 characters, Japanese ones about 2, those of the South-East Asian scripts about 4 letters without their marks.
_RUNS: tuple[tuple[re.Pattern[str], float], ...] = (
    (re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff\u3040-\u30ff\u31f0-\u31ff]"), 2.0),
    (re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u0f00-\u0fff\u1980-\u19df\u1a20-\u1aaf]"), 4.0),
)


def count_words(text: str) -> int:
    """Count the words of a sentence.

    A word is a run between spaces that has a letter or a digit. Within a run, letters of scripts written without spaces
    count as one word for every two (Han, kana) or four (Thai, Lao, Khmer, Burmese, Tibetan and their kin), rounded up;
    combining marks and punctuation do not count. Korean is written with spaces and is counted by them.

    Parameters
    ----------
    text : str

    Returns
    -------
    int
        0 for a text without letters and digits.

    Examples
    --------
    >>> count_words("Please enter your number, followed by pound.")
    7
    >>> count_words("请输入您的号码。")
    4
    """
    total = 0
    for run in text.split():
        letters = [character for character in run if unicodedata.category(character)[0] in "LN"]
        counted = 0
        for script, size in _RUNS:
            own = [character for character in letters if script.match(character)]
            counted += math.ceil(len(own) / size)
            letters = [character for character in letters if not script.match(character)]
        total += counted + bool(letters)
    return total
