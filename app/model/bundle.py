"""The model bundle: the one contract between `training`, which writes it, and `app`.

A bundle is a folder ``models/<name>/`` with ``model.onnx``, ``card.json`` and ``README.md``, and
perhaps ``model.fp32.onnx``.
`read_bundle` reads the graph once, hashes those bytes and hands on those bytes, so what was
checked is what is loaded.
"""

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from app.errors import BundleHashMismatch, BundleMalformed, BundleMissing
from app.model.card import Card

# In ONNX's protobuf a tensor stored outside the file carries the key "location"
# (StringStringEntryProto.key, field 1, 8 bytes long, then field 2). onnx.proto, external_data.
FP32_FILE: Final = "model.fp32.onnx"
_EXTERNAL_DATA_MARK: Final = b"\n\x08location\x12"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle in memory: its card, and the very bytes that were hashed.

    `signed_by` is the id of the key whose signature was checked; None where none was.
    """

    card: Card
    card_json: bytes
    graph: bytes
    signed_by: str | None = None


def read_bundle(path: Path) -> Bundle:
    """Read and check the bundle in the folder `path`; its graph is the int8 one.

    Raises
    ------
    BundleMissing, BundleMalformed, BundleHashMismatch
    """
    card_json = _read(path, "card.json")
    graph = _read(path, "model.onnx")
    card = _parse_card(card_json, path)
    _check_graph(graph, card, path)
    return Bundle(card, card_json, graph)


def read_card(path: Path) -> Card:
    """Read the card alone of the bundle in the folder `path`: what it says, unchecked.

    Raises
    ------
    BundleMissing, BundleMalformed
    """
    return _parse_card(_read(path, "card.json"), path)


def read_fp32(path: Path, int8: Bundle) -> Bundle | None:
    """Read and check the float32 graph beside; None if the card or the folder has none.

    The card handed on tells of that graph: its hash, its known answers.

    Raises
    ------
    BundleMalformed, BundleHashMismatch
    """
    card = int8.card.of_fp32()
    if card is None or not (path / FP32_FILE).is_file():
        return None
    graph = _read(path, FP32_FILE)
    _check_graph(graph, card, path, FP32_FILE)
    return Bundle(card, int8.card_json, graph, int8.signed_by)


def _parse_card(card_json: bytes, path: Path) -> Card:
    try:
        return Card.model_validate_json(card_json)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "card.json"
        raise BundleMalformed(bundle=path.name, reason=f"{where}: {first['msg']}") from None


def _check_graph(graph: bytes, card: Card, path: Path, file: str = "model.onnx") -> None:
    if hashlib.sha256(graph).hexdigest() != card.sha256:
        raise BundleHashMismatch(bundle=path.name, file=file)
    if _EXTERNAL_DATA_MARK in graph:
        raise BundleMalformed(bundle=path.name, reason=f"{file} keeps data outside the file")


def find_bundle(model: str) -> Path:
    """Turn a bundle's name, or the path of its folder, into that path.

    A name is looked up where Neumo keeps its own bundles: inside the installed package,
    or in ``models/`` of a checkout. A path wins over a name.
    """
    given = Path(model)
    if given.is_dir() or len(given.parts) != 1:
        return given
    installed = Path(str(resources.files("app"))) / "models" / model
    return installed if installed.is_dir() else installed.parents[2] / "models" / model


def _read(path: Path, file: str) -> bytes:
    try:
        return (path / file).read_bytes()
    except OSError:
        raise BundleMissing(bundle=path.name, file=file) from None
