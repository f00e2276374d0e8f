"""app.render.hospital.result_uid: names that never change, or an archive would keep two."""

import uuid

from pydicom.uid import UID

from app.render.hospital.result_uid import result_uid, result_uuid

SHA256 = "ab" * 32


def test_a_uid_is_that_of_yesterday() -> None:
    assert result_uid("sr", "1.2.3", SHA256) == "2.25.1441978716258783817963813147442674797"


def test_it_is_a_valid_uid_of_a_name_based_uuid() -> None:
    uid = UID(result_uid("sr", "1.2.3", SHA256))
    assert uid.is_valid
    assert uuid.UUID(int=int(uid[5:])) == result_uuid("sr", "1.2.3", SHA256)
    assert result_uuid("sr", "1.2.3", SHA256).version == 5


def test_another_film_model_or_kind_has_another() -> None:
    uids = {
        result_uid(kind, image, model)
        for kind in ("sr", "sc")
        for image in ("1.2.3", "1.2.4")
        for model in (SHA256, "cd" * 32)
    }
    assert len(uids) == 8
