"""README.md and README.es.md: the answer shown, what is said first, and that both say the same."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.e2e.pages import blocks
from tests.server import Server

ENGLISH, SPANISH = ROOT / "README.md", ROOT / "README.es.md"
README = ENGLISH.read_text(encoding="utf-8")


def without_what_changes(reading: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in reading.items() if key not in ("request_id", "timing_ms")}
    for name in ("image", "model"):
        kept[name] = kept[name] | {"sha256": kept[name]["sha256"][:8]}
    return kept


@pytest.mark.parametrize(("page", "language"), [(ENGLISH, "en"), (SPANISH, "es")])
def test_the_first_question_gets_the_answer_shown(
    server: Server, page: Path, language: str
) -> None:
    text = page.read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    image = (ROOT / "examples" / "normal.jpg").read_bytes()
    status, _, answer = server.call("POST", "/predict", image, {"Accept-Language": language})
    assert status == 200
    expected, got = json.loads(shown), json.loads(answer)
    assert set(got) == set(expected)
    assert set(got["timing_ms"]) == set(expected["timing_ms"])
    expected, got = without_what_changes(expected), without_what_changes(got)
    assert got.pop("probabilities") == pytest.approx(expected.pop("probabilities"), abs=0.02)
    for name in ("abnormal", "non_covid_pneumonia"):
        assert got.pop(name) == pytest.approx(expected.pop(name), abs=0.02)
    assert got == expected


@pytest.mark.parametrize(
    ("page", "told"),
    [
        (ENGLISH, ("**Not a medical device.**", "for research use only")),
        (SPANISH, ("**No es un producto sanitario.**", "solo para investigación")),
    ],
)
def test_what_neumo_is_not_stands_above_all_commands(page: Path, told: tuple[str, ...]) -> None:
    top = page.read_text(encoding="utf-8").partition("\n## ")[0]
    for each in told:
        assert each in top


def commands(page: Path) -> list[str]:
    """Return a page's commands, without what is said of them."""
    return [
        re.sub(r"\s+# .*", "", line) for block in blocks(page) for line in block.script.splitlines()
    ]


def links(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(r"\]\(((?:docs|models|examples)/[^)#]+)", text)


def test_both_languages_give_the_same_commands() -> None:
    assert commands(ENGLISH) == commands(SPANISH)
    assert len(commands(ENGLISH)) >= 12


def test_both_languages_have_the_same_chapters_and_lead_to_the_same_pages() -> None:
    levels = [
        [len(hashes) for hashes in re.findall(r"^(#+) ", page.read_text(encoding="utf-8"), re.M)]
        for page in (ENGLISH, SPANISH)
    ]
    assert levels[0] == levels[1]
    assert sorted(set(links(ENGLISH))) == sorted(set(links(SPANISH)))


def test_both_languages_tell_the_same_figures() -> None:
    figures = [
        re.findall(
            r"\d\.\d{3}|\d+ %", page.read_text(encoding="utf-8").rpartition("neumo-r18-3`,")[2]
        )
        for page in (ENGLISH, SPANISH)
    ]
    assert len(figures[0]) > 10
    assert sorted(figures[0]) == sorted(figures[1])


CARD = json.loads((ROOT / "models" / "neumo-r18-3" / "card.json").read_text(encoding="utf-8"))


def shown(figure: dict[str, float]) -> str:
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


def test_the_limits_are_the_card_s() -> None:
    told = " ".join(README.partition("\n## Limits\n")[2].split())
    test = CARD["metrics"]["test"]
    for figure in (test["accuracy"], test["answered"]):
        assert shown(figure) in told
    assert f"test, {test['images']} images" in told


def test_what_is_wrong_at_hospitals_held_out_is_the_card_s() -> None:
    told = " ".join(README.partition("\n## Limits\n")[2].split())
    films = right = wrong = 0.0
    for source in CARD["holdout"].values():
        labelled = {kind: count for kind, count in source["images"].items() if "|" not in kind}
        films += sum(labelled.values())
        own = sum(source["ok_right"][kind]["value"] * labelled[kind] for kind in labelled)
        right += own
        if len(labelled) == len(source["images"]):  # else the share is of those in a set as well
            wrong += own * source["wrong"]["value"] / (1 - source["wrong"]["value"])
    assert f"about {films:,.0f} labelled films" in told
    assert f"answered {right + wrong:,.0f} `ok`; {wrong:.0f} of those (8 %) were wrong" in told
    missed = 1 - CARD["holdout"]["covid-cxnet"]["called_covid19"]["covid19"]["value"]
    assert f"{100 * missed:.0f} % of that collection's COVID-19 films" in told


@pytest.mark.parametrize("page", [ENGLISH, SPANISH], ids=["en", "es"])
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (ROOT / target).exists(), target
