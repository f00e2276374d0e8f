"""Real certificates for tests, of an authority of their own."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


class Authority:
    """Signs certificates; its own lies in `ca`.

    Parameters
    ----------
    folder : where files are written
    """

    def __init__(self, folder: Path, name: str = "Test CA") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.ca = folder / f"{name.replace(' ', '-')}.pem"
        builder = (
            _builder(self._name, self._name, self._key, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_SIGNS, critical=True)
        )
        signed = builder.sign(self._key, hashes.SHA256())
        self.ca.write_bytes(signed.public_bytes(Encoding.PEM))

    def issue(
        self, name: str, file: str | None = None, password: str | None = None
    ) -> tuple[Path, Path]:
        """Write a certificate for `name` and this machine's addresses, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = _builder(subject, self._name, key, self._key).add_extension(
            x509.SubjectAlternativeName(names), critical=False
        )
        signed = builder.sign(self._key, hashes.SHA256())
        cert_path = self._folder / f"{file or name}.pem"
        key_path = self._folder / f"{file or name}.key"
        coding: KeySerializationEncryption = NoEncryption()
        if password is not None:
            coding = BestAvailableEncryption(password.encode())
        key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, coding))
        cert_path.write_bytes(signed.public_bytes(Encoding.PEM))
        return cert_path, key_path


_SIGNS = x509.KeyUsage(
    key_cert_sign=True, crl_sign=True, digital_signature=False, content_commitment=False,
    key_encipherment=False, data_encipherment=False, key_agreement=False,
    encipher_only=False, decipher_only=False,
)  # fmt: skip


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signing: ec.EllipticCurvePrivateKey,
) -> x509.CertificateBuilder:
    """Begin a certificate as RFC 5280 wants it: from 3.13 on Python takes no other."""
    now = datetime.now(UTC)
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(own, critical=False)
        .add_extension(signer, critical=False)
    )
