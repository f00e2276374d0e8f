"""app.reading.priors: shares read from a setting, and the arithmetic of another prevalence."""

import pytest

from app.model.labels import LabelId
from app.reading.priors import parse_priors, reweight

GIVEN = "normal=0.7,covid19=0.1,bacterial_pneumonia=0.1,viral_pneumonia=0.1"
EVEN: dict[LabelId, float] = {
    "normal": 0.25, "covid19": 0.25, "bacterial_pneumonia": 0.25, "viral_pneumonia": 0.25
}  # fmt: skip


def test_shares_are_read_by_label() -> None:
    assert parse_priors(GIVEN) == pytest.approx(
        {"normal": 0.7, "covid19": 0.1, "bacterial_pneumonia": 0.1, "viral_pneumonia": 0.1}
    )


def test_order_and_blanks_do_not_matter() -> None:
    turned = ", ".join(reversed(GIVEN.split(",")))
    assert parse_priors(turned) == parse_priors(GIVEN)


def test_what_is_rounded_is_scaled_to_one() -> None:
    text = "normal=0.333,covid19=0.333,bacterial_pneumonia=0.167,viral_pneumonia=0.166"
    assert sum(parse_priors(text).values()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("normal", "label=share"),
        (GIVEN.replace("0.7", "much"), "label=share"),
        (GIVEN.replace("0.7", "0"), "label=share"),
        (GIVEN.replace("0.7", "nan"), "label=share"),
        (GIVEN + ",normal=0.7", "label=share"),
        (GIVEN.replace("covid19", "flu"), "each of normal, covid19"),
        (GIVEN.partition(",")[2], "each of normal, covid19"),
        (GIVEN.replace("0.7", "0.5"), "sum to 0.8, not to 1"),
    ],
)
def test_what_is_wrong_is_said(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_priors(text)


def test_the_same_prevalence_changes_nothing() -> None:
    shares = parse_priors(GIVEN)
    assert reweight(shares, EVEN, EVEN) == pytest.approx(shares)


def test_odds_move_by_the_ratio_of_the_priors_odds() -> None:
    before: dict[LabelId, float] = {
        "normal": 0.2, "covid19": 0.6, "bacterial_pneumonia": 0.1, "viral_pneumonia": 0.1
    }  # fmt: skip
    after = reweight(before, EVEN, parse_priors(GIVEN))
    # 0.2 * 0.7 : 0.6 * 0.1 : 0.1 * 0.1 : 0.1 * 0.1, over their sum 0.22
    assert after == pytest.approx(
        {
            "normal": 14 / 22,
            "covid19": 6 / 22,
            "bacterial_pneumonia": 1 / 22,
            "viral_pneumonia": 1 / 22,
        }
    )
