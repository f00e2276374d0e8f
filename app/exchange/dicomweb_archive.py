"""An archive asked over DICOMweb: which films it has (QIDO-RS), and a film's file (WADO-RS)."""

import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from python_multipart.multipart import parse_options_header

from app.errors import ArchiveUnusable, FilmNotFetched
from app.exchange.partners.http_sending import make_tls
from app.settings.access_settings import is_trusted_address
from app.settings.exchange_settings import ExchangeSettings

FILM_CLASSES: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography
        "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray, for presentation
        "1.2.840.10008.5.1.4.1.1.1.1.1",  # and for processing
    }
)
"""SOP classes that an archive is asked about: what it has as Secondary Capture may be anything."""

_MODALITIES: Final = ("CR", "DX")
_PAGE: Final = 100
_MOST_PAGES: Final = 1000
_MOST_ANSWER_BYTES: Final = 64 * 2**20
_MOST_HEADER: Final = 8192
_JSON: Final = "application/dicom+json"
_ONE_FILE: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_UID: Final = re.compile(r"[0-9][0-9.]{0,63}", re.ASCII)
_STUDY, _SERIES, _SOP, _SOP_CLASS = "0020000D", "0020000E", "00080018", "00080016"


@dataclass(frozen=True, slots=True)
class ArchivedInstance:
    """One object in an archive, of whatever kind."""

    sop_class: str
    sop_uid: str
    series_uid: str
    study_uid: str

    @property
    def is_film(self) -> bool:
        """Whether it is of `FILM_CLASSES`."""
        return self.sop_class in FILM_CLASSES


class DicomwebArchive:
    """The DICOMweb services of an archive (PS3.18 sections 10.4 and 10.6).

    No proxy of the environment is asked, no redirection followed: films come from where the
    settings say.

    Parameters
    ----------
    root : URL that ``/studies`` is below
    authorization : the header of that name; empty for none
    timeout_s : of connecting, and of each silence
    most_bytes : of a film's file
    tls : how its certificate is checked; None: by the authorities of the system
    """

    def __init__(
        self,
        root: str,
        authorization: str,
        timeout_s: float,
        most_bytes: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        headers = {"Authorization": authorization} if authorization else {}
        self.root = root.rstrip("/")
        self._most_bytes = most_bytes
        self._client = httpx.Client(
            headers=headers,
            timeout=timeout_s,
            trust_env=False,
            verify=tls or ssl.create_default_context(),
        )

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def list_studies(self, first_day: date, last_day: date) -> Iterator[str]:
        """Yield the UIDs of the studies of those days that hold a CR or a DX, each once.

        The latest day comes first.

        Raises
        ------
        ArchiveUnusable
        """
        seen: set[str] = set()
        for back in range((last_day - first_day).days + 1):
            for modality in _MODALITIES:
                for uid in self._list_day(last_day - timedelta(days=back), modality):
                    if uid not in seen:
                        seen.add(uid)
                        yield uid

    def _list_day(self, day: date, modality: str) -> Iterator[str]:
        """Yield the studies of a day, some more than once.

        Orthanc counts `limit` from the first study, not from `offset` (its plugin 1.7): to ask for
        so many more is right for it, and for archives that do as PS3.18 section 8.3.4 says too.
        """
        offset, seen = 0, set[str]()
        for _ in range(_MOST_PAGES):
            query = {
                "ModalitiesInStudy": modality,
                "StudyDate": f"{day:%Y%m%d}",
                "limit": str(offset + _PAGE),
                "offset": str(offset),
            }
            found = [_uid(each, _STUDY) for each in self._search("studies", query)]
            new = [uid for uid in dict.fromkeys(found) if uid and uid not in seen]
            if not new:  # the end, or an archive that knows no pages
                return
            yield from new
            seen.update(new)
            offset += len(found)

    def list_instances(self, study_uid: str) -> list[ArchivedInstance]:
        """Return all that a study holds: films, and what was filed beside them.

        Raises
        ------
        ArchiveUnusable
        """
        instances = []
        for each in self._search(f"studies/{study_uid}/instances", {}):
            sop_class, sop_uid = _uid(each, _SOP_CLASS), _uid(each, _SOP)
            series_uid = _uid(each, _SERIES)
            if sop_class and sop_uid and series_uid:
                instances.append(ArchivedInstance(sop_class, sop_uid, series_uid, study_uid))
        return instances

    def fetch(self, film: ArchivedInstance) -> bytes:
        """Return the file of a film, in the transfer syntax that the archive has it in.

        Raises
        ------
        ArchiveUnusable
            If the archive is not to be reached.
        FilmNotFetched
            If it does not give this film.
        """
        path = f"studies/{film.study_uid}/series/{film.series_uid}/instances/{film.sop_uid}"
        status, kind, body = self._get(path, {}, _ONE_FILE, self._most_bytes)
        if status != httpx.codes.OK:
            raise FilmNotFetched(status=status)
        return _unwrap(kind, body)

    def _search(self, path: str, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
        status, _, body = self._get(path, query, _JSON, _MOST_ANSWER_BYTES)
        if status == httpx.codes.NO_CONTENT:
            return []
        if status not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
            raise ArchiveUnusable(reason=f"HTTP status {status}")
        try:
            found = httpx.Response(status, content=body).json()
        except ValueError:
            found = None
        if not (isinstance(found, list) and all(isinstance(each, dict) for each in found)):
            raise ArchiveUnusable(reason="its answer is no DICOM JSON")
        return found

    def _get(
        self, path: str, query: Mapping[str, str], accept: str, most_bytes: int
    ) -> tuple[int, str, bytes]:
        """Return status, media type and content; the latter is bounded while it comes."""
        content = bytearray()
        try:
            with self._client.stream(
                "GET", f"{self.root}/{path}", params=query, headers={"Accept": accept}
            ) as answer:
                for piece in answer.iter_bytes():
                    content += piece
                    if len(content) > most_bytes:
                        raise FilmNotFetched(status=httpx.codes.REQUEST_ENTITY_TOO_LARGE)
                return answer.status_code, answer.headers.get("Content-Type", ""), bytes(content)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # Never its text, which quotes what was asked for.
            raise ArchiveUnusable(reason=type(error).__name__) from None


def open_archive(settings: ExchangeSettings, root: str) -> DicomwebArchive:
    """Return the archive of a root, asked as the settings say; it is not asked anything yet.

    Raises
    ------
    ArchiveUnusable
    """
    if urlsplit(root).scheme not in ("http", "https"):
        raise ArchiveUnusable(reason="its root is no URL of HTTP")
    authorization = ""
    if settings.partner_authorization_file:
        if not is_trusted_address(root):
            raise ArchiveUnusable(reason="it would be shown the token unencrypted")
        authorization = _read_authorization(Path(settings.partner_authorization_file))
    try:
        tls = make_tls(settings)
    except OSError:
        raise ArchiveUnusable(reason="certificates can't be read") from None
    return DicomwebArchive(
        root, authorization, settings.delivery_timeout_s, settings.dicom_film_bytes, tls
    )


def _read_authorization(file: Path) -> str:
    try:
        with file.open(encoding="ascii") as lines:
            return lines.readline(_MOST_HEADER).strip()
    except (OSError, ValueError):
        raise ArchiveUnusable(reason="its token can't be read") from None


def _uid(found: Mapping[str, Any], tag: str) -> str:
    """Return a UID of DICOM JSON (PS3.18 annex F); empty if there is no such."""
    element = found.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    value = values[0] if isinstance(values, list) and values else None
    return value if isinstance(value, str) and _UID.fullmatch(value) else ""


def _unwrap(kind: str, body: bytes) -> bytes:
    """Return the first part of multipart/related; what is not multipart is the file itself."""
    media_type, options = parse_options_header(kind)
    if media_type != b"multipart/related":
        return body
    mark = b"--" + options.get(b"boundary", b"")
    _, _, content = body[body.find(mark) :].partition(b"\r\n\r\n")
    end = content.find(b"\r\n" + mark)
    if len(mark) == len(b"--") or end < 0:
        raise FilmNotFetched(status=httpx.codes.OK)
    return content[:end]
