"""Which other origins' pages may call the service from a browser."""

import re
from typing import Final

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

# As a browser writes it (RFC 6454 section 6.2): lower case, no default port, no path.
_ORIGIN: Final = re.compile(
    r"(?P<scheme>https?)://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>[1-9]\d{0,4}))?", re.ASCII
)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


class CorsSettings(BaseSettings):
    """Cross-origin calls: off, but for the origins named."""

    cors_origins: str = Field(
        "",
        description="Origins whose pages may call this service from a browser, as "
        "https://viewer.example.org,http://10.0.0.7:8080: exact ones, no pattern. From every other "
        "origin but the service's own a browser's POST is refused, 403 origin_not_allowed. Empty: "
        "none. Callers that are no browser are not concerned.",
    )

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, text: str) -> str:
        for origin in _split(text):
            match = _ORIGIN.fullmatch(origin)
            if match is None:
                raise ValueError(
                    "an origin is http://host, https://host or either with a :port, in lower case "
                    "and without a path; neither * nor null is one"
                )
            if match["port"] == _DEFAULT_PORTS[match["scheme"]]:
                raise ValueError("leave out an origin's port where it is the scheme's own")
        return text

    @property
    def allowed_origins(self) -> frozenset[str]:
        """`cors_origins`, each by itself."""
        return frozenset(_split(self.cors_origins))


def _split(text: str) -> list[str]:
    return [origin for origin in (part.strip() for part in text.split(",")) if origin]
