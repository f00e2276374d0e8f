"""training.holdout.record: what a release is told of the sources held out."""

from pathlib import Path

import pytest

from app.model.card import Certainty
from app.model.labels import LABEL_IDS
from app.model.measured.figures import Interval
from tests.training.networks import make_config
from training.holdout.record import HoldoutUnusable, Record, read_record
from training.run.checkpoint import RunFolder

RATE = Interval(value=0.5, low=0.4, high=0.6)
RECORD = Record(
    name="neumo-test-1",
    temperature=1.5,
    operating_points=dict.fromkeys(LABEL_IDS, 0.25),
    certainty=Certainty(
        floors=dict.fromkeys(LABEL_IDS, 0.75),
        margin=0.25,
        chosen_on="held_out_sources",
        risk=0.05,
        answered=RATE,
        wrong=RATE,
    ),
    distance_factor=1.25,
    from_validation=[],
    risk_healthy=0.01,
    risk_pneumonia=0.12,
    children=["kids"],
    sources={},
    trade_off=[],
)


@pytest.fixture
def told(tmp_path: Path) -> Path:
    (tmp_path / "holdout.json").write_text(RECORD.model_dump_json(), encoding="utf-8")
    return tmp_path


def test_a_file_or_its_folder_is_read(told: Path) -> None:
    for path in (told, told / "holdout.json"):
        assert read_record(make_config(holdout=path, children=["kids"])) == RECORD
    assert read_record(make_config()) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"risk": 0.1},
        {"risk_healthy": 0.02},
        {"risk_pneumonia": 0.2},
        {"least_floor": 0.5},
        {"weak_sets": ["a"]},
        {"weigh": "images"},
        {"collections": ["a"]},
        {"children": []},
    ],
)
def test_other_limits_than_it_was_chosen_by_are_refused(
    told: Path, changes: dict[str, object]
) -> None:
    config = make_config(**({"holdout": told, "children": ["kids"]} | changes))
    with pytest.raises(HoldoutUnusable, match="another risk, risk_healthy, risk_pneumonia"):
        read_record(config)


def test_a_file_that_is_absent_or_something_else_is_named(tmp_path: Path) -> None:
    with pytest.raises(HoldoutUnusable, match=r"absent\.json: there is no such file"):
        read_record(make_config(holdout=tmp_path / "absent.json"))
    (tmp_path / "holdout.json").write_text('{"name": "x"}', encoding="utf-8")
    with pytest.raises(HoldoutUnusable, match="not what this version reads"):
        read_record(make_config(holdout=tmp_path))


def test_a_new_run_moves_an_earlier_one_aside_but_not_what_was_held_out(tmp_path: Path) -> None:
    config = make_config(runs=tmp_path)
    folder = RunFolder(config).path
    (folder / "holdout" / "here").mkdir(parents=True)
    (folder / "holdout.json").write_text("{}", encoding="utf-8")
    RunFolder(config).start({})
    assert list(tmp_path.iterdir()) == [folder]  # there was no earlier run
    (folder / "best.pt").touch()
    RunFolder(config).start({})
    aside = tmp_path / f"{folder.name}.before-1"
    assert {path.name for path in aside.iterdir()} == {
        "config.json",
        "environment.json",
        "best.pt",
    }
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "environment.json",
        "holdout",
        "holdout.json",
    }
