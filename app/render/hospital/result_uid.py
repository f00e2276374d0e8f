"""The UIDs of results: the same film read by the same model gives the same ones.

So an archive that is sent a result twice keeps one; a new model's result is another object.
"""

import uuid
from typing import Final

_NAMESPACE: Final = uuid.UUID("b07a4d9c-2f0e-5a31-9a77-0d6a54d6f0c1")


def result_uuid(kind: str, image_uid: str, model_sha256: str) -> uuid.UUID:
    """Return the name-based UUID (RFC 9562 section 5.5) of one kind of result.

    Parameters
    ----------
    kind : what of the result it names
    image_uid : SOP Instance UID of the film; empty for what is of the model alone
    """
    return uuid.uuid5(_NAMESPACE, f"{image_uid}|{model_sha256}|{kind}")


def result_uid(kind: str, image_uid: str, model_sha256: str) -> str:
    """Return it as a UID (PS3.5 section B.2): ``2.25.`` and its decimal value."""
    return f"2.25.{result_uuid(kind, image_uid, model_sha256).int}"
