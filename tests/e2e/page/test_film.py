"""One film on the page: shown, read, explained, doubted, refused."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.conftest import ROOT
from tests.e2e.page.conftest import NewPage, film, give, pixels, upside_down
from tests.server import Server, multipart

DICOM = ROOT / "examples" / "normal.dcm"


def test_a_film_is_read_and_shown_with_its_map(page: Page, examples: dict[str, Path]) -> None:
    give(page, examples["covid19"])
    verdict = page.locator("#verdict")
    expect(verdict).to_contain_text("COVID-19")
    expect(verdict).to_contain_text("99.6%")
    expect(page.locator("#bars li")).to_have_count(4)
    expect(page.locator("#bars .called")).to_contain_text("COVID-19")
    expect(page.locator("#cautions")).to_contain_text("Nobody has shown that this model can be")
    expect(page.locator("#map-note")).to_contain_text("in 5 × 5 cells")
    expect(page.locator("#corner-map")).to_have_text("Map: COVID-19, 99.6%")
    expect(page.locator("#corner-doubt")).to_be_hidden()
    assert pixels(page, "#film-pane").std(axis=2).max() == 0  # grey
    assert pixels(page, "#map-pane").std(axis=2).max() > 40


def test_what_must_always_stand_there_stands_there(page: Page, examples: dict[str, Path]) -> None:
    foot = page.locator("footer.notice")
    for _ in ("before", "after"):
        expect(foot).to_contain_text("Not a medical device.")
        expect(foot).to_contain_text("neumo-r18-3 (version 3, 61cfdcee)")
        expect(foot).to_contain_text("Not validated at this site")
        expect(foot).to_be_in_viewport()
        give(page, examples["normal"])
        expect(page.locator(".verdict.ok")).to_be_visible()
    page.get_by_role("button", name="Limits").click()
    expect(page.locator("#limits-body")).to_contain_text("means none of the three other labels")
    expect(page.locator("#limits-body")).to_contain_text("1 to 5 years")


def test_the_thresholds_stand_where_the_card_says(page: Page, examples: dict[str, Path]) -> None:
    give(page, examples["covid19"])
    rows = page.locator("#bars li")
    expect(rows).to_have_count(4)
    points, floors = (
        rows.nth(1).locator(f".{mark}").evaluate_all("(marks) => marks.map((m) => m.style.left)")
        for mark in ("point", "floor")
    )
    assert (points, floors) == (["44.7356%"], ["99.342%"])
    assert rows.nth(1).locator(".fill").evaluate("(fill) => fill.style.width") == "99.5903%"
    expect(rows.nth(3)).to_contain_text("never clear on its own")
    assert rows.nth(3).locator(".floor").count() == 0


def test_the_map_is_the_one_that_explain_draws(
    page: Page, service: Server, examples: dict[str, Path]
) -> None:
    give(page, examples["covid19"])
    expect(page.locator("#corner-map")).to_have_text("Map: COVID-19, 99.6%")
    shown = pixels(page, "#map-pane")
    rows, columns = shown.any(axis=(1, 2)).nonzero()[0], shown.any(axis=(0, 2)).nonzero()[0]
    shown = shown[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]

    body, headers = multipart(("file", "film", examples["covid19"].read_bytes()))
    drawn = Image.open(io.BytesIO(service.call("POST", "/explain", body, headers)[2]))
    drawn = drawn.crop((drawn.width - 768, 0, drawn.width, 768)).convert("RGB")
    small = [
        np.asarray(each.resize((96, 96), Image.Resampling.BOX)).astype(int)
        for each in (Image.fromarray(shown.astype(np.uint8)), drawn)
    ]
    assert np.abs(small[0] - small[1]).mean() < 4
    assert np.abs(small[0] - small[1]).max() < 40  # edges of ribs, resized by two programs


def test_a_label_that_is_unlikely_does_not_glow(page: Page, examples: dict[str, Path]) -> None:
    give(page, examples["covid19"])
    expect(page.locator("#corner-map")).to_have_text("Map: COVID-19, 99.6%")
    page.select_option("#map-label", "normal")  # of 0.09 %
    page.locator("#opacity").fill("100")
    expect(page.locator("#corner-map")).to_have_text("Map: Normal, < 0.1%")
    expect(page.locator("#map-note")).to_contain_text("Not the label called, which is COVID-19.")
    assert np.abs(pixels(page, "#map-pane") - pixels(page, "#film-pane")).max() <= 1


def test_opacity_makes_the_map_as_strong_as_it_says(page: Page, examples: dict[str, Path]) -> None:
    give(page, examples["covid19"])
    expect(page.locator("#corner-map")).to_have_text("Map: COVID-19, 99.6%")
    plain, distances = pixels(page, "#film-pane"), []
    for opacity in ("0", "25", "100"):
        page.locator("#opacity").fill(opacity)
        expect(page.locator("#opacity-value")).to_have_text(f"{opacity}%")
        distances.append(np.abs(pixels(page, "#map-pane") - plain).mean())
    assert distances[0] == 0
    assert distances[2] == pytest.approx(4 * distances[1], rel=0.1)


def test_a_normal_film_has_no_map_until_one_is_asked_for(
    page: Page, examples: dict[str, Path]
) -> None:
    give(page, examples["normal"])
    expect(page.locator("#verdict")).to_contain_text("Not healthy: no other finding is looked for.")
    expect(page.locator("#map-note")).to_contain_text("No map: normal means")
    expect(page.locator("#map-pane")).to_be_hidden()
    page.select_option("#map-label", "viral_pneumonia")
    expect(page.locator("#map-pane")).to_be_visible()
    expect(page.locator("#map-note")).to_contain_text("Not the label called, which is Normal.")


def test_doubt_is_unmistakable(page: Page, examples: dict[str, Path]) -> None:
    give(page, examples["bacterial_pneumonia"])
    verdict = page.locator(".verdict.uncertain")
    expect(verdict).to_contain_text("The network does not know. This is no finding.")
    expect(verdict).to_contain_text("In doubt between Bacterial pneumonia and Viral pneumonia")
    expect(verdict).to_contain_text("can't tell bacterial from viral")
    expect(verdict.locator(".reasons li")).to_have_count(1)
    expect(page.locator(".verdict-label, .called")).to_have_count(0)  # nothing is called
    expect(page.locator("#rows")).to_contain_text("Uncertain")
    expect(page.locator("#rows")).not_to_contain_text("pneumonia 9")
    expect(page.locator("#corner-doubt")).to_be_visible()
    expect(page.locator("#map-note strong")).to_have_text("The answer is uncertain.")


def test_a_refusal_says_what_to_mend_and_shows_nothing_like_a_finding(
    page: Page, examples: dict[str, Path]
) -> None:
    give(page, upside_down(examples["normal"]))
    verdict = page.locator(".verdict.refused")
    expect(verdict).to_contain_text("Not a frontal chest X-ray")
    expect(verdict).to_contain_text("upside down. Turn it by 180 degrees")
    for absent in ("#bars", "#cautions", "#map-tools", "#map-pane"):
        expect(page.locator(absent)).to_be_hidden()
    assert pixels(page, "#film-pane").std(axis=2).max() == 0
    assert pixels(page, "#film-pane").any()


def test_a_file_that_is_no_picture_is_refused_in_words(page: Page) -> None:
    give(page, {"name": "notes.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7 no film"})
    expect(page.locator(".verdict.refused")).to_contain_text("neither JPEG nor PNG nor a DICOM")
    expect(page.locator("#stage-note")).to_contain_text("This film can't be shown.")


def test_a_file_that_is_too_large_is_not_sent(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(  # 33 MB, made there
        """() => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(33 * 2 ** 20)], "large.png"));
          dispatchEvent(Object.assign(new Event("paste"), { clipboardData: transfer }));
        }"""
    )
    expect(page.locator(".verdict.refused")).to_contain_text("It has 34.6 MB")
    assert not [url for url in asked if "/predict" in url]


def test_a_dicom_film_is_shown_through_the_service_and_fills_age_and_view(page: Page) -> None:
    give(page, DICOM)
    expect(page.locator(".verdict.ok")).to_contain_text("Normal")
    expect(page.locator("#subject-note")).to_have_text("Read as: 61 years, PA (from the file).")
    expect(page.locator("#age")).to_have_attribute("placeholder", "61")
    expect(page.locator("#view option").first).to_have_text("PA (from the file)")
    expect(page.locator("#corner-grey")).to_have_text("W 2,551 L 2,226")
    expect(page.locator("#corner-size")).to_contain_text("512 × 512, DICOM, 12 bit")
    first = pixels(page, "#film-pane")
    with page.expect_request(
        lambda request: "window=2" in request.url and "predict" in request.url
    ):
        page.select_option("#window", "2")
    expect(page.locator(".verdict.ok")).to_be_visible()
    expect(page.locator("#corner-grey")).not_to_have_text("W 2,551 L 2,226")
    assert np.abs(pixels(page, "#film-pane") - first).mean() > 5


def test_age_and_view_are_sent_and_read_anew(page: Page, examples: dict[str, Path]) -> None:
    page.fill("#start-age", "61")
    give(page, examples["covid19"])
    expect(page.locator("#subject-note")).to_have_text("Read as: 61 years.")
    expect(page.locator("#cautions")).not_to_contain_text("age was not given")
    page.fill("#age", "4")
    page.locator("#age").press("Tab")
    expect(page.locator(".verdict.uncertain")).to_contain_text("patients of other ages only")
    page.select_option("#view", "lateral")
    expect(page.locator("#subject-note")).to_have_text("Read as: 4 years, Lateral.")
    expect(page.locator(".verdict.uncertain")).to_contain_text("radiographs in this view")
    page.fill("#age", "300")
    page.locator("#age").press("Tab")
    expect(page.locator("#age-error")).to_contain_text("Years from 0 to 130")
    expect(page.locator(".verdict.uncertain")).to_be_visible()


def test_the_next_patient_does_not_inherit_an_age(page: Page, examples: dict[str, Path]) -> None:
    page.fill("#start-age", "61")
    give(page, examples["covid19"])
    expect(page.locator(".verdict.ok")).to_be_visible()
    give(page, film(examples["normal"], "next.jpg"))
    expect(page.locator("#corner-name")).to_have_text("2/2  next.jpg", use_inner_text=False)
    expect(page.locator("#age")).to_have_value("")
    expect(page.locator("#subject-note")).to_contain_text("Nothing is known of the patient.")


def test_a_film_that_is_dropped_is_read(page: Page, examples: dict[str, Path]) -> None:
    page.evaluate(
        """async ([address]) => {
          const blob = await (await fetch(address)).blob();
          const transfer = new DataTransfer();
          transfer.items.add(new File([blob], "dropped.jpg"));
          document.body.dispatchEvent(
            new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
        }""",
        [_as_address(page, examples["covid19"])],
    )
    expect(page.locator("#corner-name")).to_contain_text("dropped.jpg")
    expect(page.locator(".verdict.ok")).to_contain_text("COVID-19")


def _as_address(page: Page, path: Path) -> str:
    """Return an address of the service's own at which the page finds a file."""
    page.route("**/given", lambda route: route.fulfill(body=path.read_bytes()))
    return "given"


def test_dragging_changes_window_and_level(page: Page, examples: dict[str, Path]) -> None:
    give(page, examples["normal"])
    expect(page.locator(".verdict.ok")).to_be_visible()
    expect(page.locator("#corner-grey")).to_have_text("W 255 L 128")
    before = pixels(page, "#film-pane")
    box = page.locator("#film-pane").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + 40)
    page.mouse.up()
    expect(page.locator("#corner-grey")).to_have_text("W 255 L 168")
    expected = np.maximum(before - 40, 0)  # a higher level: all darker by as much
    assert np.abs(pixels(page, "#film-pane") - expected).max() <= 1
    page.click("#reset")
    page.click("#invert")
    inside = before.any(axis=2)
    assert np.abs(pixels(page, "#film-pane") - (255 - before))[inside].max() <= 1
    expect(page.locator("#invert")).to_have_attribute("aria-pressed", "true")
    page.click("#reset")
    assert np.array_equal(pixels(page, "#film-pane"), before)


def test_the_film_is_zoomed_to_its_own_pixels_and_moved(
    page: Page, examples: dict[str, Path]
) -> None:
    give(page, examples["normal"])
    expect(page.locator(".verdict.ok")).to_be_visible()
    page.click("#zoom-actual")
    expect(page.locator("#corner-size")).to_contain_text("Zoom 100%")
    shown = pixels(page, "#film-pane")
    height, width = shown.shape[:2]
    whole = np.asarray(Image.open(examples["normal"]).convert("RGB")).astype(int)
    top, left = round(512 - height / 2), round(512 - width / 2)
    middle = np.s_[100:-100, 100:-100]
    nearest = min(
        np.abs(shown[middle] - whole[top + dy :, left + dx :][:height, :width][middle]).mean()
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
    )
    assert nearest < 2
    page.click('[data-drag="pan"]')
    box = page.locator("#film-pane").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 300, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 350, box["y"] + 320)
    page.mouse.up()
    moved = pixels(page, "#film-pane")
    assert np.abs(moved[120:-100, 150:-100] - shown[100:-120, 100:-150]).max() <= 1
    page.mouse.wheel(0, -400)
    expect(page.locator("#corner-size")).to_contain_text("Zoom 272%")
    page.click("#zoom-fit")
    expect(page.locator("#corner-size")).to_contain_text(re.compile(r"Zoom [67]\d%"))


def test_all_is_in_the_tab_s_memory_and_gone_once_it_is_left(
    page: Page, examples: dict[str, Path]
) -> None:
    give(page, film(examples["covid19"], "DOE_JANE.jpg"))
    expect(page.locator(".verdict.ok")).to_be_visible()
    kept = page.evaluate(
        "async () => [localStorage.length, sessionStorage.length, document.cookie,"
        " (await indexedDB.databases()).length,"
        " (await navigator.serviceWorker.getRegistrations()).length]"
    )
    assert kept == [0, 0, "", 0, 0]
    # A browser may keep a page whole for who goes back to it; this is what it says then.
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    expect(page.locator("#start")).to_be_visible()
    assert "DOE" not in page.content()
    expect(page.locator("#verdict")).to_be_empty()
    assert not pixels(page, "#film-pane").any()


def test_what_is_printed_has_all_that_belongs_to_it(
    open_page: NewPage, examples: dict[str, Path], tmp_path: Path
) -> None:
    for language, words in {
        "en": ("Uncertain", "Bacterial pneumonia", "bacterial from viral", "Not a medical device."),
        "es": ("Incierta", "Neumonía bacteriana", "de la vírica", "No es un producto sanitario."),
    }.items():
        page = open_page(locale=language)
        give(page, examples["bacterial_pneumonia"])
        expect(page.locator("#corner-doubt")).to_be_visible()
        expect(page.locator("#corner-grey")).to_have_text("W 255 L 128")
        page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
        page.emulate_media(media="print")
        report = page.locator("#report")
        expect(report).to_be_visible()
        expect(page.locator("main")).to_be_hidden()
        for word in (*words, "94", "61cfdcee2bbbd2814a982bdf0ec64", "W 255"):
            expect(report).to_contain_text(word)
        expect(report.locator("canvas")).to_have_count(2)
        expect(report.locator("tbody tr")).to_have_count(4)
        assert (tmp_path / "report.pdf").read_bytes().count(b"/Type /Page\n") == 1


def test_what_is_printed_before_the_film_is_there_says_so(
    page: Page, examples: dict[str, Path]
) -> None:
    page.evaluate("() => { self.createImageBitmap = () => new Promise(() => {}) }")
    give(page, examples["covid19"])
    expect(page.locator(".verdict.ok")).to_be_visible()
    page.pdf()
    pictures = page.locator("#report .report-pictures")
    expect(pictures).to_have_text("Opening the film …")
    expect(pictures.locator("canvas")).to_have_count(0)
