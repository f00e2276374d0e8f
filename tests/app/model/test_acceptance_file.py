"""acceptance_file: what is loaded, and what stops a start with a sentence to act on."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.errors import (
    AcceptanceMalformed,
    AcceptanceMismatch,
    AcceptanceMissing,
    AcceptancePriorsMismatch,
    BundleError,
)
from app.model.labels import LABEL_IDS, LabelId
from app.model.measured.acceptance_file import Acceptance
from app.model.measured.acceptance_search import find_acceptance
from tests.bundles import make_acceptance, make_certainty
from tests.models import FakeModel


def write(folder: Path, **changes: object) -> Path:
    path = folder / "ours.json"
    path.write_text(json.dumps(make_acceptance(**changes)), encoding="utf-8")
    return path


def read(path: Path, model: FakeModel) -> Acceptance:
    """Read a file as serving does where it is named."""
    acceptance = find_acceptance(str(path), model, needed=True)
    assert acceptance is not None
    return acceptance


def test_the_acceptance_of_the_served_bundle_is_read(tmp_path: Path) -> None:
    acceptance = read(write(tmp_path), FakeModel())
    assert (acceptance.site, acceptance.images) == ("North wing", 100)
    assert acceptance.certainty is not None
    assert acceptance.certainty.floors["covid19"] == 0.5


def test_it_is_bound_to_the_bundle_whichever_of_its_graphs_is_served(tmp_path: Path) -> None:
    model = FakeModel()
    model.card = model.card.model_copy(update={"sha256": "f" * 64})  # as of float32
    assert read(write(tmp_path), model).model == "neumo-test-1"


@pytest.mark.parametrize(
    ("changes", "kind", "told"),
    [
        ({"sha256": "0" * 64}, AcceptanceMismatch, "Measure again with neumo accept"),
        ({"sha256": "0"}, AcceptanceMalformed, "sha256"),
        ({"acceptance_format": 2}, AcceptanceMalformed, "acceptance_format is not 1"),
        ({"certainty": make_certainty()}, AcceptanceMalformed, "not chosen on the site"),
        ({"certainty": None, "temperature": 2.0}, AcceptanceMalformed, "temperature needs"),
        ({"temperature": 0.0}, AcceptanceMalformed, "temperature"),
        ({"priors": {"normal": 0.5}}, AcceptanceMalformed, "priors has not one"),
        ({"notes": "x"}, AcceptanceMalformed, "notes"),
    ],
)
def test_one_that_does_not_hold_is_refused_with_what_to_do(
    tmp_path: Path, changes: dict[str, Any], kind: type[BundleError], told: str
) -> None:
    with pytest.raises(kind) as caught:
        read(write(tmp_path, **changes), FakeModel())
    assert told in caught.value.detail("en")
    assert "ours.json" in caught.value.detail("es")


PRIORS: dict[LabelId, float] = {
    "normal": 0.7, "covid19": 0.1, "bacterial_pneumonia": 0.1, "viral_pneumonia": 0.1
}  # fmt: skip
EVEN: dict[LabelId, float] = dict.fromkeys(LABEL_IDS, 0.25)


@pytest.mark.parametrize(
    ("measured", "served", "own", "fits"),
    [
        (PRIORS, PRIORS, EVEN, True),
        (PRIORS, PRIORS | {"normal": 0.7 + 1e-9}, EVEN, True),
        (None, None, EVEN, True),
        (None, EVEN, EVEN, True),  # the card's own, said
        (None, None, None, True),
        (PRIORS, None, EVEN, False),
        (None, PRIORS, EVEN, False),
        (PRIORS, EVEN, EVEN, False),
    ],
)
def test_it_is_bound_to_the_priors_that_it_was_measured_with(
    tmp_path: Path,
    measured: dict[LabelId, float] | None,
    served: dict[LabelId, float] | None,
    own: dict[LabelId, float] | None,
    *,
    fits: bool,
) -> None:
    model = FakeModel()
    model.card = model.card.model_copy(update={"priors": own})
    path = write(tmp_path, **({"priors": measured} if measured else {}))
    if fits:
        assert find_acceptance(str(path), model, served, needed=True) is not None
        return
    for where in (path, tmp_path):  # in a folder, too: it is of this bundle
        with pytest.raises(AcceptancePriorsMismatch) as caught:
            find_acceptance(str(where), model, served, needed=True)
        told = "normal=0.7,covid19=0.1," if measured else '("")'
        for language in ("en", "es"):
            assert told in caught.value.detail(language)
            assert "ours.json" in caught.value.detail(language)


def test_of_several_the_one_of_the_priors_served_is_taken(tmp_path: Path) -> None:
    for name, changes in (("a", {"date": "2026-01-01", "priors": PRIORS}), ("b", {})):
        (tmp_path / name).mkdir()
        write(tmp_path / name, site=name, **changes)
    where = f"{tmp_path}/a/ours.json, {tmp_path}/b/ours.json"
    for served, site in ((PRIORS, "a"), (None, "b")):
        model = FakeModel()
        model.card = model.card.model_copy(update={"priors": EVEN})
        found = find_acceptance(where, model, served, needed=True)
        assert found is not None
        assert found.site == site


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]"])
def test_what_is_no_acceptance_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ours.json"
    path.write_bytes(content)
    with pytest.raises(AcceptanceMalformed):
        read(path, FakeModel())


def test_a_file_that_is_not_there_is_named_by_its_setting(tmp_path: Path) -> None:
    with pytest.raises(AcceptanceMissing) as caught:
        read(tmp_path / "missing.json", FakeModel())
    assert "NEUMO_ACCEPTANCE" in caught.value.detail("en")


def test_certainty_and_temperature_have_to_be_told_even_if_there_are_none() -> None:
    content = make_acceptance()
    del content["temperature"]
    with pytest.raises(ValidationError):
        Acceptance.model_validate(content)
