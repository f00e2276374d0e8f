"""training.export.certainty: floors by hand, and by simulation how often they promise too much."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from app.model.labels import LABEL_IDS
from training.export.certainty import FLOORS, choose_certainty, trace_trade_off
from training.export.evidence import Evidence, Limits, find_wrong
from training.metrics.doubt import find_answered

NORMAL, COVID, BACTERIAL, VIRAL = range(4)


def make_evidence(
    *parts: tuple[int, int, float, tuple[int, ...]],
    patients: list[str] | None = None,
    adult: bool = True,
) -> Evidence:
    """Make `count` images called `called` with `probability`, whose labels are `labels`, a part."""
    rows, targets, sources = [], [], []
    for count, called, probability, labels in parts:
        row = np.full(4, (1 - probability) / 3)
        row[called] = probability
        target = np.isin(range(4), labels)
        rows += [row] * count
        targets += [target] * count
        sources += ["s"] * count
    names = patients or [str(number) for number in range(len(rows))]
    return Evidence(
        np.array(rows, np.float32), np.array(targets), sources, names, np.full(len(rows), adult)
    )


# ---------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("called", "labels", "wrong"),
    [
        (COVID, (COVID,), False),
        (COVID, (NORMAL,), True),
        (VIRAL, (BACTERIAL, VIRAL), False),
        (COVID, (BACTERIAL, VIRAL), True),
        (NORMAL, (), False),  # none of the three others: so it is
        (BACTERIAL, (), True),
    ],
)
def test_a_call_within_the_set_is_right_and_normal_is_right_of_other_findings(
    called: int, labels: tuple[int, ...], wrong: bool
) -> None:
    targets = np.isin(range(4), labels)[np.newaxis]
    assert find_wrong(np.array([called]), targets).tolist() == [wrong]


def test_healthy_and_other_pneumonia_are_adults_of_those_labels() -> None:
    kinds = [(NORMAL,), (COVID,), (BACTERIAL, VIRAL), (VIRAL,), (), (NORMAL, VIRAL)]
    evidence = make_evidence(*((1, NORMAL, 0.9, kind) for kind in kinds))
    assert evidence.healthy.tolist() == [True, False, False, False, False, False]
    assert evidence.other_pneumonia.tolist() == [False, False, True, True, False, False]
    children = make_evidence(*((1, NORMAL, 0.9, kind) for kind in kinds), adult=False)
    assert not children.healthy.any()
    assert not children.other_pneumonia.any()


# ---------------------------------------------------------------- floors


def test_the_laxest_floor_that_is_proven_is_taken() -> None:
    # Right down to 0.85; from 0.75 on a third is wrong. 400 of one kind, all of one weight.
    evidence = make_evidence(
        (300, NORMAL, 0.95, (NORMAL,)),
        (100, NORMAL, 0.85, (NORMAL,)),
        (100, NORMAL, 0.75, (NORMAL,)),
        (50, NORMAL, 0.755, (COVID,)),
    )
    certainty = choose_certainty(evidence, None, "validation")
    # 0.75 has the first wrong ones: 0.76 is the last floor above them.
    assert certainty.floors["normal"] == pytest.approx(0.76)
    assert certainty.basis["normal"] == "bound"
    assert certainty.wrong.value == 0
    assert certainty.chosen_on == "validation"


def test_so_many_wrong_as_the_bound_lets_pass_are_let_pass() -> None:
    # All in one group: weights are even. 3 of 400 wrong: bounded at 1.9 %, under 5 %.
    few = [(397, NORMAL, 0.9, (NORMAL,))]
    passing = make_evidence(*few, (3, NORMAL, 0.9, (NORMAL, COVID)))
    wrong = np.arange(400) >= 397
    mixed = Evidence(
        passing.probabilities,
        np.where(wrong[:, None], np.isin(range(4), COVID), np.isin(range(4), NORMAL)),
        ["s"] * 400,
        passing.patients,
        passing.adult,
    )
    # Groups count alike, so the three count as a group of 3 in 50: weight 3/50 against 1.
    certainty = choose_certainty(mixed, None, "validation")
    share = (3 / 50) / (1 + 3 / 50)
    assert certainty.floors["normal"] == 1  # 5.7 %: too many
    strict = choose_certainty(mixed, None, "validation", Limits(risk=0.12))
    assert strict.wrong.value == pytest.approx(share)
    assert strict.basis["normal"] == "bound"


@pytest.mark.parametrize(("count", "basis"), [(58, "no_error_seen"), (59, "bound")])
def test_fewer_than_59_right_ones_prove_nothing(count: int, basis: str) -> None:
    evidence = make_evidence((count, VIRAL, 0.95, (VIRAL,)))
    assert choose_certainty(evidence, None, "validation").basis["viral_pneumonia"] == basis


@pytest.mark.parametrize(
    ("count", "floor", "basis"), [(20, 0.875, "no_error_seen"), (19, 1, "never")]
)
def test_without_a_proof_a_floor_lies_above_every_error_if_enough_do(
    count: int, floor: float, basis: str
) -> None:
    evidence = make_evidence(
        (count, COVID, 0.95, (COVID,)),
        (5, COVID, 0.875, (COVID, VIRAL)),
        (1, COVID, 0.875, (NORMAL,)),
    )
    certainty = choose_certainty(evidence, None, "validation")
    assert certainty.basis["covid19"] == basis
    assert certainty.floors["covid19"] == pytest.approx(floor, abs=2e-6)
    assert certainty.floors["covid19"] > 0.875


def test_a_label_that_is_never_called_is_never_ok() -> None:
    evidence = make_evidence((200, NORMAL, 0.95, (NORMAL,)))
    certainty = choose_certainty(evidence, None, "validation")
    assert certainty.floors["covid19"] == 1
    assert certainty.basis["covid19"] == "never"


def test_images_of_one_patient_count_as_one() -> None:
    one = ["p"] * 200
    evidence = make_evidence((200, NORMAL, 0.95, (NORMAL,)), patients=one)
    assert choose_certainty(evidence, None, "validation").basis["normal"] == "never"


def test_what_does_not_lead_by_the_margin_is_not_counted() -> None:
    values = np.array([0.48, 0.46, 0.03, 0.03], np.float32)
    close = make_evidence((300, NORMAL, 0.9, (NORMAL,)), (300, NORMAL, 0.5, (NORMAL,)))
    probabilities = close.probabilities.copy()
    probabilities[300:] = values  # 0.02 ahead: under every margin
    evidence = Evidence(probabilities, close.targets, close.sources, close.patients, close.adult)
    certainty = choose_certainty(evidence, None, "validation")
    assert certainty.margin >= 0.1
    assert certainty.answered.value == pytest.approx(0.5)


def test_operating_points_hold_beside_floors() -> None:
    evidence = make_evidence((300, NORMAL, 0.9, (NORMAL,)), (100, NORMAL, 0.7, (NORMAL,)))
    points = dict.fromkeys(LABEL_IDS, 0.8)
    certainty = choose_certainty(evidence, points, "validation")
    assert certainty.answered.value == pytest.approx(0.75)


# ---------------------------------------------------------------- healthy adults, other pneumonia


@pytest.mark.parametrize(("limit", "floor"), [(0.5, 0.26), (0.01, 0.87)])
def test_healthy_adults_called_covid19_raise_its_floor(limit: float, floor: float) -> None:
    # 1 in 25 of the answers at 0.865 is a healthy adult's; of those, a third is called so.
    evidence = make_evidence(
        (2000, COVID, 0.95, (COVID,)),
        (100, COVID, 0.865, (NORMAL,)),
        (200, NORMAL, 0.95, (NORMAL,)),
    )
    limits = Limits(risk=0.3, healthy=limit, pneumonia=1)
    # Groups count alike: 100 of 300 normals are 1/3 of a half of the weight, 1/4 of the answers.
    certainty = choose_certainty(evidence, None, "validation", limits)
    assert certainty.floors["covid19"] == pytest.approx(floor)


def test_other_pneumonia_called_covid19_raises_its_floor() -> None:
    evidence = make_evidence(
        (2000, COVID, 0.95, (COVID,)),
        (40, COVID, 0.865, (BACTERIAL, VIRAL)),
        (160, VIRAL, 0.95, (BACTERIAL, VIRAL)),
    )
    lax, strict = (
        choose_certainty(evidence, None, "validation", Limits(risk=0.3, pneumonia=limit))
        for limit in (0.3, 0.12)
    )
    assert lax.floors["covid19"] == pytest.approx(0.26)
    assert strict.floors["covid19"] == pytest.approx(0.87)


# ---------------------------------------------------------------- what it promises


def draw(generator: np.random.Generator, count: int) -> Evidence:
    """Draw answers that are a little too sure: 2 % of the labels are anything."""
    said = generator.dirichlet([0.15] * 4, count)
    true = 0.98 * said + 0.02 / 4
    labels = (generator.random((count, 1)) > true.cumsum(1)[:, :3]).sum(1)
    return Evidence(
        said.astype(np.float32),
        np.eye(4, dtype=bool)[labels],
        [str(source) for source in generator.integers(0, 3, count)],
        [str(patient) for patient in range(count)],
        np.zeros(count, bool),
    )


def test_a_proven_floor_is_wrong_more_often_than_it_says_in_1_of_20_samples_at_most() -> None:
    generator = np.random.default_rng(0)
    world = draw(np.random.default_rng(1), 200_000)
    proven = broken = 0
    for _ in range(60):
        certainty = choose_certainty(draw(generator, 4000), None, "validation")
        answered = find_answered(world.probabilities, None, certainty)
        assert answered is not None
        for index, label in enumerate(LABEL_IDS):
            own = answered & (world.called == index)
            if certainty.basis[label] == "bound":
                proven += 1
                broken += world.wrong[own].mean() > 0.05
    assert proven > 100  # it dares something
    assert broken / proven < 0.05


def measure_share(evidence: Evidence, rows: NDArray[np.bool_]) -> float:
    return float(evidence.weights[rows].sum())


def test_what_is_told_of_the_choice_is_what_it_gives() -> None:
    evidence = draw(np.random.default_rng(3), 4000)
    certainty = choose_certainty(evidence, None, "held_out_sources")
    ok = find_answered(evidence.probabilities, None, certainty)
    assert ok is not None
    answered = measure_share(evidence, ok)
    assert certainty.answered.value == pytest.approx(answered)
    wrong = measure_share(evidence, ok & evidence.wrong) / answered
    assert certainty.wrong.value == pytest.approx(wrong)
    assert certainty.wrong.low < wrong < certainty.wrong.high
    assert certainty.risk == 0.05


def test_the_trade_off_answers_more_and_errs_more_the_laxer_it_is() -> None:
    evidence = make_evidence(
        (60, NORMAL, 0.955, (NORMAL,)),
        (40, NORMAL, 0.555, (NORMAL,)),
        (100, NORMAL, 0.455, (VIRAL,)),
    )
    points = {point.floor: point for point in trace_trade_off(evidence, margin=0.1)}
    assert 0.99 not in points  # nothing reaches it
    assert (points[0.95].answered, points[0.95].wrong) == pytest.approx((0.3, 0))
    assert points[0.55].answered == pytest.approx(0.5)
    assert (points[0.45].answered, points[0.45].wrong) == pytest.approx((1, 0.5))
    assert list(points) == sorted(points, reverse=True)
    assert len(points) <= len(FLOORS)


# ---------------------------------------------------------------- what counts, and how much


def test_a_weak_label_that_normal_was_called_for_is_no_error_but_covid_is() -> None:
    evidence = make_evidence(
        (1, NORMAL, 0.9, (BACTERIAL, VIRAL)), (1, COVID, 0.9, (BACTERIAL, VIRAL))
    )
    assert evidence.wrong.tolist() == [True, True]
    weak = replace(evidence, weak=np.array([True, True]))
    assert weak.wrong.tolist() == [False, True]
    assert weak.undecided.tolist() == [True, False]


def test_images_that_prove_nothing_count_as_answered_neither() -> None:
    parts = (300, NORMAL, 0.95, (NORMAL,)), (300, NORMAL, 0.95, (BACTERIAL, VIRAL))
    evidence = make_evidence(*parts)
    assert choose_certainty(evidence, None, "validation").floors["normal"] == 1
    weak = replace(evidence, weak=evidence.targets.sum(1) > 1)
    certainty = choose_certainty(weak, None, "validation")
    assert certainty.basis["normal"] == "bound"
    assert certainty.wrong.value == 0
    assert 0 < certainty.answered.value < 1


def test_groups_count_alike_or_images_do() -> None:
    evidence = make_evidence((90, NORMAL, 0.9, (NORMAL,)), (30, COVID, 0.9, (COVID,)))
    # A group under fifty counts for fewer: 1 and 30 / 50 of 1.6.
    assert evidence.weights[[0, -1]] * 1.6 == pytest.approx([1 / 90, 1 / 50])
    assert replace(evidence, evenly=False).weights == pytest.approx(np.full(120, 1 / 120))


def test_no_floor_goes_below_the_least() -> None:
    evidence = make_evidence((400, NORMAL, 0.6, (NORMAL,)))
    assert choose_certainty(evidence, None, "validation").floors["normal"] < 0.6
    floors = choose_certainty(evidence, None, "validation", Limits(least_floor=0.7)).floors
    assert floors["normal"] == 0.7
