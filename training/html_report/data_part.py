"""The part of a report about its data: how much of what from where, and what would mislead."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from app.model.card import DataSource
from training.data.inventory import Inventory, Twins
from training.data.manifest import Sample
from training.data.targets import order_of
from training.html_report.html_elements import Html, items, paragraph, section, table
from training.html_report.material import Material

_SHOWN: Final = 12
_NAMED: Final = 5


def describe_data(found: Material) -> Html:
    """Write out the data: what was read now, or else what the card tells of it."""
    if found.inventory:
        parts = [
            *_describe_samples(found.samples),
            *_describe_repeats(found.inventory, found.places),
            *_describe_sizes(found.inventory),
        ]
    elif found.bundle:
        parts = _describe_card(found.bundle.card.training.data)
    else:
        parts = []
    return section("data", "Data", parts)


def _describe_samples(samples: Sequence[Sample]) -> list[Html]:
    images = Counter((each.source, each.named, each.split) for each in samples)
    people = Counter(
        (source, label, split)
        for source, label, split, _ in {
            (each.source, each.named, each.split, each.patient) for each in samples
        }
    )
    keys = sorted(
        {(source, label) for source, label, _ in images},
        key=lambda key: (key[0], order_of(key[1])),
    )
    rows = [
        [
            source,
            _plain(label),
            *(
                _count(images[source, label, split], people[source, label, split])
                for split in ("train", "test")
            ),
        ]
        for source, label in keys
    ]
    whole = {
        split: _count(
            sum(each.split == split for each in samples),
            len({each.patient for each in samples if each.split == split}),
        )
        for split in ("train", "test")
    }
    licences = Counter((each.source, each.licence) for each in samples)
    return [
        table(
            ["source", "label", "train", "test"],
            [*rows, ["all", "", *whole.values()]],
            "Images, and of how many patients. Validation is held out of train, by patient.",
        ),
        table(
            ["source", "licence", "images"],
            [[source, licence, count] for (source, licence), count in sorted(licences.items())],
            "Licences of the images, as the manifest states them.",
        ),
    ]


def _describe_card(sources: Sequence[DataSource]) -> list[Html]:
    rows: list[list[object]] = [
        [each.source, _plain(label), count, each.licence]
        for each in sources
        for label, count in sorted(each.images.items(), key=lambda pair: order_of(pair[0]))
    ]
    return [
        table(
            ["source", "label", "images", "licence"],
            rows,
            "What the bundle was trained on and validated with, by its card.",
        )
    ]


def _describe_repeats(inventory: Inventory, places: Mapping[str, str]) -> list[Html]:
    equal = [pair for pair in inventory.twins if pair.correlation == 1]
    marks: Mapping[str, list[Twins]] = {
        "equal, pixel by pixel": equal,
        "nearly equal (saved anew, at another brightness)": [
            pair for pair in inventory.twins if pair.correlation < 1
        ],
        "one in each split": [pair for pair in inventory.twins if pair.across_splits],
        "with two labels": [pair for pair in inventory.twins if pair.across_labels],
        "of two patients, by their names": [
            pair for pair in inventory.twins if pair.across_patients
        ],
    }
    rows = [[name, len(pairs)] for name, pairs in marks.items()]
    pairs = [
        [
            places.get(pair.first, pair.first),
            places.get(pair.second, pair.second),
            f"{pair.correlation:.4f}",
            ", ".join(
                name
                for name, holds in (
                    ("two splits", pair.across_splits),
                    ("two labels", pair.across_labels),
                    ("two patients", pair.across_patients),
                )
                if holds
            ),
        ]
        for pair in inventory.twins[:_SHOWN]
    ]
    rest = len(inventory.twins) - len(pairs)
    more = f" The first {len(pairs)}; `neumo-train data check --json FILE` lists all." * bool(rest)
    listed = table(
        ["image", "and", "alike", "across"],
        pairs,
        f"Pairs, the most alike first.{more}",
    )
    return [
        "<h3>Images that occur twice</h3>",
        table(["pairs", "number"], rows),
        f"<details><summary>Which</summary>{listed}</details>" if pairs else "",
    ]


def _describe_sizes(inventory: Inventory) -> list[Html]:
    sizes = ", ".join(f"{size} ({count})" for size, count in list(inventory.sizes.items())[:_NAMED])
    association = inventory.source_label_association
    return [
        "<h3>What to weigh</h3>",
        items(
            [
                (
                    f"Source against label, of the training images: Cramér's V {association:.2f} "
                    "(0: unrelated; 1: the source tells the label)."
                ),
                f"{len(inventory.sizes)} size(s); the most frequent: {sizes}.",
                *inventory.warnings,
            ]
        ),
        *(
            [paragraph(f"Unreadable: {len(inventory.unreadable)} image(s).")]
            if inventory.unreadable
            else []
        ),
    ]


def _count(images: int, patients: int) -> str:
    return f"{images} of {patients}" if images else ""


def _plain(label: str) -> str:
    return label.replace("|", " or ")
