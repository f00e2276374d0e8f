"""app.render.wording: every warning is told, in both languages."""

from typing import get_args

import pytest

from app.reading.judge import ReasonCode
from app.reading.population import WarningCode
from app.render.wording import NOTICE, REASONS, WARNINGS


def test_the_notice_begins_with_what_neumo_is_not_and_what_its_weights_are_for() -> None:
    assert NOTICE.en.startswith(
        "Not a medical device. The weights that come with Neumo are for research use only. "
        "Decision support, not a diagnosis."
    )
    assert NOTICE.es.startswith(
        "No es un producto sanitario. Los pesos que acompañan a Neumo son solo para investigación. "
        "Ayuda a la decisión, no es un diagnóstico."
    )


@pytest.mark.parametrize("code", get_args(WarningCode))
def test_every_warning_is_told_in_both_languages(code: WarningCode) -> None:
    text = WARNINGS[code]
    assert text.en
    assert text.es
    assert text.en != text.es


@pytest.mark.parametrize("code", get_args(ReasonCode))
def test_every_reason_is_told_in_both_languages(code: ReasonCode) -> None:
    text = REASONS[code]
    assert text.en
    assert text.es
    assert text.en != text.es


def test_each_code_has_a_text_of_its_own() -> None:
    for texts, codes in ((WARNINGS, get_args(WarningCode)), (REASONS, get_args(ReasonCode))):
        assert set(texts) == set(codes)
        assert len({text.en for text in texts.values()}) == len(codes)
