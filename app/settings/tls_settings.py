"""TLS: the service's certificate, and what it asks of its clients'."""

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings


class TlsSettings(BaseSettings):
    """How connections are encrypted."""

    tls_cert: str = Field(
        "",
        description="File with the service's certificate and its chain (PEM): HTTPS is served. "
        "Read anew when it changes; connections go on.",
    )
    tls_key: str = Field("", description="File with the certificate's key (PEM, no password).")
    tls_min_version: Literal["1.2", "1.3"] = Field("1.2", description="Oldest TLS that is spoken.")
    tls_client_ca: str = Field(
        "",
        description="File with the authorities (PEM) whose client certificates are taken: "
        "mutual TLS.",
    )
    tls_client_auth: Literal["required", "optional"] = Field(
        "required",
        description="required: no connection without a client certificate; optional: a key will "
        "do as well, and health needs neither.",
    )
    tls_client_scopes: str = Field(
        "",
        description="Scopes of who shows a client certificate and no key, as predict,metrics: "
        "its common name is the caller's name. Empty: a key is needed all the same.",
    )

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("NEUMO_TLS_CERT and NEUMO_TLS_KEY go together")
        if self.tls_client_ca and not self.tls_cert:
            raise ValueError("NEUMO_TLS_CLIENT_CA needs NEUMO_TLS_CERT and NEUMO_TLS_KEY")
        if self.tls_client_scopes and not self.tls_client_ca:
            raise ValueError("NEUMO_TLS_CLIENT_SCOPES needs NEUMO_TLS_CLIENT_CA")
        return self
