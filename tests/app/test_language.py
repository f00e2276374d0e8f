"""app.language: sentences in two languages, and which of them a request asks for."""

import pytest

from app.language import Language, Text, negotiate


@pytest.mark.parametrize(("language", "expected"), [("en", "2 files"), ("es", "2 archivos")])
def test_a_text_renders_in_the_language_asked_for(language: Language, expected: str) -> None:
    text = Text("{count} files", "{count} archivos")
    assert text.render(language, count=2) == expected


def test_a_value_with_braces_is_not_taken_for_a_template() -> None:
    assert Text("{reason}", "{reason}").render("en", reason="{secret}") == "{secret}"


@pytest.mark.parametrize("header", [None, "", ",", ";;;", "fr", "fr-CA, de;q=0.8"])
def test_english_where_nothing_spoken_is_asked_for(header: str | None) -> None:
    assert negotiate(header) == "en"


@pytest.mark.parametrize("header", ["es", "ES", "es-MX", "es-419", " es ", "fr, es;q=0.1"])
def test_spanish_by_its_primary_subtag_in_any_case(header: str) -> None:
    assert negotiate(header) == "es"


def test_a_language_that_only_begins_like_spanish_is_not_spanish() -> None:
    assert negotiate("est") == "en"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("en;q=0.4, es;q=0.5", "es"),
        ("es;q=0.4, en;q=0.5", "en"),
        ("es;q=0.9, en", "en"),
        ("en; q=0.4 , es ; q = 0.5", "es"),
        ("en;Q=0.4, es;Q=0.5", "es"),
    ],
)
def test_the_highest_quality_wins(header: str, expected: str) -> None:
    assert negotiate(header) == expected


@pytest.mark.parametrize(("header", "expected"), [("es, en", "es"), ("en, es", "en")])
def test_the_first_of_equal_qualities_wins(header: str, expected: str) -> None:
    assert negotiate(header) == expected


def test_quality_zero_means_not_acceptable() -> None:
    assert negotiate("es;q=0") == "en"


@pytest.mark.parametrize("quality", ["", "q", "q=", "q=high", "q=nan", "q=2", "q=-1", "level=1"])
def test_a_malformed_quality_counts_as_zero(quality: str) -> None:
    assert negotiate(f"es;{quality or 'q=?'}, en;q=0.001") == "en"


def test_any_language_is_answered_in_english() -> None:
    assert negotiate("*, es;q=0.9") == "en"
