"""app.access.key: what a key looks like, and what is kept of it."""

import hashlib
import re
from datetime import UTC, datetime

from app.access.caller import Rate
from app.access.key import Key, digest_of, id_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCOPES = frozenset(("predict",))


def test_a_key_can_be_told_by_its_prefix_and_holds_its_id() -> None:
    key, secret = Key.create("pacs", SCOPES, NOW)
    assert re.fullmatch(r"neumo_[0-9a-z]{8}_[0-9A-Za-z]{49}", secret)
    assert secret.split("_")[1] == key.id == id_of(secret)


def test_no_two_keys_are_alike() -> None:
    secrets = {Key.create("pacs", SCOPES, NOW)[1] for _ in range(1000)}
    assert len({secret.split("_")[2] for secret in secrets}) == 1000


def test_the_secret_has_256_bits() -> None:
    """Each of the 43 digits takes many values: 62^43 is over 2^256, so the first takes fewer."""
    secrets = [Key.create("pacs", SCOPES, NOW)[1].split("_")[2][:43] for _ in range(2000)]
    for place in range(1, 43):
        assert len({secret[place] for secret in secrets}) == 62


def test_a_mistyped_key_is_told_without_a_look_up() -> None:
    _, secret = Key.create("pacs", SCOPES, NOW)
    for place in range(len(secret)):
        other = "a" if secret[place] != "a" else "b"
        assert id_of(secret[:place] + other + secret[place + 1 :]) is None
    assert id_of(secret[:-1]) is None
    assert id_of("") is None


def test_what_is_kept_is_the_sha256_and_not_the_key() -> None:
    key, secret = Key.create("pacs", SCOPES, NOW)
    assert key.digest == hashlib.sha256(secret.encode()).digest()
    assert secret.split("_")[2] not in repr(key)


def test_only_its_own_digest_matches() -> None:
    key, secret = Key.create("pacs", SCOPES, NOW)
    assert key.matches(digest_of(secret))
    assert not key.matches(digest_of(secret + "x"))


def test_its_holder_has_its_name_scopes_and_rate() -> None:
    key, _ = Key.create("pacs", SCOPES, NOW, rate=Rate(5, 9))
    caller = key.caller(Rate(1, 1))
    assert (caller.name, caller.scopes, caller.account) == ("pacs", SCOPES, key.id)
    assert caller.rate == Rate(5, 9)


def test_without_a_rate_of_its_own_it_has_the_settings() -> None:
    key, _ = Key.create("pacs", SCOPES, NOW)
    assert key.caller(Rate(1, 2)).rate == Rate(1, 2)
    assert key.caller(None).rate is None
