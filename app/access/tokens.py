"""JSON Web Tokens (RFC 7519) of an OpenID Connect issuer: who shows one, and what it may ask for.

PyJWT checks signature, times, issuer and audience. What is decided here: only signatures with a
public key, only those that the settings name, and by which claim a token names its scopes.

A token that was found good is known by its digest for a minute: to check a signature takes as long
as a fiftieth of a Reading.
"""

import hashlib
import time
from collections.abc import Mapping
from typing import Any, Final

import jwt

from app.access.caller import SCOPES, Caller, Rate
from app.access.issuer import Issuer
from app.errors import Unauthenticated
from app.settings.access_settings import AccessSettings

_NEEDED: Final = ["exp", "iss", "aud"]
_MOST_CHARACTERS: Final = 16_384
_MOST_NAME: Final = 100
_KEPT_S: Final = 60
_MOST_KEPT: Final = 1024


class Tokens:
    """Knows callers by their tokens.

    Parameters
    ----------
    rate : of each subject
    """

    def __init__(self, settings: AccessSettings, rate: Rate | None) -> None:
        self._settings = settings
        self._algorithms = settings.algorithms
        self._issuer = Issuer(settings.oidc_issuer)
        self._rate = rate
        self._kept: dict[bytes, tuple[int, Caller]] = {}  # until when, in seconds since 1970

    async def identify(self, token: str) -> Caller:
        """Return who holds a token.

        Raises
        ------
        Unauthenticated : with the fact `reason`: expired, token
        IssuerUnavailable
        """
        digest = hashlib.sha256(token.encode()).digest()
        until_s, caller = self._kept.get(digest, (0, None))
        if caller is None or time.time() >= until_s:
            claims = await self._check(token)
            caller = self._caller(claims)
            now_s = int(time.time())
            left_s = int(claims["exp"]) + int(self._settings.oidc_leeway_s) - now_s
            until_s = now_s + min(left_s, _KEPT_S)
            self._kept.pop(digest, None)
            if len(self._kept) >= _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[digest] = (until_s, caller)
        return caller

    async def _check(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that holds."""
        settings = self._settings
        try:
            if len(token) > _MOST_CHARACTERS:
                raise jwt.InvalidTokenError
            head = jwt.get_unverified_header(token)
            if head.get("alg") not in self._algorithms:  # before the issuer is asked for its key
                raise jwt.InvalidTokenError
            key = await self._issuer.key(head.get("kid"))
            if key is None:
                raise jwt.InvalidTokenError
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=self._algorithms,
                issuer=settings.oidc_issuer,
                audience=settings.oidc_audience,
                leeway=settings.oidc_leeway_s,
                options={"require": _NEEDED},
            )
        except jwt.ExpiredSignatureError:
            raise Unauthenticated(reason="expired") from None
        except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError):
            raise Unauthenticated(reason="token") from None
        return claims

    def _caller(self, claims: Mapping[str, Any]) -> Caller:
        name = claims.get(self._settings.oidc_name_claim) or claims.get("sub")
        if not isinstance(name, str) or not _can_be_written(name):
            raise Unauthenticated(reason="token")  # nobody who could be written down
        found: Any = claims
        for part in self._settings.oidc_scope_claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        words = found.split() if isinstance(found, str) else found
        given = set(filter(_is_text, words)) if isinstance(words, list) else set()
        prefix = self._settings.oidc_scope_prefix
        scopes = frozenset(scope for scope in SCOPES if prefix + scope in given)
        return Caller(name, scopes, f"sub:{claims.get('sub') or name}", self._rate)


def _can_be_written(name: str) -> bool:
    return bool(name.strip()) and name.isprintable() and len(name) <= _MOST_NAME


def _is_text(word: object) -> bool:
    return isinstance(word, str)
