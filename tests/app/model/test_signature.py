"""app.model.signature: who signed a bundle, and that nothing of it was changed since."""

import json
import stat
from pathlib import Path

import pytest

from app.errors import SignatureKeysUnusable, SignatureMissing, SignatureWrong
from app.model.bundle import read_bundle
from app.model.signature import (
    SIGNATURE_FILE,
    SignatureRule,
    check_signature,
    make_keys,
    read_public_keys,
    sign_bundle,
)
from tests.bundles import GRAPH, make_card, write_bundle

pytest.importorskip("cryptography", reason="the extra signatures is not installed")


class Signer:
    """A pair of keys in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.private, self.public = folder / "private.pem", folder / "public.pem"
        self.key_id = make_keys(self.private, self.public)

    @property
    def rule(self) -> SignatureRule:
        return SignatureRule(self.public, required=True)


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(tmp_path / "keys")


@pytest.fixture
def bundle(tmp_path: Path, signer: Signer) -> Path:
    """A signed bundle."""
    folder = write_bundle(tmp_path / "neumo-test-1")
    sign_bundle(folder, read_bundle(folder), signer.private)
    return folder


def check(folder: Path, rule: SignatureRule) -> str | None:
    return check_signature(folder, read_bundle(folder), rule)


def test_a_signed_bundle_names_its_key(bundle: Path, signer: Signer) -> None:
    assert check(bundle, signer.rule) == signer.key_id


def test_a_card_that_was_changed_is_refused(bundle: Path, signer: Signer) -> None:
    card = make_card(operating_points=None, distance_threshold=1e9)
    (bundle / "card.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(SignatureWrong, match="changed after it was signed"):
        check(bundle, signer.rule)


def test_card_and_graph_changed_together_are_refused(bundle: Path, signer: Signer) -> None:
    write_bundle(bundle, GRAPH + b"!")  # its own hashes hold
    with pytest.raises(SignatureWrong, match="changed after it was signed"):
        check(bundle, signer.rule)


def test_a_signature_of_another_bundle_is_refused(
    bundle: Path, signer: Signer, tmp_path: Path
) -> None:
    other = write_bundle(tmp_path / "neumo-test-2", b"another graph")
    (other / SIGNATURE_FILE).write_bytes((bundle / SIGNATURE_FILE).read_bytes())
    with pytest.raises(SignatureWrong):
        check(other, signer.rule)


def test_a_key_that_is_not_trusted_here_is_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(SignatureWrong, match="is not trusted here"):
        check(bundle, Signer(tmp_path / "others").rule)


def test_another_key_under_a_trusted_ones_name_is_refused(
    bundle: Path, signer: Signer, tmp_path: Path
) -> None:
    sign_bundle(bundle, read_bundle(bundle), Signer(tmp_path / "others").private)
    content = json.loads((bundle / SIGNATURE_FILE).read_text(encoding="utf-8"))
    content["key_id"] = signer.key_id
    (bundle / SIGNATURE_FILE).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(SignatureWrong):
        check(bundle, signer.rule)


def test_keys_are_changed_by_trusting_both_for_a_while(
    bundle: Path, signer: Signer, tmp_path: Path
) -> None:
    newer = Signer(tmp_path / "newer")
    both = tmp_path / "both.pem"
    both.write_bytes(newer.public.read_bytes() + signer.public.read_bytes())
    assert check(bundle, SignatureRule(both, required=True)) == signer.key_id
    sign_bundle(bundle, read_bundle(bundle), newer.private)
    assert check(bundle, SignatureRule(both, required=True)) == newer.key_id


def test_an_unsigned_bundle_is_refused_only_where_signatures_are_required(
    bundle: Path, signer: Signer
) -> None:
    (bundle / SIGNATURE_FILE).unlink()
    assert check(bundle, SignatureRule(signer.public)) is None
    with pytest.raises(SignatureMissing):
        check(bundle, signer.rule)


def test_a_wrong_signature_is_refused_also_where_none_is_required(
    bundle: Path, tmp_path: Path
) -> None:
    with pytest.raises(SignatureWrong):
        check(bundle, SignatureRule(Signer(tmp_path / "others").public))


@pytest.mark.parametrize("content", ["", "{}", '{"algorithm":"none"}', "[]"])
def test_a_malformed_signature_is_refused(bundle: Path, signer: Signer, content: str) -> None:
    (bundle / SIGNATURE_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(SignatureWrong, match="malformed"):
        check(bundle, signer.rule)


def test_without_keys_nothing_is_checked_and_nothing_can_be_required(bundle: Path) -> None:
    assert check(bundle, SignatureRule()) is None
    with pytest.raises(SignatureKeysUnusable):
        check(bundle, SignatureRule(None, required=True))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "can't be read"),
        ("", "holds no public key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "broken key"),
    ],
)
def test_a_file_without_keys_is_told(tmp_path: Path, content: str | None, reason: str) -> None:
    path = tmp_path / "keys.pem"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(SignatureKeysUnusable, match=reason):
        read_public_keys(path)


def test_the_private_key_is_its_owners_alone_and_never_overwritten(signer: Signer) -> None:
    assert stat.S_IMODE(signer.private.stat().st_mode) == 0o600
    before = signer.private.read_bytes()
    with pytest.raises(FileExistsError):
        make_keys(signer.private, signer.public)
    assert signer.private.read_bytes() == before


def test_a_public_key_signs_nothing(bundle: Path, signer: Signer) -> None:
    with pytest.raises(SignatureKeysUnusable):
        sign_bundle(bundle, read_bundle(bundle), signer.public)
