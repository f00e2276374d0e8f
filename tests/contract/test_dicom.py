"""DICOM over HTTP: read as its rendering is, its tags heeded, nothing else of it told."""

import hashlib
import importlib
import io
import sys
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image

from app.image.grey_image import GreyWindow, Limits
from app.model.bundle import find_bundle, read_bundle
from app.model.session import OnnxModel
from app.reading.reader import Reader
from tests import dicoms
from tests.apps import served
from tests.contract.test_doubt import KNOWN
from tests.images import encode
from tests.models import FakeModel

if not util.find_spec("pydicom"):
    pytest.skip("the extra dicom is not installed", allow_module_level=True)

CENTER, WIDTH = 2055.5, 4081.0
"""The window that shows what `store` stores as the grey it was made of."""

CALLS = ("/predict", "/predict/batch", "/explain")
"""Each that reads an image; `ask` has /explain answer in JSON."""


def store(grey: NDArray[np.uint8], **more: dicoms.Value) -> bytes:
    """Write a CR of 12 bits, MONOCHROME1: high values are dark. Its second window is narrower."""
    stored = (4095 - 16 * grey.astype(np.int64)).astype(np.uint16)
    values: dict[str, dicoms.Value] = {
        "x00280004": "MONOCHROME1",
        "x00281050": f"{CENTER}\\{CENTER}",
        "x00281051": f"{WIDTH:.0f}\\2041",
    }
    return dicoms.native(stored, 12, **values | more)


def narrow(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what the second window shows: grey from a quarter to three quarters, steeper."""
    steep: NDArray[np.uint8] = np.rint((grey - 127.5) * 2 + 127.5).clip(0, 255).astype(np.uint8)
    return steep


@pytest.fixture(scope="module")
def grey(examples: dict[str, Path]) -> NDArray[np.uint8]:
    """A drawn radiograph."""
    return np.asarray(Image.open(examples["normal"]).convert("L").resize((400, 512)))


@pytest.fixture(scope="module")
def film(grey: NDArray[np.uint8]) -> bytes:
    """The same as DICOM."""
    return store(grey)


def probabilities_of(client: TestClient, file: bytes, query: str = "") -> list[float]:
    answer = client.post(f"/predict{query}", files={"file": file})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["probabilities"].values())


def ask(client: TestClient, call: str, file: bytes, **query: str) -> dict[str, Any]:
    """Return what a call says of a file: a Reading, an explanation or a problem."""
    query |= {"format": "json"} if call == "/explain" else {}
    answer: dict[str, Any] = client.post(call, files={"file": file}, params=query).json()
    return answer["results"][0] if "results" in answer else answer


def readings(client: TestClient, file: bytes, **query: str) -> list[dict[str, Any]]:
    """Return what each call that reads an image says of it."""
    return [ask(client, call, file, **query) for call in CALLS]


# ---------------------------------------------------------------- how it may be sent


def test_a_film_is_read_as_its_rendering_is(
    client: TestClient, grey: NDArray[np.uint8], film: bytes
) -> None:
    expected = probabilities_of(client, encode(grey, "PNG"))
    assert probabilities_of(client, film) == pytest.approx(expected, abs=1e-6)
    for syntax in (dicoms.IMPLICIT, dicoms.BIG_ENDIAN):
        again = store(grey, syntax=syntax)
        assert probabilities_of(client, again) == pytest.approx(expected, abs=1e-6)


def test_monochrome1_taken_for_the_other_would_be_no_chest(
    client: TestClient, grey: NDArray[np.uint8]
) -> None:
    wrong = client.post("/predict", content=store(grey, x00280004="MONOCHROME2")).json()
    assert (wrong["code"], wrong["reason"]) == ("not_a_chest_xray", "inverted")


@pytest.mark.parametrize(
    "media_type", ["application/dicom", "application/octet-stream", "image/jpeg", "text/plain"]
)
def test_a_raw_body_is_taken_by_its_content(
    client: TestClient, film: bytes, media_type: str
) -> None:
    answer = client.post("/predict", content=film, headers={"Content-Type": media_type})
    assert answer.status_code == 200
    assert answer.json()["image"]["format"] == "DICOM"


def test_a_part_of_a_form_needs_no_name_and_no_type(client: TestClient, film: bytes) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + film + b"\r\n--b--\r\n"
    answer = client.post(
        "/predict", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert answer.json()["image"]["format"] == "DICOM"


def test_a_batch_takes_formats_as_they_come(
    client: TestClient, grey: NDArray[np.uint8], film: bytes
) -> None:
    files = [encode(grey, "PNG"), film, encode(grey, "JPEG"), film[: len(film) // 2], film]
    results = client.post("/predict/batch", files=[("file", each) for each in files]).json()
    told = [each.get("code") or each["image"]["format"] for each in results["results"]]
    assert told == ["PNG", "DICOM", "JPEG", "image_truncated", "DICOM"]
    first, second = (results["results"][index]["probabilities"] for index in (0, 1))
    assert second == pytest.approx(first, abs=1e-6)


# ---------------------------------------------------------------- the window


def test_a_window_is_chosen_by_its_number_from_one(
    client: TestClient, grey: NDArray[np.uint8], film: bytes
) -> None:
    first, second = (probabilities_of(client, encode(each, "PNG")) for each in (grey, narrow(grey)))
    assert first != pytest.approx(second, abs=0.01)
    assert probabilities_of(client, film, "?window=1") == pytest.approx(first, abs=1e-6)
    assert probabilities_of(client, film, "?window=2") == pytest.approx(second, abs=0.01)
    for reading in readings(client, film, window="2"):
        assert reading["image"]["dicom"]["window"] == {
            "rendering": "linear", "center": CENTER, "width": 2041
        }  # fmt: skip


@pytest.mark.parametrize("call", [*CALLS, "/preview"])
def test_a_window_that_is_not_there_is_told_with_their_number(
    client: TestClient, film: bytes, call: str
) -> None:
    problem = ask(client, call, film, window="3")
    assert {name: problem[name] for name in ("status", "code", "parameter", "windows")} == {
        "status": 400, "code": "invalid_parameter", "parameter": "window", "windows": 2
    }  # fmt: skip
    assert "from 1, LUTs first, and this file has 2" in problem["detail"]


@pytest.mark.parametrize("call", [*CALLS, "/preview"])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL", "PALETTE COLOR"])
def test_colours_have_no_windows(client: TestClient, photometric: str, call: str) -> None:
    colours = np.full((64, 64, 3), 99, np.uint8)
    more: dict[str, Any] = {"x00280004": photometric, "x00281050": "128", "x00281051": "256"}
    if photometric == "PALETTE COLOR":
        colours = colours[..., 0]
        more |= {f"x0028110{each}": [256, 0, 8] for each in (1, 2, 3)}
        more |= {f"x0028120{each}": bytes(range(256)) for each in (1, 2, 3)}
    scan = dicoms.native(colours, sop_class=dicoms.SECONDARY_CAPTURE, **more)
    assert client.post("/preview", content=scan).status_code == 200
    problem = ask(client, call, scan, window="1")
    assert {name: problem[name] for name in ("status", "code", "parameter", "windows")} == {
        "status": 400, "code": "invalid_parameter", "parameter": "window", "windows": 0
    }  # fmt: skip


@pytest.mark.parametrize("call", ["/predict", "/predict/batch", "/explain", "/preview"])
@pytest.mark.parametrize("window", ["0", "-1", "1.5", "", "first", "10000", "१"])
def test_a_window_that_is_no_number_is_refused(
    client: TestClient, film: bytes, call: str, window: str
) -> None:
    refused = client.post(call, files={"file": film}, params={"window": window})
    assert refused.status_code == 400
    assert (refused.json()["code"], refused.json()["parameter"]) == ("invalid_parameter", "window")


def test_other_formats_have_no_windows_and_take_no_notice(
    client: TestClient, grey: NDArray[np.uint8]
) -> None:
    png = encode(grey, "PNG")
    plain, asked = (readings(client, png, **query) for query in ({}, {"window": "7"}))
    assert [each["warnings"] for each in plain] == [each["warnings"] for each in asked]


# ---------------------------------------------------------------- what is told of it


def test_facts_of_a_film_are_told_and_no_more(client: TestClient, film: bytes) -> None:
    for reading in readings(client, film):
        assert reading["image"] == {
            "format": "DICOM",
            "width": 400,
            "height": 512,
            "bits": 12,
            "sha256": hashlib.sha256(film).hexdigest(),
            "dicom": {
                "transfer_syntax": "1.2.840.10008.1.2.1",
                "transfer_syntax_name": "Explicit VR Little Endian",
                "bits_stored": 12,
                "photometric_interpretation": "MONOCHROME1",
                "window": {"rendering": "linear", "center": CENTER, "width": WIDTH},
                "windows": 2,
            },
        }


def test_its_instance_uid_is_told_if_asked_for(client: TestClient, film: bytes) -> None:
    for call in CALLS:
        assert dicoms.SOP_INSTANCE not in str(ask(client, call, film))
    for reading in readings(client, film, include="uid"):
        assert reading["image"]["dicom"]["sop_instance_uid"] == dicoms.SOP_INSTANCE


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("include", ["", "name", "uid,name", "UID"])
def test_nothing_else_of_it_can_be_asked_for(
    client: TestClient, film: bytes, call: str, include: str
) -> None:
    refused = client.post(call, files={"file": film}, params={"include": include})
    assert (refused.status_code, refused.json()["parameter"]) == (400, "include")


def test_it_counts_by_its_format() -> None:
    with served(FakeModel()) as client:
        flat = np.full((224, 224), 99, np.uint8)
        client.post("/predict", files={"file": store(flat)})
        client.post("/explain", files={"file": store(flat)})
        client.post("/preview", files={"file": store(flat)})
        client.post("/preview", files={"file": encode(flat, "PNG")})
        client.post("/predict", files={"file": store(flat)[:-1]})
        metrics = client.get("/metrics").text
    assert 'neumo_images_total{for="reading",format="DICOM"} 2.0' in metrics
    assert 'neumo_images_total{for="preview",format="DICOM"} 1.0' in metrics
    assert 'neumo_images_total{for="preview",format="PNG"} 1.0' in metrics
    assert 'neumo_refusals_total{code="image_truncated"} 1.0' in metrics
    assert 'neumo_requests_total{method="POST",route="/preview",status="200"} 2.0' in metrics


# ---------------------------------------------------------------- of whom it is


@pytest.mark.parametrize(
    ("tags", "said", "status", "codes"),
    [
        pytest.param({}, {}, "ok", ["population_unknown"], id="nothing"),
        pytest.param({"x00101010": "061Y"}, {}, "ok", [], id="an age within"),
        pytest.param(
            {"x00101010": "008Y"}, {}, "uncertain", ["age_outside_population"], id="an age outside"
        ),
        pytest.param({"x00101010": "62"}, {}, "ok", ["population_unknown"], id="no age"),
        pytest.param(
            {"x00101010": "008Y"}, {"age_years": "61"}, "ok", ["tags_contradict"], id="said within"
        ),
        pytest.param(
            {"x00101010": "061Y"},
            {"age_years": "8"},
            "uncertain",
            ["age_outside_population", "tags_contradict"],
            id="said outside",
        ),
        pytest.param(
            {"x00101010": "061Y", "x00185101": "LL"},
            {},
            "uncertain",
            ["view_outside_population"],
            id="of the side",
        ),
        pytest.param(
            {"x00101010": "061Y", "x00200020": "A\\F"},
            {},
            "uncertain",
            ["view_outside_population"],
            id="of the side, by its orientation",
        ),
        pytest.param(
            {"x00101010": "061Y", "x00185101": "LL"},
            {"view": "PA"},
            "ok",
            ["tags_contradict"],
            id="said to be frontal",
        ),
        pytest.param(
            {"x00101010": "061Y", "x00180015": "FOOT"}, {}, "ok", ["body_part_not_chest"], id="foot"
        ),
        pytest.param(
            {"x00101010": "061Y", "x00180015": "CHEST", "x00080060": "MR"},
            {},
            "ok",
            ["modality_not_radiograph"],
            id="no radiograph",
        ),
    ],
)
def test_tags_are_compared_with_the_population_and_with_what_is_said(
    tags: dict[str, dicoms.Value], said: dict[str, str], status: str, codes: list[str]
) -> None:
    film = store(np.full((224, 224), 99, np.uint8), **tags)
    with served(FakeModel(card=KNOWN)) as client:
        for reading in readings(client, film, **said):
            assert reading["status"] == status
            told = [each["code"] for each in reading["warnings"]]
            assert [code for code in told if code != "site_not_validated"] == codes


@pytest.mark.parametrize(
    ("tags", "said", "subject"),
    [
        pytest.param({}, {}, None, id="nothing known"),
        pytest.param({}, {"age_years": "4"}, {"age_years": 4.0}, id="said"),
        pytest.param(
            {"x00101010": "018M", "x00185101": "AP"},
            {},
            {"age_years": 1.5, "view": "AP"},
            id="of the file",
        ),
        pytest.param(
            {"x00101010": "061Y", "x00185101": "AP"},
            {"view": "PA"},
            {"age_years": 61.0, "view": "PA"},
            id="what is said wins",
        ),
    ],
)
def test_an_answer_tells_whom_the_film_was_taken_to_be_of(
    tags: dict[str, dicoms.Value], said: dict[str, str], subject: dict[str, object] | None
) -> None:
    film = store(np.full((224, 224), 99, np.uint8), **tags)
    with served(FakeModel(card=KNOWN)) as client:
        answer = client.post("/predict", files={"file": film}, data=said).json()
    assert answer.get("subject") == subject


def test_warnings_of_tags_are_told_in_both_languages() -> None:
    film = store(np.full((224, 224), 99, np.uint8), x00180015="FOOT", x00185101="AP")
    texts = []
    with served(FakeModel(card=KNOWN)) as client:
        for language in ("en", "es"):
            answer = client.post(
                "/predict?view=PA&age_years=61",
                files={"file": film},
                headers={"Accept-Language": language},
            ).json()
            texts.append(" ".join(each["message"] for each in answer["warnings"]))
    assert "contradicts what was sent" in texts[0]
    assert "another part of the body than the chest" in texts[0]
    assert "contradice la edad o la proyección" in texts[1]
    assert "otra parte del cuerpo que el tórax" in texts[1]


def test_a_chest_by_its_tags_alone_gets_no_label(client: TestClient) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 300), np.uint8)
    tags = {"x00180015": "CHEST", "x00185101": "PA", "x00101010": "061Y", "x00200020": "L\\F"}
    problem = client.post("/predict", content=store(noise, **tags)).json()
    assert (problem["code"], problem["reason"]) == ("not_a_chest_xray", "unknown")


# ---------------------------------------------------------------- without the extra


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if pydicom were not installed."""
    for name in [name for name in sys.modules if name.startswith("app.image.dicom")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pydicom", None)


@pytest.mark.usefixtures("without_extra")
@pytest.mark.parametrize("call", ["/predict", "/predict/batch", "/explain", "/preview"])
def test_without_the_extra_it_is_told_what_to_install(
    client: TestClient, grey: NDArray[np.uint8], film: bytes, call: str
) -> None:
    problem = ask(client, call, film)
    assert (problem["status"], problem["code"]) == (415, "unsupported_media_type")
    assert problem["reason"] == "dicom"
    assert "installs neumo[dicom]" in problem["detail"]
    assert client.post("/predict", content=encode(grey, "PNG")).status_code == 200


# ---------------------------------------------------------------- the film to look at


def shown(answer: Any) -> NDArray[np.uint8]:  # noqa: ANN401 - httpx's
    assert answer.status_code == 200, answer.text
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.mode == "L"
    return np.asarray(picture)


def test_a_film_is_shown_as_it_is_read(
    client: TestClient, grey: NDArray[np.uint8], film: bytes
) -> None:
    answer = client.post("/preview", files={"file": film})
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["vary"] == "Accept"
    assert np.array_equal(shown(answer), grey)
    second = shown(client.post("/preview?window=2", content=film)).astype(int)
    assert np.abs(second - narrow(grey)).max() <= 1
    assert Image.open(io.BytesIO(answer.content)).info == {}


def test_what_is_shown_is_read_as_the_film_is(client: TestClient, film: bytes) -> None:
    picture = client.post("/preview", files={"file": film}).content
    assert probabilities_of(client, picture) == pytest.approx(
        probabilities_of(client, film), abs=1e-6
    )


@pytest.mark.parametrize(("max_px", "side"), [(None, 1024), (1000, 1000), (600, 600), (64, 64)])
def test_a_jpeg_is_shown_as_sharp_as_was_asked(
    client: TestClient, max_px: int | None, side: int
) -> None:
    lines = np.tile(np.array([0, 255], np.uint8), (1024, 512))  # a pixel wide: gone at a half
    query = {} if max_px is None else {"max_px": max_px}
    film = encode(lines, "JPEG", quality=95)
    picture = shown(client.post("/preview", content=film, params=query))
    assert picture.shape == (side, side)
    assert (picture.std() > 100) == (side == 1024)
    large = encode(np.zeros((1400, 2200), np.uint8), "JPEG")
    assert max(shown(client.post("/preview", content=large, params=query)).shape) == side


@pytest.mark.skipif(not util.find_spec("imagecodecs"), reason="the extra dicom is not installed")
def test_jpeg_2000_is_shown_as_sharp_as_was_asked(client: TestClient) -> None:
    slope = np.tile(np.arange(1800, dtype=np.uint16), (1800, 1))  # the network's pixels: 900 a side
    codestream = importlib.import_module("imagecodecs").jpeg2k_encode(
        slope, level=0, codecformat="j2k", reversible=True
    )
    film = dicoms.encapsulated(slope, codestream, dicoms.JPEG_2000_LOSSLESS, 12)
    assert shown(client.post("/preview", content=film)).shape == (1024, 1024)
    assert shown(client.post("/preview?max_px=950", content=film)).shape == (950, 950)


def test_other_formats_are_shown_too_and_upright(client: TestClient) -> None:
    slope = np.repeat(np.arange(0, 256, 2, dtype=np.uint8)[:, None], 200, 1)  # dark above
    assert np.array_equal(shown(client.post("/preview", content=encode(slope, "PNG"))), slope)
    deep = encode(slope.astype(np.uint16) * 257, "PNG")
    assert np.array_equal(shown(client.post("/preview", content=deep)), slope)
    exif = Image.Exif()
    exif[0x0112] = 3  # the camera was upside down
    turned = encode(Image.fromarray(slope[::-1, ::-1]), "JPEG", quality=95, exif=exif)
    picture = shown(client.post("/preview", content=turned)).astype(int)
    assert np.abs(picture - slope).max() <= 3


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("image/jpeg", "jpeg"),
        ("image/jpeg, image/png;q=0.5", "jpeg"),
        ("image/*;q=0.8, image/png;q=0.2", "jpeg"),
        ("IMAGE/JPEG", "jpeg"),
        ("", "png"),
        ("*/*", "png"),
        ("image/png, image/jpeg", "png"),
        ("image/jpeg;q=0.4, */*", "png"),
        ("image/jpeg;q=0", "png"),
        ("application/json", "png"),
        ("text/html,image/avif,image/webp,image/png,*/*;q=0.8", "png"),
    ],
)
def test_a_jpeg_is_given_to_who_prefers_it(
    client: TestClient, grey: NDArray[np.uint8], film: bytes, accept: str, kind: str
) -> None:
    answer = client.post("/preview", content=film, headers={"Accept": accept})
    assert answer.headers["content-type"] == f"image/{kind}"
    assert answer.content.startswith(b"\xff\xd8\xff" if kind == "jpeg" else b"\x89PNG")
    difference = np.abs(shown(answer).astype(int) - grey)
    assert difference.mean() < (3 if kind == "jpeg" else 0.001)


@pytest.mark.parametrize(
    ("query", "size"), [("", (1024, 512)), ("?max_px=300", (300, 150)), ("?max_px=64", (64, 32))]
)
def test_a_picture_is_no_larger_than_a_screen_unless_it_is_asked_for(
    client: TestClient, query: str, size: tuple[int, int]
) -> None:
    halves = np.zeros((1000, 2000), np.uint8)
    halves[:, 1000:] = 200
    picture = shown(client.post(f"/preview{query}", content=store(halves)))
    assert picture.shape == size[::-1]
    assert picture[:, : size[0] // 2 - 4].max() == 0
    assert (picture[:, size[0] // 2 + 4 :] == 200).all()


def test_who_looks_closely_is_shown_all_pixels(client: TestClient) -> None:
    lines = np.tile(np.array([0, 255], np.uint8), (100, 1500))  # a pixel wide: gone at a half
    picture = shown(client.post("/preview?max_px=4096", content=store(lines)))
    assert np.array_equal(picture, lines)


def test_nothing_is_enlarged(client: TestClient) -> None:
    small = np.full((80, 100), 77, np.uint8)
    assert np.array_equal(shown(client.post("/preview", content=store(small))), small)


@pytest.mark.parametrize("max_px", ["63", "4097", "0", "-5", "x", "", "1e3"])
def test_a_size_out_of_bounds_is_refused(client: TestClient, film: bytes, max_px: str) -> None:
    refused = client.post("/preview", content=film, params={"max_px": max_px})
    assert (refused.status_code, refused.json()["parameter"]) == (400, "max_px")


def test_what_is_no_chest_is_shown_and_the_network_not_asked() -> None:
    model = FakeModel()
    with served(model) as client:
        assert client.post("/preview", content=store(np.zeros((99, 99), np.uint8))).is_success
    assert model.seen == []


def test_what_can_not_be_read_is_not_shown(client: TestClient, film: bytes) -> None:
    told = [
        client.post("/preview", content=content).json()
        for content in (film[:-2], b"DOE^JOHN", b"", store(np.zeros((9, 9), np.uint8)))
    ]
    assert [problem["code"] for problem in told] == [
        "image_truncated", "unsupported_media_type", "empty_upload", "image_too_small"
    ]  # fmt: skip


# ---------------------------------------------------------------- real films


def real(name: str) -> bytes:
    folder = pytest.importorskip("data_store.data", reason="pydicom-data is not installed")
    path = Path(folder.__path__[0]) / f"{name}.dcm"
    if not path.exists():
        pytest.skip(f"pydicom-data has no {name}")
    return path.read_bytes()


def test_a_real_film_is_read_and_a_real_leg_refused(client: TestClient) -> None:
    # By the version before: to the one that is shipped this film, of metastases, is too strange.
    reader = Reader(OnnxModel(read_bundle(find_bundle("neumo-r18-2"))), Limits())
    chest = reader.read(real("RG1_UNCR"))
    assert chest.facts.dicom is not None
    assert chest.facts.dicom.window == GreyWindow("linear", 15000, 30000)
    assert chest.outputs.probabilities["covid19"] == pytest.approx(0.63, abs=0.03)
    leg = client.post("/predict", content=real("RG3_UNCR")).json()
    assert (leg["status"], leg["code"]) == (422, "not_a_chest_xray")
