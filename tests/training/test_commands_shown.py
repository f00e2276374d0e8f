"""neumo-train report and compare, and the commands of docs/report.md, on a run of drawings."""

import csv
import html
import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from app.model.bundle import read_bundle
from tests.conftest import ROOT
from tests.training.drawings import write_data_set
from tests.training.workplace import NAME, Say, Workplace, make_quick
from training.commands import main
from training.measure.predictions import read_predictions, write_predictions

pytestmark = pytest.mark.xdist_group("reported")

SETTINGS = [
    *("--weights=random", "--epochs=2", "--side-px=96", "--batch-size=8"),
    *("--augmentation=basic", "--calibration-images=8", "--calibration-method=minmax"),
]


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A workplace after the whole of `neumo-train run`."""
    place = Workplace(tmp_path_factory.mktemp("finished"))
    write_data_set(place.data, train=16, test=8)
    assert main(["run", *place.arguments, *SETTINGS, "--quiet"]) == 0
    return place


def report(place: Workplace, target: Path, out: Path, *more: str) -> str:
    """Write a report; return the page."""
    runs = str(place.run.parent)
    assert main(["report", str(target), "--runs", runs, "--out", str(out), *more]) == 0
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(finished: Workplace, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of the bundle, with its run and its data."""
    out = tmp_path_factory.mktemp("page") / "report.html"
    return report(finished, finished.bundle, out, "--data", str(finished.data))


class Reader(HTMLParser):
    """What of a page would be fetched, and whether its elements close."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset") and value:
                self.fetched.append(value)
        if tag not in ("meta", "img", "br", "link", "path", "use", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass


def told(page: str) -> str:
    """Return a page's text."""
    return html.unescape(re.sub(r"<[^>]+>", " ", page.partition("<body>")[2]))


# ---------------------------------------------------------------- a page that stands alone


def test_the_page_asks_for_nothing_outside_and_runs_nothing(page: str) -> None:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert "script" not in reader.tags
    outside = [each for each in reader.fetched if not each.startswith(("data:image/", "#"))]
    assert outside == []
    assert "default-src 'none'" in page
    assert "url(http" not in page


def test_the_page_names_nobodys_folders(page: str, finished: Workplace) -> None:
    assert str(finished.data.parent) not in page
    assert "data/train-" in page  # images, by their data set


def test_the_page_has_all_its_parts_and_links_to_each(page: str) -> None:
    parts = re.findall(r"<section id='([\w-]+)'", page)
    assert parts == [
        *("data", "learning", "figures", "sources", "doubt", "mistakes", "audit"),
        *("limits", "origin"),
    ]
    assert re.findall(r"<nav.*?</nav>", page)[0].count("<a ") == len(parts)


def test_the_pages_figures_are_the_cards(page: str, finished: Workplace) -> None:
    card = read_bundle(finished.bundle).card
    text = " ".join(told(page).split())
    for split in ("validation", "test"):
        figures = card.metrics[split]
        accuracy = figures.accuracy
        shown = f"{accuracy.value:.3f} ({accuracy.low:.3f} to {accuracy.high:.3f})"
        assert f"{split} {figures.images} {figures.patients} {shown}" in text
    assert card.sha256 in text
    assert card.training.command in text
    assert f"{card.distance_threshold:.0f}" in text


def test_plots_are_of_validation_and_say_so(page: str, finished: Workplace) -> None:
    images = read_bundle(finished.bundle).card.metrics["validation"].images
    for title in ("What was called", "ROC", "Precision and recall", "Answered against wrong"):
        assert f"{title}: validation, n = {images}<" in page
    assert page.count("<svg") == 8  # curves, five of answers, changes, deletion


def test_the_data_are_counted_by_source_label_and_split(page: str, finished: Workplace) -> None:
    with (finished.data / "manifest.csv").open(encoding="utf-8") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if (row["source"], row["label"], row["split"]) == ("a", "covid19", "train")
        ]
    count = f"{len(rows)} of {len({row['patient'] for row in rows})}"
    assert f"a covid19 {count}" in " ".join(told(page).split())
    assert "CC0" in told(page)


def test_the_answers_lie_beside_the_page_and_are_those_of_the_run(
    finished: Workplace, tmp_path: Path
) -> None:
    report(finished, finished.bundle, tmp_path / "a.html", "--data", str(finished.data))
    here, there = (
        read_predictions(folder / "predictions.csv") for folder in (tmp_path, finished.run)
    )
    there = there.take(there.splits == "validation")
    assert here.keys() == there.keys()
    np.testing.assert_array_equal(here.logits, there.logits)
    assert not (finished.bundle / "predictions.csv").exists()


# ---------------------------------------------------------------- what there is less of


def test_a_bundle_alone_is_reported_from_its_card_and_says_what_is_missing(
    finished: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "models" / NAME
    shutil.copytree(finished.bundle, bundle)
    page = report(Workplace(tmp_path), bundle, tmp_path / "report.html")
    said = capsys.readouterr().err
    for missing in ("no learning curves", "No answers of single images", "No hospital was held"):
        assert missing in told(page)
        assert missing in said
    assert f"neumo-train report {bundle} --data DATA/manifest.csv" in said
    assert page.count("data:image/png") == 5  # the bundle's own plots
    assert not (tmp_path / "predictions.csv").exists()


def test_a_bundle_and_its_run_have_curves_without_any_data(
    finished: Workplace, tmp_path: Path
) -> None:
    moved = Workplace(tmp_path)
    shutil.copytree(finished.run, moved.run)
    config = json.loads((moved.run / "config.json").read_text(encoding="utf-8"))
    (moved.run / "config.json").write_text(json.dumps(config | {"data": ["gone"]}))
    page = report(moved, finished.bundle, tmp_path / "report.html")
    assert "ROC: validation" in page
    assert "answers that the release" in told(page)
    assert "The films were not read" in told(page)


def test_answers_of_another_bundle_are_not_taken_for_this_ones(
    finished: Workplace, tmp_path: Path
) -> None:
    moved = Workplace(tmp_path)
    shutil.copytree(finished.run, moved.run)
    config = json.loads((moved.run / "config.json").read_text(encoding="utf-8"))
    (moved.run / "config.json").write_text(json.dumps(config | {"data": ["gone"]}))
    other = read_predictions(moved.run / "predictions.csv")
    other.probabilities[:] = other.probabilities[::-1]
    write_predictions(moved.run / "predictions.csv", other)
    page = report(moved, finished.bundle, tmp_path / "report.html")
    assert "No answers of single images" in told(page)


def test_a_run_without_a_bundle_is_asked_through_its_checkpoint(
    finished: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = Workplace(tmp_path)
    shutil.copytree(finished.run, moved.run)
    config = json.loads((moved.run / "config.json").read_text(encoding="utf-8"))
    (moved.run / "config.json").write_text(json.dumps(config | {"out": str(tmp_path / "none")}))
    page = report(moved, moved.run, tmp_path / "report.html")
    assert "There is no bundle of this run yet" in capsys.readouterr().err
    assert "checkpoint in PyTorch" in told(page)
    assert "ROC: validation" in page
    answers = read_predictions(tmp_path / "predictions.csv")
    float32 = read_predictions(finished.run / "predictions.csv")
    float32 = float32.take(float32.splits == "validation")
    assert answers.keys() == float32.keys()
    assert np.isnan(answers.distance).all()
    assert set(answers.statuses) == {""}
    assert "uncertain" not in told(page.partition("id='sources'")[2].partition("</section>")[0])
    assert (np.array(answers.called) == float32.called).mean() > 0.8  # int8's, nearly
    assert "neumo-train run --name" in told(page)


def test_a_run_that_was_stopped_is_said_to_be(
    finished: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = Workplace(tmp_path)
    shutil.copytree(finished.run, moved.run)
    changes = {"out": str(tmp_path / "none"), "epochs": 9}
    config = json.loads((moved.run / "config.json").read_text(encoding="utf-8")) | changes
    (moved.run / "config.json").write_text(json.dumps(config))
    report(moved, moved.run, tmp_path / "report.html")
    assert "The run is not finished: 2 of 9 epochs" in capsys.readouterr().err


def test_what_is_neither_is_named(say: Say, tmp_path: Path) -> None:
    code, message = say("report", str(tmp_path))
    assert code == 3
    assert "neither a bundle (card.json) nor a run (config.json)" in message
    code, message = say("report", "neumo-absent-1")
    assert code == 3


def test_a_report_of_the_test_split_says_what_that_costs(
    finished: Workplace, tmp_path: Path
) -> None:
    page = report(
        finished, finished.bundle, tmp_path / "a.html", "--data", str(finished.data), "--split=test"
    )
    assert "chosen by the test" in told(page)
    assert "ROC: test, n = 32" in page


# ---------------------------------------------------------------- compare


def test_a_bundle_compared_with_itself_differs_in_nothing(
    finished: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, data = str(finished.bundle), str(finished.data)
    out = tmp_path / "compare.json"
    assert main(["compare", bundle, bundle, "--data", data, "--json", str(out), "--quiet"]) == 0
    said = capsys.readouterr()
    written = json.loads(out.read_text(encoding="utf-8"))
    assert written["images"] == read_bundle(finished.bundle).card.metrics["validation"].images
    assert all(each["difference"]["value"] == 0 for each in written["figures"].values())
    assert written["changes"]["p"] == 1
    assert "none of them is here" in said.out
    assert said.err == ""


def test_bundles_need_data_and_the_message_says_so(say: Say, finished: Workplace) -> None:
    code, message = say("compare", str(finished.bundle), str(finished.bundle))
    assert code == 3
    assert "give --data" in message


# ---------------------------------------------------------------- quiet, and the documentation


def test_quiet_leaves_what_was_found(
    finished: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, data = str(finished.bundle), str(finished.data)
    told = ["evaluate", "--bundle", bundle, "--data", data, "--report", str(tmp_path)]
    assert main([*told, "--quiet"]) == 0
    quiet = capsys.readouterr()
    assert main(told) == 0
    shown = capsys.readouterr()
    assert quiet.err == ""
    assert quiet.out == shown.out
    assert "\r" not in shown.err  # standard error is no terminal here


def test_the_commands_of_the_documentation_run(
    finished: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) >= 4
    monkeypatch.chdir(tmp_path)
    Path("DATA").symlink_to(finished.data)
    Path("models").mkdir()
    for name in ("ours-1", "ours-2"):
        Path("models", name).symlink_to(finished.bundle)
    answers = read_predictions(finished.run / "predictions.csv")
    for name in ("first", "second"):
        write_predictions(Path("report", name, "predictions.csv"), answers)
    for line in lines:
        program, *arguments = line.split()
        assert program == "neumo-train"
        assert main([*arguments, "--quiet"]) == 0, line
    names = {str(path) for path in Path("report").glob("*.*")}
    assert {f"report/{name}" for name in ("ours-1.html", "without.html", "compare.json")} <= names
