"""app.settings.cors_origins: exact origins, as browsers write them, or the start stops."""

import pytest
from pydantic import ValidationError

from app.settings.settings import Settings


def test_no_origin_is_allowed_that_was_not_named() -> None:
    assert Settings().allowed_origins == frozenset()


def test_origins_are_told_apart_by_commas() -> None:
    text = "https://viewer.example.org, http://10.0.0.7:8080,http://[::1]:3000,"
    assert Settings(cors_origins=text).allowed_origins == {
        "https://viewer.example.org",
        "http://10.0.0.7:8080",
        "http://[::1]:3000",
    }


@pytest.mark.parametrize(
    "text",
    [
        "*", "null", "viewer.example.org", "https://*.example.org", "https://viewer.example.org/",
        "https://viewer.example.org/page", "https://Viewer.example.org", "file://", "ftp://a.org",
        "https://a.org https://b.org", "https://a.org:", "https://user@a.org",
    ],
)  # fmt: skip
def test_what_is_no_origin_stops_the_start(text: str) -> None:
    with pytest.raises(ValidationError, match="an origin is http://host"):
        Settings(cors_origins=text)


@pytest.mark.parametrize("text", ["http://a.org:80", "https://a.org:443"])
def test_a_port_that_browsers_leave_out_stops_the_start(text: str) -> None:
    with pytest.raises(ValidationError, match="leave out an origin's port"):
        Settings(cors_origins=text)


def test_the_other_schemes_port_is_one_that_browsers_write() -> None:
    assert Settings(cors_origins="http://a.org:443").allowed_origins == {"http://a.org:443"}
