"""app.access.caller: scopes in words."""

import pytest

from app.access.caller import parse_scopes


def test_scopes_are_read_from_a_list_with_commas() -> None:
    assert parse_scopes("predict, metrics,") == {"predict", "metrics"}


@pytest.mark.parametrize("words", ["", ",", "predict,root", "Predict", "predict metrics"])
def test_what_is_no_scope_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match="scopes are predict, feedback, metrics, admin"):
        parse_scopes(words)
