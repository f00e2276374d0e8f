"""app.errors: the whole tree of errors, walked."""

import pickle
import re
from collections.abc import Iterator
from string import Formatter

import pytest

from app import errors
from app.errors import BundleError, Fact, NeumoError, RequestError
from app.language import Language, Text
from app.render.problem import render_problem

RFC_9457_MEMBERS = {"type", "title", "status", "detail"}
OUR_MEMBERS = {"code", "request_id"}
LANGUAGES: tuple[Language, ...] = ("en", "es")


def walk(root: type[NeumoError]) -> Iterator[type[NeumoError]]:
    for branch in root.__subclasses__():
        if branch.__module__.startswith(errors.__name__ + "."):
            yield branch
            yield from walk(branch)


TREE = list(walk(NeumoError))
LEAVES = [error for error in TREE if not error.__subclasses__()]
REQUEST_ERRORS: list[type[RequestError]] = [
    error for error in LEAVES if issubclass(error, RequestError)
]
BUNDLE_ERRORS = [error for error in LEAVES if issubclass(error, BundleError)]


def placeholders(template: str) -> dict[str, str]:
    """Return the format of each fact a template takes."""
    return {name: form or "" for _, name, form, _ in Formatter().parse(template) if name}


def sample_facts(error: type[NeumoError]) -> dict[str, Fact]:
    """Invent a fact for each placeholder: a number where its format wants one."""
    forms = placeholders(error.advice.en)
    return {name: 0.125 if form else f"<{name}>" for name, form in forms.items()}


def texts(error: type[NeumoError]) -> list[Text]:
    return [error.title, error.advice]


def test_every_class_of_the_module_stands_in_the_tree() -> None:
    classes = {
        thing
        for thing in vars(errors).values()
        if isinstance(thing, type) and issubclass(thing, BaseException)
    }
    assert classes == {NeumoError, *TREE}


def test_the_docstring_at_the_top_names_exactly_the_tree() -> None:
    named = set(re.findall(r"`([A-Z]\w+)`", errors.__doc__ or ""))
    assert named == {NeumoError.__name__, *(error.__name__ for error in TREE)}


@pytest.mark.parametrize("error", REQUEST_ERRORS)
def test_the_docstring_gives_the_status_of_each_request_error(error: type[RequestError]) -> None:
    # "422 `A` `B`": the number that stands last before the name.
    listing = (errors.__doc__ or "").partition(f"`{error.__name__}`")[0]
    assert re.findall(r"\b\d{3}\b", listing)[-1] == str(error.status)


def test_codes_are_unique() -> None:
    codes = [error.code for error in LEAVES]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("error", LEAVES)
def test_a_code_is_snake_case(error: type[NeumoError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", error.code)


@pytest.mark.parametrize("error", REQUEST_ERRORS)
def test_a_request_error_has_a_4xx_or_5xx_status(error: type[RequestError]) -> None:
    assert 400 <= error.status <= 599


@pytest.mark.parametrize("error", LEAVES)
def test_title_and_advice_are_written_in_both_languages(error: type[NeumoError]) -> None:
    assert all(text.en.strip() and text.es.strip() for text in texts(error))


@pytest.mark.parametrize("error", LEAVES)
def test_advice_is_translated_not_copied(error: type[NeumoError]) -> None:
    assert error.advice.en != error.advice.es


@pytest.mark.parametrize("error", LEAVES)
def test_both_languages_take_the_same_facts(error: type[NeumoError]) -> None:
    assert placeholders(error.advice.en) == placeholders(error.advice.es)


@pytest.mark.parametrize("error", LEAVES)
def test_a_title_takes_no_facts(error: type[NeumoError]) -> None:
    assert placeholders(error.title.en) == placeholders(error.title.es) == {}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("error", LEAVES)
def test_the_detail_holds_every_fact_and_no_placeholder(
    error: type[NeumoError], language: Language
) -> None:
    facts = sample_facts(error)
    detail = error(**facts).detail(language)
    assert all(str(fact) in detail for fact in facts.values())
    assert not re.search(r"[{}]", detail)


@pytest.mark.parametrize("error", LEAVES)
def test_the_exception_reads_as_its_english_detail(error: type[NeumoError]) -> None:
    raised = error(**sample_facts(error))
    assert str(raised) == raised.detail("en")


@pytest.mark.parametrize("error", LEAVES)
def test_an_error_crosses_from_one_process_to_another(error: type[NeumoError]) -> None:
    raised = error(**sample_facts(error))
    arrived = pickle.loads(pickle.dumps(raised))  # noqa: S301 - our own bytes
    assert type(arrived) is error
    assert (str(arrived), vars(arrived)) == (str(raised), vars(raised))


@pytest.mark.parametrize("error", LEAVES)
def test_a_forgotten_fact_fails_when_the_error_is_made_not_when_it_is_shown(
    error: type[NeumoError],
) -> None:
    if not sample_facts(error):
        error()
        return
    with pytest.raises(KeyError):
        error()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("error", REQUEST_ERRORS)
def test_a_problem_is_the_members_of_rfc_9457_with_ours_and_the_facts(
    error: type[RequestError], language: Language
) -> None:
    facts = sample_facts(error)
    raised = error(**facts)
    assert render_problem(raised, "01J00000000000000000000000", language).model_dump() == {
        "type": f"urn:problem-type:neumo:{error.code}",
        "title": error.title.render(language),
        "status": error.status,
        "detail": raised.detail(language),
        "code": error.code,
        "request_id": "01J00000000000000000000000",
        **facts,
    }


@pytest.mark.parametrize("error", REQUEST_ERRORS)
def test_no_fact_takes_the_place_of_a_member(error: type[RequestError]) -> None:
    assert not (RFC_9457_MEMBERS | OUR_MEMBERS) & placeholders(error.advice.en).keys()


def test_a_problem_with_known_facts_reads_as_written() -> None:
    problem = render_problem(errors.ImageTooSmall(min_side_px=64), "id-1", "en").model_dump()
    assert problem == {
        "type": "urn:problem-type:neumo:image_too_small",
        "title": "Image too small",
        "status": 422,
        "detail": (
            "Both sides need at least 64 pixels. Send the radiograph itself, not its thumbnail."
        ),
        "code": "image_too_small",
        "request_id": "id-1",
        "min_side_px": 64,
    }


@pytest.mark.parametrize("error", [e for e in REQUEST_ERRORS if e.status in (429, 503)])
def test_who_should_come_back_later_is_told_when(error: type[RequestError]) -> None:
    seconds = error(**sample_facts(error)).headers()["Retry-After"]
    assert int(seconds) > 0


@pytest.mark.parametrize("error", [e for e in REQUEST_ERRORS if e.status not in (429, 503)])
def test_no_other_error_asks_to_retry(error: type[RequestError]) -> None:
    assert "Retry-After" not in error(**sample_facts(error)).headers()


@pytest.mark.parametrize("error", BUNDLE_ERRORS)
def test_a_bundle_error_stops_the_start_with_a_code_that_is_not_zero(
    error: type[BundleError],
) -> None:
    assert error.exit_code == 3


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("malformed", 400),
        ("empty_upload", 400),
        ("missing_file", 400),
        ("too_many_files", 400),
        ("body_too_large", 413),
        ("unsupported_media_type", 415),
        ("image_truncated", 422),
        ("image_undecodable", 422),
        ("image_too_small", 422),
        ("image_too_many_pixels", 422),
        ("dicom_unsupported", 422),
        ("overloaded", 503),
        ("not_ready", 503),
        ("request_timeout", 408),
        ("head_too_large", 431),
        ("deadline_exceeded", 504),
    ],
)
def test_the_codes_of_the_contract_keep_their_status(code: str, status: int) -> None:
    assert {error.code: error.status for error in REQUEST_ERRORS}[code] == status
