"""app.render.overlay: what is drawn where, in colours that everyone can tell apart."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.image.grey_image import GreyImage, ImageFacts, Limits
from app.language import Language, Text
from app.reading.reader import Reader
from app.reading.reading import Reading
from app.render.legend import Legend
from app.render.overlay import (
    GAP_PX,
    Drawing,
    Floats,
    draw_overlay,
    lies_outside,
    relevance,
    render_overlay,
)
from app.render.wording import NOTICE
from tests.images import encode
from tests.models import FakeModel, one_hot_cams

LEGEND = Legend(
    label="Viral pneumonia",
    share=0.75,
    called=None,
    uncertain=False,
    outside=False,
    cells=(7, 7),
    model="neumo-test-1",
    language="en",
)
GREY = 100
NO_DEVICE = {"en": "Not a medical device.", "es": "No es producto sanitario."}
FOR_RESEARCH = {"en": "research use only.", "es": "solo investigación."}


def image(width: int = 448, height: int = 448) -> GreyImage:
    facts = ImageFacts("PNG", width, height, 8, "0" * 64)
    return GreyImage(np.full((height, width), GREY, np.uint8), facts)


def one_cell(row: int, column: int, value: float = 2.0, side: int = 7) -> Floats:
    cam = np.zeros((side, side), np.float32)
    cam[row, column] = value
    return cam


def sheet(cam: Floats, strength: float = 0.5, legend: Legend = LEGEND, **size: int) -> Any:  # noqa: ANN401 - a pixel array
    png = draw_overlay(image(**size), Drawing(cam, strength), legend)
    return np.asarray(Image.open(io.BytesIO(png)))


def drawn(cam: Floats, strength: float = 0.5) -> Any:  # noqa: ANN401 - a pixel array
    """Return the overlay alone, 448 x 448: what stands right of the film and the gap."""
    return sheet(cam, strength)[:448, 448 + GAP_PX :]


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


@pytest.mark.parametrize(("rows", "columns"), [(5, 5), (4, 7), (14, 14)])
def test_cells_tile_the_image_however_many_a_graph_makes(rows: int, columns: int) -> None:
    cam = np.zeros((rows, columns), np.float32)
    cam[1, 2] = 1
    pixels = drawn(cam, 1.0)
    y, x = round(1.5 * 448 / rows), round(2.5 * 448 / columns)
    assert pixels[y, x] == pytest.approx([253, 231, 37], abs=8)
    assert pixels[y, 447 - 10].tolist() == [GREY] * 3


def test_the_film_stands_beside_as_it_is() -> None:
    pixels = sheet(one_cell(3, 3), 1.0)
    assert pixels.shape[1] == 2 * 448 + GAP_PX
    assert (pixels[:448, :448] == GREY).all()
    assert (pixels[:448, 448 : 448 + GAP_PX] == 0).all()


def test_the_radiograph_stays_as_it_is_where_nothing_speaks_for_the_label() -> None:
    assert (drawn(np.full((7, 7), -1, np.float32), 1.0) == GREY).all()


def test_strength_nought_shows_only_the_radiograph_and_one_hides_it() -> None:
    assert (drawn(one_cell(3, 3), 0.0) == GREY).all()
    assert drawn(one_cell(3, 3), 1.0)[224, 224] == pytest.approx([253, 231, 37], abs=8)


def make_reading(shares: tuple[float, ...], cams: NDArray[np.float32]) -> Reading:
    model = FakeModel(shares, cams)
    return Reader(model, Limits()).read(encode(np.full((448, 448), GREY, np.uint8), "PNG"))


@pytest.mark.parametrize("share", [0.01, 0.3, 0.97])
def test_a_map_is_as_strong_as_its_label_is_likely(share: float) -> None:
    rest = (1 - share) / 3
    reading = make_reading((rest, rest, share, rest), one_hot_cams())
    png = render_overlay(reading, "en", "bacterial_pneumonia", alpha=1)
    overlay = np.asarray(Image.open(io.BytesIO(png)))[:448, 448 + GAP_PX :]
    middle = overlay[4 * 64 + 32, 4 * 64 + 32]  # of the one cell that speaks for it
    expected = share * np.array([253, 231, 37]) + (1 - share) * GREY
    assert middle == pytest.approx(expected, abs=8)


def test_no_map_is_drawn_for_normal_unless_it_is_asked_for() -> None:
    reading = make_reading((0.97, 0.01, 0.01, 0.01), one_hot_cams())
    plain, asked = (
        np.asarray(Image.open(io.BytesIO(render_overlay(reading, "en", label))))
        for label in (None, "normal")
    )
    assert plain.shape[1] == 448
    assert (plain[:448] == GREY).all()
    assert asked.shape[1] == 2 * 448 + GAP_PX
    assert np.ptp(asked[32, 448 + GAP_PX + 32].astype(int)) > 40  # coloured


# ---------------------------------------------------------------- the legend


def written(legend: Legend, monkeypatch: pytest.MonkeyPatch, cells: bool = True) -> str:
    """Return all that is written below a picture."""
    words: list[str] = []
    monkeypatch.setattr("PIL.ImageDraw.ImageDraw.text", lambda *given: words.append(given[2]))
    drawing = Drawing(one_cell(3, 3), 0.5) if cells else None
    draw_overlay(image(), drawing, legend)
    return " ".join(words)


@pytest.mark.parametrize(
    ("language", "change", "told"),
    [
        ("en", {"called": "COVID-19"}, "Not the label called, which is: COVID-19."),
        ("es", {"called": "COVID-19"}, "No es la etiqueta dada, que es: COVID-19."),
        ("en", {"uncertain": True}, "The answer is uncertain."),
        ("es", {"uncertain": True}, "La respuesta es incierta."),
        ("en", {"outside": True}, "Caution: what is marked most lies at the border"),
        ("es", {"outside": True}, "Atención: lo más marcado está en el borde"),
    ],
)
def test_the_legend_tells_what_to_beware_of_and_only_then(
    language: Language, change: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = replace(LEGEND, language=language)
    assert told in written(replace(plain, **change), monkeypatch)
    assert told not in written(plain, monkeypatch)


def test_the_legend_names_label_share_cells_and_model(monkeypatch: pytest.MonkeyPatch) -> None:
    told = written(replace(LEGEND, cells=(5, 6)), monkeypatch)
    assert told.startswith("What speaks for: Viral pneumonia (75.0%)")
    assert "The colours are as strong as the label is likely." in told
    assert told.endswith("Class activation map, 5 x 6 cells, of neumo-test-1.")


def test_the_legend_says_that_no_map_is_drawn_and_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = written(replace(LEGEND, label="Normal", cells=None), monkeypatch, cells=False)
    assert told.startswith("Label called: Normal (75.0%) No map is drawn for normal unless")
    assert "label=normal" in told
    assert "speaks for" not in told


# ---------------------------------------------------------------- where there is no body


def body(cam_black: tuple[int, int] | None = None, black_left: float = 0) -> GreyImage:
    """Return a film of 7 x 7 cells of noise; one is black, or a share of its width at left."""
    pixels = np.random.default_rng(0).integers(60, 200, (448, 448)).astype(np.uint8)
    pixels[:, : round(448 * black_left)] //= 20
    if cam_black:
        row, column = cam_black
        pixels[row * 64 : row * 64 + 64, column * 64 : column * 64 + 64] //= 20
    return GreyImage(pixels, ImageFacts("PNG", 448, 448, 8, "0" * 64))


@pytest.mark.parametrize(
    ("row", "column", "outside"),
    [(0, 3, True), (6, 3, True), (3, 0, True), (3, 6, True), (1, 1, False), (3, 3, False)],
)
def test_the_outermost_cells_are_outside_the_body(row: int, column: int, outside: bool) -> None:
    assert lies_outside(body(), one_cell(row, column)) is outside


@pytest.mark.parametrize("place", [(0, 0), (0, 2), (2, 0), (4, 2), (2, 4), (4, 4), (1, 1), (2, 2)])
def test_at_the_border_of_large_cells_lies_lung_too(place: tuple[int, int]) -> None:
    assert not lies_outside(body(), one_cell(*place, side=5))


@pytest.mark.parametrize(
    ("black", "outside"),
    [(0, False), (0.07, False), (0.09, False), (0.11, True), (0.2, True)],  # of a cell's 0.2
)
def test_a_large_cell_at_the_border_is_outside_if_most_of_it_shows_no_body(
    black: float, outside: bool
) -> None:
    film = body(black_left=black)
    assert lies_outside(film, one_cell(2, 0, side=5)) is outside
    assert not lies_outside(film, one_cell(2, 1, side=5))


def test_a_large_cell_at_the_border_is_outside_if_it_shows_one_grey() -> None:
    film = body()
    film.pixels[:, -90:] = 255
    assert lies_outside(film, one_cell(2, 4, side=5))
    assert not lies_outside(film, one_cell(2, 3, side=5))


def test_a_map_may_have_small_cells_one_way_and_large_ones_the_other() -> None:
    above, beside = np.zeros((2, 5, 7), np.float32)
    above[0, 3] = beside[2, 0] = 1
    told = [lies_outside(body(), cam) for cam in (above, above.T, beside, beside.T)]
    assert told == [False, False, True, True]


def test_a_black_cell_is_outside_and_so_is_one_that_shows_nothing() -> None:
    assert lies_outside(body((2, 4)), one_cell(2, 4))
    assert not lies_outside(body((2, 4)), one_cell(2, 3))
    film = body()
    film.pixels[128:192, 128:192] = 255  # a burned-in mark's white box
    assert lies_outside(film, one_cell(2, 2))


def test_half_of_the_hottest_cells_have_to_lie_outside() -> None:
    cam = one_cell(3, 3)
    cam[3, 0] = 1.7  # within a fifth of the strongest: one of two
    assert lies_outside(body(), cam)
    cam[4, 3] = 1.7  # one of three
    assert not lies_outside(body(), cam)
    cam = one_cell(3, 3)
    cam[0] = 1.5  # not among the hottest
    assert not lies_outside(body(), cam)


def test_a_map_that_marks_nothing_marks_nothing_outside() -> None:
    assert not lies_outside(body(), np.full((7, 7), -1, np.float32))


# ---------------------------------------------------------------- the sheet


def test_the_legends_bar_is_viridis_whose_lightness_rises_evenly() -> None:
    mpl = pytest.importorskip("matplotlib")
    legend = sheet(one_cell(3, 3))[448:].astype(int)
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
    pixels = sheet(np.full((7, 7), -1, np.float32), width=width, height=height)
    grey = (pixels == GREY).all(2)
    columns = grey[0].nonzero()[0]
    assert (len(columns) / 2, grey[:, columns].all(1).sum()) == expected


def test_the_legend_is_drawn_in_spanish_with_its_accents() -> None:
    def legend_of(label: str) -> Any:  # noqa: ANN401 - a pixel array
        pixels = sheet(one_cell(0, 0), legend=replace(LEGEND, label=label, language="es"))
        return np.asarray(Image.fromarray(pixels).convert("L"))[448:]

    accented, plain, missing = map(legend_of, ("Neumonía", "Neumonia", "Neumon\u4e00a"))
    assert (accented != plain).any()
    assert (accented != missing).any()


def test_the_file_names_the_model_and_nothing_of_the_caller() -> None:
    picture = Image.open(io.BytesIO(draw_overlay(image(), None, LEGEND)))
    assert picture.info["Software"] == "Neumo, neumo-test-1"
    assert set(picture.info) == {"Software", "Disclaimer"}
    assert picture.info["Disclaimer"] == NOTICE.en


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("cells", [(7, 7), None])
def test_the_legend_says_in_white_that_it_is_no_medical_device(
    language: Language, cells: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    legend = replace(LEGEND, language=language, cells=cells)
    drawing = Drawing(one_cell(3, 3), 0.5) if cells else None
    picture = np.asarray(Image.open(io.BytesIO(draw_overlay(image(), drawing, legend))))
    lines: dict[int, str] = {}

    def note(_: object, place: tuple[int, int], text: str, *__: object) -> None:
        lines[place[1]] = text

    monkeypatch.setattr("PIL.ImageDraw.ImageDraw.text", note)
    draw_overlay(image(), drawing, legend)
    told = " ".join(lines.values())
    assert NO_DEVICE[language] in told
    assert FOR_RESEARCH[language] in told
    (top,) = (top for top, text in lines.items() if NO_DEVICE[language] in text)
    assert picture[448 + top : 448 + top + 12].max() == 255  # there, in white


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("width", [100, 224, 448, 2000])
@pytest.mark.parametrize("cells", [(7, 7), None])
def test_no_line_of_the_legend_is_cut_off(
    width: int, language: Language, cells: tuple[int, int] | None
) -> None:
    label = Text("Bacterial pneumonia", "Neumonía bacteriana").render(language)
    legend = Legend(
        label, 0.5, label, uncertain=True, outside=True, cells=cells, model="neumo-r18-12",
        language=language,
    )  # fmt: skip
    drawing = Drawing(one_cell(3, 3), 0.5) if cells else None
    png = draw_overlay(image(width, width), drawing, legend)
    pixels = np.asarray(Image.open(io.BytesIO(png)))
    below = pixels[max(384, min(width, 768)) :]
    assert (below[:, -6:] == 0).all()  # a margin stays at the right
    assert (below[-3:] == 0).all()  # and at the bottom
