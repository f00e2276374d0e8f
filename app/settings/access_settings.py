"""Who gets in: keys, tokens, rates."""

import ipaddress
from typing import Final, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
"""With a public key: a secret that is shared with the issuer could sign tokens too."""
_LOOPBACK_NAME: Final = "localhost"


class AccessSettings(BaseSettings):
    """Who gets in."""

    keys_file: str = Field(
        "",
        description="File of API keys, as `neumo keys` writes it; read anew when it changes. "
        "With keys, every call but health, /docs and the page at / needs one.",
    )
    api_key_file: str = Field(
        "",
        description="File that holds a key itself, or several, one a line, as a container's secret "
        "is mounted (/run/secrets/...). They may do all but administer; read anew when it changes.",
    )
    insecure_no_keys: bool = Field(
        False,
        description="Serve other machines too without asking for a key, where a proxy in front "
        "asks who calls. Administration is then refused to all.",
    )
    rate_per_s: float = Field(
        0.0,
        ge=0,
        le=1e6,
        description="Requests a second that each key, token's subject or client certificate may "
        "send, over time, counted for all workers together; over it 429 rate_limited. 0: as many "
        "as it likes. A key's own rate wins.",
    )
    rate_burst: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Requests that may come at once; 0: as many as in a second.",
    )
    oidc_issuer: str = Field(
        "",
        description="Address of an OpenID Connect issuer, https://...: its signed tokens (JWT) are "
        "taken beside keys. Needs the extra oidc.",
    )
    oidc_audience: str = Field(
        "", description="What a token's `aud` has to name; needed with oidc_issuer."
    )
    oidc_scope_claim: str = Field(
        "scope",
        pattern=r"^[A-Za-z0-9_:/-]+(\.[A-Za-z0-9_:/-]+)*$",
        description="Claim with a token's scopes: words in a string, or a list; a dot leads "
        "further in, as in realm_access.roles.",
    )
    oidc_scope_prefix: str = Field(
        "",
        description="What stands before predict, feedback, metrics, admin in that claim, such as "
        "neumo: if it says neumo:predict.",
    )
    oidc_name_claim: str = Field(
        "sub", description="Claim under which a token's holder is written down."
    )
    oidc_algorithms: str = Field(
        "RS256,ES256", description="Signatures that are taken; only such with a public key exist."
    )
    oidc_leeway_s: float = Field(
        30.0, ge=0, le=300, description="Seconds that the issuer's clock and this one may differ."
    )

    @field_validator("oidc_issuer")
    @classmethod
    def _check_issuer(cls, issuer: str) -> str:
        if issuer and not is_trusted_address(issuer):
            raise ValueError("an issuer's address begins with https:// (http:// on this machine)")
        return issuer

    @field_validator("oidc_algorithms")
    @classmethod
    def _check_algorithms(cls, algorithms: str) -> str:
        known = get_args(Algorithm)
        if not algorithms or any(name not in known for name in _words(algorithms)):
            raise ValueError(f"algorithms are {', '.join(known)}")
        return algorithms

    @model_validator(mode="after")
    def _check_audience(self) -> Self:
        if self.oidc_issuer and not self.oidc_audience:
            raise ValueError("NEUMO_OIDC_ISSUER needs NEUMO_OIDC_AUDIENCE: whose tokens are meant")
        return self

    @property
    def algorithms(self) -> list[str]:
        """`oidc_algorithms`, one by one."""
        return _words(self.oidc_algorithms)


def is_trusted_address(address: str) -> bool:
    """Return whether nobody on the way can change what this address answers."""
    parts = urlsplit(address)
    secure = parts.scheme == "https" and bool(parts.hostname)
    return secure or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach what listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == _LOOPBACK_NAME


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
