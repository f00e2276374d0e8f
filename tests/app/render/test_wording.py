"""app.render.wording: every warning is told, in both languages."""

from typing import get_args

import pytest

from app.reading.population import WarningCode
from app.render.wording import WARNINGS


@pytest.mark.parametrize("code", get_args(WarningCode))
def test_every_warning_is_told_in_both_languages(code: WarningCode) -> None:
    text = WARNINGS[code]
    assert text.en
    assert text.es
    assert text.en != text.es
