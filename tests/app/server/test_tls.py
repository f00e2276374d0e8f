"""app.server.tls: the context of new connections, and what it is made of."""

import ssl
from pathlib import Path

import pytest

from app.errors import TlsUnusable
from app.server import tls as tls_module
from app.server.tls import Tls
from app.settings.settings import Settings
from tests.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_module, "_LOOK_EVERY_S", 0.0)


def settings_of(files: tuple[Path, Path], **more: str) -> Settings:
    return Settings(tls_cert=str(files[0]), tls_key=str(files[1]), **more)  # type: ignore[arg-type]


def shake_hands(
    server: ssl.SSLContext, client: ssl.SSLContext
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Make a connection in memory; raise what either side finds wrong."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    done: set[ssl.SSLObject] = set()
    for _ in range(10):
        for side in (theirs, ours):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                pass
    assert len(done) == 2
    return ours, theirs


def client_context(authority: Authority, files: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.ca))
    if files is not None:
        context.load_cert_chain(*files)
    return context


def common_name(side: ssl.SSLObject) -> str:
    certificate = side.getpeercert()
    assert certificate
    return dict(field for group in certificate["subject"] for field in group)["commonName"]  # type: ignore[misc]


def test_http_is_served_where_no_certificate_is_set() -> None:
    assert Tls.of(Settings()) is None


def test_a_client_sees_the_certificate(authority: Authority) -> None:
    tls = Tls(settings_of(authority.issue("neumo")))
    ours, theirs = shake_hands(tls.context, client_context(authority))
    assert (common_name(theirs), ours.version()) == ("neumo", "TLSv1.3")


def test_tls_1_2_is_spoken_with_forward_secrecy_only(authority: Authority) -> None:
    tls = Tls(settings_of(authority.issue("neumo")))
    client = client_context(authority)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    ours, _ = shake_hands(tls.context, client)
    assert ours.version() == "TLSv1.2"
    older = {
        cipher["name"] for cipher in tls.context.get_ciphers() if cipher["protocol"] != "TLSv1.3"
    }
    assert older
    assert all(
        name.startswith("ECDHE-") and ("GCM" in name or "CHACHA20" in name) for name in older
    )


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_older_ones_are_not_spoken(authority: Authority) -> None:
    tls = Tls(settings_of(authority.issue("neumo")))
    client = client_context(authority)
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        shake_hands(tls.context, client)


def test_a_least_version_can_be_set(authority: Authority) -> None:
    tls = Tls(settings_of(authority.issue("neumo"), tls_min_version="1.3"))
    client = client_context(authority)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        shake_hands(tls.context, client)


def test_a_client_certificate_may_be_required(authority: Authority) -> None:
    files = authority.issue("neumo")
    tls = Tls(settings_of(files, tls_client_ca=str(authority.ca)))
    ours, _ = shake_hands(tls.context, client_context(authority, authority.issue("modality-3")))
    assert common_name(ours) == "modality-3"
    assert tls.context.verify_mode is ssl.CERT_REQUIRED


def test_one_of_another_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    files = authority.issue("neumo")
    other = Authority(tmp_path, "Other CA")
    for auth in ("required", "optional"):
        tls = Tls(settings_of(files, tls_client_ca=str(authority.ca), tls_client_auth=auth))
        with pytest.raises(ssl.SSLError):
            shake_hands(tls.context, client_context(authority, other.issue("modality-3")))


def test_a_client_certificate_may_be_left_out_where_it_is_optional(authority: Authority) -> None:
    tls = Tls(
        settings_of(
            authority.issue("neumo"), tls_client_ca=str(authority.ca), tls_client_auth="optional"
        )
    )
    ours, _ = shake_hands(tls.context, client_context(authority))
    assert not ours.getpeercert()


def test_a_renewed_certificate_is_shown_to_new_connections(authority: Authority) -> None:
    tls = Tls(settings_of(authority.issue("first", "server")))
    before = tls.context
    tls.look()
    assert tls.context is before
    authority.issue("second", "server")
    tls.look()
    _, theirs = shake_hands(tls.context, client_context(authority))
    assert common_name(theirs) == "second"


def test_one_that_is_half_written_changes_nothing(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    cert, key = authority.issue("first", "server")
    tls = Tls(settings_of((cert, key)))
    other_cert, other_key = authority.issue("second")
    cert.write_bytes(other_cert.read_bytes())  # its key is still the first's
    tls.look()
    tls.look()
    _, theirs = shake_hands(tls.context, client_context(authority))
    assert common_name(theirs) == "first"
    (line,) = caplog.records
    assert "the old one stays" in line.getMessage()
    key.write_bytes(other_key.read_bytes())
    tls.look()
    _, theirs = shake_hands(tls.context, client_context(authority))
    assert common_name(theirs) == "second"


def test_a_client_authority_that_is_taken_away_is_trusted_no_more(
    authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "Other CA")
    trusted = tmp_path / "clients.pem"
    trusted.write_bytes(authority.ca.read_bytes() + other.ca.read_bytes())
    tls = Tls(settings_of(authority.issue("neumo"), tls_client_ca=str(trusted)))
    client = client_context(authority, other.issue("modality-3"))
    shake_hands(tls.context, client)
    trusted.write_bytes(authority.ca.read_bytes())
    tls.look()
    with pytest.raises(ssl.SSLError):
        shake_hands(tls.context, client)


def reason_of(settings: Settings) -> str:
    with pytest.raises(TlsUnusable) as caught:
        Tls(settings)
    assert caught.value.exit_code == 2
    return str(caught.value.facts["reason"])


def test_what_can_not_be_used_stops_the_start_with_a_reason(
    authority: Authority, tmp_path: Path
) -> None:
    cert, key = authority.issue("neumo")
    _, other = authority.issue("other")
    none, empty = tmp_path / "none", tmp_path / "empty"
    empty.touch()
    assert "no such file" in reason_of(settings_of((none, key)))
    assert "key values mismatch" in reason_of(settings_of((cert, other)))
    assert "can't be used" in reason_of(settings_of((empty, key)))
    assert "authorities" in reason_of(settings_of((cert, key), tls_client_ca=str(empty)))
    locked = authority.issue("locked", password="secret")  # noqa: S106 - of this test
    assert reason_of(settings_of(locked)) == "the key has a password"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tls_cert": "c"}, "NEUMO_TLS_KEY"),
        ({"tls_key": "k"}, "NEUMO_TLS_CERT"),
        ({"tls_client_ca": "ca"}, "NEUMO_TLS_CERT"),
        ({"tls_cert": "c", "tls_key": "k", "tls_client_scopes": "predict"}, "NEUMO_TLS_CLIENT_CA"),
    ],
)
def test_settings_that_go_together(settings: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Settings(**settings)  # type: ignore[arg-type]
