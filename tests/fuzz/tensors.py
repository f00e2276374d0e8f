"""Bodies of v2 inferences: JSON, and tensors behind it. They are read, or refused by a typed error.

An input is the header that says how long the JSON is, a line feed, and the body.
"""

import base64
import json
import random
import struct
from collections.abc import Iterator
from typing import Final

from app.errors import InferenceMalformed, InvalidParameter, TooManyFiles
from app.http.v2.infer_request import read_infer_request
from tests.fuzz.target import CANARY, Target, Wrong, damage_bytes, damaged

_MOST_FILES: Final = 4
_FILM: Final = b"\xff\xd8\xff" + CANARY
_BEHIND: Final = struct.pack("<I", len(_FILM)) + _FILM
_WORDS: Final = (b"[", b"{", b'"', b",", b"-1", b"1e999", b"NaN", b"\xff", b"null", b"[[[[", CANARY)


def _wholes() -> Iterator[bytes]:
    file = {"name": "file", "datatype": "BYTES", "shape": [1]}
    age = {"name": "age_years", "datatype": "BYTES", "shape": [1], "data": ["061Y"]}
    image = {"name": "image", "datatype": "UINT8", "shape": [1, 1, 224, 224], "data": [7] * 50176}
    encoded = file | {"data": [base64.b64encode(_FILM).decode()]}
    behind = file | {"parameters": {"binary_data_size": len(_BEHIND)}}
    asked = {"outputs": [{"name": "cam", "parameters": {"binary_data": True}}], "id": "7"}
    for inputs, rest in (([encoded, age], b""), ([image], b""), ([behind, age], _BEHIND)):
        head = json.dumps({"inputs": inputs, **asked}).encode()
        length = str(len(head)).encode() if rest else b""
        yield length + b"\n" + head + rest


class Inferences(Target):
    """The body of /v2/models/NAME/infer."""

    name = "inference"

    def inputs(self, first: int, count: int) -> Iterator[bytes]:
        """Give whole bodies that were damaged, mostly near their beginning."""

        def damage(whole: bytes, dice: random.Random) -> bytes:
            cut = dice.choice([20, 300, len(whole)])
            return damage_bytes(whole[:cut], dice, _WORDS) + whole[cut:]

        return damaged(list(_wholes()), first, count, damage)

    def run(self, data: bytes) -> str:
        """Read a body."""
        length, _, body = data.partition(b"\n")
        try:
            said = length.decode("latin-1") if length else None
            request = read_infer_request(body, said, _MOST_FILES)
        except (InferenceMalformed, InvalidParameter, TooManyFiles) as error:
            if CANARY.decode() in str(error) or CANARY.decode() in str(error.facts):
                raise Wrong("it quotes") from error
            return error.code
        if not 1 <= len(request.files) == len(request.subjects) <= _MOST_FILES:
            raise Wrong("files and subjects don't match")
        if not request.outputs:
            raise Wrong("nothing is answered")
        return "read"
