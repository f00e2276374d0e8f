"""Requests to partners over HTTP: their time and size bounded, what they answer sorted."""

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

import httpx

from app.exchange.partners.sending import DELIVERED, Sent, Verdict
from app.settings.exchange_settings import ExchangeSettings

_MOST_ANSWER_BYTES: Final = 2**20
_LONGEST_WAIT_S: Final = 3600.0

_AWAY: Final = frozenset({401, 403, 404, 405, 407, 408, 421, 429, 502, 503, 504})
"""Of the whole partner: credentials or path are wrong, or it is busy. The operator mends it, or
time does; no object is to blame."""

_NEVER: Final = frozenset({400, 406, 409, 410, 411, 412, 413, 415, 422})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a partner answered; `content` is empty if it was too long, or too slow to come."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class HttpSender:
    """Sends requests to one partner, over connections that stay open.

    Parameters
    ----------
    authorization : header; None for none
    tls : how certificates are checked
    """

    def __init__(
        self, timeout_s: float, authorization_file: Path | None, tls: ssl.SSLContext
    ) -> None:
        self._timeout_s, self._authorization_file = timeout_s, authorization_file
        # Not by what the environment says of proxies: results go where the settings say.
        self._client = httpx.Client(
            timeout=timeout_s, verify=tls, trust_env=False, follow_redirects=False
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> Answer | Sent:
        """Post something; `Sent` if nothing was answered."""
        headers = {**headers, "Accept-Encoding": "identity"}  # what unfolds has no bound
        if self._authorization_file is not None:  # read each time: tokens are renewed
            try:
                lines = self._authorization_file.read_text(encoding="ascii").splitlines()
                headers["Authorization"] = lines[0].strip()
            except (OSError, UnicodeDecodeError, IndexError):
                return Sent(Verdict.AWAY, "no_authorization")
        try:
            with self._client.stream("POST", url, content=content, headers=headers) as response:
                read, until_s = bytearray(), time.monotonic() + self._timeout_s
                for chunk in response.iter_raw():
                    read += chunk
                    if len(read) > _MOST_ANSWER_BYTES or time.monotonic() > until_s:
                        read.clear()
                        break
                return Answer(response.status_code, response.headers, bytes(read))
        except httpx.TimeoutException:
            return Sent(Verdict.AWAY, "timeout")
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, ValueError):
            return Sent(Verdict.AWAY, "no_answer")


def make_tls(settings: ExchangeSettings) -> ssl.SSLContext:
    """Return how a partner's certificate is checked, and Neumo's own shown if it asks for one.

    Raises
    ------
    OSError
        If certificates can't be read; nobody is asked for a key's password.
    """
    context = ssl.create_default_context(cafile=settings.partner_ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.dicom_tls_cert_file:
        key = settings.dicom_tls_key_file or None
        context.load_cert_chain(settings.dicom_tls_cert_file, key, lambda: "")
    return context


def judge_http(answer: Answer) -> Sent:
    """Return what an HTTP status means for the object that was sent (RFC 9110 section 15)."""
    status = answer.status
    if status in (200, 201, 204):
        return DELIVERED
    code = f"http_{status}"
    if status in _AWAY or 300 <= status < 400:  # noqa: PLR2004 - a redirection is not followed
        return Sent(Verdict.AWAY, code, _retry_after_s(answer.headers))
    return Sent(Verdict.NEVER if status in _NEVER else Verdict.AGAIN, code)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return how long a partner asks to be left alone (RFC 9110 section 10.2.3)."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _LONGEST_WAIT_S)
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    wait_s = (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(wait_s, 0.0), _LONGEST_WAIT_S)
