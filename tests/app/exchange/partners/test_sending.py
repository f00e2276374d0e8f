"""What statuses mean for a delivery."""

import pytest

from app.exchange.partners.sending import Verdict, judge_status


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (0x0000, Verdict.DELIVERED),
        (0x0111, Verdict.DELIVERED),  # duplicate SOP instance
        (0xB000, Verdict.DELIVERED),  # coercion of elements
        (0xB006, Verdict.DELIVERED),
        (0xB007, Verdict.DELIVERED),
        (0xA700, Verdict.AWAY),  # out of resources
        (0xA7FF, Verdict.AWAY),
        (0x0124, Verdict.AWAY),  # not authorized
        (0x0110, Verdict.AGAIN),  # processing failure
        (0x0001, Verdict.AGAIN),
        (0xFE00, Verdict.AGAIN),
        (0xA900, Verdict.NEVER),  # data set does not match SOP class
        (0xC000, Verdict.NEVER),  # cannot understand
        (0xCFFF, Verdict.NEVER),
        (0x0122, Verdict.NEVER),  # SOP class not supported
        (0x0117, Verdict.NEVER),  # invalid SOP instance
    ],
)
def test_a_status_says_what_is_done(status: int, verdict: Verdict) -> None:
    sent = judge_status(status)
    assert sent.verdict is verdict
    assert sent.code == ("" if verdict is Verdict.DELIVERED else f"status_0x{status:04X}")
