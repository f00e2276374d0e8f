"""app.render.overlay: what is drawn where, in colours that everyone can tell apart."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.image.grey_image import GreyImage, ImageFacts
from app.language import Language, Text
from app.render.overlay import Floats, Legend, draw_overlay, relevance
from app.render.wording import NOTICE

LEGEND = Legend(
    label="Viral pneumonia", share=0.75, uncertain=False, model="neumo-test-1", language="en"
)
GREY = 100
NO_DEVICE = {"en": "Not a medical device.", "es": "No es producto sanitario."}
FOR_RESEARCH = {"en": "research use only.", "es": "solo investigación."}


def image(width: int = 448, height: int = 448) -> GreyImage:
    facts = ImageFacts("PNG", width, height, 8, "0" * 64)
    return GreyImage(np.full((height, width), GREY, np.uint8), facts)


def one_cell(row: int, column: int, value: float = 2.0) -> Floats:
    cam = np.zeros((7, 7), np.float32)
    cam[row, column] = value
    return cam


def drawn(cam: Floats, alpha: float = 0.5, **size: int) -> Any:  # noqa: ANN401 - a pixel array
    png = draw_overlay(image(**size), cam, LEGEND, alpha)
    return np.asarray(Image.open(io.BytesIO(png)))


def test_relevance_is_a_share_of_the_strongest_cell_and_ignores_what_speaks_against() -> None:
    cam = np.zeros((7, 7), np.float32)
    cam[0, :3] = [4, 1, -8]
    assert relevance(cam)[0, :4].tolist() == [1, 0.25, 0, 0]


def test_relevance_is_nothing_where_no_cell_speaks_for_the_label() -> None:
    assert relevance(np.full((7, 7), -1, np.float32)).max() == 0


@pytest.mark.parametrize(("row", "column"), [(0, 0), (2, 5), (6, 3)])
def test_the_strongest_cell_lies_over_its_part_of_the_image(row: int, column: int) -> None:
    pixels = drawn(one_cell(row, column))
    y, x = row * 64 + 32, column * 64 + 32
    expected = np.array([253, 231, 37]) * 0.5 + GREY * 0.5  # viridis' last colour, half
    assert pixels[y, x] == pytest.approx(expected, abs=8)
    mirrored = pixels[y, 447 - x]
    assert column == 3 or mirrored.tolist() == [GREY] * 3


def test_the_radiograph_stays_as_it_is_where_nothing_speaks_for_the_label() -> None:
    pixels = drawn(np.full((7, 7), -1, np.float32), alpha=1)
    assert (pixels[:448] == GREY).all()


def test_alpha_nought_shows_only_the_radiograph_and_one_hides_it() -> None:
    assert (drawn(one_cell(3, 3), alpha=0)[:448] == GREY).all()
    assert drawn(one_cell(3, 3), alpha=1)[224, 224] == pytest.approx([253, 231, 37], abs=8)


def test_the_legends_bar_is_viridis_whose_lightness_rises_evenly() -> None:
    mpl = pytest.importorskip("matplotlib")
    legend = drawn(one_cell(3, 3))[448:].astype(int)
    coloured = np.ptp(legend, axis=2) > 40
    bar = legend[coloured.sum(1).argmax()]
    bar = bar[np.ptp(bar, axis=1) > 0]
    viridis = np.array(mpl.colormaps["viridis"](np.linspace(0, 1, len(bar))))[:, :3] * 255
    assert len(bar) == 448 // 3
    assert np.abs(bar - viridis).max() < 10


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(448, 448, (448, 448)), (2000, 1000, (768, 384)), (100, 200, (192, 384))],
)
def test_the_picture_has_the_shape_of_the_image_at_a_size_that_can_be_read(
    width: int, height: int, expected: tuple[int, int]
) -> None:
    pixels = drawn(np.full((7, 7), -1, np.float32), width=width, height=height)
    grey = (pixels == GREY).all(2)
    columns = grey[0].nonzero()[0]
    assert (len(columns), grey[:, columns].all(1).sum()) == expected


def test_the_legend_is_drawn_in_spanish_with_its_accents() -> None:
    def legend_of(label: str) -> Any:  # noqa: ANN401 - a pixel array
        legend = replace(LEGEND, label=label, language="es")
        png = draw_overlay(image(), one_cell(0, 0), legend, 0.5)
        return np.asarray(Image.open(io.BytesIO(png)).convert("L"))[448:]

    accented, plain, missing = map(legend_of, ("Neumonía", "Neumonia", "Neumon\u4e00a"))
    assert (accented != plain).any()
    assert (accented != missing).any()


def test_the_file_names_the_model_and_nothing_of_the_caller() -> None:
    picture = Image.open(io.BytesIO(draw_overlay(image(), one_cell(0, 0), LEGEND, 0.5)))
    assert picture.info["Software"] == "Neumo, neumo-test-1"
    assert set(picture.info) == {"Software", "Disclaimer"}
    assert picture.info["Disclaimer"] == NOTICE.en


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_legend_says_on_a_line_of_its_own_that_it_is_no_medical_device(
    language: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    legend = replace(LEGEND, language=language)
    picture = np.asarray(Image.open(io.BytesIO(draw_overlay(image(), one_cell(3, 3), legend, 0.5))))
    lines: dict[int, str] = {}

    def note(_: object, place: tuple[int, int], text: str, *__: object) -> None:
        lines[place[1]] = text

    monkeypatch.setattr("PIL.ImageDraw.ImageDraw.text", note)
    draw_overlay(image(), one_cell(3, 3), legend, 0.5)
    (line,) = (top for top, text in lines.items() if text.startswith(NO_DEVICE[language]))
    assert picture[line : line + 12].max() == 255  # there, in white
    assert lines[line].endswith(FOR_RESEARCH[language])


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("width", [100, 224, 448, 2000])
def test_no_line_of_the_legend_is_cut_off(width: int, language: Language) -> None:
    label = Text("Bacterial pneumonia", "Neumonía bacteriana").render(language)
    legend = Legend(label, 0.5, uncertain=True, model="neumo-r18-12", language=language)
    png = draw_overlay(image(width, width), one_cell(3, 3), legend, 0.5)
    pixels = np.asarray(Image.open(io.BytesIO(png)))
    assert (pixels[max(384, min(width, 768)) :, -6:] == 0).all()  # a margin stays at the right


def test_an_uncertain_answers_legend_says_so_in_the_line_of_the_disclaimer() -> None:
    certain, uncertain = (
        draw_overlay(image(), one_cell(3, 3), replace(LEGEND, uncertain=doubt), 0.5)
        for doubt in (False, True)
    )
    before, after = (np.asarray(Image.open(io.BytesIO(png))) for png in (certain, uncertain))
    changed = np.flatnonzero((before != after).any((1, 2)))
    line_px = 18
    assert before.shape == after.shape
    assert changed.min() >= 448 + 6 + 2 * line_px  # below the title and the bar
    assert changed.max() < 448 + 6 + 3 * line_px  # above the line that names the model
