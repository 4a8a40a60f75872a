"""Options for a manifest that is not self-explanatory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from babelscope.corpora.corpus import COLUMNS, OPTIONAL_COLUMNS
from babelscope.errors import UsageError, did_you_mean

#: Layouts by the names that users give them.
FORMATS: dict[str, str] = {
    "table": "a table with columns of its own names",
    "common-voice": "Common Voice",
    "covost": "CoVoST",
    "nemo": "a manifest of NeMo",
    "kaldi": "a folder of Kaldi or ESPnet",
    "ljspeech": "LJSpeech",
    "lhotse": "cuts of Lhotse",
    "datasets": "a data set of the Hugging Face hub",
    "tatoeba": "sentences of Tatoeba",
}


@dataclass(frozen=True)
class Choices:
    """How a manifest is read; see :func:`babelscope.corpora.manifest.load` for what each field means.

    Raises
    ------
    UsageError
        For an unknown format, or a column that a corpus does not have.
    """

    format: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    language: str | None = None
    translation: str | None = None
    encoding: str | None = None
    separator: str | None = None
    quoted: bool | None = None

    def __post_init__(self) -> None:
        if self.format is not None and self.format not in FORMATS:
            raise UsageError(f"there is no format {self.format!r}: {did_you_mean(self.format, FORMATS)}")
        known = (*COLUMNS, *OPTIONAL_COLUMNS)
        if not isinstance(self.columns, Mapping):
            raise UsageError('columns is a table, as in columns = {text = "transcript"}')
        for column, name in self.columns.items():
            if column not in known:
                raise UsageError(
                    f"columns names {column!r}, which a corpus does not have: {did_you_mean(column, known)}"
                )
            if not isinstance(name, str):
                raise UsageError(f"columns.{column} is {name!r}: it must be the name of a column of the manifest")
        if self.separator is not None and (len(self.separator) != 1 or self.separator in '"\r\n'):
            raise UsageError(f"separator is {self.separator!r}: it must be a single character, as ';'")
