"""Who gets in, and how often."""

import math
from types import MappingProxyType
from typing import ClassVar

from app.errors.base_errors import NeumoError, RequestError
from app.language import Text


class Unauthenticated(RequestError):
    """Nobody who is known asks: no key, or none that lets anybody in."""

    status = 401
    code = "unauthenticated"
    title = Text("Not authenticated", "Sin autenticar")
    advice = Text(
        "This call needs a key. Send it as 'Authorization: Bearer KEY' or as 'X-API-Key: KEY'; the "
        "service's operator makes one with 'neumo keys create'.",
        "Esta petición necesita una clave. Envíela como 'Authorization: Bearer CLAVE' o como "
        "'X-API-Key: CLAVE'; quien opera el servicio la crea con 'neumo keys create'.",
    )
    reasons = MappingProxyType(
        {
            "unknown": Text(
                "The key is not one of this service's. Check that all of it was sent, and to the "
                "right service.",
                "La clave no es de este servicio. Compruebe que se envió completa y al servicio "
                "correcto.",
            ),
            "expired": Text(
                "The key has expired. Ask the service's operator for a new one.",
                "La clave ha caducado. Pida otra a quien opera el servicio.",
            ),
            "revoked": Text(
                "The key was revoked. Ask the service's operator for a new one.",
                "La clave fue revocada. Pida otra a quien opera el servicio.",
            ),
            "token": Text(
                "The token is not one that this service takes: its issuer, audience, signature or "
                "times are not as they should be. Ask the issuer for a new one.",
                "Este servicio no admite el token: su emisor, audiencia, firma o fechas no son "
                "los debidos. Pida otro al emisor.",
            ),
        }
    )

    def headers(self) -> dict[str, str]:
        """Say how to authenticate (RFC 6750, section 3)."""
        shown = self.facts.get("reason", "missing") != "missing"
        error = ', error="invalid_token"' if shown else ""
        return super().headers() | {"WWW-Authenticate": 'Bearer realm="neumo"' + error}


class Forbidden(RequestError):
    """Who asks is known, and may not ask for this."""

    status = 403
    code = "forbidden"
    title = Text("Not allowed", "No permitido")
    advice = Text(
        "This call needs the scope '{scope}', which the caller does not have. Ask the service's "
        "operator for a key with it.",
        "Esta petición necesita el permiso '{scope}', que quien llama no tiene. Pida a quien opera "
        "el servicio una clave que lo tenga.",
    )

    def headers(self) -> dict[str, str]:
        """Name the scope that is missing (RFC 6750, section 3)."""
        challenge = 'Bearer realm="neumo", error="insufficient_scope", scope="{scope}"'
        return super().headers() | {"WWW-Authenticate": challenge.format(**self.facts)}


class RateLimited(RequestError):
    """The caller asks more often than it may, or too many who are unknown ask."""

    status = 429
    code = "rate_limited"
    title = Text("Too many requests", "Demasiadas peticiones")
    advice = Text(
        "More requests came than this caller may send. Try again in {retry_after_s:g} s, or ask "
        "the service's operator for a higher rate.",
        "Se recibieron más peticiones de las que puede enviar quien llama. Inténtelo de nuevo en "
        "{retry_after_s:g} s o pida a quien opera el servicio un límite mayor.",
    )

    def headers(self) -> dict[str, str]:
        """Say when the next one is taken."""
        return {"Retry-After": str(math.ceil(float(self.facts["retry_after_s"])))}


class IssuerUnavailable(RequestError):
    """A token can't be checked: its issuer's keys were never had, and can't be had now."""

    status = 503
    code = "issuer_unavailable"
    retry_after_s = 5
    title = Text("Tokens can't be checked", "No se pueden comprobar los tokens")
    advice = Text(
        "The issuer of tokens does not answer, so this one can't be checked. Try again after the "
        "seconds in Retry-After, or use a key.",
        "El emisor de tokens no responde, así que este no se puede comprobar. Inténtelo de nuevo "
        "pasados los segundos indicados en Retry-After o use una clave.",
    )


class AccessError(NeumoError):
    """Who gets in can't be decided as it is set; the start stops with `exit_code`."""

    exit_code: ClassVar[int] = 2
    title = Text("It is not set who gets in", "No está definido quién puede entrar")


class NobodyKnown(AccessError):
    """The service would answer other machines, and asks nobody for a key."""

    code = "nobody_known"
    advice = Text(
        "{host} can be reached from other machines, and no keys are set: anybody could ask. Make a "
        "key with 'neumo keys create --file keys.json --name first --scopes predict,metrics' and "
        "start again with NEUMO_KEYS_FILE=keys.json (in a container: 'neumo keys create --bare' "
        "makes one for the secret that NEUMO_API_KEY_FILE names). Or listen on 127.0.0.1; or, "
        "where a proxy asks who calls, set NEUMO_INSECURE_NO_KEYS=true.",
        "Otras máquinas pueden llegar a {host} y no hay claves: cualquiera podría pedir. Cree una "
        "con 'neumo keys create --file keys.json --name first --scopes predict,metrics' y arranque "
        "de nuevo con NEUMO_KEYS_FILE=keys.json (en un contenedor: 'neumo keys create --bare' crea "
        "la del secreto que indica NEUMO_API_KEY_FILE). O escuche en 127.0.0.1; o, si un proxy ya "
        "comprueba quién llama, ponga NEUMO_INSECURE_NO_KEYS=true.",
    )


class KeysUnusable(AccessError):
    """A file of keys can't be used."""

    code = "keys_unusable"
    advice = Text(
        "The keys in {file} can't be used: {reason}. 'neumo keys create --file FILE' makes a file "
        "of keys for NEUMO_KEYS_FILE; 'neumo keys create --bare' prints one key, for the secret "
        "that NEUMO_API_KEY_FILE names.",
        "No se pueden usar las claves de {file}: {reason}. 'neumo keys create --file ARCHIVO' crea "
        "un archivo para NEUMO_KEYS_FILE; 'neumo keys create --bare' muestra una clave, para el "
        "secreto que indica NEUMO_API_KEY_FILE.",
    )


class TokensUnusable(AccessError):
    """Tokens of an issuer can't be taken as it is set."""

    code = "tokens_unusable"
    advice = Text(
        "Tokens can't be checked: {reason}. 'neumo settings' lists NEUMO_OIDC_*.",
        "No se pueden comprobar tokens: {reason}. 'neumo settings' enumera NEUMO_OIDC_*.",
    )


class TlsUnusable(AccessError):
    """The service's certificate, its key or the client authorities can't be used."""

    code = "tls_unusable"
    advice = Text(
        "TLS can't be served: {reason}. NEUMO_TLS_CERT is the certificate with its chain, "
        "NEUMO_TLS_KEY its key, both in PEM, the key without a password.",
        "No se puede servir TLS: {reason}. NEUMO_TLS_CERT es el certificado con su cadena y "
        "NEUMO_TLS_KEY su clave, ambos en PEM, la clave sin contraseña.",
    )


class DicomTlsUnusable(TlsUnusable):
    """The DICOM port's certificate, its key or the client authorities can't be used."""

    code = "dicom_tls_unusable"
    advice = Text(
        "TLS can't be spoken on the DICOM port: {reason}. NEUMO_DICOM_TLS_CERT_FILE is the "
        "certificate with its chain, NEUMO_DICOM_TLS_KEY_FILE its key, NEUMO_DICOM_TLS_CA_FILE "
        "the authorities of client certificates, all in PEM, the key without a password.",
        "No se puede usar TLS en el puerto DICOM: {reason}. NEUMO_DICOM_TLS_CERT_FILE es el "
        "certificado con su cadena, NEUMO_DICOM_TLS_KEY_FILE su clave y NEUMO_DICOM_TLS_CA_FILE "
        "las autoridades de los certificados de cliente, todo en PEM, la clave sin contraseña.",
    )


class DicomExposed(AccessError):
    """The DICOM port would be open to other machines, and too little is asked of them."""

    code = "dicom_exposed"
    advice = Text(
        "{host} can be reached from other machines, and the DICOM port would ask too little of "
        "them. Name who may send in NEUMO_DICOM_CALLERS, as ORTHANC or ORTHANC@10.0.0.5: without "
        "it anybody could. And since a title proves nothing, ask for client certificates by "
        "NEUMO_DICOM_TLS_CERT_FILE, NEUMO_DICOM_TLS_KEY_FILE and NEUMO_DICOM_TLS_CA_FILE; or, "
        "where a firewall says who reaches the port, set NEUMO_DICOM_INSECURE_NO_TLS=true. Or "
        "listen on 127.0.0.1.",
        "Otras máquinas pueden llegar a {host} y el puerto DICOM les pediría demasiado poco. "
        "Indique quién puede enviar en NEUMO_DICOM_CALLERS, como ORTHANC u ORTHANC@10.0.0.5: si "
        "no, podría cualquiera. Y como un título no prueba nada, pida certificados de cliente con "
        "NEUMO_DICOM_TLS_CERT_FILE, NEUMO_DICOM_TLS_KEY_FILE y NEUMO_DICOM_TLS_CA_FILE; o, si un "
        "cortafuegos decide quién llega al puerto, ponga NEUMO_DICOM_INSECURE_NO_TLS=true. O "
        "escuche en 127.0.0.1.",
    )
