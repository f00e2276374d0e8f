"""training.card: README.md says what card.json says."""

import hashlib
import re
from itertools import count
from pathlib import Path

import pytest

from app.bundle import LABEL_IDS, Card, Interval, Metrics, read_bundle
from tests.bundles import make_card
from training.card import render_readme

SHIPPED = Path(__file__).parents[2] / "models" / "neumo-r18-0"
PER_LABEL = ("sensitivity", "specificity", "auroc")


def make_metrics(first: int) -> dict[str, object]:
    """Return figures of a split that are all different, to three decimals."""
    numbers = count(first)

    def interval() -> dict[str, float]:
        return {name: next(numbers) / 1000 for name in ("value", "low", "high")}

    metrics = make_card()["metrics"]
    assert isinstance(metrics, dict)
    return metrics["test"] | {
        "images": first + 3000,
        "patients": first + 2000,
        "nll": first + 0.125,
        **{name: interval() for name in ("accuracy", "balanced_accuracy", "macro_auroc")},
        **{name: {label: interval() for label in LABEL_IDS} for name in PER_LABEL},
        "accuracy_by_source": {"hospital": (first + 90) / 1000, "archive": (first + 91) / 1000},
    }


@pytest.fixture(scope="module")
def card() -> Card:
    """A card of which no two figures are alike."""
    training = make_card()["training"]
    assert isinstance(training, dict)
    images = {label: 7001 + number for number, label in enumerate(LABEL_IDS)}
    return Card.model_validate(
        make_card(
            licence="the weights' licence",
            intended_use="what it is for",
            limitations=["the first limit", "the second limit"],
            temperature=1.625,
            metrics={
                "validation": make_metrics(100),
                "test": make_metrics(300),
                "test_fp32": make_metrics(500),
            },
            training=training
            | {
                "strategy": "finetune",
                "starting_weights": "base.pth",
                "epochs": 17,
                "best_epoch": 13,
                "seed": 42,
                "data": [{"source": "the hospital's", "licence": "CC BY 4.0", "images": images}],
                "command": "neumo-train run --recipe it.toml",
                "commit": "abc1234",
                "date": "2025-03-04",
                "environment": {"torch": "2.9.1", "numpy": "2.3.4"},
                "duration_s": 1380.0,
            },
        )
    )


@pytest.fixture(scope="module")
def readme(card: Card) -> str:
    return render_readme(card)


def written(interval: Interval) -> str:
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def row_of(readme: str, *starts: str) -> list[str]:
    """Return the cells of the one table row that starts with these cells."""
    rows = [line.strip("|").split("|") for line in readme.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row] for row in rows]
    (row,) = (row for row in cells if tuple(row[: len(starts)]) == starts)
    return row[len(starts) :]


@pytest.mark.parametrize("split", ["validation", "test", "test_fp32"])
def test_each_split_has_a_row_of_its_figures(card: Card, readme: str, split: str) -> None:
    figures = card.metrics[split]
    assert row_of(readme, split) == [
        str(figures.images),
        str(figures.patients),
        written(figures.accuracy),
        written(figures.balanced_accuracy),
        written(figures.macro_auroc),
        f"{figures.nll:.3f}",
    ]


@pytest.mark.parametrize("label", LABEL_IDS)
def test_each_label_has_a_row_of_its_test_figures(card: Card, readme: str, label: str) -> None:
    figures: Metrics = card.metrics["test"]
    expected = [getattr(figures, name)[label] for name in PER_LABEL]
    assert row_of(readme, label) == [written(interval) for interval in expected]


def test_each_source_has_its_test_accuracy(readme: str) -> None:
    assert "each source: hospital 0.390, archive 0.391\n" in readme


def test_each_source_of_training_images_has_its_licence_and_counts(readme: str) -> None:
    assert row_of(readme, "the hospital's") == ["CC BY 4.0", "7001", "7002", "7003", "7004"]


def test_a_label_that_a_source_lacks_counts_no_image(card: Card) -> None:
    lacking = card.training.data[0].model_copy(update={"images": {"covid19": 5}})
    training = card.training.model_copy(update={"data": [lacking]})
    readme = render_readme(card.model_copy(update={"training": training}))
    assert row_of(readme, "the hospital's")[1:] == ["0", "5", "0", "0"]


@pytest.mark.parametrize(
    "text",
    [
        "# neumo-test-1\n",
        "what it is for",
        "- the first limit\n- the second limit\n",
        "the weights' licence",
        "one temperature (1.625)",
        "    neumo-train run --recipe it.toml\n",
        "Commit abc1234, 2025-03-04, 23 minutes.",
        "Strategy `finetune`, starting weights `base.pth`, epoch 13 of 17 kept",
        "seed 42. torch 2.9.1, numpy 2.3.4.",
        f"sha256 of model.onnx: `{make_card()['sha256']}`",
    ],
)
def test_what_the_card_states_stands_in_the_readme(readme: str, text: str) -> None:
    assert text in readme


def test_a_card_without_limitations_says_that_none_are_stated(card: Card) -> None:
    readme = render_readme(card.model_copy(update={"limitations": []}))
    assert "## Limitations\n\n- none stated\n" in readme


# ---------------------------------------------------------------- the bundle of this repository


def test_the_shipped_readme_is_the_one_of_its_card() -> None:
    card = Card.model_validate_json((SHIPPED / "card.json").read_bytes())
    assert (SHIPPED / "README.md").read_text(encoding="utf-8") == render_readme(card)


def test_the_shipped_readme_shows_plots_that_lie_beside_it() -> None:
    shown = re.findall(r"!\[\w+\]\((.+?)\)", (SHIPPED / "README.md").read_text(encoding="utf-8"))
    assert shown == ["confusion.png", "roc.png"]
    assert all((SHIPPED / name).read_bytes().startswith(b"\x89PNG") for name in shown)


def test_the_shipped_card_has_the_hash_of_the_shipped_graph() -> None:
    card = read_bundle(SHIPPED).card
    assert hashlib.sha256((SHIPPED / "model.onnx").read_bytes()).hexdigest() == card.sha256


def test_the_shipped_bundle_is_called_after_its_folder() -> None:
    card = read_bundle(SHIPPED).card
    assert (card.name, card.version) == (SHIPPED.name, SHIPPED.name.rpartition("-")[2])
