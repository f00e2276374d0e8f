"""training.report.readme: README.md says what card.json says."""

import hashlib
import re
from itertools import count
from pathlib import Path

import pytest

from app.model.bundle import read_bundle
from app.model.card import Card
from app.model.labels import LABEL_IDS
from app.model.measured.figures import Interval, Metrics
from tests.bundles import make_card
from training.report.readme import render_readme

SHIPPED = Path(__file__).parents[3] / "models" / "neumo-r18-3"
PER_LABEL = ("sensitivity", "specificity", "precision", "auroc")
SPLITS = ("validation", "test", "test_fp32")
TASKS = ("pneumonia_vs_normal", "viral_vs_bacterial")
BY_SOURCE = {"hospital": ["normal", "viral_pneumonia"], "archive": ["covid19"]}
METHODS = ("minmax", "percentile")
CHANGES = ("blurred_1_px", "burned_in_marker")
AUDITED = ("validation", "test")


def make_metrics(first: int) -> dict[str, object]:
    """Return figures of a split that are all different, to three decimals."""
    numbers = count(first)

    def figure() -> float:
        return next(numbers) / 1000

    def interval() -> dict[str, float]:
        return {name: figure() for name in ("value", "low", "high")}

    def task() -> dict[str, object]:
        rates = ("auroc", "accuracy", "sensitivity", "specificity")
        return {"images": first + 4000, "patients": first, **{rate: interval() for rate in rates}}

    metrics = make_card()["metrics"]
    assert isinstance(metrics, dict)
    return metrics["test"] | {
        "images": first + 3000,
        "patients": first + 2000,
        **{name: interval() for name in ("accuracy", "balanced_accuracy", "macro_auroc")},
        **{name: {label: interval() for label in LABEL_IDS} for name in PER_LABEL},
        **{name: figure() for name in ("nll", "brier", "ece", "aurc")},
        **{name: figure() for name in ("ece_by_chance", "ece_by_chance_95")},
        "before_temperature": {name: figure() for name in ("nll", "brier", "ece")},
        **{name: interval() for name in ("answered", "accuracy_answered", "refused")},
        "accuracy_by_source": {source: figure() for source in BY_SOURCE},
        "sensitivity_by_source": {
            source: {label: interval() for label in labels} for source, labels in BY_SOURCE.items()
        },
        "tasks": {name: task() for name in TASKS},
    }


def make_audit(first: int) -> dict[str, object]:
    """Return an audit of a split whose figures are all different, to three decimals."""
    numbers = count(first)

    def figure() -> float:
        return next(numbers) / 10_000

    def interval() -> dict[str, float]:
        return {name: figure() for name in ("value", "low", "high")}

    def changed() -> dict[str, object]:
        return {name: interval() for name in ("accuracy", "lost", "macro_auroc")}

    return {
        "changed": {name: changed() for name in CHANGES},
        "lungs_hidden": changed(),
        "lungs_only": changed(),
        "commonest": figure(),
        "source_auroc": interval(),
        "deletion": {
            "images": first,
            "shares": [0, 0.25],
            "marked": [figure(), figure()],
            "random": [figure(), figure()],
            "gap": interval(),
        },
    }


def make_quantisation() -> dict[str, object]:
    """Return figures of two methods that are all different, to four decimals."""
    numbers = count(9001)
    names = ("macro_auroc", "nll", "ece", "difference", "cam_correlation", "labels_kept")
    tried = {
        method: {name: next(numbers) / 10_000 for name in names} | {"clear_images": 700}
        for method in METHODS
    }
    return {"method": "percentile", "fp32_macro_auroc": 0.9876, "tried": tried}


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
                split: make_metrics(100 + 200 * number) for number, split in enumerate(SPLITS)
            },
            quantisation=make_quantisation(),
            audit={split: make_audit(6000 + 1000 * row) for row, split in enumerate(AUDITED)},
            operating_points={label: 0.811 + row / 1000 for row, label in enumerate(LABEL_IDS)},
            distance_threshold=4321.0,
            priors={label: 0.241 + row / 1000 for row, label in enumerate(LABEL_IDS)},
            population={
                "age_years": {
                    label: [{"low": 30 + row, "high": 60 + row}, {"low": 91, "high": 92.5}]
                    for row, label in enumerate(LABEL_IDS)
                },
                "views": ["PA", "AP"],
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


@pytest.fixture(scope="module")
def bare_readme() -> str:
    """The README of a card from before there were precision, tasks, calibration and methods."""
    return render_readme(Card.model_validate(make_card()))


def written(interval: Interval) -> str:
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def read_tables(readme: str) -> list[list[list[str]]]:
    """Return the cells of each table, its head first, without the rule below it."""
    blocks = [block.splitlines() for block in readme.split("\n\n") if block.startswith("|")]
    tables = [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in block]
        for block in blocks
    ]
    assert all(len(row) == len(table[0]) for table in tables for row in table)
    return [[head, *rows] for head, _, *rows in tables]


def row_of(readme: str, column: str, *starts: str) -> list[str]:
    """Return the rest of the one row that starts so, of the one table with this column."""
    (table,) = (table for table in read_tables(readme) if column in table[0])
    (row,) = (row for row in table[1:] if tuple(row[: len(starts)]) == starts)
    return row[len(starts) :]


# ---------------------------------------------------------------- figures


@pytest.mark.parametrize("split", SPLITS)
def test_each_split_has_a_row_of_its_figures(card: Card, readme: str, split: str) -> None:
    figures = card.metrics[split]
    assert row_of(readme, "balanced accuracy", split) == [
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
    assert row_of(readme, "precision", label) == [written(interval) for interval in expected]


@pytest.mark.parametrize(
    ("source", "label"),
    [(source, label) for source, labels in BY_SOURCE.items() for label in labels],
)
def test_each_label_of_each_source_has_its_test_sensitivity(
    card: Card, readme: str, source: str, label: str
) -> None:
    expected = {str(k): v for k, v in card.metrics["test"].sensitivity_by_source[source].items()}
    assert row_of(readme, "called right", source, label) == [written(expected[label])]


def test_a_source_has_no_row_of_a_label_it_lacks(readme: str) -> None:
    (table,) = (table for table in read_tables(readme) if "called right" in table[0])
    assert [row[:2] for row in table[1:]] == [
        ["hospital", "normal"],
        ["hospital", "viral_pneumonia"],
        ["archive", "covid19"],
    ]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", TASKS)
def test_each_task_has_a_row_of_its_figures_on_each_split(
    card: Card, readme: str, name: str, split: str
) -> None:
    task = card.metrics[split].tasks[name]
    assert row_of(readme, "task", name.replace("_", " "), split) == [
        str(task.images),
        written(task.auroc),
        written(task.accuracy),
        written(task.sensitivity),
        written(task.specificity),
    ]


@pytest.mark.parametrize("split", SPLITS)
def test_each_split_has_a_row_of_its_calibration(card: Card, readme: str, split: str) -> None:
    figures = card.metrics[split]
    before = figures.before_temperature
    assert before is not None
    expected = (
        *(before.nll, figures.nll, before.brier, figures.brier, before.ece, figures.ece),
        *(figures.ece_by_chance, figures.ece_by_chance_95),
    )
    assert row_of(readme, "ECE by chance", split) == [f"{value:.3f}" for value in expected]


@pytest.mark.parametrize("split", SPLITS)
def test_each_split_has_a_row_of_what_is_answered(card: Card, readme: str, split: str) -> None:
    figures = card.metrics[split]
    assert figures.answered is not None
    assert figures.accuracy_answered is not None
    assert figures.refused is not None
    assert row_of(readme, "AURC", split) == [
        written(figures.answered),
        written(figures.accuracy_answered),
        f"{figures.aurc:.4f}",
        written(figures.refused),
    ]


def test_operating_points_threshold_and_priors_are_told(readme: str) -> None:
    assert (
        "(normal 0.811, covid19 0.812, bacterial_pneumonia 0.813, viral_pneumonia 0.814)" in readme
    )
    assert "is over 4321." in readme
    assert (
        "normal 0.241, covid19 0.242, bacterial_pneumonia 0.243, viral_pneumonia 0.244." in readme
    )


def test_priors_that_were_set_even_are_not_called_validations(card: Card, readme: str) -> None:
    assert "where the labels are as common as in validation: normal 0.241" in readme
    training = card.training.model_copy(update={"settings": {"priors": "even"}})
    even = render_readme(card.model_copy(update={"training": training}))
    assert "shifted to labels as common as these: normal 0.241" in even
    assert "as in validation" not in even


@pytest.mark.parametrize(("row", "label"), list(enumerate(LABEL_IDS)))
def test_the_ages_each_label_is_known_from_are_told(readme: str, row: int, label: str) -> None:
    assert row_of(readme, "age in years", label) == [f"{30 + row} to {60 + row}, 91 to 92.5"]
    assert "in the views PA, AP;" in readme


@pytest.mark.parametrize("method", METHODS)
def test_each_method_tried_has_a_row_of_its_figures(card: Card, readme: str, method: str) -> None:
    assert card.quantisation is not None
    figures = card.quantisation.tried[method]
    assert row_of(readme, "labels kept", method) == [
        f"{figures.macro_auroc:.4f}",
        f"{figures.nll:.4f}",
        f"{figures.ece:.4f}",
        f"{figures.difference:.4f}",
        f"{figures.cam_correlation:.4f}",
        f"{100 * figures.labels_kept:.2f}%",
    ]


def test_the_method_chosen_stands_above_those_tried(readme: str) -> None:
    _, _, section = readme.partition("## Quantisation\n\n")
    assert section.startswith("Ranges by `percentile`: ")
    assert "where float32's macro-AUROC is 0.9876." in section


# ---------------------------------------------------------------- the audit


@pytest.mark.parametrize("split", AUDITED)
def test_what_is_right_without_lungs_and_with_nothing_else_is_told(
    card: Card, readme: str, split: str
) -> None:
    audit = card.audit[split]
    for name, changed in (("hidden", audit.lungs_hidden), ("only", audit.lungs_only)):
        assert row_of(readme, "blind guess", split, f"lungs {name}") == [
            written(changed.accuracy),
            written(changed.macro_auroc),
            f"{audit.commonest:.3f}",
        ]


@pytest.mark.parametrize("split", AUDITED)
@pytest.mark.parametrize("name", CHANGES)
def test_each_change_has_a_row_of_what_it_costs(
    card: Card, readme: str, name: str, split: str
) -> None:
    changed = card.audit[split].changed[name]
    assert row_of(readme, "lost", split, name.replace("_", " ")) == [
        written(changed.accuracy),
        written(changed.lost),
        written(changed.macro_auroc),
    ]


def test_what_a_probe_finds_of_the_source_is_told(card: Card, readme: str) -> None:
    probes = [card.audit[split].source_auroc for split in AUDITED]
    assert None not in probes
    told = [
        f"{split} {written(probe)}" for split, probe in zip(AUDITED, probes, strict=True) if probe
    ]
    assert f"with an AUROC of: {', '.join(told)}." in readme


@pytest.mark.parametrize("split", AUDITED)
def test_deletion_has_a_row_by_the_map_and_one_at_random(
    card: Card, readme: str, split: str
) -> None:
    told = card.audit[split].deletion
    for name, means, gap in (
        ("marked", told.marked, written(told.gap)),
        ("random", told.random, ""),
    ):
        assert row_of(readme, "gap", split, str(told.images), name) == [
            *(f"{mean:.3f}" for mean in means),
            gap,
        ]


# ---------------------------------------------------------------- data, making, texts


def test_each_source_of_training_images_has_its_licence_and_counts(readme: str) -> None:
    cells = row_of(readme, "licence", "the hospital's")
    assert cells == ["CC BY 4.0", "7001", "7002", "7003", "7004"]


def test_a_label_that_a_source_lacks_counts_no_image(card: Card) -> None:
    lacking = card.training.data[0].model_copy(update={"images": {"covid19": 5}})
    training = card.training.model_copy(update={"data": [lacking]})
    readme = render_readme(card.model_copy(update={"training": training}))
    assert row_of(readme, "licence", "the hospital's")[1:] == ["0", "5", "0", "0"]


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


def test_a_network_that_had_teachers_says_how_many(card: Card) -> None:
    training = card.training.model_copy(update={"settings": {"teachers": 3}})
    readme = render_readme(card.model_copy(update={"training": training}))
    assert "seed 42. It learned the mean answers of 3 networks of the same recipe" in readme
    assert "mean answers" not in render_readme(card)


@pytest.mark.parametrize(
    ("licence", "told"),
    [
        ("Research use. Learned from images of ours.", "Research use"),
        ("the weights' licence", "the weights' licence"),
        ("Research use.", "Research use"),
    ],
)
def test_the_second_line_tells_what_it_is_not_and_the_licence_in_a_word(
    card: Card, licence: str, told: str
) -> None:
    readme = render_readme(card.model_copy(update={"licence": licence}))
    assert readme.splitlines()[2] == (
        f"**Not a medical device.** Licence of the weights: {told} "
        "([in full](#licence-of-the-weights))."
    )


def test_a_card_without_limitations_says_that_none_are_stated(card: Card) -> None:
    readme = render_readme(card.model_copy(update={"limitations": []}))
    assert "## Limitations\n\n- none stated\n" in readme


# ---------------------------------------------------------------- cards with fewer figures


@pytest.mark.parametrize(
    "text",
    [
        "Kermany et al.",
        "Calibration, before",
        "## Quantisation",
        "called right",
        "precision |",
        "## Audit",
    ],
)
def test_what_a_card_has_no_figures_of_is_left_out(
    readme: str, bare_readme: str, text: str
) -> None:
    assert text in readme
    assert text not in bare_readme


def test_the_other_figures_of_such_a_card_stand(bare_readme: str) -> None:
    figure = "0.900 (0.800 to 0.950)"
    assert row_of(bare_readme, "balanced accuracy", "test")[2:] == [figure] * 3 + ["0.500"]
    assert row_of(bare_readme, "specificity", "covid19") == [figure] * 3


def test_without_sensitivity_by_source_a_source_has_its_accuracy(card: Card) -> None:
    metrics = card.metrics["test"].model_copy(update={"sensitivity_by_source": {}})
    readme = render_readme(card.model_copy(update={"metrics": {"test": metrics}}))
    head, hospital, archive = next(
        table for table in read_tables(readme) if table[0] == ["source", "accuracy"]
    )
    assert head == ["source", "accuracy"]
    assert [hospital, archive] == [
        [source, f"{value:.3f}"] for source, value in metrics.accuracy_by_source.items()
    ]
    assert "Accuracy on the test images of each source:" in readme


def test_splits_without_a_brier_score_have_no_row_of_calibration(card: Card) -> None:
    bare = Card.model_validate(make_card()).metrics["test"]
    metrics = {"validation": card.metrics["validation"], "test": bare}
    readme = render_readme(card.model_copy(update={"metrics": metrics}))
    (table,) = (table for table in read_tables(readme) if "ECE by chance" in table[0])
    assert [row[0] for row in table[1:]] == ["validation"]


# ---------------------------------------------------------------- the bundle of this repository


def test_the_shipped_readme_is_the_one_of_its_card() -> None:
    card = Card.model_validate_json((SHIPPED / "card.json").read_bytes())
    assert (SHIPPED / "README.md").read_text(encoding="utf-8") == render_readme(card)


def test_the_shipped_readme_shows_plots_that_lie_beside_it() -> None:
    readme = (SHIPPED / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[(.+?)\]\((.+?)\)", readme)
    assert shown == [
        ("trade-off", "trade-off.png"),
        ("confusion", "confusion.png"),
        ("roc", "roc.png"),
        ("precision-recall", "precision-recall.png"),
        ("reliability", "reliability.png"),
        ("risk-coverage", "risk-coverage.png"),
        ("changes", "changes.png"),
        ("deletion", "deletion.png"),
    ]
    assert all((SHIPPED / name).read_bytes().startswith(b"\x89PNG") for _, name in shown)


def test_the_shipped_card_has_the_hash_of_the_shipped_graph() -> None:
    card = read_bundle(SHIPPED).card
    assert hashlib.sha256((SHIPPED / "model.onnx").read_bytes()).hexdigest() == card.sha256


def test_the_shipped_bundle_is_called_after_its_folder() -> None:
    card = read_bundle(SHIPPED).card
    assert (card.name, card.version) == (SHIPPED.name, SHIPPED.name.rpartition("-")[2])


def test_the_readme_tells_how_intervals_were_made(card: Card) -> None:
    assert "95 % intervals bootstrapped by patient" in render_readme(card)
    now = render_readme(card.model_copy(update={"intervals": "score"}))
    assert "95 % intervals by patient, that hold at 0 and 1 too" in now
