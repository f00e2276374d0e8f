"""How a service is reached: address, key, certificates, times."""

import os
import ssl
from collections.abc import Mapping
from typing import Any, Final

import httpx

from neumo_client.version import VERSION

# Less than the service's NEUMO_KEEP_ALIVE_S (5): or a call may go out on a connection that is just
# being closed.
_IDLE_S: Final = 3.0
_CONNECT_S: Final = 5.0
_MOST_CONNECTIONS: Final = 100

Verify = bool | str | os.PathLike[str] | ssl.SSLContext
"""Whether, or by which authorities (a PEM file), a service's certificate is checked."""
Certificate = str | os.PathLike[str] | tuple[str | os.PathLike[str], str | os.PathLike[str]]
"""A PEM file with this client's certificate and key, or one file each."""


def connection_arguments(
    base_url: str,
    api_key: str | None,
    timeout: float | httpx.Timeout,
    verify: Verify,
    cert: Certificate | None,
    proxy: str | None,
    headers: Mapping[str, str] | None,
) -> dict[str, Any]:
    """Return what httpx's clients are made with.

    Raises
    ------
    ValueError
        For an address or a key that can't be one. Neither is quoted.
    OSError
        For certificates that can't be read.
    """
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("base_url is no address: it begins with http:// or https://")
    if url.query or url.fragment:
        raise ValueError("base_url has a query or a fragment: give the address alone")
    own = {"User-Agent": f"neumo-client/{VERSION}"}
    if api_key is not None:
        if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
            raise ValueError("api_key is no key: it has letters that no header may have")
        own["Authorization"] = f"Bearer {api_key}"
    if not isinstance(timeout, httpx.Timeout):
        timeout = httpx.Timeout(timeout, connect=min(timeout, _CONNECT_S))
    return {
        "base_url": url,
        "headers": own | dict(headers or {}),
        "timeout": timeout,
        "verify": _tls_context(verify, cert),
        "proxy": proxy,
        "limits": httpx.Limits(
            max_connections=_MOST_CONNECTIONS,
            max_keepalive_connections=_MOST_CONNECTIONS,
            keepalive_expiry=_IDLE_S,
        ),
        "follow_redirects": False,  # a film goes nowhere but where it was sent
    }


def _tls_context(verify: Verify, cert: Certificate | None) -> ssl.SSLContext | bool:
    if isinstance(verify, ssl.SSLContext):
        context = verify
    elif isinstance(verify, bool):
        if cert is None:
            return verify
        context = httpx.create_ssl_context(verify=verify)
    else:
        context = ssl.create_default_context(cafile=os.fspath(verify))
    if cert is not None:
        files = cert if isinstance(cert, tuple) else (cert,)
        context.load_cert_chain(*[os.fspath(file) for file in files])
    return context
