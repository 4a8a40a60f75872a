"""Errors are caught by those who do not know this package, too."""

from __future__ import annotations

import pickle

import pytest

import babelscope
from babelscope.errors import BabelscopeError, DataError, FetchError, UsageError


@pytest.mark.parametrize(
    ("error", "builtin", "code"), [(UsageError, ValueError, 2), (DataError, ValueError, 1), (FetchError, OSError, 1)]
)
def test_an_error_is_also_one_of_pythons_own(error: type[BabelscopeError], builtin: type[Exception], code: int) -> None:
    with pytest.raises(builtin, match="line one; line two") as caught:
        raise error("line one;\n line two")
    assert isinstance(caught.value, BabelscopeError) and caught.value.exit_code == code
    again = pickle.loads(pickle.dumps(caught.value))  # as it comes from another process
    assert type(again) is error and str(again) == "line one; line two"


def test_a_wrong_name_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="did you mean 'whisper-base'"):
        babelscope.models.load("whisper-bse")
    with pytest.raises(ValueError, match="there is no corpus 'astersk'"):
        babelscope.corpora.load("astersk")
