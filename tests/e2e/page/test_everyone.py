"""The page for everyone: in both languages, by keyboard, by screen reader, on any screen."""

import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, FileChooser, Page, expect

from app.render.wording import NOT_A_DEVICE
from tests.conftest import ROOT
from tests.e2e.page.conftest import NewPage, film, give, pixels, upside_down, watched
from tests.server import Server

WEB = ROOT / "app" / "web"
SIZES = {"phone": (360, 740), "tablet": (820, 1180), "desktop": (1440, 900), "wide": (2560, 1440)}


def texts(page: Page, language: str) -> dict[str, str]:
    found: dict[str, str] = page.evaluate(
        "async (name) => (await import(new URL(`page/text_${name}.js`, location))).default",
        language,
    )
    return found


def test_both_languages_have_the_same_texts_with_the_same_places(page: Page) -> None:
    english, spanish = texts(page, "en"), texts(page, "es")
    assert list(english) == list(spanish)
    for key in english:
        places = [set(re.findall(r"\{\w+\}", text[key])) for text in (english, spanish)]
        assert places[0] == places[1], key
    same = {key for key in english if english[key] == spanish[key] and len(english[key]) > 14}
    assert same == set()
    assert (english["notADevice"], spanish["notADevice"]) == (NOT_A_DEVICE.en, NOT_A_DEVICE.es)


def test_every_text_that_is_asked_for_is_there_and_none_is_forgotten(page: Page) -> None:
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in sorted(WEB.iterdir())
        if path.suffix in (".js", ".html") and not path.name.startswith("text_")
    )
    known = set(texts(page, "en"))
    asked = set(re.findall(r'say\("(\w+)"', source))
    asked |= set(re.findall(r'data-(?:text|label)="(\w+)"', source))
    assert asked <= known
    named = set(re.findall(r'"(\w+)"', source))  # also those that are chosen among, or in a table
    unused = {key for key in known - named if not key.startswith("outcome_")}
    assert unused == set()
    outcomes = ("waiting", "reading", "ok", "uncertain", "refused", "failed", "cancelled")
    assert {key for key in known if key.startswith("outcome_")} == {
        f"outcome_{each}" for each in outcomes
    }


@pytest.mark.parametrize(
    ("locale", "query", "title"),
    [
        ("en-GB", "", "Drop chest X-rays here"),
        ("es-MX", "", "Suelte aquí radiografías de tórax"),
        ("fr-CA", "", "Drop chest X-rays here"),
        ("en-GB", "?lang=es", "Suelte aquí radiografías de tórax"),
    ],
)
def test_the_language_is_the_browser_s_or_the_address_s(
    open_page: NewPage, locale: str, query: str, title: str
) -> None:
    page = open_page(query, locale=locale)
    expect(page.locator("#start-title")).to_have_text(title)
    expect(page.locator("html")).to_have_attribute("lang", "es" if "Suelte" in title else "en")


def test_a_switch_of_language_translates_what_was_read_too(
    page: Page, examples: dict[str, Path]
) -> None:
    give(page, examples["bacterial_pneumonia"], upside_down(examples["normal"]))
    expect(page.locator("#tally")).to_contain_text("done: 2 of 2")
    page.get_by_role("button", name="ES", exact=True).click()
    verdict = page.locator(".verdict.uncertain")
    expect(verdict).to_contain_text("el modelo no distingue la bacteriana de la vírica")
    expect(verdict).to_contain_text("En duda entre Neumonía bacteriana y Neumonía vírica")
    expect(page.locator("#cautions")).to_contain_text("Nadie ha mostrado que se pueda confiar")
    expect(page.locator("#corner-map")).to_contain_text("Mapa: Neumonía bacteriana, 94,3")
    expect(page.locator("footer.notice")).to_contain_text("No es un producto sanitario.")
    page.locator("#rows .row").nth(1).click()
    expect(page.locator(".verdict.refused")).to_contain_text("Gírela 180 grados")
    assert page.url.endswith("?lang=es")


def test_a_film_is_read_by_keyboard_alone(page: Page, examples: dict[str, Path]) -> None:
    press = page.keyboard.press
    choosers: list[FileChooser] = []

    def take(chooser: FileChooser) -> None:
        choosers.append(chooser)

    page.on("filechooser", take)
    for _ in range(12):
        press("Tab")
        if page.evaluate("document.activeElement.id") == "choose":
            break
    press("Enter")
    while not choosers:
        page.wait_for_timeout(20)
    paths = [examples["covid19"], examples["normal"], examples["bacterial_pneumonia"]]
    choosers[0].set_files(paths)
    expect(page.locator("#tally")).to_contain_text("done: 3 of 3")
    expect(page.locator("#stage")).to_be_focused()
    expect(page.locator("#corner-name")).to_contain_text("covid19.jpg")

    press("n")
    expect(page.locator("#corner-name")).to_contain_text("normal.jpg")
    before = pixels(page, "#film-pane")
    press("Shift+ArrowDown")
    expect(page.locator("#corner-grey")).to_have_text("W 255 L 136")
    press("Shift+ArrowLeft")
    expect(page.locator("#corner-grey")).to_have_text("W 247 L 136")
    press("i")
    expect(page.locator("#invert")).to_have_attribute("aria-pressed", "true")
    press("1")
    expect(page.locator("#corner-size")).to_contain_text("Zoom 100%")
    press("+")
    expect(page.locator("#corner-size")).to_contain_text("Zoom 125%")
    moved = pixels(page, "#film-pane")
    press("ArrowLeft")
    assert (pixels(page, "#film-pane") != moved).any()
    press("r")
    assert (pixels(page, "#film-pane") == before).all()

    press("Shift+ArrowDown")
    press("p")
    expect(page.locator("#corner-grey")).to_have_text("W 255 L 128")  # of another film
    expect(page.locator("#map-pane")).to_be_visible()
    press("m")
    expect(page.locator("#map-pane")).to_be_hidden()
    press("m")
    expect(page.locator("#map-pane")).to_be_visible()

    page.locator("#rows .row").first.focus()
    press("End")
    expect(page.locator("#corner-name")).to_contain_text("bacterial_pneumonia.jpg")
    expect(page.locator("#rows .row").nth(2)).to_be_focused()
    press("Delete")
    expect(page.locator("#rows > li")).to_have_count(2)
    expect(page.locator("#rows .row").nth(1)).to_be_focused()


def test_a_dialog_is_left_by_escape_and_gives_the_focus_back(page: Page) -> None:
    page.locator("#help").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#help")).to_be_focused()


def test_a_screen_reader_is_told_what_was_read(page: Page, examples: dict[str, Path]) -> None:
    announcer = page.locator("#announcer")
    give(page, examples["covid19"])
    expect(announcer).to_have_text("covid19.jpg: COVID-19 99.6%")
    page.click("#clear")
    give(page, film(examples["bacterial_pneumonia"], "b.jpg"))
    expect(announcer).to_have_text("b.jpg: Uncertain")
    row = page.locator("#bars li").nth(1)
    expect(row).to_contain_text("COVID-19: < 0.1%. Operating point 44.7%.")


def violations(page: Page) -> list[Any]:
    """Return what axe-core finds: rules of WCAG 2.2 A and AA, and good practice."""
    found = Axe().run(page).response["violations"]
    return [(each["id"], [node["html"][:120] for node in each["nodes"]]) for each in found]


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_axe_finds_nothing(open_page: NewPage, examples: dict[str, Path], scheme: str) -> None:
    locale = {"dark": "en", "light": "es"}[scheme]
    page = open_page(color_scheme=scheme, locale=locale, reduced_motion="reduce")
    assert violations(page) == []
    for button, dialog in (("#help", "#help-dialog"), ("#limits", "#limits-dialog")):
        page.click(button)
        expect(page.locator(dialog)).to_be_visible()
        assert violations(page) == []
        page.keyboard.press("Escape")
    give(
        page, examples["bacterial_pneumonia"], examples["covid19"], upside_down(examples["normal"])
    )
    expect(page.locator("#tally")).to_contain_text("3")
    expect(page.locator("#rows .refused")).to_be_visible()
    for row, verdict in enumerate(("uncertain", "ok", "refused")):
        page.locator("#rows .row").nth(row).click()
        expect(page.locator(f".verdict.{verdict}")).to_be_visible()
        page.locator("#facts").evaluate("(facts) => { facts.open = true; }")
        assert violations(page) == []


@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_cut_off_on_any_screen(
    open_page: NewPage, examples: dict[str, Path], size: str
) -> None:
    width, height = SIZES[size]
    page = open_page("?lang=es", viewport={"width": width, "height": height})
    overflow = "document.documentElement.scrollWidth - innerWidth"
    assert page.evaluate(overflow) <= 0
    give(page, examples["viral_pneumonia"])
    expect(page.locator("#map-note")).to_contain_text("La respuesta es incierta.")
    assert page.evaluate(overflow) <= 0
    cut: list[str] = page.evaluate(
        """() => [...document.querySelectorAll(":is(main, header) :is(button, input, select)")]
          .filter((each) => each.offsetParent && each.getBoundingClientRect().right > innerWidth)
          .map((each) => each.id)"""
    )
    assert cut == []
    expect(page.locator("footer.notice")).to_be_in_viewport()


@pytest.mark.parametrize(
    ("scheme", "query", "light"),
    [("dark", "", False), ("light", "", True), ("light", "?theme=dark", False),
     ("dark", "?theme=light", True)],
)  # fmt: skip
def test_it_is_dark_or_light_as_the_system_or_the_switch_says(
    open_page: NewPage, scheme: str, query: str, light: bool
) -> None:
    page = open_page(query, color_scheme=scheme)

    def lightness() -> int:
        colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        return int(re.findall(r"\d+", colour)[0])

    assert (lightness() > 127) is light
    page.click("#theme")
    assert (lightness() > 127) is not light
    assert page.url.endswith("theme=" + ("dark" if light else "light"))


def test_whoever_wants_less_motion_gets_none(open_page: NewPage) -> None:
    page = open_page(reduced_motion="reduce")
    moving = "getComputedStyle(document.querySelector('#choose')).transitionDuration"
    assert page.evaluate(moving) == "0s"


def test_a_break_of_the_policy_would_be_seen(chromium: Browser, service: Server) -> None:
    def break_it() -> None:
        with watched(chromium) as open_at:
            blocked = open_at(service.url).evaluate(
                """async () => {
                  const told = new Promise((done) => addEventListener("securitypolicyviolation",
                    (event) => done(event.effectiveDirective), { once: true }));
                  const image = new Image();
                  image.src = "https://neumo.test/x.png";
                  return told;
                }"""
            )
            assert blocked == "img-src"

    with pytest.raises(AssertionError, match="Content Security Policy"):
        break_it()
