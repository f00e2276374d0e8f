"""How long the service's certificate is good: a handshake with itself, in memory, tells.

Python reads no certificate by itself, but tells what a peer showed it and why it is not taken.
"""

import ssl
from datetime import UTC, datetime
from typing import Final

from app.cli.checks.finding import Finding

_WARN_DAYS: Final = 21
_EXPIRED: Final = 10  # X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL
_NOT_YET_VALID: Final = 9


def check_certificate(cert: str, key: str, now: datetime | None = None) -> Finding:
    """Find how long a certificate is good.

    Parameters
    ----------
    cert, key : PEM files that `app.server.tls` takes
    now : the clock; the machine's if None
    """
    renew = "Renew it: the file is read anew when it changes."
    try:
        until = _read_end(cert, key)
    except ssl.SSLCertVerificationError as error:
        told = {_EXPIRED: "has expired", _NOT_YET_VALID: "is not good yet"}
        if error.verify_code in told:
            return Finding("certificate", "fail", f"it {told[error.verify_code]}", renew)
        return Finding("certificate", "warn", "how long it is good can't be told")
    except ssl.SSLError:
        return Finding("certificate", "warn", "how long it is good can't be told")
    days = (until - (now or datetime.now(UTC))).days
    told_of = f"good for {days} days, until {until.date()}"
    if days < _WARN_DAYS:
        return Finding("certificate", "warn", told_of, renew)
    return Finding("certificate", "ok", told_of)


def _read_end(cert: str, key: str) -> datetime:
    """Return the end of a certificate's validity.

    Raises
    ------
    ssl.SSLError
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # it is trusted itself
    client.load_verify_locations(cert)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    calling = client.wrap_bio(to_client, to_server)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    for end in (calling, answering, calling):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    shown = calling.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), UTC)
