"""app.service.service: what the settings ask of a bundle."""

import json
import shutil
from pathlib import Path

import pytest

from app.errors import PriorsUnknown
from app.model.bundle import find_bundle
from app.service.service import load_model_from
from app.settings.settings import Settings

PRIORS = "normal=0.7,covid19=0.1,bacterial_pneumonia=0.1,viral_pneumonia=0.1"


def test_a_hospitals_priors_are_not_ignored_where_the_card_tells_none(tmp_path: Path) -> None:
    folder = tmp_path / "neumo-test-1"
    shutil.copytree(find_bundle(Settings().model), folder)
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    del card["priors"]
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    load_model_from(Settings(model=str(folder)))
    with pytest.raises(PriorsUnknown) as caught:
        load_model_from(Settings(model=str(folder), priors=PRIORS))
    assert "NEUMO_PRIORS" in caught.value.detail("en")
