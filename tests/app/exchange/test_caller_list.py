"""app.exchange.caller_list: whose request for an association is taken, and from where."""

import pytest

from app.exchange.caller_list import CallerList
from app.settings.exchange_settings import parse_callers


def callers(text: str) -> CallerList:
    return CallerList(parse_callers(text))


def test_nobody_named_is_anybody() -> None:
    assert not callers(" , ")
    assert callers("").allows("WHOEVER", "10.0.0.5")


def test_a_title_may_call_from_everywhere_or_from_its_addresses() -> None:
    named = callers("XRAY 1, PACS@10.0.0.5,PACS@2001:DB8::1")
    assert named.allows("XRAY 1", "192.0.2.1")
    assert named.allows("PACS", "10.0.0.5")
    assert named.allows("PACS", "2001:db8:0::1")
    assert not named.allows("PACS", "10.0.0.6")
    assert not named.allows("XRAY", "192.0.2.1")
    assert not named.allows("xray 1", "192.0.2.1")
    assert not named.allows("", "10.0.0.5")


def test_an_ipv4_address_is_known_on_a_socket_of_both_families() -> None:
    assert callers("PACS@10.0.0.5").allows("PACS", "::ffff:10.0.0.5")


def test_a_zone_is_no_part_of_an_address() -> None:
    assert callers("PACS@fe80::1").allows("PACS", "fe80::1%eth0")


@pytest.mark.parametrize(
    "text", ["A" * 17, "@10.0.0.5", "PACS@", "PACS@pacs.example", "PACS@10.0.0.0/24", "ÄÖ", "A\\B"]
)
def test_what_names_nobody_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"caller|address"):
        parse_callers(text)
