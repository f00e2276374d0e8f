"""The archive over DICOMweb: every film of some days is found, whatever the archive does of pages.

With Orthanc itself: tests/e2e/test_orthanc.py.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import util
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

if not util.find_spec("httpx"):
    pytest.skip("the extra hospital is not installed", allow_module_level=True)

from app.errors import ArchiveUnusable, FilmNotFetched
from app.exchange.dicomweb_archive import ArchivedInstance, DicomwebArchive, open_archive
from app.settings.exchange_settings import ExchangeSettings

CR, SR = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.88.34"
DAY = date(2026, 11, 28)
FILM = ArchivedInstance(CR, "1.2.3", "1.2.2", "1.2.1")
MOST_BYTES = 1000
Answer = tuple[int, str, bytes]
Asked = Callable[[str, dict[str, str]], Answer]


@contextmanager
def archive(answer: Asked, authorization: str = "") -> Iterator[tuple[DicomwebArchive, list[str]]]:
    """Stand for an archive; give also the Authorization headers that it was shown."""
    shown: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.append(self.headers.get("Authorization", ""))
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            status, kind, body = answer(url.path, query)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        root = f"http://127.0.0.1:{server.server_port}/dicom-web/"
        with closing(DicomwebArchive(root, authorization, 5, MOST_BYTES)) as asked:
            yield asked, shown
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def told(objects: list[dict[str, str]]) -> Answer:
    """Answer in DICOM JSON."""
    found = [{tag: {"vr": "UI", "Value": [uid]} for tag, uid in each.items()} for each in objects]
    return 200, "application/dicom+json", json.dumps(found).encode()


def as_the_standard_says(uids: list[str], query: dict[str, str]) -> list[str]:
    offset = int(query["offset"])
    return uids[offset : offset + int(query["limit"])]


def as_orthanc_does(uids: list[str], query: dict[str, str]) -> list[str]:
    return uids[: int(query["limit"])][int(query["offset"]) :]


def with_pages_of_its_own(uids: list[str], query: dict[str, str]) -> list[str]:
    offset = int(query["offset"])
    return uids[offset : offset + 7]


def without_pages(uids: list[str], _: dict[str, str]) -> list[str]:
    return uids


@pytest.mark.parametrize(
    "page", [as_the_standard_says, as_orthanc_does, with_pages_of_its_own, without_pages]
)
@pytest.mark.parametrize("studies", [0, 1, 100, 250])
def test_each_study_is_listed_once(
    page: Callable[[list[str], dict[str, str]], list[str]], studies: int
) -> None:
    uids = [f"1.2.{number}" for number in range(studies)]

    def answer(path: str, query: dict[str, str]) -> Answer:
        assert path == "/dicom-web/studies"
        mine = uids if query["StudyDate"] == "20261128" else []
        return told([{"0020000D": uid} for uid in page(mine, query)])

    with archive(answer) as (asked, _):
        assert sorted(asked.list_studies(date(2026, 11, 27), date(2026, 11, 29))) == sorted(uids)


def test_both_modalities_of_each_day_are_asked_for_and_the_latest_day_first() -> None:
    asked_for = []

    def answer(_: str, query: dict[str, str]) -> Answer:
        asked_for.append((query["StudyDate"], query["ModalitiesInStudy"]))
        return 204, "", b""

    with archive(answer) as (asked, _):
        assert list(asked.list_studies(date(2026, 11, 30), date(2026, 12, 1))) == []
    assert asked_for == [
        ("20261201", "CR"), ("20261201", "DX"), ("20261130", "CR"), ("20261130", "DX"),
    ]  # fmt: skip


def test_a_study_of_both_modalities_is_listed_once() -> None:
    with archive(lambda _, query: told([{"0020000D": "1.2"}][int(query["offset"]) :])) as (
        asked,
        _,
    ):
        assert list(asked.list_studies(DAY, DAY)) == ["1.2"]


def test_what_a_study_holds_is_told_by_kind() -> None:
    def answer(path: str, _: dict[str, str]) -> Answer:
        assert path == "/dicom-web/studies/1.2.1/instances"
        film = {"00080016": CR, "00080018": "1.2.3", "0020000E": "1.2.2"}
        return told([film, {"00080016": SR, "00080018": "2.25.5", "0020000E": "2.25.4"}])

    with archive(answer) as (asked, _):
        film, report = asked.list_instances("1.2.1")
    assert film == FILM
    assert (film.is_film, report.is_film) == (True, False)


@pytest.mark.parametrize("uid", ["1.2/../../system", "", "1.2?x", "a", "1" * 65])
def test_what_is_no_uid_is_not_asked_for(uid: str) -> None:
    instance = {"00080016": CR, "00080018": uid, "0020000E": "1.2.2"}
    with archive(lambda *_: told([{"0020000D": uid, **instance}])) as (asked, _):
        assert list(asked.list_studies(DAY, DAY)) == []
        assert asked.list_instances("1.2.1") == []


RELATED = 'multipart/related; type="application/dicom"; boundary='


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (RELATED + "ab", b"--ab\r\nContent-Type: application/dicom\r\n\r\nDI\r\n\r\nCM\r\n--ab--"),
        (RELATED + '"a b"', b"\r\n--a b\r\nContent-Length: 8\r\n\r\nDI\r\n\r\nCM\r\n--a b--\r\n"),
        ("application/dicom", b"DI\r\n\r\nCM"),
    ],
    ids=["a part", "a quoted boundary", "no parts"],
)
def test_a_film_is_given_as_it_is(kind: str, body: bytes) -> None:
    def answer(path: str, _: dict[str, str]) -> Answer:
        assert path == "/dicom-web/studies/1.2.1/series/1.2.2/instances/1.2.3"
        return 200, kind, body

    with archive(answer) as (asked, _):
        assert asked.fetch(FILM) == b"DI\r\n\r\nCM"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ((404, "text/plain", b"no"), 404),
        ((200, "application/dicom", bytes(MOST_BYTES + 1)), 413),
        ((200, RELATED + "ab", b"--ab\r\n\r\nDICM, and cut off"), 200),
        ((200, RELATED, b"--\r\n\r\nDICM\r\n--"), 200),
    ],
    ids=["not there", "too large", "cut off", "no boundary"],
)
def test_a_film_that_is_not_given_whole_is_not_had(answer: Answer, status: int) -> None:
    with archive(lambda *_: answer) as (asked, _), pytest.raises(FilmNotFetched) as raised:
        asked.fetch(FILM)
    assert raised.value.facts == {"status": status}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((401, "text/plain", b"who?"), "HTTP status 401"),
        ((500, "text/plain", b""), "HTTP status 500"),
        ((302, "text/plain", b""), "HTTP status 302"),
        ((200, "text/html", b"<html>"), "its answer is no DICOM JSON"),
        ((200, "application/json", b'{"a": 1}'), "its answer is no DICOM JSON"),
    ],
)
def test_what_answers_in_no_dicomweb_is_no_archive(answer: Answer, reason: str) -> None:
    with archive(lambda *_: answer) as (asked, _), pytest.raises(ArchiveUnusable) as raised:
        list(asked.list_studies(DAY, DAY))
    assert raised.value.facts == {"reason": reason}


def test_an_archive_that_is_away_is_told_without_its_address() -> None:
    with (
        closing(DicomwebArchive("http://127.0.0.1:9/secret", "", 5, MOST_BYTES)) as asked,
        pytest.raises(ArchiveUnusable) as raised,
    ):
        list(asked.list_studies(DAY, DAY))
    assert raised.value.facts == {"reason": "ConnectError"}
    assert "secret" not in str(raised.value)


def test_the_token_is_shown_with_each_request() -> None:
    with archive(lambda *_: (204, "", b""), "Bearer abc") as (asked, shown):
        list(asked.list_studies(DAY, DAY))
    assert shown == ["Bearer abc", "Bearer abc"]


def settings(**given: object) -> ExchangeSettings:
    return ExchangeSettings.model_validate(given)


def test_the_token_of_the_settings_is_shown_over_https_or_on_this_machine(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("Bearer abc\nnot this\n")
    with archive(lambda *_: (204, "", b"")) as (asked, shown):
        given = settings(partner_authorization_file=str(token))
        with closing(open_archive(given, asked.root)) as opened:
            list(opened.list_studies(DAY, DAY))
    assert shown == ["Bearer abc", "Bearer abc"]
    with pytest.raises(ArchiveUnusable, match="unencrypted"):
        open_archive(given, "http://pacs.example/dicom-web")


@pytest.mark.parametrize(
    ("given", "root", "reason"),
    [
        ({}, "ftp://pacs.example", "its root is no URL of HTTP"),
        ({}, "dicom://PACS@pacs.example:104", "its root is no URL of HTTP"),
        (
            {"partner_authorization_file": "/nowhere/token"},
            "https://pacs.example/dicom-web",
            "its token can't be read",
        ),
        (
            {"partner_ca_file": "/nowhere/ca"},
            "https://pacs.example/dicom-web",
            "certificates can't be read",
        ),
    ],
)
def test_an_archive_that_can_not_be_asked_as_it_is_set_is_told(
    given: dict[str, str], root: str, reason: str
) -> None:
    with pytest.raises(ArchiveUnusable) as raised:
        open_archive(settings(**given), root)
    assert raised.value.facts == {"reason": reason}


@pytest.mark.parametrize(
    ("given", "root"),
    [
        ({}, None),
        ({"partners": "dicom://PACS@pacs.example:104,fhir+https://fhir.example"}, None),
        ({"partners": "dicom://A@b:1, https://b.example/dicom-web"}, "https://b.example/dicom-web"),
        (
            {"partners": "https://b.example", "archive_dicomweb": "https://c.example"},
            "https://c.example",
        ),
    ],
)
def test_whom_to_ask_is_a_setting_or_the_first_dicomweb_partner(
    given: dict[str, str], root: str | None
) -> None:
    assert settings(**given).archive_root == root
