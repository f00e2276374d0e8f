"""An OpenID Connect issuer's public keys: fetched, kept, and fetched anew when it turns them over.

Fetched on a thread, so no request waits for it but one that can't be checked otherwise. While the
issuer is down, the keys that were had last go on. However many tokens name a key that nobody
knows, the issuer is asked once in ten seconds at the most.
"""

import asyncio
import json
import logging
import time
import urllib.error
import urllib.request
from typing import Any, Final, NoReturn

import jwt

from app.errors import IssuerUnavailable
from app.settings.access_settings import is_trusted_address

_log = logging.getLogger("neumo.access")

_DISCOVERY: Final = "/.well-known/openid-configuration"
_TIMEOUT_S: Final = 5.0
_MOST_BYTES: Final = 2**20
_FRESH_S: Final = 600.0
"""Keys older than this are fetched anew, while they go on being used."""
_LEAST_PAUSE_S: Final = 10.0


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:  # noqa: ANN401 - urllib's signature
        """Follow none: it could lead to an address that anybody may answer for."""


class Issuer:
    """The keys of one issuer.

    Parameters
    ----------
    address : begins with https://, or names this machine
    """

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")
        self._named = address
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._asked_s = self._fetched_s = -float("inf")
        self._fetch: asyncio.Task[None] | None = None
        self._opener = urllib.request.build_opener(_NoRedirects)

    async def key(self, key_id: str | None) -> jwt.PyJWK | None:
        """Return a key by the id that a token's head names; None if the issuer has no such.

        Without an id it is the issuer's key if it has one only.

        Raises
        ------
        IssuerUnavailable : if its keys were never had
        """
        now_s = time.monotonic()
        known = self._find(key_id)
        if known is None:
            if now_s - self._asked_s >= _LEAST_PAUSE_S:
                self._begin()
            if self._fetch is not None:
                await asyncio.shield(self._fetch)
            known = self._find(key_id)
        elif now_s - self._fetched_s > _FRESH_S and now_s - self._asked_s >= _LEAST_PAUSE_S:
            self._begin()
        if not self._keys:
            raise IssuerUnavailable
        return known

    def _find(self, key_id: str | None) -> jwt.PyJWK | None:
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    def _begin(self) -> None:
        if self._fetch is None:
            self._asked_s = time.monotonic()
            self._fetch = asyncio.get_running_loop().create_task(self._refresh())

    async def _refresh(self) -> None:
        try:
            self._keys = await asyncio.to_thread(self._read_keys)
            self._fetched_s = time.monotonic()
            _log.info("issuer's keys are read", extra={"members": {"keys": len(self._keys)}})
        except (OSError, ValueError, jwt.PyJWTError) as error:
            members = {"failure": type(error).__name__, "kept": len(self._keys)}
            _log.error("issuer's keys can't be read", extra={"members": members})
        finally:
            self._fetch = None

    def _read_keys(self) -> dict[str | None, jwt.PyJWK]:
        discovery = self._read(self._address + _DISCOVERY)
        if discovery.get("issuer") != self._named:
            _fail("the issuer goes by another name")
        keys = jwt.PyJWKSet.from_dict(self._read(str(discovery.get("jwks_uri")))).keys
        return {key.key_id: key for key in keys if key.public_key_use in (None, "sig")}

    def _read(self, address: str) -> dict[str, Any]:
        if not is_trusted_address(address):
            _fail("an address is not https")
        with self._opener.open(address, timeout=_TIMEOUT_S) as answer:
            content = json.loads(answer.read(_MOST_BYTES))
        return content if isinstance(content, dict) else {}


def _fail(words: str) -> NoReturn:
    raise ValueError(words)
