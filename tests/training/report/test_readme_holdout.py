"""training.report.readme_holdout: what a card says of hospitals never seen, and of `ok`."""

from pathlib import Path

import numpy as np
from PIL import Image

from app.model.card import Card, Certainty
from app.model.labels import LABEL_IDS
from app.model.measured.figures import HeldOut, Interval, TradeOff
from tests.bundles import make_card
from training.report.audit_plots import draw_trade_off
from training.report.plot_style import COLOURS, save_figure
from training.report.readme import render_readme
from training.report.readme_holdout import describe_certainty

RATE = Interval(value=0.125, low=0.0625, high=0.25)
CERTAINTY = Certainty(
    floors=dict(zip(LABEL_IDS, (0.5, 0.875, 0.75, 1.0), strict=True)),
    margin=0.2,
    chosen_on="held_out_sources",
    risk=0.05,
    answered=Interval(value=0.625, low=0.5, high=0.75),
    wrong=Interval(value=0.03125, low=0.015625, high=0.04),
    basis=dict(
        zip(LABEL_IDS, ("bound", "bound", "no_error_seen", "never"), strict=True)  # type: ignore[arg-type]
    ),
    wrong_by_label={"normal": RATE},
)
SHENZHEN = HeldOut(
    without=["shenzhen"],
    untaught=["viral_pneumonia"],
    images={"normal": 40, "viral_pneumonia": 3},
    patients=43,
    called_covid19={"normal": RATE, "viral_pneumonia": Interval(value=1, low=0.3, high=1)},
    sure_covid19={"normal": Interval(value=0, low=0, high=0.0881)},
    auroc={"COVID-19 of hannover (seen)": Interval(value=0.875, low=0.75, high=0.9375)},
    nll=0.5,
    ece=None,
    refused=RATE,
)
TRADE_OFF = [
    TradeOff(floor=0.9, answered=0.4, wrong=0.01),
    TradeOff(floor=0.5, answered=0.9, wrong=0.2),
]


def render(**changes: object) -> str:
    return render_readme(Card.model_validate(make_card(**changes)))


def test_each_held_out_source_and_kind_has_a_row_and_each_pair_its_own() -> None:
    page = render(holdout={"shenzhen": SHENZHEN}, trade_off=TRADE_OFF, certainty=CERTAINTY)
    assert "## Hospitals never seen" in page
    assert (
        "| shenzhen | normal | 40 | 0.125 (0.062 to 0.250) | 0.000 (0.000 to 0.088) |  |  |" in page
    )
    assert "| shenzhen | viral_pneumonia (never taught) | 3 | 1.000 (0.300 to 1.000) |" in page
    assert "| shenzhen | 43 | 0.500 |  | 0.125 (0.062 to 0.250) |  |" in page
    pair = "| shenzhen | COVID-19 of hannover (seen) | 0.875 (0.750 to 0.938) |"
    assert pair in page
    assert "![trade-off](trade-off.png)" in page


def test_what_ok_asks_for_is_said_with_how_far_it_is_proven() -> None:
    points = dict.fromkeys(LABEL_IDS, 0.25)
    card = make_card()
    metrics = dict(card["metrics"])  # type: ignore[call-overload]
    answered = {"answered": RATE, "accuracy_answered": RATE, "aurc": 0.1}
    metrics = {"test": metrics["test"] | answered}
    page = render(certainty=CERTAINTY, operating_points=points, metrics=metrics)
    assert "is ahead of the next by 0.2" in page
    assert "at most 5% of a label's `ok` answers are wrong" in page
    assert "0.625 (0.500 to 0.750) of the images are answered `ok`" in page
    assert "| normal | 0.500 | a 95 % upper bound | 0.125 (0.062 to 0.250) |" in page
    assert "| bacterial_pneumonia | 0.750 | no bound, but no error above the floor |  |" in page
    assert "| viral_pneumonia | 1.000 | nothing: never `ok` |  |" in page
    assert "the only one that reaches" not in page
    assert "fitted on answers for sources that networks of this recipe were trained without" in page


def with_settings(**settings: object) -> str:
    card = make_card(holdout={"shenzhen": SHENZHEN}, certainty=CERTAINTY)
    training = dict(card["training"]) | {"settings": settings}  # type: ignore[call-overload]
    return "\n".join(describe_certainty(Card.model_validate(card | {"training": training})))


def test_what_counts_alike_is_what_the_settings_say() -> None:
    assert "(each source and kind counts alike; Learn then Test" in with_settings()
    assert "(each image counts alike; Learn then Test" in with_settings(weigh="images")


def test_it_is_said_whose_answers_the_rule_counts_that_were_not_held_out() -> None:
    page = with_settings()
    own = "of covid19 and bacterial_pneumonia and viral_pneumonia validation's patients"
    assert f"Not all of these are films of a source held out. Counted are: {own}" in page
    assert "many hospitals" not in page
    page = with_settings(collections=["shenzhen"], weak_sets=["shenzhen", "elsewhere"])
    assert "of normal and covid19 and bacterial_pneumonia and viral_pneumonia valid" in page
    assert "of shenzhen validation's patients too: it is many hospitals' films" in page
    assert "of shenzhen's sets of labels, which nobody read a film for" in page
    by_validation = CERTAINTY.model_copy(update={"chosen_on": "validation"})
    card = Card.model_validate(make_card(certainty=by_validation))
    assert "Counted are" not in "\n".join(describe_certainty(card))


def test_a_card_without_a_hold_out_says_nothing_of_one() -> None:
    page = render()
    assert "Hospitals never seen" not in page
    assert "ahead of the next" not in page


def test_the_trade_off_is_drawn_with_what_was_chosen(tmp_path: Path) -> None:
    pictures = []
    for certainty in (CERTAINTY, CERTAINTY.model_copy(update={"answered": RATE})):
        save_figure(draw_trade_off(TRADE_OFF, certainty, 40), tmp_path / "plot.png")
        with Image.open(tmp_path / "plot.png") as plot:
            pictures.append(np.asarray(plot.convert("RGB")).astype(int))
    first, second = pictures
    assert first.shape == second.shape
    red = list(bytes.fromhex(COLOURS[1].removeprefix("#")))
    orange = [np.argwhere(np.abs(each - red).sum(2) < 40) for each in pictures]
    # The point chosen moves left, from 62 % answered to 12 %; the legend's stays.
    assert orange[1][:, 1].max() < orange[0][:, 1].max() - 50
