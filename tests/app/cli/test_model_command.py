"""neumo model: the card, for people and for programs."""

import json
import shutil
from pathlib import Path

import pytest

from app.cli.command import main
from app.model.bundle import find_bundle, read_bundle
from app.settings.settings import Settings

BUNDLE = find_bundle(Settings().model)


def test_json_is_the_card_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((BUNDLE / "card.json").read_bytes())


@pytest.mark.parametrize("width", ["80", "120"])
def test_a_person_reads_what_it_is_for_how_good_it_is_and_what_it_can_not(
    width: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    assert main(["model"]) == 0
    out = capsys.readouterr().out
    card = read_bundle(BUNDLE).card
    told = " ".join(out.split())
    assert card.sha256 in told
    assert " ".join(card.intended_use.split()) in told
    assert all(" ".join(limit.split()) in told for limit in card.limitations)
    assert " ".join(card.licence.split()) in told
    recall = card.metrics["test"].sensitivity["covid19"]
    shown = f"{recall.value:.1%} ({100 * recall.low:.1f}-{100 * recall.high:.1f})"
    row = next(line for line in out.splitlines() if shown in line)
    assert row.split()[0] == "COVID-19"
    assert "Viral pneumonia 0.068 never" in told
    assert "Bacterial pneumonia or Viral pneumonia, not told apart: 18 to 130 years" in told
    tables = [line for line in out.splitlines() if not line.startswith(("folder", "sha256"))]
    assert max(len(line.rstrip()) for line in tables) <= int(width)


def test_a_graph_that_is_not_the_cards_is_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "changed"
    shutil.copytree(BUNDLE, bundle)
    (bundle / "model.onnx").write_bytes(b"another")
    assert main(["model", "--model", str(bundle)]) == 3
    assert "neumo: " in capsys.readouterr().err
