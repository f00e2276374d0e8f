"""Signatures of bundles: Ed25519 (RFC 8032) over the hashes of card and graph.

``signature.json`` lies in the bundle's folder. The card names the hash of the float32 graph too,
so that graph is signed with it. Keys are PEM files: PKCS #8 the private one, SubjectPublicKeyInfo
the public ones, several in one file where keys are changed. Needs ``neumo[signatures]``.
"""

import base64
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import SignatureKeysUnusable, SignatureMissing, SignatureWrong
from app.model.bundle import Bundle

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SIGNATURE_FILE: Final = "signature.json"
_MESSAGE: Final = "neumo bundle signature 1\ncard {card}\ngraph {graph}\n"
_BLOCK: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)
_ID_CHARACTERS: Final = 16


class Signature(BaseModel):
    """What stands in ``signature.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    algorithm: Literal["ed25519"]
    key_id: str = Field(pattern=r"^[0-9a-f]{16}$")
    signature: str


@dataclass(frozen=True, slots=True)
class SignatureRule:
    """Whose signatures are asked for.

    Parameters
    ----------
    keys : file of public keys; None: signatures aren't looked at
    required : whether a bundle without one is refused
    """

    keys: Path | None = None
    required: bool = False


ANY_BUNDLE: Final = SignatureRule()
"""Takes a bundle whether it is signed or not."""


def check_signature(folder: Path, bundle: Bundle, rule: SignatureRule) -> str | None:
    """Return the id of the key that signed a bundle; None if it isn't signed and needn't be.

    Parameters
    ----------
    folder : where its signature lies
    bundle : the very bytes that will be loaded

    Raises
    ------
    SignatureMissing, SignatureWrong, SignatureKeysUnusable
    """
    if rule.keys is None:
        if rule.required:
            raise SignatureKeysUnusable(reason="NEUMO_SIGNATURE_KEYS is empty")
        return None
    keys = read_public_keys(rule.keys)
    name = folder.name
    try:
        content = (folder / SIGNATURE_FILE).read_bytes()
    except FileNotFoundError:
        if rule.required:
            raise SignatureMissing(bundle=name) from None
        return None
    except OSError:
        raise SignatureWrong(bundle=name, reason=f"{SIGNATURE_FILE} can't be read") from None
    try:
        signature = Signature.model_validate_json(content)
        signed = base64.b64decode(signature.signature, validate=True)
    except (ValidationError, ValueError):
        raise SignatureWrong(bundle=name, reason=f"{SIGNATURE_FILE} is malformed") from None
    key = keys.get(signature.key_id)
    if key is None:
        raise SignatureWrong(bundle=name, reason=f"key {signature.key_id} is not trusted here")
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - of an extra

    try:
        key.verify(signed, _message(bundle))
    except InvalidSignature:
        raise SignatureWrong(
            bundle=name, reason="card or graph were changed after it was signed"
        ) from None
    return signature.key_id


def read_public_keys(path: Path) -> Mapping[str, "Ed25519PublicKey"]:
    """Read a PEM file of public keys, by their ids.

    Raises
    ------
    SignatureKeysUnusable
    """
    serialization, ed25519 = _cryptography()
    try:
        blocks = _BLOCK.findall(path.read_bytes())
    except OSError:
        raise SignatureKeysUnusable(reason=f"'{path.name}' can't be read") from None
    keys: dict[str, Ed25519PublicKey] = {}
    for block in blocks:
        try:
            key = serialization.load_pem_public_key(block)
        except ValueError:
            raise SignatureKeysUnusable(reason=f"'{path.name}' holds a broken key") from None
        if not isinstance(key, ed25519.Ed25519PublicKey):
            raise SignatureKeysUnusable(reason=f"'{path.name}' holds a key that isn't Ed25519")
        keys[_key_id(key)] = key
    if not keys:
        raise SignatureKeysUnusable(reason=f"'{path.name}' holds no public key")
    return keys


def sign_bundle(folder: Path, bundle: Bundle, private_key: Path) -> Signature:
    """Write a bundle's ``signature.json``; return what it holds.

    Parameters
    ----------
    bundle : as `app.model.bundle.read_bundle` checked it
    private_key : PEM file, without a password

    Raises
    ------
    SignatureKeysUnusable
    OSError
        If the signature can't be written.
    """
    serialization, ed25519 = _cryptography()
    try:
        key = serialization.load_pem_private_key(private_key.read_bytes(), password=None)
    except OSError:
        raise SignatureKeysUnusable(reason=f"'{private_key.name}' can't be read") from None
    except (ValueError, TypeError):
        raise SignatureKeysUnusable(
            reason=f"'{private_key.name}' holds no private key without a password"
        ) from None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise SignatureKeysUnusable(reason=f"'{private_key.name}' holds no Ed25519 key")
    signature = Signature(
        algorithm="ed25519",
        key_id=_key_id(key.public_key()),
        signature=base64.b64encode(key.sign(_message(bundle))).decode(),
    )
    building = folder / f".{SIGNATURE_FILE}"
    building.write_text(signature.model_dump_json(indent=1) + "\n", encoding="utf-8")
    building.replace(folder / SIGNATURE_FILE)
    return signature


def make_keys(private_key: Path, public_key: Path) -> str:
    """Make a pair of keys in two new files, the private one for its owner alone; return its id.

    Raises
    ------
    SignatureKeysUnusable
        If the extra is missing.
    OSError
        `FileExistsError` too: no key is overwritten.
    """
    serialization, ed25519 = _cryptography()
    key = ed25519.Ed25519PrivateKey.generate()
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for path, content, mode in ((private_key, secret, 0o600), (public_key, public, 0o644)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(opened, "wb") as file:
            file.write(content)
    return _key_id(key.public_key())


def _message(bundle: Bundle) -> bytes:
    card, graph = (hashlib.sha256(each).hexdigest() for each in (bundle.card_json, bundle.graph))
    return _MESSAGE.format(card=card, graph=graph).encode()


def _key_id(key: "Ed25519PublicKey") -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:_ID_CHARACTERS]


def _cryptography() -> tuple[ModuleType, ModuleType]:
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError:
        raise SignatureKeysUnusable(
            reason="the extra is not installed (pip install 'neumo[signatures]')"
        ) from None
    return serialization, ed25519
