"""app.cli.checks.certificate: how long a certificate is good."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.cli.checks.certificate import check_certificate

NOW = datetime.now(UTC)


def make_certificate(folder: Path, begins_days: int, ends_days: int) -> tuple[str, str]:
    """Write a certificate that is good so many days from now, and its key; return their paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "neumo.example")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=begins_days))
        .not_valid_after(NOW + timedelta(days=ends_days, hours=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(folder / "cert.pem"), str(folder / "key.pem")


@pytest.mark.parametrize(
    ("begins_days", "ends_days", "level", "told"),
    [
        (-1, 90, "ok", "good for 90 days"),
        (-1, 20, "warn", "good for 20 days"),
        (-90, -1, "fail", "it has expired"),
        (1, 90, "fail", "it is not good yet"),
    ],
)
def test_the_days_that_are_left_are_told(
    tmp_path: Path, begins_days: int, ends_days: int, level: str, told: str
) -> None:
    found = check_certificate(*make_certificate(tmp_path, begins_days, ends_days))
    assert found.level == level
    assert found.text.startswith(told)
    assert bool(found.advice) == (level != "ok")


def test_the_day_is_the_certificates(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path, -1, 90)
    with Path(cert).open("rb") as file:
        ends = x509.load_pem_x509_certificate(file.read()).not_valid_after_utc
    assert check_certificate(cert, key).text.endswith(f"until {ends.date()}")
    assert check_certificate(cert, key, ends - timedelta(days=3)).level == "warn"
