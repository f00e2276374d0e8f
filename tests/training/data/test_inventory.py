"""training.data.inventory: what a data set holds, and what of it would mislead."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from app.model.labels import LABEL_IDS
from tests.conftest import ROOT
from tests.training.drawings import Row, make_row, make_rows, write_manifest
from training.data.faults import DataError
from training.data.inventory import (
    NEAR_CORRELATION,
    Inventory,
    Twins,
    inventory_to_json,
    refuse_unreadable,
    render_inventory,
    take_inventory,
)

REAL = ROOT.parent / "shared" / "data" / "cxr4" / "manifest.csv"


def draw_chest(seed: int, width: int = 96, height: int = 96) -> Image.Image:
    """Draw soft blots: no two seeds look alike."""
    blots = np.random.default_rng(seed).integers(60, 190, (8, 8)).astype(np.uint8)
    return Image.fromarray(blots).resize((width, height), Image.Resampling.BICUBIC)


def write(folder: Path, rows: list[Row], **pictures: Image.Image) -> Path:
    """Write a manifest and a chest for each row, or the picture given under its patient's name."""
    folder.mkdir(exist_ok=True)
    for seed, row in enumerate(rows):
        picture = pictures.get(row["patient"].replace("-", "_"), draw_chest(seed))
        (folder / row["path"]).parent.mkdir(parents=True, exist_ok=True)
        picture.save(folder / row["path"])
    return write_manifest(folder, rows)


def take(folder: Path, rows: list[Row], **pictures: Image.Image) -> Inventory:
    return take_inventory(write(folder, rows, **pictures))


def from_sources(*sources: str) -> list[Row]:
    """Make a row for each split and label, the labels' training images from these sources."""
    train, test = make_rows()[:4], make_rows()[4:]
    return [row | {"source": source} for row, source in zip(train, sources, strict=True)] + test


# ---------------------------------------------------------------- counts


def test_images_are_counted_by_split_label_and_source(tmp_path: Path) -> None:
    rows = [*make_rows(), make_row("1.png", "test", "covid19"), make_row("2.png", "test", "normal")]
    rows[-1]["source"] = "b"
    alone = {f"{split}/{label}/a": 1 for split in ("train", "test") for label in LABEL_IDS}
    counts = alone | {"test/covid19/a": 2, "test/normal/b": 1}
    assert take(tmp_path, rows).counts == counts


def test_patients_are_counted_once_a_split(tmp_path: Path) -> None:
    rows = make_rows()
    rows[1]["patient"] = rows[0]["patient"]
    assert take(tmp_path, rows).patients == {"train": 3, "test": 4}


def test_sizes_are_counted_as_width_by_height_the_most_frequent_first(tmp_path: Path) -> None:
    inventory = take(tmp_path, make_rows(), train_normal=draw_chest(0, width=64, height=48))
    assert list(inventory.sizes.items()) == [("96 x 96", 7), ("64 x 48", 1)]


def test_a_data_set_without_faults_has_no_warning(tmp_path: Path) -> None:
    inventory = take(tmp_path, make_rows())
    assert (inventory.twins, inventory.unreadable, inventory.warnings) == ([], [], [])
    refuse_unreadable(inventory)


def test_what_can_not_be_trained_on_is_refused_with_all_its_faults(tmp_path: Path) -> None:
    rows = make_rows()
    rows[0]["patient"] = rows[7]["patient"]
    rows[1]["split"] = "dev"
    with pytest.raises(DataError) as caught:
        take(tmp_path, rows)
    assert len(str(caught.value).splitlines()) == 3  # the split, the patient, no covid19


# ---------------------------------------------------------------- unreadable images


def test_unreadable_images_are_named_and_the_others_looked_over(tmp_path: Path) -> None:
    manifest = write(tmp_path, make_rows())
    (tmp_path / "train-covid19.png").write_text("no image")
    (tmp_path / "test-normal.png").unlink()
    inventory = take_inventory(manifest)
    named = [line.split(": ")[0] for line in inventory.unreadable]
    assert named == ["train-covid19.png", "test-normal.png"]
    assert inventory.sizes == {"96 x 96": 6}
    assert sum(inventory.counts.values()) == 8


def test_an_inventory_of_nothing_readable_is_still_one(tmp_path: Path) -> None:
    inventory = take_inventory(write_manifest(tmp_path, make_rows()))
    assert (len(inventory.unreadable), inventory.sizes, inventory.twins) == (8, {}, [])


def test_unreadable_images_are_refused_by_their_number(tmp_path: Path) -> None:
    inventory = take_inventory(write_manifest(tmp_path, make_rows()))
    with pytest.raises(DataError, match=r"^8 unreadable image\(s\), named above"):
        refuse_unreadable(inventory)


# ---------------------------------------------------------------- twins


def test_the_same_file_twice_is_a_pair_of_twins(tmp_path: Path) -> None:
    rows = [*make_rows(), make_row("again.png", "train", "normal") | {"patient": "train-normal"}]
    twins = take(tmp_path, rows, train_normal=draw_chest(0)).twins
    assert twins == [
        Twins(
            "train-normal.png",
            "again.png",
            correlation=1.0,
            across_splits=False,
            across_labels=False,
            across_patients=False,
        )
    ]


def save_again(picture: Image.Image) -> Image.Image:
    return picture.copy()


def brighten(picture: Image.Image) -> Image.Image:
    return picture.point(lambda value: value + 40)


def flatten(picture: Image.Image) -> Image.Image:
    return ImageEnhance.Contrast(picture).enhance(0.6)


def halve(picture: Image.Image) -> Image.Image:
    return picture.resize((picture.width // 2, picture.height // 2))


@pytest.mark.parametrize("change", [save_again, brighten, flatten, halve])
def test_an_image_saved_otherwise_is_alike_but_not_equal(
    change: Callable[[Image.Image], Image.Image], tmp_path: Path
) -> None:
    rows = [*make_rows(), make_row("again.jpg", "train", "normal")]
    (twins,) = take(tmp_path, rows, again=change(draw_chest(0))).twins
    assert (twins.first, twins.second) == ("train-normal.png", "again.jpg")
    assert NEAR_CORRELATION <= twins.correlation < 1


def test_equal_pixels_in_another_file_are_equal(tmp_path: Path) -> None:
    manifest = write(tmp_path, [*make_rows(), make_row("again.png", "train", "normal")])
    draw_chest(0).save(tmp_path / "again.png", compress_level=0)
    assert [twins.correlation for twins in take_inventory(manifest).twins] == [1.0]


def test_the_negative_of_an_image_and_its_mirror_image_are_others(tmp_path: Path) -> None:
    chest = draw_chest(0)
    rows = [*make_rows(), *(make_row(f"{n}.png", "train", "normal") for n in ("mirror", "neg"))]
    mirror = chest.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert take(tmp_path, rows, mirror=mirror, neg=chest.point(lambda v: 255 - v)).twins == []


def test_blank_images_are_like_nothing(tmp_path: Path) -> None:
    blank = Image.new("L", (96, 96), 90)
    assert take(tmp_path, make_rows(), train_normal=blank, train_covid19=blank).twins == []


def test_of_three_equal_images_every_pair_is_named_and_equal_ones_come_first(
    tmp_path: Path,
) -> None:
    names = ("a-alike.jpg", "b.png", "c.png")
    rows = [*(make_row(name, "train", "normal") for name in names), *make_rows()]
    chest = draw_chest(100)
    pictures = {"a_alike": brighten(chest), "b": chest, "c": chest, "train_normal": chest}
    twins = take(tmp_path, rows, **pictures).twins
    pairs = [(pair.first, pair.second) for pair in twins]
    others = ("b.png", "c.png", "train-normal.png")
    assert pairs[:3] == [(others[0], others[1]), (others[0], others[2]), (others[1], others[2])]
    assert set(pairs[3:]) == {("a-alike.jpg", other) for other in others}


@pytest.mark.parametrize(
    ("change", "flags", "warnings"),
    [
        (
            {"split": "test", "patient": "other"},
            (True, False, True),
            [
                "1 twin pair(s) stand in both splits: the test would flatter",
                "1 twin pair(s) name two patients: splits by patient may share them",
            ],
        ),
        ({"label": "covid19"}, (False, True, False), ["1 twin pair(s) have two labels"]),
        ({"patient": "other"}, (False, False, True), ["1 twin pair(s) name two patients"]),
        ({}, (False, False, False), []),
    ],
    ids=["splits", "labels", "patients", "none"],
)
def test_what_twins_contradict_each_other_in_is_flagged_and_warned_of(
    tmp_path: Path, change: Row, flags: tuple[bool, ...], warnings: list[str]
) -> None:
    twin = make_row("again.png", "train", "normal") | {"patient": "train-normal"} | change
    manifest = write(tmp_path, [*make_rows(), twin])
    draw_chest(0).save(tmp_path / "again.png")
    inventory = take_inventory(manifest)
    (pair,) = inventory.twins
    assert (pair.across_splits, pair.across_labels, pair.across_patients) == flags
    for told, warning in zip(inventory.warnings, warnings, strict=True):
        assert told.startswith(warning)


def test_an_image_folders_twins_are_named_by_their_path_in_it(tmp_path: Path) -> None:
    for seed, row in enumerate(make_rows()):
        (tmp_path / row["split"] / row["label"]).mkdir(parents=True)
        draw_chest(seed).save(tmp_path / row["split"] / row["label"] / "0.png")
    draw_chest(0).save(tmp_path / "test" / "normal" / "1.png")
    link = tmp_path.with_name("link")
    link.symlink_to(tmp_path)
    for root in (tmp_path, link):
        (twins,) = take_inventory(root).twins
        assert {twins.first, twins.second} == {"train/normal/0.png", "test/normal/1.png"}
    link.unlink()


# ---------------------------------------------------------------- sources


def test_one_source_for_all_labels_tells_no_label(tmp_path: Path) -> None:
    inventory = take(tmp_path, from_sources("a", "a", "a", "a"))
    assert (inventory.source_label_association, inventory.warnings) == (0, [])


def test_sources_with_the_same_share_of_each_label_tell_no_label(tmp_path: Path) -> None:
    rows = make_rows()
    for row in make_rows()[:4]:
        rows.append(row | {"path": f"b-{row['path']}", "patient": row["label"], "source": "b"})
    inventory = take(tmp_path, rows)
    assert inventory.source_label_association == pytest.approx(0)
    assert inventory.warnings == []


def test_a_source_for_each_label_tells_it(tmp_path: Path) -> None:
    inventory = take(tmp_path, from_sources("a", "b", "c", "d"))
    assert inventory.source_label_association == pytest.approx(1)
    assert [warning.split()[0] for warning in inventory.warnings] == list(LABEL_IDS)


def test_a_label_that_shares_no_source_with_another_is_warned_of(tmp_path: Path) -> None:
    inventory = take(tmp_path, from_sources("a", "b", "a", "a"))
    (warning,) = inventory.warnings
    assert warning.startswith("covid19 comes only from b, where no other label comes from: ")


def test_a_label_with_one_shared_source_is_not_warned_of(tmp_path: Path) -> None:
    rows = from_sources("a", "b", "a", "a")
    rows.append(make_row("shared.png", "train", "covid19"))
    inventory = take(tmp_path, rows)
    assert inventory.warnings == []
    assert 0 < inventory.source_label_association < 1


def test_only_training_images_count_for_what_the_source_gives_away(tmp_path: Path) -> None:
    rows = from_sources("a", "a", "a", "a")
    for number, row in enumerate(rows[4:]):
        row["source"] = f"test-{number}"
    inventory = take(tmp_path, rows)
    assert (inventory.source_label_association, inventory.warnings) == (0, [])


# ---------------------------------------------------------------- what is shown


def test_the_json_is_the_inventory(tmp_path: Path) -> None:
    rows = [*from_sources("a", "Mérida", "a", "a"), make_row("again.png", "test", "covid19")]
    inventory = take(tmp_path, rows, again=draw_chest(0))
    assert json.loads(inventory_to_json(inventory)) == asdict(inventory)
    assert "Mérida" in inventory_to_json(inventory)


def test_people_are_shown_every_part(tmp_path: Path) -> None:
    manifest = write(
        tmp_path, [*from_sources("a", "b", "a", "a"), make_row("again.png", "test", "covid19")]
    )
    draw_chest(0).save(tmp_path / "again.png")
    (tmp_path / "test-normal.png").write_text("no image")
    lines = render_inventory(take_inventory(manifest)).splitlines()
    pair = "train-normal.png and again.png: equal (two splits, two labels, two patients)"
    for part in (
        "       2  test/covid19/a",
        "patients: test 5, train 4",
        "sizes: 1; the most frequent:",
        "       8  96 x 96",
        "source against label (Cramér's V, 0 to 1): 1.00",
        "images that occur twice: 1 pair(s)",
        f"  {pair}",
    ):
        assert part in lines
    assert sum(line.startswith("warning: ") for line in lines) == 4
    assert lines[-1].startswith("unreadable: test-normal.png: ")


def test_people_are_shown_twenty_pairs_and_how_many_more_there_are() -> None:
    pair = Twins(
        "1.png",
        "2.png",
        correlation=0.98765,
        across_splits=False,
        across_labels=False,
        across_patients=True,
    )
    text = render_inventory(Inventory({}, {}, {}, [], [pair] * 23, 0.0, []))
    assert text.count("  1.png and 2.png: alike (0.9877) (two patients)\n") == 20
    assert "  and 3 more (--json lists all)\n" in text


# ---------------------------------------------------------------- sets, several data sets

SET = "bacterial_pneumonia|viral_pneumonia"


def test_sets_and_other_findings_are_counted_and_their_sources_looked_at(tmp_path: Path) -> None:
    more = [
        make_row("set.png", "train", SET) | {"source": "b"},
        make_row("other.png", "train", "other") | {"source": "b"},
    ]
    inventory = take(tmp_path, [*make_rows(), *more])
    assert inventory.counts["train/other/b"] == inventory.counts[f"train/{SET}/b"] == 1
    assert not any(line.startswith((SET, "other")) for line in inventory.warnings)  # they share b
    more[1]["source"] = "c"
    inventory = take(tmp_path, [*make_rows(), *more])
    assert [line.split(" comes")[0] for line in inventory.warnings] == [SET, "other"]


def test_an_image_and_its_twin_in_another_data_set_are_found_and_named_in_full(
    tmp_path: Path,
) -> None:
    one = write(tmp_path / "one", make_rows())
    row = make_row("again.png", "train", "other")
    two = write(tmp_path / "two", [row], again=draw_chest(4))  # the fifth of the first set
    inventory = take_inventory([one, two])
    (twins,) = inventory.twins
    assert (twins.first, twins.second) == (
        str(tmp_path / "one" / "test-normal.png"),
        str(tmp_path / "two" / "again.png"),
    )
    assert (twins.across_splits, twins.across_labels) == (True, True)
    assert sum(inventory.counts.values()) == 9


def test_images_of_a_root_are_named_by_their_place_in_it(tmp_path: Path) -> None:
    write(tmp_path / "images", make_rows())
    (tmp_path / "images" / "test-normal.png").write_text("no image")
    rows = [row | {"path": str(tmp_path / "images" / row["path"])} for row in make_rows()]
    (tmp_path / "lists").mkdir()
    inventory = take_inventory(write_manifest(tmp_path / "lists", rows), root=tmp_path)
    (unreadable,) = inventory.unreadable
    assert unreadable.startswith("images/test-normal.png: ")


# ---------------------------------------------------------------- the development X-rays


@pytest.mark.skipif(not REAL.exists(), reason="the development X-rays (../shared/data) are absent")
def test_the_development_x_rays_hold_six_pairs_of_twins_and_give_covid19_away() -> None:
    inventory = take_inventory(REAL)
    assert sum(inventory.counts.values()) == 6956
    assert (inventory.sizes, inventory.unreadable) == ({"224 x 224": 6956}, [])
    assert [pair.across_splits for pair in inventory.twins].count(True) == 2
    assert len(inventory.twins) == 6
    assert inventory.warnings[0].startswith("covid19 comes only from ")
