"""Who gets in: keys, tokens and client certificates in one place, and how often each may ask."""

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from app.access.caller import ANYONE, SCOPES, Caller, Rate, Scope, parse_scopes
from app.access.keyring import Keyring
from app.access.rates import RateTable
from app.errors import Forbidden, NobodyKnown, RateLimited, TokensUnusable, Unauthenticated
from app.settings.access_settings import is_loopback
from app.settings.settings import Settings

if TYPE_CHECKING:
    from app.access.tokens import Tokens

_log = logging.getLogger("neumo.access")

_UNKNOWN: Final = "unknown callers"
_UNKNOWN_RATE: Final = Rate(per_s=50.0, burst=200)
"""Failed attempts of everybody together, over which they get 429. Not by address: behind a proxy
all have the proxy's. Who shows what is valid is let in all the same."""
_LOG_EVERY_S: Final = 1.0
_TOKEN_DOTS: Final = 2
_STRANGER: Final = Caller("", frozenset(SCOPES) - {"admin"})
"""Who asks from elsewhere, where the operator wants no keys: a proxy may let many through."""


class Access:
    """Decides who may ask for what.

    Parameters
    ----------
    keyring, tokens : None where none are set; without both everybody is `anyone`
    anyone : who asks where nobody is asked who it is
    certified : what a client certificate alone lets one ask for
    rates : shared with the other workers
    rate : of a caller who has none of its own
    """

    def __init__(
        self,
        keyring: Keyring | None,
        tokens: "Tokens | None",
        rates: RateTable,
        *,
        rate: Rate | None = None,
        anyone: Caller = ANYONE,
        certified: frozenset[Scope] = frozenset(),
    ) -> None:
        self._keyring = keyring
        self._tokens = tokens
        self._rates = rates
        self._rate = rate
        self._anyone = anyone
        self._certified = certified
        self._logged_s = -float("inf")
        self._unlogged = 0
        self.open = keyring is None and tokens is None and not certified
        """Whether nobody is asked who it is."""

    @classmethod
    def of(cls, settings: Settings, rates: RateTable | None = None) -> Self:
        """Build it from settings.

        Raises
        ------
        AccessError : if keys can't be read, or the service would be open to other machines
        """
        rate = _rate_of(settings)
        keys_file = Path(settings.keys_file) if settings.keys_file else None
        secrets_file = Path(settings.api_key_file) if settings.api_key_file else None
        keyring = None
        if keys_file or secrets_file:
            keyring = Keyring(keys_file, secrets_file, rate)
            if not keyring:
                _log.warning("no key lets anybody in: make one with neumo keys create")
        tokens = _tokens_of(settings, rate) if settings.oidc_issuer else None
        certified = frozenset[Scope]()
        if settings.tls_client_scopes:
            certified = parse_scopes(settings.tls_client_scopes)
        exposed = not is_loopback(settings.host)
        access = cls(
            keyring,
            tokens,
            rates or RateTable(),
            rate=rate,
            anyone=_STRANGER if exposed else ANYONE,
            certified=certified,
        )
        if access.open and exposed and not settings.insecure_no_keys:
            raise NobodyKnown(host=settings.host)
        return access

    async def identify(self, secret: str | None, certificate_name: str | None = None) -> Caller:
        """Return who asks.

        Parameters
        ----------
        secret : the key or the token that was shown
        certificate_name : of the client certificate that the connection was made with

        Raises
        ------
        Unauthenticated, RateLimited
        """
        if self.open:
            return self._anyone
        try:
            if secret is None:
                if certificate_name is not None and self._certified:
                    account = f"certificate:{certificate_name}"
                    return Caller(certificate_name, self._certified, account, self._rate)
                raise Unauthenticated(reason="missing")
            if self._tokens is not None and _is_token(secret):
                return await self._tokens.identify(secret)
            if self._keyring is None:
                raise Unauthenticated(reason="unknown")
            return self._keyring.identify(secret)
        except Unauthenticated as error:
            self._tell(str(error.facts["reason"]))
            wait_s = self._rates.take(_UNKNOWN, _UNKNOWN_RATE)
            if wait_s:
                raise RateLimited(retry_after_s=wait_s) from error
            raise

    def check(self, caller: Caller, scope: Scope) -> None:
        """See whether a caller may ask for this, now.

        Raises
        ------
        Forbidden, RateLimited
        """
        if scope not in caller.scopes:
            raise Forbidden(scope=scope)
        if caller.rate is not None:
            wait_s = self._rates.take(caller.account, caller.rate)
            if wait_s:
                raise RateLimited(retry_after_s=wait_s)

    def _tell(self, reason: str) -> None:
        """Log a failed attempt, once a second and with how many there were."""
        self._unlogged += 1
        now_s = time.monotonic()
        if now_s - self._logged_s < _LOG_EVERY_S:
            return
        members = {"reason": reason, "attempts": self._unlogged}
        _log.warning("unauthenticated", extra={"members": members})
        self._logged_s, self._unlogged = now_s, 0


def _rate_of(settings: Settings) -> Rate | None:
    if not settings.rate_per_s:
        return None
    return Rate(settings.rate_per_s, settings.rate_burst or max(1, round(settings.rate_per_s)))


def _tokens_of(settings: Settings, rate: Rate | None) -> "Tokens":
    try:
        from app.access.tokens import Tokens  # noqa: PLC0415 - of an extra
    except ImportError:
        raise TokensUnusable(reason="install neumo[oidc]") from None
    return Tokens(settings, rate)


def _is_token(secret: str) -> bool:
    """Whether it is shaped like a JWT; a key has no dots."""
    return secret.count(".") == _TOKEN_DOTS
