"""neumo accept: a hospital's films in, its acceptance file out, and nothing told that it holds."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.cli.command import main
from app.main import create_app
from app.model.measured.acceptance_file import Acceptance
from app.settings.settings import Settings
from tests.conftest import ROOT, wait_until_ready
from tests.images import encode

MORE = ROOT.parent / "shared" / "data" / "more"
NAME = "DOE_JANE"


@pytest.fixture
def hospital(examples: dict[str, Path], tmp_path: Path) -> Path:
    """A folder of two labels, a file that is no picture, one that is no chest, and one twice."""
    data = tmp_path / "films"
    for label in ("normal", "covid19"):
        (data / label).mkdir(parents=True)
        (data / label / f"{NAME}1.jpg").write_bytes(examples[label].read_bytes())
    (data / "normal" / f"{NAME}2.jpg").write_bytes(examples["normal"].read_bytes())
    (data / "normal" / f"{NAME}3.txt").write_bytes(b"no picture")
    black = encode(Image.new("L", (300, 300), 0), "PNG")
    (data / "normal" / f"{NAME}4.png").write_bytes(black)
    return data


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["accept", *map(str, arguments)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_it_measures_and_writes_and_tells_no_name(
    hospital: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "ours.json"
    code, told, errors = run(capsys, "--data", hospital, "--out", out, "--site", "North wing")
    assert (code, errors) == (1, "")
    content = json.loads(told)
    assert content == json.loads(out.read_bytes())
    assert (content["images"], content["unreadable"], content["repeated"]) == (3, [4], [3])
    assert content["images_by_label"] == {"covid19": 1, "normal": 2}
    assert content["by_card"]["refused"]["value"] == pytest.approx(1 / 3)
    assert content["by_card"]["sensitivity"]["covid19"]["value"] == 1
    spread = content["drift"]["spread"]
    assert spread["beyond"]["value"] == pytest.approx(1 / 3)  # the refused one
    assert spread["by_chance"] == 3  # 9 edges, 3 films
    assert (content["site"], content["why_not"]) == ("North wing", "too_few_films")
    assert NAME not in told
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ""] == ["ours.json"]


def test_people_get_a_table_in_their_language(
    hospital: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    code, told, _ = run(capsys, "--data", hospital, "--language", "es")
    assert code == 1
    assert "neumo-r18-3 en 3 radiografías" in told
    assert "No se ajustó nada" in told
    assert "No es un producto sanitario." in told
    assert "No se escribió nada" in told
    assert NAME not in told
    _, content, _ = run(capsys, "--data", hospital, "--json")
    assert json.loads(content)["site"] == "not named"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--data", "missing"], 2, "no folder or manifest"),
        (["--data", ".", "--out", "missing/ours.json"], 2, "--out names no file"),
        (["--data", ".", "--site", "x" * 101], 2, "--site takes"),
        (["--data", ".", "--label", "normal", "--model", "missing"], 3, "has no card.json"),
        (["--data", ".", "--label", "normal"], 2, "none of the files"),
    ],
)
def test_a_wrong_call_is_told_by_code_and_sentence(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    told: str,
) -> None:
    (tmp_path / f"{NAME}.txt").write_bytes(b"no picture")
    monkeypatch.chdir(tmp_path)
    given, out, errors = run(capsys, *arguments)
    assert (given, out) == (code, "")
    assert told in errors
    assert NAME not in errors


def test_what_is_wrong_is_told_in_spanish_too(
    hospital: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spanish = ("--language", "es")
    (tmp_path / "none").mkdir()
    _, _, errors = run(capsys, "--data", tmp_path / "none", *spanish)
    assert "No se pueden usar las radiografías: no hay ninguna." in errors
    (tmp_path / "none" / "a.txt").write_bytes(b"no picture")
    _, _, errors = run(capsys, "--data", tmp_path / "none", "--label", "normal", *spanish)
    assert "radiografías: ningún archivo es un JPEG" in errors

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.cli.read.accept_command._write", refuse)
    code, out, errors = run(capsys, "--data", hospital, "--out", tmp_path / "ours.json", *spanish)
    assert (code, out) == (2, "")
    assert "No se puede escribir el archivo de --out (No space left on device)" in errors


def drawn_chests(folder: Path, examples: dict[str, Path], count: int) -> None:
    """Write normal films of as many patients: the example with a little noise of its own."""
    folder.mkdir()
    film = np.asarray(Image.open(examples["normal"]).convert("L").resize((256, 256)), np.float32)
    for index in range(count):
        noise = np.random.default_rng(index).normal(0, 1, film.shape)
        pixels = np.clip(film + noise, 0, 255).astype(np.uint8)
        (folder / f"{index}.png").write_bytes(encode(pixels, "PNG"))


def test_what_it_fits_is_what_is_served_then(
    examples: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn_chests(tmp_path / "normals", examples, 75)
    out = tmp_path / "ours.json"
    code, _, _ = run(
        capsys, "--data", tmp_path / "normals", "--label", "normal", "--out", out, "--site", "Ours"
    )
    assert code == 0
    acceptance = Acceptance.model_validate_json(out.read_bytes())
    assert acceptance.certainty is not None
    assert acceptance.by_site is not None
    assert acceptance.by_site.wrong.high <= 0.05
    with TestClient(create_app(Settings(acceptance=str(out)))) as client:
        wait_until_ready(client)
        answer = client.post("/predict", content=(tmp_path / "normals/0.png").read_bytes()).json()
    assert answer["status"] == "ok"
    assert [warning["code"] for warning in answer["warnings"]] == ["population_unknown"]
    assert answer["model"]["acceptance"]["site"] == "Ours"


def test_its_file_is_not_served_with_other_priors(
    hospital: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "ours.json"
    priors = "normal=0.7,covid19=0.1,bacterial_pneumonia=0.1,viral_pneumonia=0.1"
    monkeypatch.setenv("NEUMO_PRIORS", priors)
    run(capsys, "--data", hospital, "--out", out)
    film = next(iter((hospital / "normal").iterdir()))
    for served, code in ((priors, 0), ("", 3)):
        monkeypatch.setenv("NEUMO_PRIORS", served)
        monkeypatch.setenv("NEUMO_ACCEPTANCE", str(out))
        assert main(["predict", str(film)]) == code
    assert f"({priors})" in capsys.readouterr().err


def test_serving_and_measuring_need_nothing_that_training_needs() -> None:
    script = (
        "import sys; from app.acceptance import acceptance_run; from app.cli import command;"
        "print([name for name in ('torch', 'scipy', 'sklearn', 'onnx') if name in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=os.environ, capture_output=True, check=True
    )
    assert told.stdout == b"[]\n"


UNSEEN = "neumo-r18-2"
"""A bundle that never saw a film of Shenzhen (`../shared/data/README.md`); `neumo-r18-3` has."""


@pytest.fixture
def shenzhen(tmp_path: Path) -> list[tuple[Path, str]]:
    """Films of a hospital and their labels, written as the manifest of a hospital."""
    counts = {"normal": 90, "other": 30}
    films = []
    with (MORE / "manifest.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["source"] == "shenzhen" and counts[row["label"]]:
                counts[row["label"]] -= 1
                films.append((MORE / row["path"], row["label"]))
    with (tmp_path / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        writer.writerows(films)
    return films


def ask(films: list[tuple[Path, str]], acceptance: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the label of each film, and what the service answers."""
    settings = Settings(model=UNSEEN, acceptance=acceptance)
    with TestClient(create_app(settings)) as client:
        wait_until_ready(client)
        return [
            (label, client.post("/predict", content=path.read_bytes()).json())
            for path, label in films
        ]


def count_by_hand(answers: list[tuple[str, dict[str, Any]]]) -> dict[str, float]:
    """Return the figures of a report, from labels and answers alone.

    Of a finding that is none of the four `normal` is right, so it is right of all these films.
    """
    ok = [told for _, told in answers if told["status"] == "ok"]
    normal = [told for label, told in answers if label == "normal"]
    covid = [told for told in normal if told.get("label") == "covid19"]
    return {
        "refused": sum(told["status"] == 422 for _, told in answers) / len(answers),
        "answered": len(ok) / len(answers),
        "wrong": sum(told["label"] != "normal" for told in ok) / len(ok),
        "covid19": len(covid) / len(normal),
        "ok covid19": sum(told["status"] == "ok" for told in covid) / len(normal),
        "normal": sum(told.get("label") == "normal" for told in normal) / len(normal),
    }


def figures_of(told: dict[str, Any]) -> dict[str, float]:
    return {
        **{name: told[name]["value"] for name in ("refused", "answered", "wrong")},
        "covid19": told["false_alarms"]["covid19"]["value"],
        "ok covid19": told["confident_false_alarms"]["covid19"]["value"],
        "normal": told["sensitivity"]["normal"]["value"],
    }


@pytest.mark.skipif(not MORE.exists(), reason="the images of ../shared/data are absent")
def test_a_hospital_that_no_training_saw_is_measured_and_then_served(
    shenzhen: list[tuple[Path, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "ours.json"
    code, told, _ = run(capsys, "--data", tmp_path, "--out", out, "--model", UNSEEN)
    content: dict[str, Any] = json.loads(told)
    assert (code, content["images_by_label"]) == (0, {"normal": 90, "other": 30})
    before, after = ask(shenzhen, ""), ask(shenzhen, str(out))
    assert figures_of(content["by_card"]) == pytest.approx(count_by_hand(before))
    assert figures_of(content["by_site"]) == pytest.approx(count_by_hand(after))
    warned = [
        ["site_not_validated" in {each["code"] for each in told["warnings"]} for _, told in answers]
        for answers in (before, after)
    ]
    assert (all(warned[0]), any(warned[1])) == (True, False)
    assert content["by_site"]["wrong"]["high"] <= 0.05
    assert content["by_card"]["wrong"]["value"] > 0
    assert 0.5 < content["by_site"]["answered"]["value"] < content["by_card"]["answered"]["value"]
