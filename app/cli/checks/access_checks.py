"""Who gets in: keys, tokens, TLS, as the service would take them."""

from app.access.access import Access
from app.cli.checks.finding import Finding
from app.errors import AccessError
from app.server.tls import Tls
from app.settings.access_settings import is_loopback
from app.settings.settings import Settings


def check_access(settings: Settings) -> Finding:
    """Find who would be let in, and how connections are encrypted."""
    try:
        access = Access.of(settings)
        tls = Tls.of(settings)
    except AccessError as error:
        what, _, advice = error.detail("en").partition(". ")
        return Finding("access", "fail", what.rstrip("."), advice)
    exposed = not is_loopback(settings.host)
    spoken = "HTTP" if tls is None else "HTTPS"
    if access.open and exposed:
        told = f"{spoken}; whoever reaches {settings.host} gets in (NEUMO_INSECURE_NO_KEYS)"
        return Finding("access", "warn", told, "Make keys, unless a proxy asks who calls.")
    if access.open:
        return Finding("access", "ok", f"{spoken}; nobody is asked, and only this machine gets in")
    if exposed and tls is None:
        advice = "Set NEUMO_TLS_CERT and NEUMO_TLS_KEY, unless a proxy speaks TLS."
        return Finding("access", "warn", "films and keys travel unencrypted (HTTP)", advice)
    return Finding("access", "ok", f"{spoken}; whoever calls has to show who it is")
