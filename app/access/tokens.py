"""JSON Web Tokens (RFC 7519) of an OpenID Connect issuer: who shows one, and what it may ask for.

PyJWT checks signature, times, issuer and audience. What is decided here: only signatures with a
public key, only those that the settings name, and by which claim a token names its scopes.
"""

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

    async def identify(self, token: str) -> Caller:
        """Return who holds a token.

        Raises
        ------
        Unauthenticated : with the fact `reason`: expired, token
        IssuerUnavailable
        """
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
            claims = jwt.decode(
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
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise Unauthenticated(reason="token") from None
        return self._caller(claims)

    def _caller(self, claims: Mapping[str, Any]) -> Caller:
        name = claims.get(self._settings.oidc_name_claim) or claims.get("sub")
        if not isinstance(name, str) or not name.isprintable() or len(name) > _MOST_NAME:
            raise Unauthenticated(reason="token")  # nobody who could be written down
        found: Any = claims
        for part in self._settings.oidc_scope_claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        words = found.split() if isinstance(found, str) else found
        given = set(filter(_is_text, words)) if isinstance(words, list) else set()
        prefix = self._settings.oidc_scope_prefix
        scopes = frozenset(scope for scope in SCOPES if prefix + scope in given)
        return Caller(name, scopes, f"sub:{claims.get('sub') or name}", self._rate)


def _is_text(word: object) -> bool:
    return isinstance(word, str)
